"""What the tests of methods share: a step by hand, and training that is interrupted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.heads.linear import Linear
from emobridge.methods.base import Labelled, Step, Task
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Model, Plan, Workspace, fit, probabilities


class Interrupted(Exception):
    pass


@pytest.fixture
def by_hand():
    """A function to make a Task of six source rows and four of the target, two features each, and a small Model."""

    def make(labelled=0, traits=(), source=(0, 0, 1, 1, 0, 1)):
        random = torch.Generator().manual_seed(1)
        inputs = Frozen(torch.randn(10, 2, generator=random))
        source_part = Labelled(torch.arange(6), torch.tensor(source))
        target_part = Labelled(torch.arange(6, 6 + labelled), torch.arange(labelled) % 2) if labelled else None
        torch.manual_seed(2)
        model = Model(inputs, Linear(2, 2, hidden=3))
        return Task(inputs, 2, source_part, target_part, torch.arange(6 + labelled, 10), traits=tuple(traits)), model

    return make


@pytest.fixture
def step_of():
    """A function to make the Step of a batch of a Task of `by_hand`."""

    def make(task, model, rows, weight=None, progress=0.5, seed=0):
        rows = torch.tensor(rows)
        parts = [part for part in (task.source, task.labelled_target) if part]
        label = dict(zip(torch.cat([part.rows for part in parts]).tolist(), torch.cat([part.label for part in parts])))
        weight = torch.ones(len(rows)) if weight is None else torch.tensor(weight)
        labels = torch.stack([label[int(row)] for row in rows])
        take, generator = task.inputs.batch, torch.Generator().manual_seed(seed)
        return Step(model, take(rows), rows, labels, weight, progress, take, generator)

    return make


@pytest.fixture
def numpy_model():
    """A function from a Model of `by_hand` to its two maps, on NumPy arrays: represent and classify."""

    def make(model):
        state = {name: value.detach().numpy().copy() for name, value in model.head.state_dict().items()}
        represent = lambda x: np.asarray(x) @ state["projection.weight"].T + state["projection.bias"]  # noqa: E731
        classify = lambda h: h @ state["output.weight"].T + state["output.bias"]  # noqa: E731
        return represent, classify

    return make


@pytest.fixture
def nll():
    """-log softmax(logits)[label] of (N, C), (N,) NumPy arrays -> (N,)."""

    def make(logits, label):
        shifted = logits - logits.max(1, keepdims=True)
        return np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(label)), np.asarray(label)]

    return make


@pytest.fixture
def slopes():
    """A function to estimate the gradient of a scalar function of a NumPy array by central differences."""

    def estimate(function, x, step=1e-6):
        gradient = np.zeros_like(x)
        for index in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[index] += step
            down[index] -= step
            gradient[index] = (function(up) - function(down)) / (2 * step)
        return gradient

    return estimate


@pytest.fixture
def ends():
    """A function to train on (source, label, target, truth): accuracy on the second half of the target, and the model.

    The first half of the target adapts.
    """

    def make(method, problem, seed, *, hidden=8, dropout=0.0, traits=(), **plan):
        source, label, target, truth = problem
        inputs, size, half = Frozen(torch.cat([source, target])), len(source), len(target) // 2
        unlabelled = torch.arange(size, size + half) if "target_audio" in method.needs | method.takes else None
        torch.manual_seed(seed)
        head = Linear(source.shape[1], 2, hidden=hidden, input_dropout=dropout)
        task = Task(inputs, 2, Labelled(torch.arange(size), label), None, unlabelled, traits=tuple(traits))
        fit(task, method, head, Plan(**{"epochs": 40, "decay": 1.0, **plan}), seed=seed)
        model = Model(inputs, head)
        predictions = probabilities(model, inputs, torch.arange(size + half, len(inputs.x))).argmax(1)
        return float((predictions == truth[half:]).float().mean()), model

    return make


@pytest.fixture
def clusters():
    """A function to make (source, label, target, truth) of 40 and 400 utterances: in noise, the first feature tells
    the classes and, weakly in the source and clearly in the target, the second."""

    def make(seed):
        random = torch.Generator().manual_seed(seed)
        label, truth = torch.arange(40) % 2, torch.arange(400) % 2
        source, target = torch.randn(40, 20, generator=random), torch.randn(400, 20, generator=random)
        source[:, :2] += (2 * label - 1)[:, None] * torch.tensor([0.7, 0.5])
        target[:, :2] += (2 * truth - 1)[:, None] * torch.tensor([0.7, 2.0])
        return source, label, target, truth

    return make


@pytest.fixture
def goes_on(tmp_path):
    """A function to train with and without an interruption: weights, twice. `make` gives a method from anew."""

    def run(make, stop=None, checkpoint=None):
        random = torch.Generator().manual_seed(0)
        inputs = Frozen(torch.randn(40, 4, generator=random))
        torch.manual_seed(0)
        head = Linear(4, 2, hidden=5, input_dropout=0.3)
        task = Task(inputs, 2, Labelled(torch.arange(20), torch.arange(20) % 2), None, torch.arange(20, 40))
        plan = Plan(epochs=9, batch_size=8, learning_rate=0.02, checkpoint_every=0)

        def on_epoch(done, total):
            if done == stop:
                raise Interrupted

        log = fit(task, make(), head, plan, seed=3, workspace=Workspace(checkpoint, on_epoch))
        return log, torch.cat([value.flatten() for value in head.state_dict().values()])

    def both(make, stop):
        checkpoint = tmp_path / "a.checkpoint"
        with pytest.raises(Interrupted):
            run(make, stop, checkpoint)
        assert checkpoint.exists()
        return run(make), run(make, None, checkpoint)

    return both
