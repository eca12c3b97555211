"""Holm's correction of p values for the number of tests (Holm 1979, Scandinavian Journal of Statistics 6)."""

from __future__ import annotations

import math
from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The corrected p values of a family of m tests, in the order given, each in [0, 1].

    Of p values in ascending order the i-th, from 1, becomes the largest of (m - j + 1) p_j over j <= i, at most 1. To
    reject what is then at most 0.05 keeps the chance of any false rejection in the family at 0.05, however the tests
    depend on each other. NaN is a test that could not be done: it stays NaN, and m does not count it.
    Errors: ValueError for what is no p value.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    """
    if any(p < 0 or p > 1 for p in p_values):
        raise ValueError(f"p values {list(p_values)}: expected numbers from 0 to 1")
    order = sorted((index for index, p in enumerate(p_values) if not math.isnan(p)), key=lambda index: p_values[index])
    corrected, largest = [math.nan] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[index]))
        corrected[index] = largest
    return tuple(corrected)
