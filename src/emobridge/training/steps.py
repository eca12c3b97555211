"""The gradients of one step: of a fit alone, whatever it is, or of a stack of fits that train side by side.

Fits whose inputs are stored features, and whose method and head say that they `stack`, are small: a step of one takes
its time to begin dozens of operations and not to compute. Here a step of many is begun once. Each fit has its own
batch, random numbers and weights, and learns what it learns alone but for rounding: batches are filled up to one size,
and a product of many fits may sum in another order than that of few (1e-7 of a probability in the tests).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import torch
from torch import Tensor

from emobridge.data.batching import length_batches
from emobridge.methods.base import Draw, Examples, StackedStep, Step, as_probabilities
from emobridge.training.hardware import Hardware
from emobridge.training.inputs import Frozen
from emobridge.training.stack import stacked
from emobridge.training.state import State
from emobridge.types import Frames

if TYPE_CHECKING:
    from emobridge.training.loop import Plan

_PRIMES = torch.tensor([1_000_003, 10_007, 101, 1])  # seed, epoch and process as one seed
NO_GENERATOR: Any = object()  # torch refuses it: a stacked step draws by the generators of its fits
Terms = dict[str, float]  # of the loss by name
Taken = tuple[State, Tensor, Terms]  # a fit, its batch (B,) as indices into its examples, and the terms of its loss


class Steps(Protocol):
    """How the gradients of an epoch are computed."""

    def gradients(self, states: Sequence[State], epoch: int) -> Iterator[list[Taken]]:
        """For each step of an epoch: set the gradients of the fits that take part in it."""


class StackedSteps:
    """Steps of fits that stack. Their weights are parts of the stacked ones, so that a step changes both."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.states: tuple[State, ...] = ()
        self.noise: list[Draw | None] = []  # by which each fit's dropout draws

    def gradients(self, states: Sequence[State], epoch: int) -> Iterator[list[Taken]]:
        if tuple(states) != self.states:
            self._tie(states)
        self.module.train()
        orders = [torch.randperm(len(state.examples.rows), generator=state.generator) for state in states]
        size = min(self.plan.batch_size, max(map(len, orders)))
        batches = [order.split(size) for order in orders]
        count = max(map(len, batches))
        laid = [_laid(state.examples, order, count, size) for state, order in zip(states, orders)]
        rows, label, weight, share = (torch.stack(list(parts), 1)[:, :, None] for parts in _alike(laid, self.classes))
        for index in range(count):
            now = [own[index] if index < len(own) else None for own in batches]
            self.noise[:] = _draws(now, [state.noise for state in states])
            fits = _draws(now, [state.generator for state in states])
            x = torch.empty(len(states), 1, size, states[0].inputs.width)
            for part, chosen, state in zip(x, rows[index], states):
                assert isinstance(state.inputs, Frozen)
                torch.index_select(state.inputs.x, 0, chosen[0], out=part[0])
            done = (epoch + index / count) / self.plan.epochs
            own = (x, rows[index], label[index], weight[index], done, _no_rows, NO_GENERATOR)
            terms = self._backward(StackedStep(self.module, *own, share[index], fits), now)
            yield [
                (state, batch, {term: values[fit] for term, values in terms.items()})
                for fit, (state, batch) in enumerate(zip(states, now))
                if batch is not None
            ]

    def _backward(self, step: StackedStep, batches: Sequence[Tensor | None]) -> dict[str, list[float]]:
        """Set the gradients of the fits that have a batch; the terms of all, a value a fit."""
        terms = self.states[0].method.loss(step)
        sum(terms.values(), torch.zeros(())).sum().backward()
        for whole, weights in self.tied:
            grads = whole.grad.select(2, 0).unbind()
            for weight, grad, batch in zip(weights, grads, batches):
                weight.grad = None if batch is None else grad
            whole.grad = None  # the next step begins anew
        return {term: values.detach()[:, 0].tolist() for term, values in terms.items()}

    def _tie(self, states: Sequence[State]) -> None:
        """Lay the weights of these fits side by side, and make of their own parts of that."""
        self.states = tuple(states)
        self.noise[:] = [None] * len(states)
        self.classes = states[0].problem.task.classes
        self.module: Any = stacked([[state.model] for state in states], draws=self.noise)
        self.tied: list[tuple[Any, list[Tensor]]] = []
        for name, whole in self.module.named_parameters():
            weights = [state.model.get_parameter(name) for state in states]
            for weight, part in zip(weights, whole.detach().select(2, 0)):
                weight.data = part
            self.tied.append((whole, weights))


def _draws(batches: Sequence[Tensor | None], generators: Sequence[torch.Generator | None]) -> list[Draw | None]:
    return [
        None if batch is None or generator is None else (len(batch), generator)
        for batch, generator in zip(batches, generators)
    ]


