"""Layer anchoring: the loss as NumPy has it, its gradients, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.errors import UserError
from emobridge.heads.layer_transformer import LayerTransformer
from emobridge.heads.linear import Linear
from emobridge.methods.base import Labelled, Phones, Step, Task
from emobridge.methods.layer_anchoring import LayerAnchoring, covariance_distances
from emobridge.options import Plugin
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Model, Plan, fit

LAYERS, WIDTH = ("1", "2", "3"), 4


def task_of(phones: torch.Tensor | None = None, names=("vowel",), layers=LAYERS, sources=6, targets=5) -> Task:
    inputs = Frozen(torch.randn(sources + targets, len(layers), WIDTH, generator=torch.Generator().manual_seed(1)))
    record = None
    if phones is not None:
        record = Phones(names, phones.isfinite().all(2), lambda rows, generator: phones[rows])
    source = Labelled(torch.arange(sources), torch.arange(sources) % 2)
    return Task(inputs, 2, source, None, torch.arange(sources, sources + targets), layers=layers, phones=record)


def model_of(task: Task, **options) -> Model:
    torch.manual_seed(2)
    shape = {"layers": task.inputs.layers, "hidden": 3, "attention_heads": 1, "dropout": 0.0}
    return Model(task.inputs, LayerTransformer(task.inputs.width, 2, **{**shape, **options}))


def step_of(task: Task, model: Model, rows) -> Step:
    rows = torch.tensor(rows)
    label, weight = task.source.label[rows], torch.ones(len(rows))
    generator = torch.Generator().manual_seed(3)
    return Step(model, task.inputs.batch(rows), rows, label, weight, 0.5, task.inputs.batch, generator)


def norm(source: np.ndarray, target: np.ndarray) -> float:
    """|| Cov - Cov ||_F in NumPy."""
    return float(np.linalg.norm(np.cov(source.T) - np.cov(target.T)))


def mapped(model: Model, x: np.ndarray, layer: int) -> np.ndarray:
    weight, bias = (value.detach().numpy() for value in model.head.maps[layer].parameters())
    mapped = x @ weight.T + bias
    return mapped / np.linalg.norm(mapped, axis=1)[:, None]


def drawn(task: Task, count: int) -> list[int]:
    return task.target[torch.randint(len(task.target), (count,), generator=torch.Generator().manual_seed(3))].tolist()


@pytest.mark.parametrize(("layers", "chosen"), [("", (0, 1, 2)), ("2", (1,)), ("3+1", (2, 0))])
def test_each_anchored_layer_adds_gamma_times_the_norm(layers, chosen):
    task = task_of()
    model, method = model_of(task), LayerAnchoring(layers=layers, gamma=0.25)
    method.prepare(task, model)
    terms = method.loss(step_of(task, model, [0, 1, 4, 5]))
    assert list(terms) == ["cross-entropy", *(f"anchor {LAYERS[layer]}" for layer in chosen)]
    x = task.inputs.x.reshape(-1, 3, WIDTH).numpy()
    for layer in chosen:
        source, target = (mapped(model, x[rows, layer], layer) for rows in ([0, 1, 4, 5], drawn(task, 4)))
        assert terms[f"anchor {LAYERS[layer]}"].item() == pytest.approx(0.25 * norm(source, target), rel=1e-5)


@pytest.mark.parametrize("anchors", ["vowels", "consonants"])
def test_phones_are_anchored_where_utterances_have_them(anchors):
    means = torch.randn(11, 1, 3 * WIDTH, generator=torch.Generator().manual_seed(4))
    means[[1, 8]] = torch.nan
    task = task_of(means, (anchors.removesuffix("s"),))
    model, method = model_of(task), LayerAnchoring(layers="2", anchors=anchors)
    assert method.phone_classes == (anchors.removesuffix("s"),)
    method.prepare(task, model)
    terms = method.loss(step_of(task, model, [0, 1, 2, 4]))
    x = means[:, 0].reshape(-1, 3, WIDTH).numpy()
    target = [row for row in drawn(task, 4) if row != 8]
    source, target = (mapped(model, x[rows, 1], 1) for rows in ([0, 2, 4], target))
    assert terms["anchor 2"].item() == pytest.approx(0.5 * norm(source, target), rel=1e-5)
    sum(terms.values()).backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in model.parameters())


def test_the_norm_is_that_of_numpy_and_its_gradient_that_of_finite_differences(slopes):
    random = np.random.default_rng(0)
    source, target = random.standard_normal((2, 5, 3)), random.standard_normal((2, 4, 3))
    distances = covariance_distances(torch.from_numpy(source), torch.from_numpy(target))
    np.testing.assert_allclose(distances, [norm(*pair) for pair in zip(source, target)], rtol=1e-12)
    x, y = (torch.from_numpy(side).requires_grad_() for side in (source, target))
    covariance_distances(x, y).sum().backward()
    np.testing.assert_allclose(
        x.grad, slopes(lambda s: sum(norm(*pair) for pair in zip(s, target)), source), rtol=1e-5, atol=1e-8
    )
    assert torch.autograd.gradcheck(covariance_distances, (x, y))


def test_at_zero_the_gradient_of_the_norm_is_zero_and_a_single_row_adds_nothing():
    x = torch.randn(2, 5, 3, requires_grad=True)
    covariance_distances(x, x.detach()).sum().backward()
    assert (x.grad == 0).all()
    x.grad = None
    for rows in (slice(0, 1), slice(0, 0)):
        distances = covariance_distances(x[:, rows], x.detach())
        assert distances.tolist() == [0.0, 0.0]
        assert covariance_distances(x.detach(), x[:, rows]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("sources", "targets"), [(1, 5), (6, 1), (1, 1)])
def test_a_batch_of_one_is_finite(sources, targets):
    task = task_of(sources=sources, targets=targets)
    model = model_of(task)
    log = fit(task, LayerAnchoring(), model.head, Plan(epochs=3, batch_size=1), seed=0)
    assert all(np.isfinite(point.value) for point in log)
    assert all(point.value == 0 for point in log if point.term.startswith("anchor"))


def test_a_head_that_joins_its_layers_is_anchored_as_a_whole():
    task = task_of()
    torch.manual_seed(0)
    model, method = Model(task.inputs, Linear(task.inputs.width, 2, hidden=3)), LayerAnchoring()
    method.prepare(task, model)
    assert set(method.loss(step_of(task, model, [0, 1, 2]))) == {"cross-entropy", "anchor 1+2+3"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anchors": "vowel"}, "unknown anchors of method layer-anchoring 'vowel'.*vowels"),
        ({"gamma": -1}, "gamma"),
        ({"layers": "8+9+8"}, "8 stands twice in 8\\+9\\+8"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(UserError, match=message):
        Plugin("layer-anchoring", options).make("methods")


def test_what_cannot_be_anchored_is_told_in_one_line():
    task = task_of()
    with pytest.raises(UserError, match="unknown layer of this run '12'"):
        LayerAnchoring(layers="12").prepare(task, model_of(task))
    with pytest.raises(UserError, match="nothing that is trained lies before the layers: give --head-option maps=unit"):
        LayerAnchoring().prepare(task, model_of(task, maps="none"))
    with pytest.raises(UserError, match="needs phones: give --alignments"):
        LayerAnchoring(anchors="vowels").prepare(task, model_of(task))
    means = torch.randn(11, 1, 3 * WIDTH)
    means[:6] = torch.nan
    task = task_of(means)
    with pytest.raises(UserError, match="no phone of vowel is in both languages: the source has none, the target vow"):
        LayerAnchoring(anchors="vowels").prepare(task, model_of(task))
