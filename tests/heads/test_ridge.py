"""Ridge regression: against scikit-learn, its scale as logits, and at the smallest sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as Reference

from emobridge.heads.ridge import LEAST_NOISE, Ridge, ridge
from emobridge.methods.base import as_probabilities

C = 3


def clouds(count=60, width=5, seed=0):
    random = torch.Generator().manual_seed(seed)
    label = torch.arange(count) % (C + 1) % C
    return torch.randn(count, width, generator=random) * torch.linspace(0.3, 2, width) + label[:, None], label


def penalty(z, weight, strength):
    """That of scikit-learn, whose products are sums and not means."""
    middle = (z * weight[:, None]).sum(0) / weight.sum()
    return strength * float(((z - middle).square() * weight[:, None]).sum() / z.shape[1])


@pytest.mark.parametrize("strength", [0.0, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_regression_is_that_of_scikit_learn(strength, weighted):
    z, label = clouds()
    weight = torch.arange(len(z)) % 3 / 2 if weighted else torch.ones(len(z))
    y = as_probabilities(label, C)
    model = Reference(alpha=penalty(z, weight, strength)).fit(z.numpy(), y.numpy(), sample_weight=weight.numpy())
    got = ridge(z, y, weight, strength)
    np.testing.assert_allclose(got.of(z), model.predict(z.numpy()), atol=1e-4)


def test_logits_are_the_regression_over_its_noise():
    z, label = clouds()
    y, weight = as_probabilities(label, C), torch.ones(len(z))
    fitted = ridge(z, y, weight, 1.0).of(z)
    noise = float((y - fitted).square().mean())
    torch.testing.assert_close(Ridge(5, C).solve(z, y, weight).of(z), fitted / noise, atol=1e-3, rtol=1e-3)


def test_what_is_fitted_without_error_is_no_surer_than_the_least_noise():
    z, y = torch.eye(3), torch.eye(3)
    logits = Ridge(3, 3, strength=0.0).solve(z, y, torch.ones(3)).of(z)
    torch.testing.assert_close(logits, torch.eye(3) / LEAST_NOISE, atol=1.0, rtol=1e-3)


def test_soft_labels_are_regressed_as_they_are():
    z, label = clouds()
    soft = 0.6 * as_probabilities(label, C) + 0.4 / C
    hard = ridge(z, as_probabilities(label, C), torch.ones(len(z)), 1.0).of(z)
    torch.testing.assert_close(ridge(z, soft, torch.ones(len(z)), 1.0).of(z), 0.6 * hard + 0.4 / C)


def test_many_at_once_are_each_alone():
    z = torch.stack([clouds(seed=seed)[0] for seed in range(6)]).view(2, 3, 60, 5)
    weight = torch.rand(2, 3, 60, generator=torch.Generator().manual_seed(1)).round(decimals=1)
    label = as_probabilities(clouds()[1], C)
    together = Ridge(5, C).solve(z, label, weight)
    for layer in range(2):
        for probe in range(3):
            alone = Ridge(5, C).solve(z[layer, probe], label, weight[layer, probe])
            torch.testing.assert_close(together.weight[layer, probe], alone.weight, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(together.bias[layer, probe], alone.bias, atol=1e-5, rtol=1e-5)


def test_a_row_of_weight_0_takes_no_part():
    z, label = clouds()
    weight = torch.ones(len(z))
    weight[:7] = 0
    y = as_probabilities(label, C)
    without = Ridge(5, C).solve(z[7:], y[7:], weight[7:])
    z[:7] = 100.0
    for got, expected in zip(Ridge(5, C).solve(z, y, weight), without):
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_constant_features_do_not_matter():
    z, label = clouds()
    wide = torch.cat([z, torch.full((len(z), 2), 3.0)], 1)
    y, weight = as_probabilities(label, C), torch.ones(len(z))
    expected = ridge(z, y, weight, 0.0).of(z)
    torch.testing.assert_close(ridge(wide, y, weight, 0.0).of(wide), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 4, 2), (2, 1, 2), (5, 3, 1)], ids=str)
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_smallest_sizes_are_finite(sizes, weight):
    count, width, classes = sizes
    z = torch.randn(count, width, generator=torch.Generator().manual_seed(0))
    y = as_probabilities(torch.zeros(count, dtype=torch.int64), classes)
    p = Ridge(width, classes).solve(z, y, torch.full((count,), weight)).of(z).softmax(1)
    assert p.shape == (count, classes) and torch.isfinite(p).all()
    assert not weight or (p[:, 0] > 0.99).all()


def test_a_strength_below_0_is_refused():
    with pytest.raises(ValueError, match="strength"):
        Ridge(2, 2, strength=-1)
