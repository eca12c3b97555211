"""The base class of heads, and the parts that they are made of.

A head is an nn.Module that maps the frames of clips to logits, built as `Head(width, classes, **options)`. Heads that
are trained by gradients also work on a stack of weights (see training/stack.py): so they use the last dimensions only,
all their weights are in nn.Linear and LayerSum, and the first of these that a head defines, and no other, sees the
features. The weights of a `ClosedFormHead` are computed from the training data in one step.

A head that takes statistics of the features themselves, beside that map, passes them through a `FrameScale`.

In shapes B is clips, F frames, D the width of an encoder, H that of a representation, C classes and K attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from emobridge.errors import UserError
from emobridge.options import check_least
from emobridge.registry import plugin_name

ROWS_AT_ONCE = 4_000  # of which a copy is made at a time, where there are more


class Head(nn.Module):
    """A representation of the clip, and `output`, a linear map from it to the logits.

    A subclass takes (width, classes) and its options as keyword parameters, makes `output`, and gives `represent`.
    """

    name: ClassVar[str]  # by default that of the class
    needs_frames: ClassVar[bool] = False  # False where the mean frame of a clip trains it as well as single frames
    all_layers: ClassVar[bool] = False  # whether it takes all layers of an encoder at once, (L, B, F, D)
    # Whether it cuts what it sees into `layers`, an option of it, that lie side by side, and represents each by itself.
    layered: ClassVar[bool] = False
    has_graph: ClassVar[bool] = True  # whether a graph of ONNX answers as it does, but for rounding
    closed_form: ClassVar[bool] = False  # whether its weights are computed in one step, and not by gradients
    # Whether fits of it on stored features train side by side (training/stack.py); each class says so itself.
    stacks: ClassVar[bool] = False
    output: nn.Linear

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in vars(cls):
            cls.name = plugin_name(cls.__name__)
        cls.stacks = vars(cls).get("stacks", False)

    def represent(self, frames: Tensor, mask: Tensor) -> Tensor:
        """(B, F, D) frames and their (B, F) mask -> (B, H), the input of `output`."""
        raise NotImplementedError(f"head {self.name} has no `represent`")

    def represent_layers(self, frames: Tensor, mask: Tensor, layers: Sequence[int] | None = None) -> Tensor:
        """(B, F, D) frames and their (B, F) mask -> (L, B, H'): each layer by itself, before they are joined.

        layers: indices of those wanted, by default all. A head that is not `layered` has one, its representation.
        """
        return self.represent(frames, mask)[None]

    def represent_with_layers(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """`represent` and `represent_layers` of all layers, computed once."""
        represented = self.represent(frames, mask)
        return represented, represented[None]

    def join_layers(self, layers: Tensor) -> Tensor:
        """(L, ..., H') of all layers -> (..., H'): what the head sees of them together."""
        return layers[-1]

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """(B, F, D) frames and their (B, F) mask -> (B, C) logits."""
        return self.output(self.represent(frames, mask))


class LinearMap(NamedTuple):
    """What a closed form gives: z (..., N, k) -> z weight^T + bias, (..., N, C)."""

    weight: Tensor  # (..., C, k)
    bias: Tensor  # (..., C)

    def __repr__(self) -> str:
        return f"LinearMap(weight=<{_size(self.weight)}>, bias=<{_size(self.bias)}>)"

    def of(self, z: Tensor) -> Tensor:
        """(..., N, k) -> (..., N, C)."""
        return z @ self.weight.mT + self.bias[..., None, :]


class Components(NamedTuple):
    """The first k principal components of features of width D: z = (x - mean) axes."""

    mean: Tensor  # (D,)
    axes: Tensor  # (D, k), orthonormal columns, the one of most variance first
    squares: Tensor  # (k,), the sums of the squares of z over the features

    def __repr__(self) -> str:
        return f"Components(mean=<{_size(self.mean)}>, axes=<{_size(self.axes)}>)"

    def of(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., k)."""
        if x.ndim == 2 and len(x) > ROWS_AT_ONCE:  # so that no copy of all is made
            z = x.new_empty(len(x), self.axes.shape[1])  # before all others, for what is freed between them to be used
            for part, rows in zip(x.split(ROWS_AT_ONCE), z.split(ROWS_AT_ONCE)):
                rows.copy_((part - self.mean) @ self.axes)
            return z
        return (x - self.mean) @ self.axes

    def before(self, solution: LinearMap) -> LinearMap:
        """A map of (..., k) as the same map of the features (..., D)."""
        weight = solution.weight @ self.axes.T
        return LinearMap(weight, solution.bias - weight @ self.mean)


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))


