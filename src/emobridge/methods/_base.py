"""What a method is handed, and what it hands back to the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from emobridge.inputs import Inputs

Predict = Callable[[Tensor], Tensor]  # rows (N,) of the task's inputs -> probabilities (N, C), dropout off


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows of the task's inputs and their classes."""

    rows: Tensor  # (N,) int64
    label: Tensor  # (N,) int64 in [0, C)
    corpus: Tensor | None = None  # (N,) int64: which corpus each is of, where there are several


@dataclass(frozen=True, slots=True)
class Task:
    """All that a method sees. What it did not ask for is None here, and is not among the inputs."""

    inputs: Inputs
    classes: int
    source: Labelled | None  # "source_labels"
    few: Labelled | None  # "target_labels": the labelled target utterances of the budget
    target: Tensor | None  # "target_audio": rows (N,) of utterances without labels
    class_weights: bool = True


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the loop trains on from now on. A row may stand in it several times (oversampling)."""

    rows: Tensor  # (N,) int64
    label: Tensor  # (N,) int64
    weight: Tensor  # (N,) float32, mean 1
    notes: tuple[tuple[str, float], ...] = ()  # for the log: "pseudo-labelled share" ...


class Method(Protocol):
    """An adaptation method. One file a method, one class a file."""

    name: str
    needs: frozenset[str]  # of "source_labels", "target_audio", "target_labels": without these it cannot run
    takes: frozenset[str]  # what it uses where it is there

    def prepare(self, task: Task) -> None:
        """Once, before the first epoch."""

    def examples(self, epoch: int, predict: Predict, generator: torch.Generator) -> Drawn | None:
        """At the start of each epoch: what to train on from now on, or None for what was trained on before."""

    def loss(self, logits: Tensor, label: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Terms of the loss by name, (B, C), (B,), (B,) -> scalars; the loop minimises their sum."""


def balanced(labelled: Labelled, classes: int, wanted: bool = True) -> Tensor:
    """(N,) weights of mean 1 that give every corpus the same total, and in it every class that occurs the same.

    Ones where not `wanted`. Without equal weights a large source corpus drowns a small one, be it nearer the target.
    """
    label, weight = labelled.label, torch.ones(len(labelled.label))
    if not wanted or not len(label):
        return weight
    corpus = torch.zeros_like(label) if labelled.corpus is None else labelled.corpus
    corpora = corpus.unique()
    for one in corpora:
        mine = corpus == one
        counts = torch.bincount(label[mine], minlength=classes).float()
        share = len(label) / (len(corpora) * (counts > 0).sum())
        weight[mine] = (share / counts)[label[mine]]
    return weight


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
    return Drawn(
        torch.cat([part.rows for part in parts]),
        torch.cat([part.label for part in parts]),
        torch.cat([balanced(part, task.classes, task.class_weights) for part in parts]),
        notes,
    )


def nothing() -> Labelled:
    """No utterance."""
    return Labelled(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64))


def weighted_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Mean over the batch of weight * -log softmax(logits)[label]; (B, C), (B,), (B,) -> scalar."""
    return (cross_entropy(logits, label, reduction="none") * weight).mean()
