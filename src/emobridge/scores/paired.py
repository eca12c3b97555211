"""Student's two-sided t test of paired values, and the interval of a mean that belongs to it (Student 1908)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from emobridge.errors import UserError
from emobridge.scores.jackknife import ROUNDING, Floats

OUTSIDE = 0.05  # of intervals do not hold the truth


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of independent values with its 95 % interval; NaN where there is none."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Paired:
    """The result of the test that the mean of x - y is 0."""

    difference: Mean
    t: float
    freedom: int
    p: float  # two-sided, in [0, 1]; NaN where the differences do not vary


def is_spread(values: Floats) -> bool:
    """Whether some values differ by more than rounding does: means of counts may differ in their last digits.

    >>> is_spread(np.array([0.1 + 0.2, 0.3])), is_spread(np.array([0.3, 0.31]))
    (False, True)
    """
    return values.size > 1 and bool(np.ptp(values) > ROUNDING * max(1.0, float(np.abs(values).max())))


def mean_of(values: Sequence[float], *, within: tuple[float, float] = (-np.inf, np.inf)) -> Mean:
    """m +- t(0.975, n - 1) s / sqrt(n), with the standard deviation s that divides by n - 1. NaN of no value.

    within: the least and the highest possible value, at which the interval is cut off. A single value has no interval,
    nor have values that are all alike: one of no width would say that every other value will be the same.

    >>> mean_of([0.5]), mean_of([1.0, 1.0])
    (Mean(value=0.5, low=nan, high=nan, count=1), Mean(value=1.0, low=nan, high=nan, count=2))
    """
    array = np.asarray(values, dtype=float)
    if not is_spread(array):
        return Mean(float(array.mean()) if array.size else np.nan, np.nan, np.nan, array.size)
    margin = stdtrit(array.size - 1, 1 - OUTSIDE / 2) * array.std(ddof=1) / np.sqrt(array.size)
    middle = float(array.mean())
    return Mean(middle, float(max(middle - margin, within[0])), float(min(middle + margin, within[1])), array.size)


def paired_t(x: Sequence[float], y: Sequence[float]) -> Paired:
    """The test of N pairs: t = m / (s / sqrt(N)) of the differences x - y, with N - 1 degrees of freedom.

    Errors: UserError for unequal lengths and for fewer than two pairs.
    """
    if len(x) != len(y):
        raise UserError(f"a paired test of {len(x)} and {len(y)} values: expected as many of each")
    if len(x) < 2:
        raise UserError(f"a paired test of {len(x)} pairs: expected two or more")
    differences = np.asarray(x, dtype=float) - np.asarray(y, dtype=float)
    mean, degrees = mean_of(list(differences)), differences.size - 1
    if not is_spread(differences):
        return Paired(mean, np.nan, degrees, np.nan)
    t = float(mean.value / (differences.std(ddof=1) / np.sqrt(differences.size)))
    return Paired(mean, t, degrees, float(2 * stdtr(degrees, -abs(t))))
