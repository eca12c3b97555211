"""How large a difference of means is, in standard deviations: Hedges' g of two groups, Cohen's d_z of paired values.

The 95 % intervals are those of the noncentral t distribution, exact for normal values (Steiger & Fouladi 1997; Cumming
& Finch 2001): the population's effects of which the observed t is the 97.5 and the 2.5 per cent point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, nctdtrinc

from emobridge.scores.paired import is_spread

TAIL = 0.025  # on either side of a 95 % interval


@dataclass(frozen=True, slots=True)
class Effect:
    """A standardised difference and its 95 % interval; NaN where values do not vary, or are too few."""

    value: float
    low: float
    high: float


NO_EFFECT = Effect(np.nan, np.nan, np.nan)


def hedges_g(x: Sequence[float], y: Sequence[float]) -> Effect:
    """g = J(f) (m_x - m_y) / s of independent groups (Hedges 1981, Journal of Educational Statistics 6).

    s is the pooled standard deviation, f = n_x + n_y - 2, and J(f) = G(f / 2) / (sqrt(f / 2) G((f - 1) / 2)) takes the
    bias of few values out, with the gamma function G. Both groups have one variance here, as Welch's test does not
    suppose.
    """
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    degrees = first.size + second.size - 2
    if min(first.size, second.size) < 1 or degrees < 2:
        return NO_EFFECT
    if not is_spread(first) and not is_spread(second):
        return NO_EFFECT
    squares = ((first - first.mean()) ** 2).sum() + ((second - second.mean()) ** 2).sum()
    d = float((first.mean() - second.mean()) / np.sqrt(squares / degrees))
    correction = np.exp(gammaln(degrees / 2) - gammaln((degrees - 1) / 2)) / np.sqrt(degrees / 2)
    return Effect(float(correction * d), *_interval(d, degrees, np.sqrt(1 / first.size + 1 / second.size)))


def cohens_dz(differences: Sequence[float]) -> Effect:
    """d_z = m / s of N paired differences, with the standard deviation s that divides by N - 1 (Cohen 1988, ch. 2)."""
    values = np.asarray(differences, dtype=float)
    if not is_spread(values):
        return NO_EFFECT
    d = float(values.mean() / values.std(ddof=1))
    return Effect(d, *_interval(d, values.size - 1, np.sqrt(1 / values.size)))


def _interval(d: float, degrees: int, scale: float) -> tuple[float, float]:
    """Of the population's effect, where t = d / scale has `degrees` of freedom."""
    ends = (float(scale * nctdtrinc(degrees, tail, d / scale)) for tail in (1 - TAIL, TAIL))
    low, high = ends
    return low, high
