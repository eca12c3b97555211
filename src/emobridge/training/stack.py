"""Many heads of one kind as one module: L layers x P probes, their weights side by side.

torch.func.vmap does the same for any module, but copies the features once a probe, and runs a small matrix product for
each: on a CPU that is hardly faster than training one by one. Here a linear map that all probes of a layer feed with
the same features is ONE product, with all their weights as columns.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from emobridge.errors import UserError
from emobridge.heads.base import Dropout, FrameScale, InputDropout, LayerSum
from emobridge.methods.base import Draws

Moments = tuple[Tensor, Tensor]  # mean and deviation by which a probe standardises its input


def stacked(
    heads: Sequence[Sequence[nn.Module]], moments: Moments | None = None, draws: Draws | None = None
) -> nn.Module:
    """Heads (L rows of P) as one module: x (L, 1, ..., D) -> (L, P, B, C), of a multilayer head (1, P, B, C).

    The first nn.Linear or LayerSum that a head defines sees the features, which all probes of a layer share; every
    later one sees what the first one gives, which differs from probe to probe.
    moments: mean and deviation, each (L, P, D), by which each probe standardises the features; they are folded into
    the first map and into a `FrameScale`, which is the same to rounding.
    draws: by which each layer's dropout draws, for how many clips, read at every step; by default all layers draw
    together from torch's own generator.
    Errors: UserError for a head whose maps see something else; when it is used, if not before.
    """
    module = copy.deepcopy(heads[0][0])
    is_first = True
    for name, part in list(module.named_modules()):
        if isinstance(part, FrameScale) and moments is not None:
            _replace(module, name, StackedFrameScale(moments))
        if isinstance(part, Dropout | InputDropout) and draws is not None:
            _replace(module, name, StackedDropout(part.p, isinstance(part, InputDropout), draws))
        kind = {nn.Linear: StackedLinear, LayerSum: StackedLayerSum}.get(type(part))
        if kind is None:
            continue
        if kind is StackedLayerSum and not is_first:
            raise _misplaced(name)
        parts = [[head.get_submodule(name) for head in row] for row in heads]
        _replace(module, name, kind(parts, moments) if is_first else StackedLinear(parts, sees_features=False))
        is_first = False
    return module


def _replace(module: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(module.get_submodule(parent), child, part)


def unstacked(module: nn.Module, head: nn.Module, layer: int, probe: int) -> nn.Module:
    """The weights of one probe, loaded into a plain `head`, without its moments."""
    weights = {}
    for name, _ in module.named_parameters():
        parent, _, parameter = name.rpartition(".")
        part: Any = module.get_submodule(parent)
        weights[name] = part.weights_of(parameter, layer, probe)
    head.load_state_dict(weights)
    return head


def layer_weights(module: nn.Module) -> Tensor:
    """(P, L): the weights of the layers in each probe of stacked heads that sum layers; each row sums to 1."""
    part = next(part for part in module.modules() if isinstance(part, StackedLayerSum))
    return part.weight.detach().softmax(1)


def _misplaced(name: str) -> UserError:
    return UserError(
        f"head: {name}: the first nn.Linear or LayerSum that a head defines must be the only one that sees the features"
    )


class StackedLinear(nn.Module):
    """L x P linear maps. Weights lie as (L, O, P, D), so that classes come before probes in what is multiplied out.

    sees_features: whether the input is the features, the same for all probes of a layer. It is stated, not read from
    the input's shape, which is the same for one probe as for features that probes share.
    """

    def __init__(self, parts: list[list[Any]], moments: Moments | None = None, *, sees_features: bool = True) -> None:
        super().__init__()
        weights = [torch.stack([part.weight.detach() for part in row], 1) for row in parts]
        self.weight = nn.Parameter(torch.stack(weights))  # (L, O, P, D)
        if parts[0][0].bias is None:
            self.bias = self.weight.new_zeros(self.weight.shape[:-1])  # (L, O, P)
        else:
            biases = [torch.stack([part.bias.detach() for part in row], 1) for row in parts]
            self.bias = nn.Parameter(torch.stack(biases))
        self.moments = None if moments is None else (1 / moments[1], moments[0] / moments[1])
        self.sees_features = sees_features

    def forward(self, x: Tensor) -> Tensor:
        """(L, 1, ..., D) features, the same for all probes, or (L, P, ..., D) -> (L, P, ..., O)."""
        layers, out, probes, width = self.weight.shape
        if self.sees_features:
            if x.shape[:2] != (layers, 1) or x.requires_grad:
                raise _misplaced(f"{width} to {out} values")
            y = _Shared.apply(x.reshape(layers, -1, width), self.weight, self.bias, self.moments)
            return y.permute(0, 3, 1, 2).unflatten(2, x.shape[2:-1])
        if x.shape[1] != probes:
            raise _misplaced(f"{width} to {out} values")
        flat = self.weight.permute(0, 2, 3, 1).reshape(layers * probes, width, out)
        bias = self.bias.transpose(1, 2).reshape(-1, 1, out)
        y = torch.baddbmm(bias, x.reshape(layers * probes, -1, width), flat)
        return y.view(layers, probes, *x.shape[2:-1], out)

    def weights_of(self, name: str, layer: int, probe: int) -> Tensor:
        """The weight or bias of one map, laid out as nn.Linear has it."""
        return getattr(self, name)[layer].select(1, probe)


class _Shared(torch.autograd.Function):
    """y = (x scale - shift) W + b for all probes at once, as x (scale W) + (b - shift W).

    x (L, n, D), W (L, O, P, D), b (L, O, P) -> (L, n, O, P); moments are scale and shift, (L, P, D) each. The gradients
    are written out: derived by autograd, they would cost as much again as the products. x gets none.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, moments: Moments | None) -> Tensor:
        ctx.save_for_backward(x)
        ctx.moments, ctx.shape = moments, weight.shape
        if moments is not None:
            scale, shift = moments
            bias = bias - (weight * shift[:, None]).sum(-1)
            weight = weight * scale[:, None]
        y = torch.baddbmm(bias.flatten(1)[:, None], x, weight.flatten(1, 2).transpose(1, 2))
        return y.unflatten(2, bias.shape[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        grad = grads[0].flatten(2)
        weight = torch.bmm(grad.transpose(1, 2), x).view(ctx.shape)
        bias = grad.sum(1).view(ctx.shape[:-1])
        if ctx.moments is not None:
            scale, shift = ctx.moments
            weight.mul_(scale[:, None]).addcmul_(bias[..., None], shift[:, None], value=-1)
        return None, weight, bias, None


class StackedLayerSum(nn.Module):
    """P weighted sums of the same layers."""

    def __init__(self, parts: list[list[Any]], moments: Moments | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([part.weight.detach() for part in parts[0]]))  # (P, L)
        self.moments = moments

    def forward(self, x: Tensor) -> Tensor:
        """(L, 1, ..., D) -> (1, P, ..., D)."""
        share = self.weight.softmax(1)
        if self.moments is None:
            return torch.tensordot(share, x[:, 0], dims=1)[None]
        mean, deviation = (value.transpose(0, 1) for value in self.moments)  # (P, L, D)
        scale = share[..., None] / deviation
        summed = torch.einsum("pld,lnd->pnd", scale, x.flatten(1, -2)) - (scale * mean).sum(1)[:, None]
        return summed.unflatten(1, x.shape[2:-1])[None]

    def weights_of(self, name: str, layer: int, probe: int) -> Tensor:
        """The weights of one sum."""
        return self.weight[probe]


class StackedDropout(nn.Module):
    """`Dropout`, or with `same` `InputDropout`, of each layer by a generator of its own."""

    def __init__(self, p: float, same: bool, draws: Draws) -> None:
        super().__init__()
        self.p, self.same, self.draws = p, same, draws

    def forward(self, x: Tensor) -> Tensor:
        """(L, 1, B, ..., D) -> the same."""
        if not self.training or not self.p:
            return x
        noise = x.new_ones(len(x), 1, *(1,) * (x.ndim - 3), x.shape[-1]) if self.same else torch.ones_like(x)
        for row, draw in zip(noise[:, 0], self.draws):
            if draw is not None:
                count, generator = draw
                row[:count].uniform_(generator=generator)
        return x * noise.ge_(self.p).div_(1 - self.p)


class StackedFrameScale(nn.Module):
    """Statistics of the features as they are of features that each of L x P probes standardises."""

    def __init__(self, moments: Moments) -> None:
        super().__init__()
        self.mean, self.deviation = (value[:, :, None] for value in moments)  # (L, P, 1, D)

    def forward(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """(L, P, B, D) each."""
        return (mean - self.mean) / self.deviation, variance / self.deviation.square()