def _laid(examples: Examples, order: Tensor, count: int, size: int) -> tuple[Tensor, ...]:
    """Rows, label, weight and share in a mean of the examples in an order, (S, B, ...), 0 behind the last one."""

    def lay(values: Tensor) -> Tensor:
        whole = values.new_zeros(count * size, *values.shape[1:])
        whole[: len(values)] = values
        return whole.unflatten(0, (count, size))

    share = torch.ones(len(order))
    rest = len(order) % size
    if rest:
        share[-rest:] = size / rest
    return *(lay(values[order]) for values in (examples.rows, examples.label, examples.weight)), lay(share)


def _alike(laid: Sequence[tuple[Tensor, ...]], classes: int) -> Iterator[Sequence[Tensor]]:
    """The same by kind; labels are classes, or all are probabilities if those of one fit are."""
    rows, label, *others = zip(*laid)
    soft = any(part.is_floating_point() for part in label)
    yield from (rows, [as_probabilities(part, classes) for part in label] if soft else label, *others)


def _no_rows(rows: Tensor) -> NoReturn:
    raise NotImplementedError("a method with `stacks` takes no other rows than those of its batch")


class SingleSteps:
    """Steps of one fit of any kind: its encoder may be trained, and several processes may share each step."""

    def __init__(self, plan: Plan, hardware: Hardware) -> None:
        self.plan, self.hardware = plan, hardware

    def gradients(self, states: Sequence[State], epoch: int) -> Iterator[list[Taken]]:
        (state,) = states
        drawing = state.generator  # for what a step draws beside its examples
        hardware = self.hardware
        if hardware.processes > 1:  # each process drops and draws its own, and anew in each epoch, so that it can go on
            numbers = torch.tensor([state.seed, epoch, hardware.rank, 0])
            drawing = torch.Generator().manual_seed(int(numbers.dot(_PRIMES)))
            torch.manual_seed(drawing.initial_seed() + 1)
        state.model.train()
        batches = self._batches(state)
        for index, batch in enumerate(batches):
            done = (epoch + index / len(batches)) / self.plan.epochs
            terms = self._backward(state, batch, done, drawing)
            yield [(state, batch, {term: float(value) for term, value in terms.items()})]

    def _batches(self, state: State) -> list[Tensor]:
        """Indices into the examples, in random order; clips of like lengths together where that spares padding."""
        examples, size = state.examples, self.plan.batch_size * self.hardware.processes
        if state.inputs.seconds is None:
            return list(torch.randperm(len(examples.rows), generator=state.generator).split(size))
        seed = int(torch.randint(1 << 62, (1,), generator=state.generator))
        seconds = state.inputs.seconds[examples.rows]
        return [torch.tensor(batch) for batch in length_batches(seconds.tolist(), size, seed)]

    def _backward(self, state: State, batch: Tensor, done: float, drawing: torch.Generator) -> dict[str, Tensor]:
        """Set the gradients of one step on a batch, indices into the examples; its loss terms come back.

        Each process has its share of the batch, and goes through it in `accumulate` parts. A part's loss weighs as many
        utterances as it has, so that a loss that is a mean over utterances is the same however it is cut.
        """
        examples, inputs, hardware = state.examples, state.inputs, self.hardware

        def take(rows: Tensor) -> Tensor | Frames:
            return inputs.batch(rows, inputs.draws(len(rows), drawing))

        state.optimiser.zero_grad()
        draws = inputs.draws(len(batch), state.generator)
        count = self.plan.accumulate
        cut = count * hardware.processes
        parts: Sequence[Any] = torch.arange(len(batch)).tensor_split(cut) if cut > 1 else (slice(None),)
        of_process = [part for part in parts[count * hardware.rank : count * (hardware.rank + 1)] if len(batch[part])]
        terms: dict[str, Tensor] = {}
        for part in of_process or [parts[0][:1]]:  # a process without a share of a short batch weighs nothing
            indices = batch[part]
            rows, label, weight = (column[indices] for column in (examples.rows, examples.label, examples.weight))
            x = inputs.batch(rows, None if draws is None else draws[part])
            values = state.loss(Step(state.model, x, rows, label, weight, done, take, drawing))
            share = len(indices) / len(batch) if of_process else 0.0
            total = sum(values.values(), torch.zeros(()))
            (total if share == 1 else total * share).backward()
            for term, value in values.items():
                part_of = value.detach() if share == 1 else share * value.detach()
                terms[term] = terms[term] + part_of if term in terms else part_of
        if hardware.processes > 1:
            trained = [weight for group in state.optimiser.param_groups for weight in group["params"]]
            for weight in trained:
                weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            hardware.summed([*terms.values(), *(weight.grad for weight in trained)])
        return terms
