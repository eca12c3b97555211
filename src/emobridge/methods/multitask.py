"""Emotion together with gender and naturalness (Kim, Englebienne, Truong & Evers, Interspeech 2017, "Towards speech
emotion recognition 'in the wild' using aggregated corpora and deep multi-task learning"; "AL" in methods E).

One representation serves the emotion and, by one linear map each, what manifests say of speakers and recordings:

    L = CE(emotion) + gender CE(gender) + naturalness CE(naturalness)

A trait's cross-entropy is the mean over the utterances whose trait is known: those of the batch and, where there is
target audio, as many unlabelled target ones.

Ours where the paper is silent, or was not to be had: the weights of the traits; target audio, whose traits need no
listener; linear maps; classes of a trait weigh what they weigh.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from emobridge.errors import UserError
from emobridge.methods.base import Method, Model, Step, Task
from emobridge.options import check_least


class Multitask(Method):
    """`gender` and `naturalness` weigh these tasks, 0 leaves a task out; `rebalance` as for source only."""

    needs = frozenset({"source_labels", "traits"})
    takes = frozenset({"target_labels", "target_audio"})

    def __init__(self, *, gender: float = 0.3, naturalness: float = 0.3, rebalance: bool = True) -> None:
        super().__init__(rebalance=rebalance)
        self.weights = {"gender": gender, "naturalness": naturalness}
        check_least(0, **self.weights)

    def prepare(self, task: Task, model: Model) -> nn.Module:
        """Errors: UserError where no trait has two values."""
        super().prepare(task, model)
        self.traits = tuple(trait for trait in task.traits if self.weights.get(trait.name))
        if not self.traits:
            columns = " or ".join(name for name, weight in self.weights.items() if weight) or "gender or naturalness"
            raise UserError(f"method {self.name}: the manifests need a column {columns} with two values or more")
        self.outputs = nn.ModuleDict({trait.name: nn.Linear(model.width, trait.count) for trait in self.traits})
        return self.outputs

    def loss(self, step: Step) -> dict[str, Tensor]:
        represented, rows = step.represent(), step.rows
        terms = {"cross-entropy": step.cross_entropy(represented)}
        if self.task.target is not None and len(self.task.target):
            more = step.sample(self.task.target)
            rows = torch.cat([rows, more])
            represented = torch.cat([represented, step.represent(more)])
        for trait in self.traits:
            logits = self.outputs[trait.name](represented)
            terms[trait.name] = self.weights[trait.name] * known_cross_entropy(logits, trait.values[rows])
        return terms


def known_cross_entropy(logits: Tensor, value: Tensor) -> Tensor:
    """Mean of -log softmax(logits)[value] over the rows whose value is known; (B, K), (B,) with -1 -> scalar.

    0 where none is known.
    """
    return cross_entropy(logits, value, ignore_index=-1, reduction="sum") / (value >= 0).sum().clamp(min=1)
