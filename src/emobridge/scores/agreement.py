"""How far raters agree beyond chance about N items: Fleiss' kappa and Krippendorff's alpha of nominal answers.

Both are of the counts n_ic: how many raters put item i into category c. n_i is the number of raters of item i, and the
share of pairs of raters who agree about it is

    P_i = sum_c n_ic (n_ic - 1) / (n_i (n_i - 1)),     for n_i >= 2

Neither looks at the truth: raters may agree about what nobody meant. 1 is agreement about all items, 0 what raters who
answer at random would reach; below 0 they agree less than that. NaN where all answers are of one category, or no item
has two raters: agreement beyond chance cannot be judged.

Intervals are of a jackknife over items with Student's t (`jackknife`): other items of the same kind, judged by the SAME
raters. They do not say how other raters would agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emobridge.errors import UserError
from emobridge.scores.jackknife import Clusters, Floats, Formula, Influence, jackknife

AGREEMENT_RANGE = (-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Agreement:
    """A coefficient of agreement with its 95 % interval over items; NaN where there is none."""

    value: float  # in [-1, 1]
    low: float
    high: float
    items: int  # with two raters or more
    answers: int  # about those items


def count_answers(answers: Sequence[Sequence[str | None]], categories: Sequence[str]) -> Floats:
    """(N, C): how many raters put each of N items into each category. answers: for each item; None is no answer.

    Errors: UserError for an answer that is no category.

    >>> count_answers([["a", "b", None], ["a", "a"]], ["a", "b"]).tolist()
    [[1.0, 1.0], [2.0, 0.0]]
    """
    index = {name: number for number, name in enumerate(categories)}
    counts = np.zeros((len(answers), len(categories)))
    for row, names in zip(counts, answers):
        for name in names:
            if name is None:
                continue
            if name not in index:
                raise UserError(f"answer {name!r}: expected one of {', '.join(categories)}")
            row[index[name]] += 1
    return counts


def fleiss_kappa(counts: Floats) -> Agreement:
    """kappa = (P - P_e) / (1 - P_e), with P = mean_i P_i and P_e = sum_c p_c^2 (Fleiss 1971, Psychol. Bull. 76).

    counts: (N, C). Fleiss has as many raters for each item. Where they differ it is as in Gwet 2014 (Handbook of
    Inter-Rater Reliability, 4th ed., ch. 2): P is over the items with two raters or more, and p_c = mean_i n_ic / n_i
    over all that somebody rated.

    >>> round(fleiss_kappa(np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])).value, 3)
    0.333
    """
    return _agreement(counts, _fleiss_parts(counts), _fleiss_formula)


def krippendorff_alpha(counts: Floats) -> Agreement:
    """alpha = 1 - D_o / D_e of nominal answers (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability).

    counts: (N, C). Items with a single rater are left out. With n_c the answers of category c and n all answers,

        D_o = 1 - sum_i n_i P_i / n        D_e = 1 - sum_c n_c (n_c - 1) / (n (n - 1))

    so that raters may lack items, and an item weighs as much as it has raters.

    >>> round(krippendorff_alpha(np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])).value, 3)
    0.444
    """
    return _agreement(counts, _krippendorff_parts(counts), _krippendorff_formula)


def _pair_agreement(counts: Floats) -> Floats:
    """(N, C) -> (N,): P_i; 0 where an item has no two raters."""
    raters = counts.sum(-1)
    pairs = raters * (raters - 1)
    agreement: Floats = np.divide((counts * (counts - 1)).sum(-1), pairs, out=np.zeros_like(raters), where=pairs > 0)
    return agreement


def _fleiss_parts(counts: Floats) -> Floats:
    """(N, C) -> (N, 3 + C): P_i, whether there is a pair of raters, whether there is a rater, and n_ic / n_i."""
    raters = counts.sum(-1, keepdims=True)
    shares = counts / np.maximum(raters, 1)
    return np.concatenate([_pair_agreement(counts)[:, None], raters >= 2, raters >= 1, shares], -1)


def _fleiss_formula(sums: Floats) -> Floats:
    """(..., 3 + C) -> (..., 1)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = sums[..., 0] / sums[..., 1]
        chance = ((sums[..., 3:] / sums[..., 2:3]) ** 2).sum(-1)
    return _beyond_chance(observed, chance)


def _krippendorff_parts(counts: Floats) -> Floats:
    """(N, C) -> (N, 1 + C): n_i P_i and n_ic; zeros of items without a pair of raters."""
    raters = counts.sum(-1, keepdims=True)
    paired = np.where(raters >= 2, counts, 0.0)
    return np.concatenate([raters * _pair_agreement(counts)[:, None], paired], -1)


def _krippendorff_formula(sums: Floats) -> Floats:
    """(..., 1 + C) -> (..., 1)."""
    answers = sums[..., 1:]
    n = answers.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _beyond_chance(sums[..., 0] / n, (answers * (answers - 1)).sum(-1) / (n * (n - 1)))


def _beyond_chance(observed: Floats, chance: Floats) -> Floats:
    """(observed - chance) / (1 - chance), (...,) -> (..., 1); NaN where chance alone agrees about all."""
    room = 1 - chance
    value = np.full(np.shape(room), np.nan)
    np.divide(observed - chance, room, out=value, where=np.nan_to_num(room) > 1e-12)
    return value[..., None]


def _agreement(counts: Floats, parts: Floats, formula: Formula) -> Agreement:
    """The coefficient of (N, C) counts from what each item adds to its sums, (N, K)."""
    raters = counts.sum(-1)
    usable = raters >= 2
    items, answers = int(usable.sum()), int(raters[usable].sum())
    if not items:
        return Agreement(np.nan, np.nan, np.nan, 0, 0)
    kinds, copies = np.unique(parts[parts.any(-1)], axis=0, return_counts=True)
    clusters = Clusters(kinds[None], np.ones((len(kinds), 1)), copies.astype(float))
    step = np.array([1 / items])  # the most that one item can change the observed agreement
    scored = jackknife(clusters, formula, Influence(np.ones((1, 1)), step))
    low, high = scored.interval(0, AGREEMENT_RANGE, None)
    return Agreement(float(scored.values[0]), low, high, items, answers)
