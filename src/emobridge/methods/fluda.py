"""Few-shot episodes across languages (Ahn, Lee & Shin, IEEE Signal Processing Letters 2021, "Cross-corpus speech
emotion recognition based on few-shot learning and domain adaptation"; "FLUDA" in methods E).

In each step K labelled utterances of every emotion are its support. The distance between the representation of a query
and the mean of that support says how like the emotion the query is. Queries are the batch and as many target
utterances, whose emotions are pseudo-labels:

    L = CE(batch) + strength * (episode(batch) + episode(target))

With metric "prototype" an episode's loss is -log softmax(-d)[y], d_c the squared Euclidean distance to the mean of
emotion c (Snell et al., NIPS 2017), with "relation" the mean over emotions of (r_c - [c = y])^2, where a small network
with a sigmoid gives r_c for the mean and the query end to end (Sung et al., CVPR 2018).

Of the paper only the abstract was read: similarity to emotions is learnt from source utterances and adapted to a target
without labels, over several corpora. All else is ours: the pseudo-labels, which are the head's own where it is at least
as sure as `threshold`, made anew every `interval` epochs; as many queries of each; d divided by the width of the
representation, without which wide ones begin sure of anything; and the strength.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from emobridge.errors import unknown
from emobridge.methods.base import (
    Examples,
    Labelled,
    Method,
    Model,
    Predict,
    Step,
    Task,
    balanced_weights,
    weighted_cross_entropy,
)
from emobridge.options import check_least, check_share

METRICS = ("prototype", "relation")
HIDDEN = 64  # units of the relation network


class Episodes(nn.Module):
    """The pseudo-labels of the target, and the relation network where the metric is "relation"."""

    label: Tensor  # (N,) int64 of the unlabelled target utterances, -1 where the head was not sure

    def __init__(self, targets: int, width: int, metric: str) -> None:
        super().__init__()
        self.register_buffer("label", torch.full((targets,), -1))
        layers = nn.Linear(2 * width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Sigmoid()
        self.relation = nn.Sequential(*layers) if metric == "relation" else None

    def forward(self, prototypes: Tensor, queries: Tensor, label: Tensor, weight: Tensor) -> Tensor:
        """Loss of queries (B, H) with classes (B,) and weights (B,), given the prototypes (C, H) of the classes."""
        if self.relation is None:
            return weighted_cross_entropy(-squared_distance(queries, prototypes), label, weight)
        size = len(queries), *prototypes.shape
        pairs = torch.cat([prototypes.expand(size), queries[:, None].expand(size)], 2)
        wrong = self.relation(pairs).squeeze(2) - one_hot(label, len(prototypes))
        return ((wrong**2).mean(1) * weight).mean()


class Fluda(Method):
    """`shots` is K; `rebalance` as for source only."""

    needs = frozenset({"source_labels", "target_audio", "emotions"})

    def __init__(
        self,
        *,
        metric: str = "prototype",
        shots: int = 5,
        strength: float = 1.0,
        threshold: float = 0.5,
        interval: int = 10,
        rebalance: bool = True,
    ) -> None:
        if metric not in METRICS:
            raise unknown("metric of method fluda", metric, METRICS)
        super().__init__(rebalance=rebalance)
        check_least(1, shots=shots, interval=interval)
        check_least(0, strength=strength)
        check_share(threshold=threshold)
        self.metric, self.shots, self.strength = metric, shots, strength
        self.threshold, self.interval = threshold, interval

    def prepare(self, task: Task, model: Model) -> nn.Module:
        super().prepare(task, model)
        assert task.source is not None and task.target is not None  # they are in `needs`
        self.target = task.target
        labelled = task.source, task.labelled_target or Labelled.empty()
        rows, label = torch.cat([part.rows for part in labelled]), torch.cat([part.label for part in labelled])
        self.rows_of = [rows[label == emotion] for emotion in range(task.classes)]
        self.episodes = Episodes(len(task.target), model.width, self.metric)
        return self.episodes

    def examples(self, epoch: int, predict: Predict, generator: torch.Generator) -> Examples | None:
        if epoch and epoch % self.interval == 0:
            sureness, label = predict(self.target).max(1)
            has_support = torch.tensor([len(rows) > 0 for rows in self.rows_of])[label]
            self.episodes.label.copy_(torch.where((sureness >= self.threshold) & has_support, label, -1))
        return super().examples(epoch, predict, generator)

    def loss(self, step: Step) -> dict[str, Tensor]:
        represented = step.represent()
        prototypes = self.prototypes(step)
        terms = {
            "cross-entropy": step.cross_entropy(represented),
            "episode": self.strength * self.episodes(prototypes, represented, step.label, step.weight),
        }
        sure = self.episodes.label >= 0
        if sure.any():
            rows, label = self.target[sure], self.episodes.label[sure]
            weight = balanced_weights(Labelled(rows, label), self.task.classes, self.task.class_weights)
            index = torch.multinomial(weight, len(step.rows), replacement=True, generator=step.generator)
            queries = step.represent(rows[index])
            loss = self.episodes(prototypes, queries, label[index], torch.ones(len(index)))
            terms["target episode"] = self.strength * loss
        return terms

    def prototypes(self, step: Step) -> Tensor:
        """(C, H) means of K labelled utterances of each class; 0 for a class without any.

        They are outside the batch where the class has others.
        """
        means = torch.zeros(self.task.classes, step.model.width)
        for emotion, rows in enumerate(self.rows_of):
            if len(rows):
                outside = rows[~torch.isin(rows, step.rows)]
                support = outside if len(outside) else rows
                support = support[torch.randperm(len(support), generator=step.generator)[: self.shots]]
                means[emotion] = step.represent(support).mean(0)
        return means


def squared_distance(queries: Tensor, prototypes: Tensor) -> Tensor:
    """(B, H), (C, H) -> (B, C): mean over the H values of the squared difference."""
    return ((queries[:, None] - prototypes) ** 2).mean(2)
