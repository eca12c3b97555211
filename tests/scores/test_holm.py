"""Holm's correction by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from emobridge.scores.holm import holm


def test_by_hand():
    # 3 x 0.02 = 0.06; 2 x 0.02 = 0.04 may not fall below it; 1 x 0.9
    assert holm([0.02, 0.9, 0.02]) == pytest.approx((0.06, 0.9, 0.06))
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))


def test_it_is_never_above_bonferroni_and_never_above_1():
    p = np.random.default_rng(0).random(40)
    corrected = np.array(holm(list(p)))
    assert (corrected >= p).all() and (corrected <= np.minimum(1, 40 * p) + 1e-12).all()
    assert corrected[p.argmin()] == pytest.approx(min(1, 40 * p.min()))


def test_a_test_that_could_not_be_done_is_not_counted():
    first, undone, last = holm([0.02, math.nan, 0.03])
    assert (first, last) == (0.04, 0.04) and math.isnan(undone)


def test_one_test_and_none():
    assert holm([0.03]) == (0.03,)
    assert holm([]) == ()


def test_the_family_keeps_its_level():
    rng = np.random.default_rng(2)
    false = [min(holm(list(rng.random(10)))) <= 0.05 for _ in range(2000)]
    assert np.mean(false) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_what_is_no_p_value(p):
    with pytest.raises(ValueError, match="from 0 to 1"):
        holm([0.5, p])
