"""What a method is handed, and what it hands back to the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from emobridge.types import Frames

Predict = Callable[[Tensor], Tensor]  # rows (N,) of the task's inputs -> probabilities (N, C), dropout off


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows of the task's inputs and their classes."""

    rows: Tensor  # (N,) int64
    label: Tensor  # (N,) int64 in [0, C), or (N, C) float32 probabilities
    corpus: Tensor | None = None  # (N,) int64: which corpus each is of, where there are several
    attributes: Tensor | None = None  # (N, K) of what validates; those that are learnt from are the task's


@dataclass(frozen=True, slots=True)
class Trait:
    """What a manifest says of speakers and recordings beside the emotion."""

    name: str  # "gender" or "naturalness"
    values: Tensor  # (N,) int64 of each of the task's inputs: in [0, K), or -1 where it is not known
    count: int  # K


@dataclass(frozen=True, slots=True)
class Task:
    """All that a method sees. What it did not ask for is None here, and is not among the inputs."""

    inputs: Inputs
    classes: int
    source: Labelled | None  # "source_labels"
    few: Labelled | None  # "target_labels": the labelled target utterances of the budget
    target: Tensor | None  # "target_audio": rows (N,) of utterances without labels
    class_weights: bool = True
    traits: tuple[Trait, ...] = ()  # "traits": those with two values or more
    # (N, K) of each of the inputs, in [-1, 1]; NaN where it is not known or must not be seen: of all but source, few
    attributes: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the loop trains on from now on. A row may stand in it several times (oversampling)."""

    rows: Tensor  # (N,) int64
    label: Tensor  # (N,) int64, or (N, C) float32 probabilities
    weight: Tensor  # (N,) float32, mean 1
    notes: tuple[tuple[str, float], ...] = ()  # for the log: "pseudo-labelled share" ...


class Model(Protocol):
    """What is trained, as a method sees it: a representation of vectors and an output over it."""

    width: int  # H
    training: bool  # whether dropout is on

    def train(self, mode: bool = True) -> object:
        """Dropout on, or off."""

    def represent(self, x: Tensor | Frames) -> Tensor:
        """(B, D) vectors of the inputs, or Frames -> (B, H)."""

    def classify(self, represented: Tensor) -> Tensor:
        """(B, H) -> (B, C) logits."""


@dataclass(frozen=True, slots=True)
class Step:
    """One batch of what was drawn, on its way through the model."""

    model: Model
    x: Tensor | Frames  # (B, D) vectors of the inputs
    rows: Tensor  # (B,) of the task's inputs
    label: Tensor  # (B,) int64, or (B, C) float32
    weight: Tensor  # (B,) float32
    progress: float  # share of the training that is done, in [0, 1)
    take: Callable[[Tensor], Tensor | Frames]  # rows (N,) of the task's inputs -> their (N, D), as in training
    generator: torch.Generator

    def logits(self) -> Tensor:
        """(B, C) of the batch."""
        return self.model.classify(self.model.represent(self.x))


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a training: on the labelled speech of which sides, and what of the encoder is trained with the head."""

    sides: tuple[str, ...]  # of "source" and "target"
    train: str  # of settings.CHOICES: "frozen", "adapters", "end-to-end" ...

    def of(self, task: Task) -> Task:
        """The task without what a stage on these sides must not see."""
        seen = replace(
            task,
            source=task.source if "source" in self.sides else None,
            few=task.few if "target" in self.sides else None,
        )
        if task.attributes is None:
            return seen
        attributes = torch.full_like(task.attributes, torch.nan)
        for part in (seen.source, seen.few):
            if part is not None:
                attributes[part.rows] = task.attributes[part.rows]
        return replace(seen, attributes=attributes)


class Method(Protocol):
    """An adaptation method. One file a method, one class a file."""

    name: str
    # Of "source_labels", "target_audio", "target_labels", "traits", and "emotions": two or more classes to tell apart.
    needs: frozenset[str]  # Without these it cannot run
    takes: frozenset[str]  # what it uses where it is there
    head: str  # what it trains by default; of a method that shapes the representation one that has something to shape
    stages: tuple[Stage, ...]  # one after the other; () is one stage, on all it sees, of what the settings train

    def prepare(self, task: Task, model: Model) -> nn.Module | None:
        """Once, before the first epoch: what is trained (or remembered, as buffers) beside the model, and then lost."""

    def examples(self, epoch: int, predict: Predict, generator: torch.Generator) -> Drawn | None:
        """At the start of each epoch: what to train on from now on, or None for what was trained on before."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Terms of the loss by name, scalars; the loop minimises their sum."""


