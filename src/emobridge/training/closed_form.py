"""Training of heads whose weights are computed in one step: solve, let the method label anew, solve again.

A method takes part by its `examples` alone, and `settle` makes the last map of all that were solved. There are no
batches, no learning rate and no chance: the same examples give the same weights. It is work of a second at most, and
done on one thread: on more it would not be quicker, and not the same to the last bit as in another process.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from emobridge.data.threads import one_thread
from emobridge.heads.base import ClosedFormHead, LinearMap, Regressor, joined, principal_components
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
    on the same components by ridge regression. Of several views each is solved alone,
    and labelled by another.
    """
    inputs = task.inputs
    method.prepare(replace(task, solved=True), model)
    rows = torch.cat([part.rows for part in (task.source, task.labelled_target) if part is not None])
    rows = rows if task.target is None else torch.cat([rows, task.target])
    with torch.no_grad(), one_thread():
        x = inputs.batch(torch.arange(int(rows.max()) + 1))
        assert isinstance(x, Tensor)  # `decide` gives frames to no such head
        views = [_View(view, len(view) - inputs.copies, head, seed) for view in x.chunk(head.views, 1)]
        log = [point for epoch in range(epochs) for point in _solve_views(task, method, head, views, epoch)]
        unlabelled = rows[:0] if task.target is None else task.target
        settled = [method.settle(view.solutions, view.z[unlabelled]) for view in views]
        _set(head.output, joined([view.components.before(last) for view, (last, _) in zip(views, settled)]))
        log += _mean_points(log[-1].epoch, [notes for _, notes in settled])
        examples = views[-1].examples
        assert examples is not None  # every method has some at the start
        if head.has_members:
            head.complete(x[examples.rows], as_probabilities(examples.label, task.classes), examples.weight)
        if regressor is not None and task.attributes is not None:
            _set(regressor, joined([view.components.before(_attributes(view, task.attributes)) for view in views]))
    return tuple(log)


class _View:
    """Features (N, D) of one view, on their principal components, and all that was solved on them."""

    def __init__(self, x: Tensor, own: int, head: ClosedFormHead, seed: int) -> None:
        """own: utterances before the recoloured copies, which the components are those of."""
        self.components = principal_components(x[:own], head.components)
        self.z = self.components.of(x)
        self.generator = torch.Generator().manual_seed(seed)
        self.solutions: list[LinearMap] = []
        self.examples: Examples | None = None  # of the last solution

    def predict(self, rows: Tensor) -> Tensor:
        return self.solutions[-1].of(self.z[rows]).softmax(1)


def _solve_views(
    task: Task, method: Method, head: ClosedFormHead, views: Sequence[_View], epoch: int
) -> list[LogPoint]:
    """Solve each view once more, on what the method makes of the probabilities of the view before it.

    So views teach each other (Blum & Mitchell 1998, "Combining labeled and unlabeled data with co-training"); a view
    without another teaches itself.
    """
    taught = [
        method.examples(epoch, teacher.predict, view.generator) for teacher, view in zip((views[-1], *views), views)
    ]
    logs: list[dict[str, float]] = []
    for view, examples in zip(views, taught):
        if examples is None:
            continue
        view.examples = examples
        label = as_probabilities(examples.label, task.classes)
        z = view.z[examples.rows]
        view.solutions.append(head.solve(z, label, examples.weight))
        loss = float(weighted_cross_entropy(view.solutions[-1].of(z), label, examples.weight))
        logs.append({**dict(examples.notes), "cross-entropy": loss})
    return _mean_points(epoch, logs)


def _mean_points(epoch: int, logs: Sequence[dict[str, float]]) -> list[LogPoint]:
    """Each term at an epoch, its mean over the views."""
    return [LogPoint(epoch, term, statistics.fmean(log[term] for log in logs)) for term in (logs[0] if logs else ())]


def _attributes(view: _View, attributes: Tensor) -> LinearMap:
    """The map from a view's components to attributes (N, K)."""
    examples = view.examples
    assert examples is not None  # every method has some at the start
    values, weight = attributes[examples.rows], examples.weight
    solved = [_regressed(view.z[examples.rows], column, weight) for column in values.T]
    return LinearMap(torch.cat([part.weight for part in solved]), torch.cat([part.bias for part in solved]))


def _regressed(z: Tensor, value: Tensor, weight: Tensor) -> LinearMap:
    """The map from components z (N, k) to one attribute (N,), from the rows where it is known; 0 where none is."""
    known = value.isfinite()
    if not known.any():
        return LinearMap(z.new_zeros(1, z.shape[1]), z.new_zeros(1))
    return ridge(z[known], value[known, None], weight[known], ATTRIBUTE_STRENGTH)


def _set(layer: torch.nn.Linear, solution: LinearMap) -> None:
    layer.weight.copy_(solution.weight)
    layer.bias.copy_(solution.bias)
