"""Training on labelled speech and on nothing else: the lower bound that every method is compared with."""

from __future__ import annotations

from torch import Tensor

from emobridge.methods.base import Method, Step


class SourceOnly(Method):
    """Cross-entropy on labelled speech: the source and, within the budget, labelled target utterances.

    With all target labels it is the upper bound of Agarla et al. 2024 (methods E). `rebalance` oversamples labelled
    target utterances to the number of source ones.
    """

    head = "discriminant"
    closed_form = True
    stacks = True

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {"cross-entropy": step.cross_entropy()}
