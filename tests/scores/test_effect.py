"""Standardised differences by hand, their intervals against scipy's noncentral t and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import nct, ttest_1samp, ttest_ind

from emobridge.scores.effect import cohens_dz, hedges_g


def test_g_by_hand():
    effect = hedges_g([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
    assert effect.value == pytest.approx(0.7979, abs=1e-4)  # d = 1, J(4) = G(2) / (sqrt(2) G(1.5)) = 0.7979
    assert hedges_g([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]).value == pytest.approx(-effect.value)
    assert effect.value == pytest.approx(1 - 3 / (4 * 4 - 1), abs=0.005)  # Hedges' own approximation of J


def test_dz_by_hand():
    assert cohens_dz([1.0, 2.0, 3.0]).value == 2


def test_the_ends_are_those_of_the_noncentral_t():
    x, y = [0.9, 0.7, 0.8, 0.95, 0.6, 0.85], [0.5, 0.55, 0.7, 0.4, 0.65]
    effect, t, scale = hedges_g(x, y), ttest_ind(x, y).statistic, np.sqrt(1 / 6 + 1 / 5)
    assert nct.cdf(t, 9, effect.low / scale) == pytest.approx(0.975, abs=1e-5)
    assert nct.cdf(t, 9, effect.high / scale) == pytest.approx(0.025, abs=1e-5)
    effect, t = cohens_dz(x), ttest_1samp(x, 0).statistic
    assert nct.cdf(t, 5, effect.low * np.sqrt(6)) == pytest.approx(0.975, abs=1e-5)
    assert nct.cdf(t, 5, effect.high * np.sqrt(6)) == pytest.approx(0.025, abs=1e-5)


def test_intervals_hold_the_effect_of_the_population_and_g_has_no_bias():
    rng = np.random.default_rng(0)
    effects = [hedges_g(rng.normal(0.8, 1, 6), rng.normal(0, 1, 6)) for _ in range(1000)]
    assert np.mean([effect.low <= 0.8 <= effect.high for effect in effects]) == pytest.approx(0.95, abs=0.02)
    assert np.mean([effect.value for effect in effects]) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    "effect",
    [
        hedges_g([1.0], [2.0]),  # a size of 1 on each side has no spread
        hedges_g([], [1.0, 2.0, 3.0]),
        hedges_g([1.0, 1.0], [2.0, 2.0]),
        cohens_dz([1.0]),
        cohens_dz([]),
        cohens_dz([0.5, 0.5]),
    ],
)
def test_without_a_spread_there_is_no_effect(effect):
    assert np.isnan([effect.value, effect.low, effect.high]).all()


def test_a_group_of_one_beside_a_larger_one():
    assert hedges_g([2.0], [0.0, 1.0, 2.0]).value == pytest.approx(0.5642, abs=1e-4)  # d = 1, J(2) = 1 / G(0.5)
