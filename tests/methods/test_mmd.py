"""Maximum mean discrepancy: the loss by hand, its gradient, the smallest batches, and that domains meet."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.methods.mmd import Mmd, discrepancy
from emobridge.methods.source_only import SourceOnly


def squares(a, b):
    return ((a[:, None] - b[None]) ** 2).sum(2)


def middle_of(source, target):
    both = np.concatenate([source, target])
    n = len(both)
    return sum(squares(both, both)[i, j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))


def by_numpy(source, target, kernels=5, middle=None):
    middle = middle_of(source, target) if middle is None else middle
    widths = [middle * 2.0 ** (u - kernels // 2) for u in range(kernels)]

    def k(a, b):
        return np.mean([np.exp(-squares(a, b) / width) for width in widths], 0).mean()

    return k(source, source) + k(target, target) - 2 * k(source, target)


@pytest.mark.parametrize("kernels", [1, 2, 5])
def test_the_formula_is_numpys_and_its_gradient_that_of_finite_differences(slopes, kernels):
    random = np.random.default_rng(0)
    source, target = random.standard_normal((4, 2)), random.standard_normal((3, 2)) + 1
    x, y = torch.tensor(source, requires_grad=True), torch.tensor(target, requires_grad=True)
    loss = discrepancy(x, y, kernels)
    assert float(loss.detach()) == pytest.approx(by_numpy(source, target, kernels))
    loss.backward()
    middle = middle_of(source, target)  # is held while the gradient is taken
    np.testing.assert_allclose(x.grad, slopes(lambda a: by_numpy(a, target, kernels, middle), source), atol=1e-7)
    np.testing.assert_allclose(y.grad, slopes(lambda b: by_numpy(source, b, kernels, middle), target), atol=1e-7)


def test_it_is_0_of_the_same_and_at_most_2():
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    assert float(discrepancy(x, x)) == pytest.approx(0, abs=1e-6)
    assert 1 < float(discrepancy(x, x + 1e3, 1)) <= 2
    assert torch.isfinite(discrepancy(x[:1], x[:1])) and torch.isfinite(discrepancy(x[:1], x[1:2]))
    same = x[:1].clone().requires_grad_()
    discrepancy(same, x[:1]).backward()
    assert torch.isfinite(same.grad).all()


def test_a_step_by_hand(by_hand, step_of, numpy_model):
    task, model = by_hand()
    method = Mmd(strength=0.5, kernels=3)
    method.prepare(task, model)
    represent, classify = numpy_model(model)
    terms = method.loss(step_of(task, model, [1, 3, 2]))
    target = task.target[torch.randint(4, (3,), generator=torch.Generator().manual_seed(0))].tolist()
    h, g = (represent(task.inputs.x.numpy()[rows]) for rows in ([1, 3, 2], target))
    expected = 0.5 * (by_numpy(h, g, 3) + by_numpy(classify(h), classify(g), 3))
    assert float(terms["discrepancy"].detach()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_it_beats_source_only_where_a_feature_tells_the_domains(ends, seed):
    """The second feature tells the classes better in the source, and nothing in the target, where it lies apart."""
    random = torch.Generator().manual_seed(seed)
    label = torch.arange(200) % 2
    sign, noise = 2.0 * label - 1, 0.5 * torch.randn(4, 200, generator=random)
    source = torch.stack([sign + noise[0], 1.5 * sign + noise[1]], 1)
    target = torch.stack([sign + noise[2], 4 + noise[3]], 1)
    problem = source, label, target, label
    alone, _ = ends(SourceOnly(), problem, seed, hidden=1, learning_rate=0.04)
    adapted, _ = ends(Mmd(), problem, seed, hidden=1, learning_rate=0.04)
    assert alone < 0.6 and adapted > 0.9, (alone, adapted)


@pytest.mark.parametrize("stop", [2, 7])
def test_interrupted_it_ends_the_same(goes_on, stop):
    (log, whole), (log_too, resumed) = goes_on(Mmd, stop)
    assert torch.equal(whole, resumed) and log == log_too


@pytest.mark.parametrize("options", [{"strength": -0.1}, {"kernels": 0}])
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Mmd(**options)
