"""Domain-adversarial training (Ganin et al., JMLR 2016, "Domain-adversarial training of neural networks"; methods E).

A small network tells source from target speech by the representation h; the representation is trained to mislead it.
Both come of one step by gradient reversal: on the way forward h passes as it is, on the way back its gradient is
multiplied by -lambda. With the share p of the training that is done,

    L = CE(source) + BCE(domain(reversed(h)), source or target)
    lambda = strength (2 / (1 + exp(-10 p)) - 1)

A `strength` of 1 is the paper's schedule; 0.3 is ours: on features of a frozen encoder 1 won for one pair of corpora
what it lost for another. Ours where the paper is silent on speech: a domain network of one hidden layer; as many target
utterances in a step as source ones in the batch, drawn at random from all of the target; the source corpora as one
domain; and the learning rate falls as for every method, not as in the paper. Where it is high, the reversed gradient
carries the representation away.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from emobridge.methods.base import Labelled, Method, Model, Step, Task
from emobridge.options import check_least


class Dann(Method):
    """`strength` multiplies lambda; `hidden` units of the domain network; `rebalance` as for source only."""

    needs = frozenset({"source_labels", "target_audio"})

    def __init__(self, *, strength: float = 0.3, hidden: int = 100, rebalance: bool = True) -> None:
        super().__init__(rebalance=rebalance)
        check_least(0, strength=strength)
        check_least(1, hidden=hidden)
        self.strength, self.hidden = strength, hidden

    def prepare(self, task: Task, model: Model) -> nn.Module:
        super().prepare(task, model)
        assert task.source is not None and task.target is not None  # they are in `needs`
        self.source = task.source.rows
        self.target = torch.cat([task.target, (task.labelled_target or Labelled.empty()).rows])
        self.domain = nn.Sequential(nn.Linear(model.width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 1))
        return self.domain

    def loss(self, step: Step) -> dict[str, Tensor]:
        represented = step.represent()
        terms = {"cross-entropy": step.cross_entropy(represented)}
        source = represented[torch.isin(step.rows, self.source)]
        rows = step.sample(self.target, max(len(source), 1))  # a short last batch may have none of the source
        if len(rows):
            both = torch.cat([source, step.represent(rows)])
            is_target = torch.cat([torch.zeros(len(source)), torch.ones(len(rows))])
            logits = self.domain(reversed_gradient(both, self.strength * schedule(step.progress))).squeeze(1)
            terms["domain"] = binary_cross_entropy_with_logits(logits, is_target)
        return terms


def schedule(progress: float) -> float:
    """2 / (1 + exp(-10 p)) - 1 for a progress p in [0, 1]: from 0, which spares the noise at the start, to near 1."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


def reversed_gradient(x: Tensor, strength: float) -> Tensor:
    """`x` as it is; its gradient is multiplied by -strength."""
    reversed_x: Tensor = _Reversal.apply(x, strength)
    return reversed_x


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None
