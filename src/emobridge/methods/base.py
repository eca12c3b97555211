"""The base class of adaptation methods, and the records that a method and the training loop exchange.

A method is a subclass of `Method` with `needs` and `loss`; everything else has a default:

    class MeanDistance(Method):
        needs = frozenset({"source_labels", "target_audio"})

        def loss(self, step: Step) -> dict[str, Tensor]:
            source = step.represent()
            target = step.represent(step.sample(self.task.target))
            distance = (source.mean(0) - target.mean(0)).square().sum()
            return {"cross-entropy": step.cross_entropy(source), "distance": distance}

In shapes N is a number of utterances, B those of a batch, D the width of an input, H that of a representation, C the
classes and K the attributes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from emobridge.errors import unknown
from emobridge.registry import plugin_name

if TYPE_CHECKING:
    from emobridge.heads.base import LinearMap
    from emobridge.types import Frames

BASELINE = "source-only"  # the method that every other one is compared with
# "emotions": two or more classes. "phones": of the source and of target audio, see `phone_classes`.
NEEDS = ("source_labels", "target_audio", "target_labels", "traits", "emotions", "phones")
TRUE_LABELS = 25  # of a class of the target that weigh as much as the source's speech of it: docs/results/suggest.md

Draw = tuple[int, torch.Generator]  # utterances in a batch, and what draws for them
Draws = Sequence[Draw | None]  # of the fits of a stack; None: it sits a step out
Predict = Callable[[Tensor], Tensor]  # rows (N,) of the task's inputs -> probabilities (N, C), dropout off


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows of the task's inputs and their classes."""

    rows: Tensor  # (N,) int64
    label: Tensor  # (N,) int64 in [0, C), or (N, C) float32 probabilities
    corpus: Tensor | None = None  # (N,) int64: the corpus of each row, where there are several
    attributes: Tensor | None = None  # (N, K), of validation rows; those of training rows are in Task.attributes

    @staticmethod
    def empty() -> Labelled:
        """No row."""
        return Labelled(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64))


@dataclass(frozen=True, slots=True)
class Trait:
    """A column of the manifests that describes speakers or recordings."""

    name: str  # "gender" or "naturalness"
    values: Tensor  # (N,) int64, one for each of the task's inputs: in [0, count), or -1 where it is unknown
    count: int


@dataclass(frozen=True, slots=True)
class Phones:
    """Where the task's inputs have which classes of phones, and their means."""

    names: tuple[str, ...]  # P classes, of phones.PHONE_CLASSES
    present: Tensor  # (N, P) bool, one row for each of the task's inputs
    # rows (B,) -> (B, P, D): the mean of the inputs' frames in the phones of each class, NaN where there are none. The
    # generator draws crops where an encoder is trained.
    take: Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True, slots=True)
class Task:
    """All that a method sees. What it names neither in `needs` nor in `takes` is None, and not among the inputs."""

    inputs: Inputs
    classes: int
    source: Labelled | None  # "source_labels"
    labelled_target: Labelled | None  # "target_labels": the labelled target utterances of the budget
    target: Tensor | None  # "target_audio": rows (N,) of the other target utterances, without labels
    class_weights: bool = True
    solved: bool = False  # the head is solved in one step: utterances count by their weights, and none is repeated
    traits: tuple[Trait, ...] = ()  # "traits": those with two values or more
    # (N, K), one row for each of the inputs, in [-1, 1]; NaN where unknown, and for every row outside `source` and
    # `labelled_target`
    attributes: Tensor | None = None
    layers: tuple[str, ...] = ()  # names of the encoder's layers that lie side by side in the inputs; () where unknown
    phones: Phones | None = None  # "phones", where the method has `phone_classes`


@dataclass(frozen=True, slots=True)
class Examples:
    """The rows that the loop trains on until the method gives others. A row may occur several times (oversampling)."""

    rows: Tensor  # (N,) int64
    label: Tensor  # (N,) int64, or (N, C) float32 probabilities
    weight: Tensor  # (N,) float32, mean 1
    notes: tuple[tuple[str, float], ...] = ()  # for the log: "pseudo-labelled share" ...


