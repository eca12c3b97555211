"""The phonetic constraint (Upadhyay et al., ICASSP 2023; "PC" in methods D): the same vowel of the two languages is
pulled together.

    L = CE(source) + strength * mean over vowels v of 1/H || m_source(v) - m_target(v) ||^2

with m(v) the mean, over the utterances of a batch that have the vowel, of its representation (H values): that of a
layer's mean over the frames of the vowel. The vowels are the six of methods D.

Of the paper only "pull the same vowel of the two languages together" is at hand; the squared distance of means over a
batch, as many target utterances as source ones, drawn with replacement, and the strength are ours. Which layers: "top"
is the last one, "average" their mean, "attention" (PC-Atn) what the head joins them to. For the classifier to see the
same, give it that `pooling` (`heads.layer_transformer`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emobridge.errors import unknown
from emobridge.methods.base import Labelled, Method, Model, Step, Task
from emobridge.methods.layer_anchoring import common_phones
from emobridge.options import check_least

LAYERS = ("top", "average", "attention")


class PhoneticConstraint(Method):
    """`strength`, at least 0; `layers` of LAYERS; `rebalance` as for source only."""

    needs = frozenset({"source_labels", "target_audio", "phones"})
    head = "layer-transformer"

    def __init__(self, *, strength: float = 0.5, layers: str = "top", rebalance: bool = True) -> None:
        super().__init__(rebalance=rebalance)
        self.phone_classes = ("vowels",)
        if layers not in LAYERS:
            raise unknown("layers of method phonetic-constraint", layers, LAYERS)
        check_least(0, strength=strength)
        self.strength, self.layers = strength, layers

    def prepare(self, task: Task, model: Model) -> nn.Module | None:
        """Errors: UserError where no vowel is in both languages."""
        super().prepare(task, model)
        assert task.source is not None and task.target is not None  # they are in `needs`
        self.source = task.source.rows
        self.target = torch.cat([task.target, (task.labelled_target or Labelled.empty()).rows])
        common_phones(task, self.source, self.target, self.name)
        return None

    def loss(self, step: Step) -> dict[str, Tensor]:
        terms = {"cross-entropy": step.cross_entropy()}
        rows = step.rows[torch.isin(step.rows, self.source)]
        drawn = step.sample(self.target, len(rows))
        if len(rows) and len(drawn):
            (source, in_source), (target, in_target) = (self._vowels(step, part) for part in (rows, drawn))
            common = in_source & in_target
            square = (source[common] - target[common]).square()
            terms["vowels"] = self.strength * square.mean() if common.any() else torch.zeros(())
        return terms

    def _vowels(self, step: Step, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(P, H) and (P,) bool: each vowel's mean representation over the rows that have it, and whether any has."""
        assert self.task.phones is not None  # it is in `needs`
        means = self.task.phones.take(rows, step.generator)  # (N, P, D)
        present = means.isfinite().all(2)
        layers = step.model.represent_layers(means[present])
        joined = layers.mean(0) if self.layers == "average" else layers[-1]
        if self.layers == "attention":
            joined = step.model.join_layers(layers)
        vowel = present.nonzero()[:, 1]
        total = joined.new_zeros(means.shape[1], joined.shape[1]).index_add(0, vowel, joined)
        count = present.sum(0)
        return total / count.clamp(min=1)[:, None], count > 0
