"""The concordance correlation coefficient (CCC)."""

from __future__ import annotations

import numpy as np

from emobridge.scores.measures.base import AttributeMeasure, Floats

ROUNDING = 1e-12  # a denominator below this share of the squares that it is made of is rounding


class Ccc(AttributeMeasure):
    """CCC = 2 s_xy / (s_x^2 + s_y^2 + (m_x - m_y)^2) with POPULATION (1/n) moments, in [-1, 1] (Lin 1989).

    NaN for fewer than two values, and where neither side varies and both are the same (0/0). Libraries that divide by
    n - 1 give other values where the means differ, since the last term is no moment about a mean.

    >>> round(Ccc()([0, 1, 2], [0, 1, 1]), 4)
    0.6667
    """

    name = "CCC"
    long_name = "concordance correlation coefficient"
    order = 0

    def chance(self, classes: int) -> float:
        """0: what does not depend on the truth has no concordance with it."""
        return 0.0

    def value(self, counts: Floats) -> Floats:
        """(..., 6) -> (...)."""
        n, x, y, xx, yy, xy = np.moveaxis(counts, -1, 0)
        least = np.maximum(n, 1)
        mean_x, mean_y = x / least, y / least
        covariance = xy / least - mean_x * mean_y
        squares = (xx + yy) / least
        apart = squares - 2 * mean_x * mean_y  # s_x^2 + s_y^2 + (m_x - m_y)^2
        defined = (n >= 2) & (apart > ROUNDING * squares)
        ccc: Floats = np.divide(2 * covariance, apart, out=np.full(np.shape(n), np.nan), where=defined)
        return ccc.clip(-1, 1)
