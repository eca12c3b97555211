"""Welch's t-test of two samples of independent values (Welch 1947).

Han et al. 2025 (methods C) test two-sided between groups of listeners, where each listener has one value: there the
test holds. Goncalves et al. 2024 (methods A) test one-tailed between systems at p <= 0.05 and do not say what is
resampled. Ours is seeds x test subsets: each seed's score on each of several subsets of the test utterances, disjoint
and, where there are speakers enough, without common speakers.

Scores of seeds are NOT independent, since all seeds score the same speakers: in simulation the test over seeds calls a
quarter of pairs of equal systems different (docs/results/intervals.md). It is for comparison with that study alone; the
test that holds is the paired one, `difference` of an evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from emobridge.data.splits import Part, by_fold, by_ratio
from emobridge.errors import UserError, unknown
from emobridge.scores.paired import is_spread
from emobridge.types import Utterance, person

TAILS = ("greater", "less", "two-sided")
SIGNIFICANCE = 0.05  # of both studies


@dataclass(frozen=True, slots=True)
class Welch:
    """The result of the test of values x against values y."""

    tail: str  # "greater": that the mean of x is; "less"; "two-sided"
    difference: float  # mean of x minus mean of y
    t: float
    freedom: float  # degrees, Welch-Satterthwaite
    p: float  # in [0, 1]; NaN where neither is_spread, and there is nothing to judge a difference by
    counts: tuple[int, int]  # values of x and of y

    @property
    def significant(self) -> bool:
        """p <= 0.05."""
        return self.p <= SIGNIFICANCE


@dataclass(frozen=True, slots=True)
class Subsets:
    """Disjoint subsets of test utterances, all of them together being the whole."""

    parts: tuple[Part, ...]  # ascending indices
    by: str  # "speakers": none is in two of them; or "utterances"


def welch(x: Sequence[float], y: Sequence[float], *, tail: str = "greater") -> Welch:
    """Welch's t-test of x against y, whose variances may differ, for the alternative that `tail` names.

    t = (m_x - m_y) / sqrt(v_x / n_x + v_y / n_y), with variances v that divide by n - 1; degrees of freedom after
    Welch and Satterthwaite.
    Errors: UserError for fewer than two values on a side, for one that is not finite and for an unknown tail.
    """
    if tail not in TAILS:
        raise unknown("tail of a test", tail, TAILS)
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if min(first.size, second.size) < 2:
        raise UserError(f"a t-test of {first.size} against {second.size} values: expected two or more of each")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise UserError("a t-test of values that are not all finite: choose fewer subsets, so that each can be scored")
    difference, counts = float(first.mean() - second.mean()), (first.size, second.size)
    if not is_spread(first) and not is_spread(second):
        return Welch(tail, difference, np.nan, np.nan, np.nan, counts)
    a, b = first.var(ddof=1) / first.size, second.var(ddof=1) / second.size
    t = difference / np.sqrt(a + b)
    freedom = (a + b) ** 2 / (a**2 / (first.size - 1) + b**2 / (second.size - 1))
    p = {"greater": stdtr(freedom, -t), "less": stdtr(freedom, t)}
    p["two-sided"] = 2 * min(p.values())
    return Welch(tail, difference, float(t), float(freedom), float(p[tail]), counts)


def subsets(utterances: Sequence[Utterance], count: int, *, seed: int = 0) -> Subsets:
    """Cut test utterances into `count` subsets alike in size and emotions, by speaker where there are enough of them.

    With fewer speakers than subsets, or one that is not known, utterances are dealt instead; `by` says so.
    Errors: UserError for fewer than two subsets, and for more than there are utterances.
    """
    if count < 2:
        raise UserError(f"{count} test subsets: expected 2 or more")
    people = {person(utterance) for utterance in utterances}
    if len(people) >= count and None not in people:
        return Subsets(by_fold(utterances, count, seed=seed), "speakers")
    return Subsets(by_ratio(utterances, (1 / count,) * count, seed=seed, share_speakers=True), "utterances")