class Model(Protocol):
    """What is trained, as a method sees it: a representation of the inputs, and an output over it."""

    width: int  # H
    training: bool  # whether dropout is on

    def train(self, mode: bool = True) -> object:
        """Turn dropout on, or off."""

    def represent(self, x: Tensor | Frames) -> Tensor:
        """(B, D) vectors of the inputs, or Frames -> (B, H)."""

    def represent_layers(self, x: Tensor | Frames, layers: Sequence[int] | None = None) -> Tensor:
        """(B, D), or Frames -> (L, B, H') of each layer, or of those with these indices; one of a head of one layer."""

    def represent_with_layers(self, x: Tensor | Frames) -> tuple[Tensor, Tensor]:
        """`represent` and `represent_layers`, computed once."""

    def join_layers(self, layers: Tensor) -> Tensor:
        """(L, ..., H') of all layers -> (..., H'): what the head sees of them together."""

    def classify(self, represented: Tensor) -> Tensor:
        """(B, H) -> (B, C) logits."""


@dataclass(frozen=True, slots=True)
class Step:
    """One batch of the examples, and the model that it goes through."""

    model: Model
    x: Tensor | Frames  # (B, D) vectors of the inputs
    rows: Tensor  # (B,) of the task's inputs
    label: Tensor  # (B,) int64, or (B, C) float32
    weight: Tensor  # (B,) float32
    progress: float  # share of the training that is done, in [0, 1)
    take: Callable[[Tensor], Tensor | Frames]  # rows (N,) of the task's inputs -> their (N, D), as in training
    generator: torch.Generator

    def represent(self, rows: Tensor | None = None) -> Tensor:
        """(B, H) of the batch, or (N, H) of these rows (N,) of the task's inputs."""
        return self.model.represent(self.x if rows is None else self.take(rows))

    def represent_layers(self, rows: Tensor, layers: Sequence[int] | None = None) -> Tensor:
        """(L, N, H') of these rows (N,) of the task's inputs: of each layer, or of those with these indices."""
        return self.model.represent_layers(self.take(rows), layers)

    def cross_entropy(self, represented: Tensor | None = None) -> Tensor:
        """`weighted_cross_entropy` of the batch; represented: its representation (B, H), if it is computed already."""
        represented = self.represent() if represented is None else represented
        return self.mean(cross_entropies(self.model.classify(represented), self.label) * self.weight)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the utterances of the batch, (..., B) -> (...)."""
        return values.mean(-1)

    def draw(self, make: Callable[[torch.Generator], float]) -> Tensor:
        """The number that `make` draws for the batch, ()."""
        return torch.tensor(make(self.generator))

    def random_order(self) -> Tensor:
        """The indices (B,) of the utterances of the batch, in random order."""
        return torch.randperm(len(self.rows), generator=self.generator)

    def sample(self, rows: Tensor, count: int | None = None) -> Tensor:
        """`count` of the rows (N,), drawn with replacement; by default as many as the batch has. None of no rows."""
        if not len(rows):
            return rows
        count = len(self.rows) if count is None else count
        return rows[torch.randint(len(rows), (count,), generator=self.generator)]


@dataclass(frozen=True, slots=True)
class StackedStep(Step):
    """One batch of each of K fits side by side: x is (K, 1, B, D), rows and weight (K, 1, B), a loss term (K, 1).

    Batches that are shorter than B are filled up with rows that count for nothing in a `mean`. A fit may sit a step
    out. `take`, `sample` and `generator` serve one fit only and fail here.
    """

    share: Tensor  # (K, 1, B): of each row in a mean, times B; 0 for what fills up
    fits: Draws  # utterances and generator of each

    def mean(self, values: Tensor) -> Tensor:
        """(K, 1, ..., B) -> (K, 1, ...)."""
        share = self.share.view(*self.share.shape[:2], *(1,) * (values.ndim - 3), -1)
        return (values * share).mean(-1)

    def draw(self, make: Callable[[torch.Generator], float]) -> Tensor:
        """A number of each fit, (K, 1)."""
        return torch.tensor([[0.0 if fit is None else make(fit[1])] for fit in self.fits])

    def random_order(self) -> Tensor:
        """(K, 1, B), each fit in an order of its own."""
        order = torch.arange(self.rows.shape[-1]).repeat(len(self.fits), 1)
        for row, fit in zip(order, self.fits):
            if fit is not None:
                row[: fit[0]] = torch.randperm(fit[0], generator=fit[1])
        return order[:, None]


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a training: the sides whose labelled speech it learns from, and the parts of the encoder it trains."""

    sides: tuple[str, ...]  # of "source" and "target"
    train: str  # of settings.CHOICES: "frozen", "adapters", "end-to-end" ...

    def of(self, task: Task) -> Task:
        """The task without the labels and attributes of the other side."""
        seen = replace(
            task,
            source=task.source if "source" in self.sides else None,
            labelled_target=task.labelled_target if "target" in self.sides else None,
        )
        if task.attributes is None:
            return seen
        attributes = torch.full_like(task.attributes, torch.nan)
        for part in (seen.source, seen.labelled_target):
            if part is not None:
                attributes[part.rows] = task.attributes[part.rows]
        return replace(seen, attributes=attributes)


