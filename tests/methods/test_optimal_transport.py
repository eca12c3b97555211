"""Optimal transport: the plan, the loss by hand, its gradient, the smallest batches, and that it helps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from emobridge.methods.optimal_transport import OptimalTransport, transport_plan
from emobridge.methods.source_only import SourceOnly


def plan_by_numpy(cost, entropy, iterations=5000):
    """Sinkhorn's iterations on the kernel itself."""
    kernel = np.exp(-cost / (entropy * cost.mean()))
    u, v = np.ones(len(cost)), np.ones(cost.shape[1])
    for _ in range(iterations):
        u = 1 / len(u) / (kernel @ v)
        v = 1 / len(v) / (kernel.T @ u)
    return u[:, None] * kernel * v


@pytest.mark.parametrize("size", [(5, 4), (1, 3), (3, 1), (1, 1)])
@pytest.mark.parametrize("entropy", [1.0, 0.1])
def test_the_plan_is_numpys_and_transports_everything(size, entropy):
    cost = np.random.default_rng(0).random(size)
    plan = transport_plan(torch.tensor(cost), entropy, 5000, tolerance=1e-12).numpy()
    np.testing.assert_allclose(plan, plan_by_numpy(cost, entropy), atol=1e-8)
    np.testing.assert_allclose(plan.sum(0), 1 / size[1], atol=1e-9)
    np.testing.assert_allclose(plan.sum(1), 1 / size[0], atol=1e-8)


def test_with_little_entropy_it_is_the_cheapest_assignment_and_does_not_underflow():
    cost = np.random.default_rng(1).random((6, 6)).astype(np.float32)
    plan = transport_plan(torch.tensor(cost), 0.002, 20_000, tolerance=1e-4)
    rows, columns = linear_sum_assignment(cost)
    expected = np.zeros((6, 6))
    expected[rows, columns] = 1 / 6
    np.testing.assert_allclose(plan, expected, atol=1e-3)
    assert torch.isfinite(transport_plan(torch.tensor(1e6 * cost), 1e-4)).all()
    np.testing.assert_allclose(transport_plan(torch.zeros(2, 3)), 1 / 6, atol=1e-8)


def cost_by_numpy(h, label, g, logits, features, labels):
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    squares = ((h[:, None] - g[None]) ** 2).mean(2)
    return features * squares + labels * -log_p.T[label]


def test_a_step_by_hand(by_hand, step_of, numpy_model):
    task, model = by_hand()
    method = OptimalTransport(strength=0.5, features=0.3, labels=2.0, entropy=0.5, iterations=5000)
    method.prepare(task, model)
    represent, classify = numpy_model(model)
    assert list(method.loss(step_of(task, model, [1, 3, 2]))) == ["cross-entropy"], "the source alone in warm-up"
    method.examples(5, None, torch.Generator())
    terms = method.loss(step_of(task, model, [1, 3, 2]))
    target = task.target[torch.randint(4, (3,), generator=torch.Generator().manual_seed(0))].tolist()
    h, g = (represent(task.inputs.x.numpy()[rows]) for rows in ([1, 3, 2], target))
    cost = cost_by_numpy(h, [0, 1, 1], g, classify(g), 0.3, 2.0)
    expected = 0.5 * (plan_by_numpy(cost, 0.5) * cost).sum()
    assert float(terms["transport"].detach()) == pytest.approx(expected, rel=1e-3)


class Doubled:
    """A model whose logits are a linear map of the representation, in double precision."""

    def __init__(self, weight):
        self.weight = weight

    def classify(self, represented):
        return represented @ self.weight.T


def test_its_gradient_is_that_of_finite_differences_with_the_plan_held(slopes):
    random = np.random.default_rng(0)
    h, g, weight = random.standard_normal((4, 2)), random.standard_normal((3, 2)), random.standard_normal((2, 2))
    label = [0, 1, 1, 0]
    method = OptimalTransport(features=0.7, labels=1.3, entropy=0.3, iterations=5000)
    x, y, w = (torch.tensor(value, requires_grad=True) for value in (h, g, weight))
    method.distance(Doubled(w), x, torch.tensor(label), y).backward()
    plan = transport_plan(torch.tensor(cost_by_numpy(h, label, g, g @ weight.T, 0.7, 1.3)), 0.3, 5000).numpy()

    def held(a, b, m):
        return (plan * cost_by_numpy(a, label, b, b @ m.T, 0.7, 1.3)).sum()

    np.testing.assert_allclose(x.grad, slopes(lambda a: held(a, g, weight), h), atol=1e-7)
    np.testing.assert_allclose(y.grad, slopes(lambda b: held(h, b, weight), g), atol=1e-7)
    np.testing.assert_allclose(w.grad, slopes(lambda m: held(h, g, m), weight), atol=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_it_beats_source_only_where_a_feature_tells_the_domains(ends, seed):
    random = torch.Generator().manual_seed(seed)
    label = torch.arange(200) % 2
    sign, noise = 2.0 * label - 1, 0.5 * torch.randn(4, 200, generator=random)
    source = torch.stack([sign + noise[0], 1.5 * sign + noise[1]], 1)
    target = torch.stack([sign + noise[2], 4 + noise[3]], 1)
    problem = source, label, target, label
    alone, _ = ends(SourceOnly(), problem, seed, hidden=1, learning_rate=0.04)
    adapted, _ = ends(OptimalTransport(), problem, seed, hidden=1, learning_rate=0.04)
    assert alone < 0.6 and adapted > 0.9, (alone, adapted)


@pytest.mark.parametrize("stop", [2, 7])
def test_interrupted_it_ends_the_same(goes_on, stop):
    (log, whole), (log_too, resumed) = goes_on(OptimalTransport, stop)
    assert torch.equal(whole, resumed) and log == log_too


@pytest.mark.parametrize(
    "options",
    [{"strength": -0.1}, {"features": -1.0}, {"labels": -1.0}, {"entropy": 0.0}, {"iterations": 0}, {"warm_up": -1}],
)
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        OptimalTransport(**options)
