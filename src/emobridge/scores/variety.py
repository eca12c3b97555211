"""How much emotions vary inside groups: 1 where all speakers show the same emotions, 0 where each shows one.

Groups are speakers, or the sentences that are read. What lies inside them is a share of variance, of x (N, D) in G
groups of n_g, from the unbiased estimates of a one-way analysis of variance (Searle, Casella, McCulloch 1992, 3.6):

    w = sum_i |x_i - m_g(i)|^2 / (N - G)
    b = (sum_g n_g |m_g - m|^2 / (G - 1) - w) / n_0,    n_0 = (N - sum_g n_g^2 / N) / (G - 1)
    share(x) = w / (w + max(b, 0))

Where groups and values have nothing to do with each other the expectation of b is 0, however few utterances a group
has. The variety of labels is the share of their one-hot vectors. Scores of a recogniser also tell voices apart: with
emotions that do not depend on the speaker, share(scores) lies between share(features), where scores take voices in as
any other direction does, and 1, where they do not. The variety of scores is therefore

    share(scores) / sqrt(share(features)),

by the middle of the two. Both are taken as the geometric mean of the value over all groups and the largest value with
one group left out, so that no single odd voice decides.

Variety is low below LEAST_VARIETY - sqrt(2 / (N - G)) / 2: half the relative standard error of a variance with N - G
degrees of freedom is taken off, since the fewer the utterances the lower it may be by chance. Ours: how LEAST_VARIETY
was chosen, and how often it errs, stands in docs/results/guard.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_VARIETY = 0.925
AT_ONCE = 1 << 22  # numbers in double precision at a time
LEAST_FREEDOM = 4  # utterances less groups: with fewer the variance inside groups is hardly known


@dataclass(frozen=True, slots=True)
class Variety:
    """How much emotions vary inside groups."""

    value: float  # 0 where each group shows one emotion, about 1 where all show the same
    freedom: int  # utterances less groups

    @property
    def least(self) -> float:
        """Below, normalisation by the groups would take the emotion out."""
        return least_variety(self.freedom)

    @property
    def is_low(self) -> bool:
        """Whether the groups show few emotions each."""
        return self.value < self.least


def least_variety(freedom: int, least: float = LEAST_VARIETY) -> float:
    """The value below which variety is low, of so many utterances less groups."""
    return least - math.sqrt(2 / freedom) / 2


def variety(
    values: NDArray[np.floating], groups: Sequence[str | None], features: NDArray[np.floating] | None = None
) -> Variety | None:
    """The variety of scores or one-hot labels (N, C) inside groups.

    features: (N, D) that the scores were made of; None for labels. Rows without a group do not count. None where fewer
    than two groups, or fewer than LEAST_FREEDOM utterances beyond one a group, are known.

    >>> variety(np.eye(2)[[0] * 9 + [1] * 9], ["a"] * 9 + ["b"] * 9)
    Variety(value=0.0, freedom=16)
    """
    rows = [row for row, name in enumerate(groups) if name]
    names, group = np.unique([str(groups[row]) for row in rows], return_inverse=True)
    freedom = len(rows) - len(names)
    if len(names) < 2 or freedom < LEAST_FREEDOM:
        return None
    shares = within_shares(values[rows], group)
    if features is not None:
        features = features if len(rows) == len(features) else features[rows]
        shares /= np.sqrt(np.maximum(within_shares(features, group), np.finfo(np.float64).tiny))
    value = np.sqrt(shares[0] * shares[1:].max()) if len(names) > 2 else shares[0]
    return Variety(float(value), freedom)


def variety_of_labels(labels: Sequence[str | None], groups: Sequence[str | None]) -> Variety | None:
    """The variety of labels inside groups, as `variety` has it; rows without a label do not count."""
    rows = [row for row, label in enumerate(labels) if label]
    if not rows:
        return None
    names, index = np.unique([str(labels[row]) for row in rows], return_inverse=True)
    return variety(np.eye(len(names))[index], [groups[row] for row in rows])


def low_variety(variety: Variety, group: str, how: str = "by their labels") -> str:
    """What is wrong where the variety inside speakers, or texts, is low; `how` it was measured.

    >>> low_variety(Variety(0.1, 50), "speaker").partition(" (")[0]
    'its speakers show few emotions each'
    """
    return (
        f"its {group}s show few emotions each (the variety of the emotions inside {group}s is {variety.value:.2f} "
        f"{how}; 1 where all show the same, 0 where each shows one, and too low below {variety.least:.2f})"
    )


def within_shares(x: NDArray[np.floating], group: NDArray[np.integer]) -> NDArray[np.float64]:
    """The share of the variance of x (N, D) inside all groups, and then without each of them, (1 + G,).

    group: (N,), 0 to G - 1, none empty. 1 where nothing varies, or nothing can be estimated.
    """
    order = np.argsort(group, kind="stable")
    size = np.bincount(group).astype(np.float64)
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    between, squares = np.zeros(len(size)), np.zeros(len(x))
    step = max(1, AT_ONCE // len(x))  # columns
    for first in range(0, x.shape[1], step):
        part = x[order, first : first + step].astype(np.float64)
        part -= part.mean(0)
        between += np.square(np.add.reduceat(part, starts)).sum(1)
        squares += np.square(part, out=part).sum(1)
    between /= size  # (G,): n_g |m_g|^2 about the mean of all
    within = np.bincount(group[order], squares) - between
    # What is left without the groups in `out`: first without none, then without each.
    out = np.arange(-1, len(size))
    n, inside, outside = (np.concatenate([[0.0], values]) for values in (size, within, between))
    rows, groups = len(x) - n, len(size) - (out >= 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        w = (within.sum() - inside) / (rows - groups)
        middle = (size.sum() - rows) * outside / rows  # of the groups that are left, whose mean is no longer 0
        spread = (between.sum() - outside - middle) / (groups - 1)
        evenness = (rows - (np.square(size).sum() - np.square(n)) / rows) / (groups - 1)
        b = np.maximum((spread - w) / evenness, 0.0)
        share = w / (w + b)
    shares: NDArray[np.float64] = np.where(np.isfinite(share), share, 1.0).clip(0.0, 1.0)
    return shares