class Method(ABC):
    """An adaptation method. One file a method, one class a file; its options are keyword parameters of `__init__`.

    A subclass gives `needs` and `loss`, and overrides the defaults that do not fit it.
    """

    name: ClassVar[str]  # by default that of the class: SoftPseudoLabels is "soft-pseudo-labels"
    needs: ClassVar[frozenset[str]] = frozenset({"source_labels"})  # of NEEDS: it cannot run without these
    takes: ClassVar[frozenset[str]] = frozenset({"target_labels"})  # of NEEDS: it uses these where they are there
    head: ClassVar[str] = "linear"  # the default; a method that shapes the representation needs one with weights
    stages: ClassVar[tuple[Stage, ...]] = ()  # in this order; () is one stage on all data, as the settings train it
    closed_form: ClassVar[bool] = False  # whether its `examples` are all there is to it, so that such heads serve
    needs_closed_form: ClassVar[bool] = False  # whether no other heads do
    # Whether `loss` takes a StackedStep too, so that fits on stored features train side by side. Each class says so
    # itself: a subclass may have another loss.
    stacks: ClassVar[bool] = False
    # Which means of phones it goes by, or an instance by its options: of phones.PHONE_CLASSES, or "vowels" for each
    # vowel by itself. It names "phones" in `needs` or `takes`.
    phone_classes: tuple[str, ...] = ()
    task: Task  # from `prepare` on

    def __init__(self, *, rebalance: bool = True) -> None:
        """rebalance: repeat labelled target utterances until they are as many as the source utterances; where the head
        is solved in one step, `weigh` them.
        """
        self.rebalance = rebalance

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in vars(cls):
            cls.name = plugin_name(cls.__name__)
        for need in cls.needs | cls.takes:
            if need not in NEEDS:
                raise unknown(f"need of method {cls.name}", need, NEEDS)
        cls.takes = cls.takes - cls.needs
        cls.stacks = vars(cls).get("stacks", False)
        if "loss" in vars(cls) and "closed_form" not in vars(cls):
            if cls.closed_form and "head" not in vars(cls):
                cls.head = "single"
            cls.closed_form = False  # a loss of its own is minimised by gradients

    def prepare(self, task: Task, model: Model) -> nn.Module | None:
        """Called once, before the first epoch. Returns a module with the method's own weights and buffers, or None.

        Its weights are trained with the model, checkpoints keep it, and it is dropped when the training ends. An
        override begins with `super().prepare(task, model)`.
        """
        self.task = task
        return None

    def examples(self, epoch: int, predict: Predict, generator: torch.Generator) -> Examples | None:
        """Called at the start of each epoch, from 0: what to train on from now on, or None to go on as before.

        By default all labelled utterances, for all epochs.
        """
        if epoch:
            return None
        if self.task.solved and self.rebalance:
            return weigh(self.task)
        return combine(self.task, self.task.labelled_target, self.rebalance, generator)

    @abstractmethod
    def loss(self, step: Step) -> dict[str, Tensor]:
        """Terms of the loss by name, scalars; the loop minimises their sum. Heads of a closed form do without."""

    def settle(self, solutions: Sequence[LinearMap], target: Tensor) -> tuple[LinearMap, dict[str, float]]:
        """The map that a head of a closed form ends with, of those that were solved one after the other, and what the
        log says of it.

        target: (N, k) of the unlabelled target, as the maps take it; of no rows where the method sees none.
        """
        return solutions[-1], {}


