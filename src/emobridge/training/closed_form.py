"""Training of heads whose weights are computed in one step: solve, let the method label anew, solve again.

A method takes part by its `examples` alone, and `settle` makes the last map of all that were solved. There are no
batches, no learning rate and no chance: the same examples give the same weights. It is work of a second at most, and
done on one thread: on more it would not be quicker, and not the same to the last bit as in another process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from emobridge.heads.base import ClosedFormHead, LinearMap, Regressor, principal_components
from emobridge.heads.ridge import ridge
from emobridge.methods.base import Examples, Method, Model, Task, as_probabilities, weighted_cross_entropy
from emobridge.training.checkpoints import LogPoint

ATTRIBUTE_STRENGTH = 1.0  # of the ridge regression of attributes, ours; see heads.ridge


def solve(
    task: Task, method: Method, model: Model, head: ClosedFormHead, regressor: Regressor | None, epochs: int, seed: int
) -> tuple[LogPoint, ...]:
    """Set the weights of `head`, and of `regressor` where there is one; the log of what they were solved on.

    epochs: how often the method is asked for examples, from 0 on; where it has no new ones the weights stay. The
    principal components are those of all inputs of the task but its recoloured copies, and need no labels; with the
    copies they took twice the time, and scores were lower (docs/results/across-languages.md). Attributes are regressed
    on the same components by ridge regression.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = task.inputs
    method.prepare(replace(task, solved=True), model)
    rows = torch.cat([part.rows for part in (task.source, task.labelled_target) if part is not None])
    rows = rows if task.target is None else torch.cat([rows, task.target])
    with torch.no_grad(), one_thread():
        x = inputs.batch(torch.arange(int(rows.max()) + 1))
        assert isinstance(x, Tensor)  # `decide` gives frames to no such head
        components = principal_components(x[: len(x) - inputs.copies], head.components)
        z = components.of(x)
        solutions: list[LinearMap] = []
        log: list[LogPoint] = []

        def predict(rows: Tensor) -> Tensor:
            return solutions[-1].of(z[rows]).softmax(1)

        examples: Examples | None = None
        for epoch in range(epochs):
            later = method.examples(epoch, predict, generator)
            if later is None:
                continue
            examples = later
            label = as_probabilities(examples.label, task.classes)
            solutions.append(head.solve(z[examples.rows], label, examples.weight))
            logits = solutions[-1].of(z[examples.rows])
            loss = float(weighted_cross_entropy(logits, label, examples.weight))
            log += [LogPoint(epoch, term, value) for term, value in (*examples.notes, ("cross-entropy", loss))]
        assert examples is not None  # every method has some at the start
        _set(head.output, components.before(method.settle(solutions)))
        if regressor is not None and task.attributes is not None:
            values, weight = task.attributes[examples.rows], examples.weight
            solved = [_regressed(z[examples.rows], column, weight) for column in values.T]
            joined = LinearMap(torch.cat([part.weight for part in solved]), torch.cat([part.bias for part in solved]))
            _set(regressor, components.before(joined))
    return tuple(log)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra of torch and SciPy on one thread within the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def _regressed(z: Tensor, value: Tensor, weight: Tensor) -> LinearMap:
    """The map from components z (N, k) to one attribute (N,), from the rows where it is known; 0 where none is."""
    known = value.isfinite()
    if not known.any():
        return LinearMap(z.new_zeros(1, z.shape[1]), z.new_zeros(1))
    return ridge(z[known], value[known, None], weight[known], ATTRIBUTE_STRENGTH)


def _set(layer: torch.nn.Linear, solution: LinearMap) -> None:
    layer.weight.copy_(solution.weight)
    layer.bias.copy_(solution.bias)
