"""What methods share that draw the source and the target together in every step."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from emobridge.methods.base import Labelled, Method, Model, Step, Task
from emobridge.options import check_least


class Aligning(Method):
    """CE of the batch, and `strength` times a distance between its source utterances and as many target ones.

    The target utterances are drawn at random from all of the target, labelled ones too. A batch without source
    utterances, as the rest of an epoch may be with labels of the target, has no distance, nor has a target of none.
    """

    needs = frozenset({"source_labels", "target_audio"})
    term: ClassVar[str]  # the name of the distance in the log

    def __init__(self, *, strength: float = 1.0, rebalance: bool = True) -> None:
        super().__init__(rebalance=rebalance)
        check_least(0, strength=strength)
        self.strength = strength

    def prepare(self, task: Task, model: Model) -> nn.Module | None:
        super().prepare(task, model)
        assert task.source is not None and task.target is not None  # they are in `needs`
        self.source = task.source.rows
        self.target = torch.cat([task.target, (task.labelled_target or Labelled.empty()).rows])
        return None

    def loss(self, step: Step) -> dict[str, Tensor]:
        represented = step.represent()
        terms = {"cross-entropy": step.cross_entropy(represented)}
        is_source = torch.isin(step.rows, self.source)
        rows = step.sample(self.target, int(is_source.sum()))
        if len(rows):
            terms[self.term] = self.strength * self.distance(
                step.model, represented[is_source], step.label[is_source], step.represent(rows)
            )
        return terms

    @abstractmethod
    def distance(self, model: Model, source: Tensor, label: Tensor, target: Tensor) -> Tensor:
        """The distance of representations (n, H) of the source, with its labels, from (n, H) of the target."""
