"""The regression that tells languages from confidences."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from emobridge.bundle.router import PENALTY, confidences, fit_router
from emobridge.scores.entropy import entropy


def test_confidences_by_hand():
    p = torch.tensor([[[0.5, 0.5], [1.0, 0.0]]])
    torch.testing.assert_close(confidences(p), torch.tensor([[0.5, 1.0, 0.6931472, 0.0]]))
    assert entropy(torch.full((3,), 1 / 3)).item() == pytest.approx(1.0986123)


def test_it_is_the_logistic_regression_of_scikit_learn():
    """On balanced classes: N C-weighted loss and half the squared weights there, their means here."""
    generator = torch.Generator().manual_seed(0)
    x, truth = torch.randn(60, 4, generator=generator) * 3 + 5, torch.arange(60) % 3
    x[range(60), truth] += 4
    router = fit_router(("de", "it", "fr"), x, truth)
    z = (x - router.mean) / router.deviation
    referee = LogisticRegression(C=1 / (2 * PENALTY * 60), tol=1e-8, max_iter=1000).fit(z.numpy(), truth.numpy())
    expected = torch.from_numpy(referee.predict_proba(z.numpy())).float()
    torch.testing.assert_close(router.probabilities(x), expected, atol=2e-3, rtol=0)


def test_a_language_of_few_clips_weighs_as_much():
    x = torch.tensor([[0.0]] * 99 + [[1.0]])
    router = fit_router(("de", "it"), x, torch.tensor([0] * 99 + [1]))
    assert router.probabilities(torch.tensor([[0.0], [1.0]])).argmax(1).tolist() == [0, 1]


def test_what_does_not_vary_is_no_harm():
    router = fit_router(("de", "it"), torch.ones(4, 2), torch.tensor([0, 0, 1, 1]))
    assert torch.isfinite(router.probabilities(torch.zeros(1, 2))).all()
