"""Many linear recognisers trained by one pass of `training.loop.fit`: they differ in the target labels that they see.

One by one, they would take several times as long. What is trained beside a recogniser changes nothing in it: first
weights, batches and dropout masks are those that it would have alone, and a test holds the two together.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from emobridge.heads.base import Head
from emobridge.methods.base import Examples, Inputs, Predict, Step, Task
from emobridge.training.case import Case
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Plan, fit


def trained(tasks: Sequence[Task], case: Case, seed: int) -> Bank:
    """K recognisers, one a task; the tasks share their inputs, and each draws as many examples as the others."""
    inputs = tasks[0].inputs
    assert isinstance(inputs, Frozen)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first = case.head.make("heads", width=inputs.width, classes=case.classes)
    bank = Bank(first, len(tasks))
    training = case.training
    plan = Plan(training.epochs, training.batch_size, training.learning_rate, training.decay)
    fit(replace(tasks[0], inputs=Wide(inputs.x)), SideBySide(tasks, case, bank, seed), bank, plan, seed=seed)
    return bank


class Wide(Frozen):
    """Frozen inputs for (B, K) rows, one column per recogniser, that return those of the first recogniser: (B, D)."""

    def batch(self, rows: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return super().batch(rows[:, 0] if rows.ndim == 2 else rows)


class Bank(Head):
    """K linear maps that begin alike and see the same dropout."""

    def __init__(self, first: Head, count: int) -> None:
        super().__init__()
        self.rate = float(first.dropout.p)  # type: ignore[union-attr, arg-type]
        self.output = _Maps(first.output, count)  # type: ignore[assignment]

    def dropout_mask(self) -> Tensor:
        """(D,): 0 where dropout falls, in the whole batch."""
        return (torch.rand(self.output.in_features) >= self.rate) / (1 - self.rate)

    def predict(self, inputs: Inputs, rows: Tensor) -> Tensor:
        """(N,) rows -> probabilities (K, N, C)."""
        with torch.no_grad():
            return self.output(inputs.batch(rows)).softmax(2)


class _Maps(nn.Module):
    def __init__(self, first: nn.Linear, count: int) -> None:
        super().__init__()
        self.in_features = first.in_features
        self.weight = nn.Parameter(first.weight.detach().T.repeat(count, 1, 1))  # (K, D, C)
        self.bias = nn.Parameter(first.bias.detach().repeat(count, 1, 1))  # (K, 1, C)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) of all or (K, B, D) -> (K, B, C)."""
        if x.ndim == 3:
            return torch.baddbmm(self.bias, x, self.weight)
        side_by_side = x @ self.weight.transpose(0, 1).flatten(1)  # (B, K * C)
        return side_by_side.view(len(x), len(self.weight), self.bias.shape[2]).transpose(0, 1) + self.bias


class SideBySide:
    """A method for each recogniser, with its own random numbers; their examples are stacked side by side."""

    name, head = "side-by-side", "single"
    needs = takes = frozenset[str]()

    def __init__(self, tasks: Sequence[Task], case: Case, bank: Bank, seed: int) -> None:
        self.tasks, self.bank = tasks, bank
        self.generators = [torch.Generator().manual_seed(seed) for _ in tasks]
        self.methods = [case.make_method() for _ in tasks]

    def prepare(self, task: Task, model: nn.Module) -> None:
        for method, own_task in zip(self.methods, self.tasks):
            method.prepare(own_task, model)  # type: ignore[arg-type]

    def examples(self, epoch: int, predict: Predict, generator: torch.Generator) -> Examples | None:
        drawn = []
        for index, method in enumerate(self.methods):
            p = functools.partial(self._predict, index)
            examples = method.examples(epoch, p, self.generators[index])
            drawn += [] if examples is None else [examples]
        if not drawn:
            return None
        return Examples(
            *(torch.stack([getattr(item, key) for item in drawn], 1) for key in ("rows", "label", "weight"))
        )

    def _predict(self, index: int, rows: Tensor) -> Tensor:
        return self.bank.predict(self.tasks[0].inputs, rows)[index]

    def loss(self, step: Step) -> dict[str, Tensor]:
        """The sum over recognisers, so that each has the gradient that it would have alone."""
        mask, common = self.bank.dropout_mask(), (step.rows == step.rows[:, :1]).all(1)
        rows_apart = step.rows[~common].T  # (K, B')
        x = step.take(rows_apart.reshape(-1)).view(*rows_apart.shape, len(mask)) * mask
        logits = torch.cat([self.bank.output(step.x[common] * mask), self.bank.output(x)], 1)  # (K, B, C)
        order = torch.cat([common.nonzero()[:, 0], (~common).nonzero()[:, 0]])
        label, weight = step.label[order].T, step.weight[order].T
        losses = cross_entropy(logits.flatten(0, 1), label.reshape(-1), reduction="none").view_as(weight) * weight
        return {"cross-entropy": losses.mean(1).sum()}
