"""Minimum class confusion: the loss by hand, its gradient, the smallest batches, and that it helps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.methods.mcc import Mcc, class_confusion
from emobridge.methods.source_only import SourceOnly


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def weights_of(logits, temperature):
    y = softmax(logits / temperature)
    w = 1 + np.exp((y * np.log(y)).sum(1))
    return len(y) * w / w.sum()


def by_numpy(logits, temperature=2.5, weight=None):
    y = softmax(logits / temperature)
    weight = weights_of(logits, temperature) if weight is None else weight
    classes = y.shape[1]
    c = sum(w * np.outer(row, row) for w, row in zip(weight, y))
    c = c / c.sum(1, keepdims=True)
    return sum(c[j, k] for j in range(classes) for k in range(classes) if j != k) / classes


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_formula_is_numpys_and_its_gradient_that_of_finite_differences(slopes, temperature):
    logits = 3 * np.random.default_rng(0).standard_normal((5, 3))
    z = torch.tensor(logits, requires_grad=True)
    loss = class_confusion(z, temperature)
    assert float(loss.detach()) == pytest.approx(by_numpy(logits, temperature))
    loss.backward()
    weight = weights_of(logits, temperature)  # is held while the gradient is taken
    np.testing.assert_allclose(z.grad, slopes(lambda a: by_numpy(a, temperature, weight), logits), atol=1e-7)


def test_its_range():
    sure = 100 * torch.eye(4)
    assert float(class_confusion(sure, 1.0)) == pytest.approx(0, abs=1e-5)
    assert float(class_confusion(torch.zeros(5, 4))) == pytest.approx(0.75)
    assert float(class_confusion(torch.zeros(1, 2))) == pytest.approx(0.5)
    assert float(class_confusion(torch.zeros(3, 1))) == 0


def test_a_step_by_hand(by_hand, step_of, numpy_model):
    task, model = by_hand()
    method = Mcc(strength=0.5, temperature=2.0)
    method.prepare(task, model)
    represent, classify = numpy_model(model)
    terms = method.loss(step_of(task, model, [1, 3]))
    target = task.target[torch.randint(4, (2,), generator=torch.Generator().manual_seed(0))].tolist()
    expected = 0.5 * by_numpy(classify(represent(task.inputs.x.numpy()[target])), 2.0)
    assert float(terms["confusion"].detach()) == pytest.approx(expected, rel=1e-5)


def test_it_beats_source_only_where_the_target_has_clear_clusters(ends, clusters):
    gains = []
    for seed in range(4):
        plan = {"learning_rate": 0.01, "batch_size": 20}
        alone, _ = ends(SourceOnly(), clusters(seed), seed, **plan)
        adapted, _ = ends(Mcc(), clusters(seed), seed, **plan)
        gains.append(adapted - alone)
    assert np.mean(gains) > 0.02, gains


@pytest.mark.parametrize("stop", [2, 7])
def test_interrupted_it_ends_the_same(goes_on, stop):
    (log, whole), (log_too, resumed) = goes_on(Mcc, stop)
    assert torch.equal(whole, resumed) and log == log_too


@pytest.mark.parametrize("options", [{"strength": -0.1}, {"temperature": 0.0}])
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Mcc(**options)
