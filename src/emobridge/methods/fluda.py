"""Few-shot episodes across languages (Ahn, Lee & Shin, IEEE Signal Processing Letters 2021, "Cross-corpus speech
emotion recognition based on few-shot learning and domain adaptation"; "FLUDA" in methods E).

In each step K labelled utterances of every emotion are its support; how like an emotion a query is, the distance of its
representation to the mean of that support tells. Queries are the batch and as many target utterances, whose emotions
are pseudo-labels:

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
    Drawn,
    Labelled,
    Model,
    Predict,
    Stage,
    Step,
    Task,
    balanced,
    mixed,
    nothing,
    weighted_cross_entropy,
)

METRICS = ("prototype", "relation")
HIDDEN = 64  # units of the relation network


class Episodes(nn.Module):
    """What is kept beside the model: the pseudo-labels, and the relation network where there is one."""

    label: Tensor  # (N,) int64 of the unlabelled target utterances, -1 where there is none

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


class Fluda:
    """`shots` is K; `rebalance` as for source only."""

    name = "fluda"
    needs = frozenset({"source_labels", "target_audio", "emotions"})
    takes = frozenset({"target_labels"})
    head = "linear"
    stages: tuple[Stage, ...] = ()

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
        for option, least, value in (("shots", 1, shots), ("interval", 1, interval), ("strength", 0, strength)):
            if not value >= least:
                raise ValueError(f"{option}: expected {least} or more, got {value}")
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold: expected 0 <= threshold < 1, got {threshold}")
        self.metric, self.shots, self.strength = metric, shots, strength
        self.threshold, self.interval, self.rebalance = threshold, interval, rebalance

    def prepare(self, task: Task, model: Model) -> nn.Module:
        assert task.source is not None and task.target is not None  # they are in `needs`
        self.task, self.target = task, task.target
        few = task.few or nothing()
        rows, label = torch.cat([task.source.rows, few.rows]), torch.cat([task.source.label, few.label])
        self.rows_of = [rows[label == one] for one in range(task.classes)]
        self.episodes = Episodes(len(task.target), model.width, self.metric)
        return self.episodes

    def examples(self, epoch: int, predict: Predict, generator: torch.Generator) -> Drawn | None:
        if not epoch:
            return mixed(self.task, self.task.few or nothing(), self.rebalance, generator)
        if epoch % self.interval == 0:
            sureness, label = predict(self.target).max(1)
            has_support = torch.tensor([len(rows) > 0 for rows in self.rows_of])[label]
            self.episodes.label.copy_(torch.where((sureness >= self.threshold) & has_support, label, -1))
        return None

    def loss(self, step: Step) -> dict[str, Tensor]:
        represented = step.model.represent(step.x)
        prototypes = self.prototypes(step)
        terms = {
            "cross-entropy": weighted_cross_entropy(step.model.classify(represented), step.label, step.weight),
            "episode": self.strength * self.episodes(prototypes, represented, step.label, step.weight),
        }
        known = self.episodes.label >= 0
        if known.any():
            rows, label = self.target[known], self.episodes.label[known]
            weight = balanced(Labelled(rows, label), self.task.classes, self.task.class_weights)
            place = torch.multinomial(weight, len(step.rows), replacement=True, generator=step.generator)
            queries = step.model.represent(step.take(rows[place]))
            loss = self.episodes(prototypes, queries, label[place], torch.ones(len(place)))
            terms["target episode"] = self.strength * loss
        return terms

    def prototypes(self, step: Step) -> Tensor:
        """(C, H) means of K labelled utterances a class, outside the batch where it has such; 0 where it has none."""
        means = torch.zeros(self.task.classes, step.model.width)
        for one, rows in enumerate(self.rows_of):
            if len(rows):
                apart = rows[~torch.isin(rows, step.rows)]
                some = apart if len(apart) else rows
                some = some[torch.randperm(len(some), generator=step.generator)[: self.shots]]
                means[one] = step.model.represent(step.take(some)).mean(0)
        return means


def squared_distance(queries: Tensor, prototypes: Tensor) -> Tensor:
    """(B, H), (C, H) -> (B, C): mean over the H values of the squared difference."""
    return ((queries[:, None] - prototypes) ** 2).mean(2)
