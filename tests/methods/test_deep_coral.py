"""Deep CORAL: the loss by hand, its gradient, the smallest batches, and that covariances meet."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.methods.deep_coral import DeepCoral, covariance, deep_coral


def by_numpy(source, target):
    return ((np.cov(source.T) - np.cov(target.T)) ** 2).sum() / (4 * source.shape[1] ** 2)


def test_the_formula_is_numpys_and_its_gradient_that_of_finite_differences(slopes):
    random = np.random.default_rng(0)
    source, target = random.standard_normal((5, 3)), 2 * random.standard_normal((4, 3))
    x, y = torch.tensor(source, requires_grad=True), torch.tensor(target, requires_grad=True)
    loss = deep_coral(x, y)
    assert float(loss.detach()) == pytest.approx(by_numpy(source, target))
    loss.backward()
    np.testing.assert_allclose(x.grad, slopes(lambda a: by_numpy(a, target), source), atol=1e-7)
    np.testing.assert_allclose(y.grad, slopes(lambda b: by_numpy(source, b), target), atol=1e-7)


def test_means_count_nothing_and_a_lone_utterance_has_no_covariance():
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    assert float(deep_coral(x, x + 5)) == pytest.approx(0, abs=1e-9)
    assert torch.equal(covariance(x[:1]), torch.zeros(3, 3))
    assert torch.isfinite(deep_coral(x[:1], x[1:2]))


def test_a_step_by_hand(by_hand, step_of, numpy_model, nll):
    task, model = by_hand(labelled=1)
    method = DeepCoral(strength=0.7)
    assert method.prepare(task, model) is None
    represent, classify = numpy_model(model)
    batch, weight = [0, 1, 4, 6], [0.5, 1.0, 1.5, 1.0]  # three of the source, and a labelled one of the target
    terms = method.loss(step_of(task, model, batch, weight))
    target = torch.tensor([7, 8, 9, 6])[torch.randint(4, (3,), generator=torch.Generator().manual_seed(0))].tolist()
    x = task.inputs.x.numpy()
    logits = classify(represent(x[batch]))
    assert list(terms) == ["cross-entropy", "covariance"]
    assert float(terms["cross-entropy"].detach()) == pytest.approx(
        (nll(logits, [0, 0, 0, 0]) * weight).mean(), rel=1e-5
    )
    expected = 0.7 * by_numpy(logits[:3], classify(represent(x[target])))
    assert float(terms["covariance"].detach()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("rows", [[0], [6]])
def test_a_batch_of_one(by_hand, step_of, rows):
    """Of the source, and of the target: there is no source utterance then, and no distance."""
    task, model = by_hand(labelled=1)
    method = DeepCoral()
    method.prepare(task, model)
    terms = method.loss(step_of(task, model, rows))
    assert all(torch.isfinite(value) for value in terms.values())
    assert ("covariance" in terms) == (rows == [0])


@pytest.mark.parametrize("seed", range(3))
def test_the_covariances_of_the_logits_meet(ends, seed):
    """The second feature is loud in the target alone; a head that leans on it has another covariance there."""
    random = torch.Generator().manual_seed(seed)
    label = torch.arange(200) % 2
    sign = 2.0 * label - 1
    source = torch.stack([sign, 0.8 * sign], 1) + 0.5 * torch.randn(200, 2, generator=random)
    target = torch.stack([sign, 6 * torch.randn(200, generator=random)], 1)
    target[:, 0] += 0.5 * torch.randn(200, generator=random)
    scores, distances = [], []
    for strength in (0.0, 1.0):
        score, model = ends(
            DeepCoral(strength=strength), (source, label, target, label), seed, hidden=2, learning_rate=0.05
        )
        with torch.no_grad():
            distances.append(float(deep_coral(*(model.classify(model.represent(x)) for x in (source, target)))))
        scores.append(score)
    assert distances[1] < 0.2 * distances[0] and scores[1] > scores[0] + 0.05, (distances, scores)


@pytest.mark.parametrize("stop", [2, 7])
def test_interrupted_it_ends_the_same(goes_on, stop):
    (log, whole), (log_too, resumed) = goes_on(DeepCoral, stop)
    assert torch.equal(whole, resumed) and log == log_too


def test_bad_options():
    with pytest.raises(ValueError, match="strength"):
        DeepCoral(strength=-0.1)
