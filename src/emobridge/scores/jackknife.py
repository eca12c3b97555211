"""95 % intervals from a few clusters: the delete-one jackknife with Student's t.

A cluster is drawn as a whole: a speaker with all utterances, or an utterance whose speaker is not known. Counts (or
sums) of clusters add up, so that leaving one of K clusters out is a subtraction:

    V = (K - 1) / K sum_k (g_k - g)^2        interval: g +- t(0.975, freedom) sqrt(V)

g is the value and g_k the value without cluster k, both on a scale without ends (`Scale`). Where there are several
seeds, g is the mean over them, and what they differ by beyond what they share adds to V (`_error`).

The steps are published: MacKinnon, Nielsen & Webb 2023, Journal of Applied Econometrics 38 (V, their CV3); Bell &
McCaffrey 2002, Survey Methodology 28 (`freedom`: fewer degrees than K - 1 where few clusters hold most of what counts);
Cameron, Gelbach & Miller 2011 (clusters and seeds); Haldane 1956 and Anscombe 1956 (the half counts of `Scale`). Where
all clusters are alike V is 0, and `_end_alike` takes its place. docs/results/intervals.md shows how often such
intervals hold the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit  # Student's t; scipy.stats takes half a second to import, and checks at length

Floats = NDArray[np.float64]
Formula = Callable[[Floats], Floats]  # counts (S, ..., shape of counts) -> values (S, ..., columns)
OUTSIDE = 0.05  # of intervals do not hold the truth
ROUNDING = 1e-12  # values that differ by no more are equal


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """The clusters of an evaluation; alike ones stand in one row."""

    counts: Floats  # (S, J, ...): counts or sums of one cluster of each of J kinds, for each of S seeds
    sizes: Floats  # (J, G): its utterances in each of G groups: true classes, attributes ...
    copies: Floats  # (J,): how many clusters are of the kind; K together

    @property
    def total(self) -> Floats:
        """(S, ...): counts or sums of all clusters."""
        total: Floats = np.tensordot(self.counts, self.copies, ((1,), (0,)))
        return total

    def without_each(self, total: Floats) -> Floats:
        """(S, J, ...): counts or sums of all clusters but one of each kind."""
        without: Floats = total[:, None] - self.counts
        return without


@dataclass(frozen=True, slots=True, eq=False)
class Influence:
    """How the columns of a formula follow the utterances."""

    weights: Floats  # (G, columns): how much of a column's variance each group of utterances makes
    steps: Floats  # (columns,): by how much a single utterance can change it


@dataclass(frozen=True, slots=True, eq=False)
class Jackknife:
    """Values of each seed, with what is needed to judge how far their mean may lie from that of all speakers."""

    seeds: Floats  # (S, columns)
    without: Floats  # (S, J, columns): without one cluster of each kind
    influence: Influence
    clusters: Clusters

    @property
    def values(self) -> Floats:
        """(columns,): means over seeds."""
        mean: Floats = self.seeds.mean(0)
        return mean

    def minus(self, other: Jackknife) -> Jackknife:
        """The paired difference: both are without the same cluster. Equal numbers of seeds are paired too."""
        first, second = self, other
        if len(self.seeds) != len(other.seeds):
            first, second = self._as_one_seed(), other._as_one_seed()
        weights = self.influence.weights + other.influence.weights
        influence = Influence(weights, np.maximum(self.influence.steps, other.influence.steps))
        return Jackknife(first.seeds - second.seeds, first.without - second.without, influence, self.clusters)

    def interval(self, column: int, limits: tuple[float, float], n: int | None) -> tuple[float, float]:
        """The 95 % interval of a column, within `limits`, which are the least and the highest possible value.

        n: utterances, with which values are put on a scale without ends (`Scale`); None leaves them as they are, for
        differences. NaN, NaN where there is none: of a single cluster, and where a value without one is not defined.
        """
        value, (without, copies) = self.values[column], self._present(column)
        if copies.sum() < 2 or not np.isfinite(value) or not np.isfinite(without).all():
            return np.nan, np.nan
        scale, degrees = Scale(limits, n), self._freedom(column)
        if np.ptp(without.mean(0)) <= ROUNDING:
            step, quantile = self.influence.steps[column], stdtrit(degrees, 1 - OUTSIDE / 2)
            low, high = (_end_alike(value, change, copies.sum(), quantile, scale) for change in (-step, step))
        else:
            seeds, middle = scale.there(self.seeds[:, column]), scale.there(value)
            error, degrees = _error(seeds, scale.there(without), copies, degrees)
            margin = stdtrit(degrees, 1 - OUTSIDE / 2) * error
            low, high = float(scale.back(middle - margin)), float(scale.back(middle + margin))
        return max(low, limits[0]), min(high, limits[1])

    def p(self, column: int) -> float | None:
        """Two-sided p of the hypothesis that the column is 0; None of a single cluster and of what is not defined."""
        seeds, (without, copies) = self.seeds[:, column], self._present(column)
        if copies.sum() < 2 or not np.isfinite(without).all():
            return None
        value, error, degrees = abs(seeds.mean()), self.influence.steps[column], self._freedom(column)
        if np.ptp(without.mean(0)) <= ROUNDING:
            value = max(0.0, value - error)  # as in `_end_alike`
        else:
            error, degrees = _error(seeds, without, copies, degrees)
        return float(2 * stdtr(degrees, -value / error)) if error > 0 else None

    def _as_one_seed(self) -> Jackknife:
        seeds, without = self.seeds.mean(0, keepdims=True), self.without.mean(0, keepdims=True)
        return Jackknife(seeds, without, self.influence, self.clusters)

    def _present(self, column: int) -> tuple[Floats, Floats]:
        """(S, J') values without each cluster that holds something of what the column is of, and the copies of it."""
        weights = self.influence.weights[:, column]
        present = (self.clusters.sizes[:, weights > ROUNDING * weights.max()] > 0).any(1)
        return self.without[:, present, column], self.clusters.copies[present]

    def _freedom(self, column: int) -> float:
        return freedom(self.clusters.sizes, self.clusters.copies, self.influence.weights[:, column])


@dataclass(frozen=True, slots=True)
class Scale:
    """The log odds of a value between its limits, with half an utterance added on either side.

    log((n p + 1/2) / (n (1 - p) + 1/2)), where p goes from 0 to 1 between the limits: of shares the empirical logit, of
    CCC nearly Fisher's z. Values stay as they are without `n`, and where a limit is infinite.
    """

    limits: tuple[float, float]
    n: int | None

    def there(self, values: Floats) -> Floats:
        """Values on the scale."""
        if self._is_plain:
            return values
        assert self.n is not None
        share = np.clip((values - self.limits[0]) / _width(self.limits), 0, 1)
        logits: Floats = np.log((self.n * share + 0.5) / (self.n * (1 - share) + 0.5))
        return logits

    def back(self, logits: Floats) -> Floats:
        """The values of which `there` makes the logits."""
        if self._is_plain:
            return logits
        assert self.n is not None
        share = ((self.n + 1) / (1 + np.exp(-logits)) - 0.5) / self.n
        values: Floats = self.limits[0] + _width(self.limits) * share
        return values

    @property
    def _is_plain(self) -> bool:
        return self.n is None or not np.isfinite(self.limits).all()


def jackknife(clusters: Clusters, formula: Formula, influence: Influence) -> Jackknife:
    """Each column of a formula for each seed, from all clusters and without each of them."""
    total = clusters.total
    seeds = formula(total)
    if clusters.copies.sum() < 2:
        without = np.full((len(seeds), len(clusters.copies), seeds.shape[-1]), np.nan)
        return Jackknife(seeds, without, influence, clusters)
    return Jackknife(seeds, formula(clusters.without_each(total)), influence, clusters)


def freedom(sizes: Floats, copies: Floats, weights: Floats) -> float:
    """Degrees of freedom of the variance between clusters, at least 1 (Bell & McCaffrey 2002).

    sizes: (J, G) utterances of each kind of cluster in each group; copies: (J,) of each kind; weights: (G,), what each
    group contributes to the variance. 2 E[V]^2 / Var[V] of the sum of squares V of the clusters' deviations, which have
    the covariance M = sum_g weight_g (diag(w_g) - w_g w_g') if utterances are independent; w_g are the clusters' shares
    of group g: freedom = tr(M)^2 / tr(M M). K clusters of one size have K - 1.

    >>> freedom(np.array([[20.0], [20.0], [20.0]]), np.ones(3), np.ones(1))
    2.0
    """
    shares = sizes / np.maximum(copies @ sizes, 1)
    trace = (1 - copies @ shares**2) @ weights
    parts = shares @ weights  # (J,): of each cluster
    overlap = (copies[:, None] * shares).T @ shares  # (G, G)
    squares = copies @ parts**2 - 2 * (copies * parts) @ shares**2 @ weights + weights @ overlap**2 @ weights
    return max(1.0, round(float(trace**2 / squares), 9)) if squares > 0 else 1.0


def _error(seeds: Floats, without: Floats, copies: Floats, freedom: float) -> tuple[float, float]:
    """The standard error of the mean over seeds, and its degrees of freedom.

    seeds: (S,); without: (S, J); freedom: of the variance V between clusters. Clusters and seeds cross, so that the
    variance is V_clusters + V_seeds - V_both (Cameron, Gelbach & Miller 2011), where V_both, of what is not common to
    all seeds of a cluster or to all clusters of a seed, is (mean of V of each seed - V_clusters) / (S - 1). Degrees
    after Satterthwaite. A single seed says nothing of others.
    """
    count, common = len(seeds), _jackknife_variance(seeds.mean(), without.mean(0), copies)
    if count == 1:
        return float(np.sqrt(common)), freedom
    each = [_jackknife_variance(value, row, copies) for value, row in zip(seeds, without)]
    both = (np.mean(each) - common) / (count - 1)
    beyond = max(0.0, seeds.var(ddof=1) / count - both)
    variance = common + beyond
    return float(np.sqrt(variance)), float(variance**2 / (common**2 / freedom + beyond**2 / (count - 1)))


def _jackknife_variance(value: float, without: Floats, copies: Floats) -> float:
    """V of a value and of those (J,) without one cluster of each kind."""
    clusters = copies.sum()
    return float((clusters - 1) / clusters * (copies @ (without - value) ** 2))


def _end_alike(value: float, step: float, clusters: float, quantile: float, scale: Scale) -> float:
    """An end of the interval where all clusters are alike, as where every speaker is recognised without an error.

    No cluster differs, which is no proof that none does: the end is that of a jackknife in which a single utterance of
    a single cluster differs and changes the value by `step`, negative for the lower end, positive for the upper.
    """
    shifted = np.clip([value, value + step, value + step * clusters / (clusters - 1)], *scale.limits)
    alike, middle, others = scale.there(shifted)
    variance = (clusters - 1) / clusters * ((alike - middle) ** 2 + (clusters - 1) * (others - middle) ** 2)
    return float(scale.back(middle + np.sign(step) * quantile * np.sqrt(variance)))


def _width(limits: tuple[float, float]) -> float:
    return limits[1] - limits[0]