def balanced_weights(labelled: Labelled, classes: int, enabled: bool = True) -> Tensor:
    """(N,) weights of mean 1: every corpus has the same total, and in it every class that occurs has the same.

    Of N rows in G corpora, a row of a corpus with k classes, and n rows of its own class, weighs N / (G k n). Without
    this a large source corpus drowns a small one that is nearer the target. All ones where not `enabled`.
    """
    weight = torch.ones(len(labelled.rows))
    if not enabled or not len(weight):
        return weight
    label = as_probabilities(labelled.label, classes)
    corpus = torch.zeros_like(labelled.rows) if labelled.corpus is None else labelled.corpus
    corpora = corpus.unique()
    for index in corpora:
        inside = corpus == index
        counts = label[inside].sum(0)
        share = len(label) / (len(corpora) * (counts > 0).sum())
        weight[inside] = label[inside] @ torch.where(counts > 0, share / counts, 0.0)
    return weight


def as_probabilities(label: Tensor, classes: int) -> Tensor:
    """Classes (..., N) as (..., N, C) float32 with a single 1 in each row; probabilities (..., N, C) as they are."""
    return label if label.is_floating_point() else nn.functional.one_hot(label, classes).float()


def oversample(rows: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Indices (max(N, size),) into `rows` (N,): each as often as any other or once more, in random order.

    In their own order where `size` is N or less.
    """
    if not len(rows) or size <= len(rows):
        return torch.arange(len(rows))
    rounds = -(-size // len(rows))
    return torch.cat([torch.randperm(len(rows), generator=generator) for _ in range(rounds)])[:size]


def combine(
    task: Task,
    target: Labelled | None,
    rebalance: bool,
    generator: torch.Generator,
    notes: tuple[tuple[str, float], ...] = (),
) -> Examples:
    """Examples of the labelled source and of labelled or pseudo-labelled target utterances, with balanced weights.

    rebalance: oversample the target to the number of source utterances (methods E).
    """
    target = target or Labelled.empty()
    parts = [task.source] if task.source is not None else []
    if len(target.rows):
        index = oversample(target.rows, len(task.source.rows) if rebalance and task.source else 0, generator)
        parts.append(Labelled(target.rows[index], target.label[index]))
    soft = target.label.ndim == 2
    return Examples(
        torch.cat([part.rows for part in parts]),
        torch.cat([as_probabilities(part.label, task.classes) if soft else part.label for part in parts]),
        torch.cat([balanced_weights(part, task.classes, task.class_weights) for part in parts]),
        notes,
    )


def weigh(task: Task, guessed: Labelled | None = None, notes: tuple[tuple[str, float], ...] = ()) -> Examples:
    """Examples of the labelled source and of true and guessed labels of the target, each utterance once.

    The source and the guessed labels weigh the same, and classes do within them. n true labels of a class weigh n / 25
    of what the source's speech of it does: few labels move its mean a little, many outweigh the source. Then
    classes are scaled to the same total again, however unevenly they are labelled.
    """
    parts = [part for part in (task.source, guessed) if part is not None and len(part.rows)]
    weights = [balanced_weights(part, task.classes, task.class_weights) / len(part.rows) for part in parts]
    true = task.labelled_target
    if true is not None and len(true.rows):
        weights.append(torch.full((len(true.rows),), 1 / (TRUE_LABELS * task.classes)))
        counts = as_probabilities(true.label, task.classes).sum(0)  # (C,)
        if not parts:
            weights = [balanced_weights(true, task.classes, task.class_weights)]
        elif task.class_weights:
            total = len(parts) + counts / TRUE_LABELS  # of each class
            factor = total.mean() / total
            labels = [as_probabilities(part.label, task.classes) for part in (*parts, true)]
            weights = [weight * (label @ factor) for weight, label in zip(weights, labels)]
        parts.append(true)
    weight = torch.cat(weights)
    return Examples(
        torch.cat([part.rows for part in parts]),
        torch.cat([as_probabilities(part.label, task.classes) for part in parts]),
        weight * (len(weight) / weight.sum()),
        notes,
    )


def represent_without_dropout(model: Model, x: Tensor | Frames) -> Tensor:
    """The representation (B, H) of vectors (B, D) with dropout off, for methods that compare utterances.

    A linear head may drop four fifths of its input: two draws of one utterance are then hardly alike.
    """
    was_training = model.training
    model.train(False)
    represented = model.represent(x)
    model.train(was_training)
    return represented


def weighted_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """1/B sum_b weight_b * -log softmax(logits_b)[label_b]; (B, C), (B,), (B,) -> scalar, at least 0.

    With probabilities (B, C) for labels: 1/B sum_b weight_b * -sum_c label_bc log softmax(logits_b)_c.
    """
    return (cross_entropies(logits, label) * weight).mean()


def cross_entropies(logits: Tensor, label: Tensor) -> Tensor:
    """-log softmax(logits)[label] of each utterance: (..., B, C), (..., B) -> (..., B). Labels may be (..., B, C)."""
    flat = label.flatten(0, -2) if label.is_floating_point() else label.flatten()
    return cross_entropy(logits.flatten(0, -2), flat, reduction="none").view(logits.shape[:-1])


def reordered(values: Tensor, order: Tensor) -> Tensor:
    """(..., B, D) and the indices (..., B) of each batch's utterances in another order -> (..., B, D).

    As torch.take_along_dim, which takes 14 times as long on a CPU.
    """
    batches, size = order[..., 0].numel(), order.shape[-1]
    first = size * torch.arange(batches).view(*order.shape[:-1], 1)
    return values.flatten(0, -2).index_select(0, (order + first).flatten()).view_as(values)


class Inputs(Protocol):
    """N utterances, as normalised vectors of width D, or as frames of that width."""

    width: int  # D
    frames: bool  # whether `batch` yields Frames
    together: int  # rows that are predicted at once
    copies: int  # rows at the end that are others once more, recoloured as the target (features.normalisation)
    seconds: Tensor | None  # (N,) of each utterance in a training step; None where like lengths in a batch save no time

    def draws(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Random numbers (count,) by which `batch` crops as many utterances; None where nothing is cropped."""

    def batch(self, rows: Tensor, draws: Tensor | None = None) -> Tensor | Frames:
        """Rows (B,) -> (B, D), or Frames. With draws random crops, as in training; without whole utterances."""

    def names(self, rows: Tensor) -> tuple[str, ...]:
        """The ids of these utterances; () where they are unknown."""

    def refresh(self) -> None:
        """Compute the moments for normalisation again, from unlabelled audio, after the encoder has changed."""

    def modules(self) -> tuple[nn.Module, ...]:
        """What is trained beside the head."""

    def state(self) -> dict[str, Tensor]:
        """The moments of the last refresh, for a checkpoint."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take over the moments that `state` gave."""
