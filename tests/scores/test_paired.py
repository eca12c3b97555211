"""The paired test and the interval of a mean against scipy, and their sizes of 1."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from emobridge.errors import UserError
from emobridge.scores.paired import mean_of, paired_t

X, Y = [0.71, 0.66, 0.80, 0.75, 0.69, 0.70], [0.60, 0.62, 0.55, 0.70, 0.66, 0.50]


def test_it_is_that_of_scipy():
    test, expected = paired_t(X, Y), ttest_rel(X, Y)
    assert (test.t, test.freedom, test.p) == pytest.approx((expected.statistic, 5, expected.pvalue))
    ends = expected.confidence_interval()
    assert (test.difference.low, test.difference.high) == pytest.approx((ends.low, ends.high))
    assert paired_t(Y, X).p == pytest.approx(test.p)


def test_the_interval_of_a_mean():
    mean, ends = mean_of(X), ttest_1samp(X, 0).confidence_interval()
    assert (mean.value, mean.low, mean.high, mean.count) == pytest.approx((np.mean(X), ends.low, ends.high, 6))


def test_an_interval_ends_at_what_is_possible():
    assert mean_of([1.0, 0.9], within=(0, 1)).high == 1 and mean_of([0.0, 0.1], within=(0, 1)).low == 0


def test_sizes_of_one_and_none():
    assert mean_of([0.4]).value == 0.4 and np.isnan([mean_of([0.4]).low, mean_of([0.4]).high]).all()
    assert np.isnan(mean_of([]).value) and mean_of([]).count == 0
    with pytest.raises(UserError, match="1 pairs"):
        paired_t([0.5], [0.4])
    with pytest.raises(UserError, match="2 and 1 values"):
        paired_t([0.5, 0.6], [0.4])


def test_where_differences_do_not_vary_nothing_is_claimed():
    test = paired_t([0.5, 0.6], [0.25, 0.35])
    assert test.difference.value == pytest.approx(0.25) and np.isnan([test.t, test.p]).all()
    assert np.isnan([test.difference.low, test.difference.high]).all()
    alike = mean_of([1.0, 1.0, 1.0], within=(0, 1))
    assert alike.value == 1 and alike.count == 3 and np.isnan([alike.low, alike.high]).all()