def principal_components(x: Tensor, count: int) -> Components:
    """The first `count` principal components of x (N, D), N at least 1; no more than N and D.

    Exact: from the eigenvectors of the smaller one of x^T x and x x^T.
    """
    from scipy.linalg import eigh  # takes 0.2 s, and only what is trained needs it

    mean = x.mean(0)
    count = min(count, *x.shape)
    by_feature = x.shape[1] <= x.shape[0]
    if by_feature:  # NumPy knows that a product is symmetric: half the time
        parts = ((part - mean).numpy() for part in x.split(ROWS_AT_ONCE))  # so that no copy of all is made
        products = sum(part.T @ part for part in parts)
    else:
        x = x - mean
        products = x.numpy() @ x.numpy().T
    last = len(products) - 1
    chosen = [last + 1 - count, last]
    values, vectors = eigh(products.T, subset_by_index=chosen, overwrite_a=True)  # as Fortran has it: no copy
    axes, squares = torch.from_numpy(vectors).flip(1), torch.from_numpy(values).flip(0).clamp(min=0)
    if not by_feature:
        axes = torch.linalg.qr(x.T @ axes).Q
    return Components(mean, axes, squares)


class ClosedFormHead(Head):
    """A linear map of the clip's mean frame whose weights follow from labelled features in one step.

    The features are first reduced to their principal components, which need no labels. A subclass gives `solve`. Of
    features that are several views of a clip, side by side, each view is a recogniser of its own, and the answer is the
    mean of their logits: the geometric mean of their probabilities, which of linear maps is a linear map.
    """

    closed_form = True
    has_members: ClassVar[bool] = False  # whether there is more to it than the map, which `complete` computes

    def __init__(self, width: int, classes: int, *, components: int = 200, views: int = 1) -> None:
        """components: principal components that each view is reduced to, at most. views: of `width` / `views` features.

        Errors: UserError for views that do not divide the width.
        """
        super().__init__()
        check_least(1, components=components, views=views)
        if width % views:
            raise UserError(f"views: {width} features cannot be cut into {views} of the same width")
        self.components, self.views = components, views
        self.output = nn.Linear(width, classes)

    def represent(self, frames: Tensor, mask: Tensor) -> Tensor:
        return masked_mean(frames, mask)

    def solve(self, z: Tensor, label: Tensor, weight: Tensor) -> LinearMap:
        """The map to logits of components z (..., N, k) with labels (..., N, C), probabilities, and weights (..., N).

        The leading dimensions are of fits that are solved at once; rows of weight 0 take no part.
        """
        raise NotImplementedError(f"head {self.name} has no `solve`")

    def complete(self, x: Tensor, label: Tensor, weight: Tensor) -> None:
        """Called when the map is set, with the features (N, D), labels (N, C) and weights (N,) that it was solved on.

        For heads that are more than a map; by default nothing.
        """


def joined(solutions: Sequence[LinearMap]) -> LinearMap:
    """The mean of the logits of views, each a map (C, D_i) of its own features, as one (C, D) of them side by side."""
    count = len(solutions)
    weight = torch.cat([solution.weight for solution in solutions], -1) / count
    return LinearMap(weight, torch.stack([solution.bias for solution in solutions]).mean(0))


class Regressor(nn.Linear):
    """A representation (B, H) -> (B, K) attributes, one for each name, on the scale [-1, 1], not clipped to it."""

    def __init__(self, width: int, names: Sequence[str]) -> None:
        super().__init__(width, len(names))
        self.names = tuple(names)


class Dropout(nn.Dropout):
    """nn.Dropout with single-precision random numbers: on a CPU torch's own take half of a linear head's step."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        return (x * torch.rand_like(x).ge_(self.p)).div_(1 - self.p)  # in place: a third less than with copies


class InputDropout(nn.Dropout):
    """Dropout of the same features for all clips of a batch.

    Ours, for fewer random numbers. Compared with a draw for each clip (three pairs of corpora, one seed), runs on one
    layer took 28 and 32 % less CPU time, and scores on the target moved by -2.4 to +3.0 points.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        return x * ((torch.rand(x.shape[-1]) >= self.p) / (1 - self.p))


class FrameScale(nn.Module):
    """Where statistics of the features themselves go through: unchanged here, standardised in a stack of heads."""

    def forward(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the frames of clips, (..., B, D) each."""
        return mean, variance


class LayerSum(nn.Module):
    """The sum of layers weighted by softmax(weight); at first their plain mean."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(layers))

    def forward(self, hidden: Tensor) -> Tensor:
        """(L, ..., D) -> (..., D)."""
        return torch.tensordot(self.weight.softmax(0), hidden, dims=1)


def masked_mean(frames: Tensor, mask: Tensor) -> Tensor:
    """The mean over each clip's own frames: (..., B, F, D) and their (B, F) bool mask -> (..., B, D).

    Clips may also lie end to end, (..., T, D); the mask is then (B, T) floating: the share of each frame in each mean.
    """
    if mask.is_floating_point():
        return mask @ frames
    if mask.shape[-1] == 1:  # pooled already: a copy would take as long as a batch of small heads
        return frames.squeeze(-2)
    inside = mask[..., None]
    return (frames * inside).sum(-2) / inside.sum(-2).clamp(min=1)