def balanced(labelled: Labelled, classes: int, wanted: bool = True) -> Tensor:
    """(N,) weights of mean 1 that give every corpus the same total, and in it every class that occurs the same.

    Ones where not `wanted`. Without equal weights a large source corpus drowns a small one, be it nearer the target.
    """
    weight = torch.ones(len(labelled.rows))
    if not wanted or not len(weight):
        return weight
    label = as_probabilities(labelled.label, classes)
    corpus = torch.zeros_like(labelled.rows) if labelled.corpus is None else labelled.corpus
    corpora = corpus.unique()
    for one in corpora:
        mine = corpus == one
        counts = label[mine].sum(0)
        share = len(label) / (len(corpora) * (counts > 0).sum())
        weight[mine] = label[mine] @ torch.where(counts > 0, share / counts, 0.0)
    return weight


def as_probabilities(label: Tensor, classes: int) -> Tensor:
    """(N,) classes as (N, C) float32, one of each row 1; probabilities as they are."""
    return label if label.ndim == 2 else nn.functional.one_hot(label, classes).float()


def repeated(rows: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Places (size,) into `rows`: each as often as any other, give or take one, in random order."""
    if not len(rows) or size <= len(rows):
        return torch.arange(len(rows))
    rounds = -(-size // len(rows))
    return torch.cat([torch.randperm(len(rows), generator=generator) for _ in range(rounds)])[:size]


def mixed(
    task: Task, target: Labelled, rebalance: bool, generator: torch.Generator, notes: tuple[tuple[str, float], ...] = ()
) -> Drawn:
    """Source utterances and (pseudo-)labelled target ones; classes weigh the same within each corpus.

    `rebalance` oversamples the target to the number of source utterances (methods E).
    """
    parts = [task.source] if task.source is not None else []
    if len(target.rows):
        place = repeated(target.rows, len(task.source.rows) if rebalance and task.source else 0, generator)
        parts.append(Labelled(target.rows[place], target.label[place]))
    soft = target.label.ndim == 2
    return Drawn(
        torch.cat([part.rows for part in parts]),
        torch.cat([as_probabilities(part.label, task.classes) if soft else part.label for part in parts]),
        torch.cat([balanced(part, task.classes, task.class_weights) for part in parts]),
        notes,
    )


def undropped(model: Model, x: Tensor | Frames) -> Tensor:
    """The representation (B, H) of vectors (B, D) without dropout, for a method that compares utterances.

    Where a linear head drops four fifths of what it sees, an utterance is hardly like itself.
    """
    was_training = model.training
    model.train(False)
    represented = model.represent(x)
    model.train(was_training)
    return represented


def nothing() -> Labelled:
    """No utterance."""
    return Labelled(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64))


def weighted_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Mean over the batch of weight * -log softmax(logits)[label]; (B, C), (B,), (B,) -> scalar.

    With probabilities (B, C) for labels: of weight * -sum_c label_c log softmax(logits)_c.
    """
    return (cross_entropy(logits, label, reduction="none") * weight).mean()


BASELINE = "source-only"


class Inputs(Protocol):
    """N utterances, as normalised vectors of width D, or as frames of that width."""

    width: int
    frames: bool  # whether it yields them
    together: int  # rows that are predicted at once
    seconds: Tensor | None  # (N,) of each utterance in a training step, where batches of like lengths are quicker

    def draws(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Random numbers (B,) by which `batch` crops so many utterances; None where nothing is cropped."""

    def batch(self, rows: Tensor, draws: Tensor | None = None) -> Tensor | Frames:
        """(B,) rows -> (B, D), or Frames. With draws: as in training, random crops; without: whole utterances."""

    def names(self, rows: Tensor) -> tuple[str, ...]:
        """The ids of some utterances, where they are known."""

    def refresh(self) -> None:
        """Learn anew, from unlabelled audio, what has changed with the encoder."""

    def modules(self) -> tuple[nn.Module, ...]:
        """What is trained beside the head."""

    def state(self) -> dict[str, Tensor]:
        """What the last refresh learnt, for a checkpoint."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on with what `state` gave."""
