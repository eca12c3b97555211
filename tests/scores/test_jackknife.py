"""The jackknife against its formulas; how often its intervals hold the truth is in tests/test_benchmarks.py."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from emobridge.scores.jackknife import Clusters, Influence, Scale, freedom, jackknife

ONE = Influence(np.ones((1, 1)), np.array([0.1]))  # a single group; an utterance changes the value by a tenth
PLAIN = (-np.inf, np.inf)  # of values that stay as they are


def means(*seeds):
    """Clusters of one value each, and the mean of them: the jackknife is then the t-test of a mean."""
    values = np.array(seeds, dtype=float)
    counts = np.stack([values, np.ones_like(values)], -1)
    clusters = Clusters(counts, np.ones((values.shape[1], 1)), np.ones(values.shape[1]))
    return jackknife(clusters, lambda sums: sums[..., :1] / sums[..., 1:], ONE)


def test_of_a_mean_it_is_the_t_test():
    values = [0.3, -0.1, 0.4, 0.6, 0.2]
    test = ttest_1samp(values, 0)
    ends = test.confidence_interval(0.95)
    scored = means(values)
    assert scored.interval(0, PLAIN, None) == pytest.approx((ends.low, ends.high))
    assert scored.p(0) == pytest.approx(test.pvalue)
    assert scored.interval(0, (0, 0.5), None) == (0, 0.5), "within its limits"


def test_alike_clusters_in_one_row_are_as_many():
    several = np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])[None]
    together = Clusters(several[:, 1:], np.ones((2, 1)), np.array([2.0, 1.0]))
    apart = Clusters(several, np.ones((3, 1)), np.ones(3))
    formula = lambda sums: sums[..., :1] / sums[..., 1:]  # noqa: E731
    here, there = (jackknife(clusters, formula, ONE) for clusters in (together, apart))
    assert here.interval(0, (0, 1), 3) == pytest.approx(there.interval(0, (0, 1), 3))


def test_seeds_that_differ_add_to_the_variance_what_they_do_not_share():
    """Two-way analysis of variance: a mean over speakers and seeds, by the sums of squares of the textbook."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1, 6)) + rng.normal(0, 2, size=(4, 1)) + rng.normal(0, 0.3, size=(4, 6))
    seeds, speakers = values.shape
    rest = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    both = (rest**2).sum() / (seeds - 1) / (speakers - 1) / seeds / speakers
    of_speakers, of_seeds = values.mean(0).var(ddof=1) / speakers, values.mean(1).var(ddof=1) / seeds - both
    variance = of_speakers + of_seeds
    degrees = variance**2 / (of_speakers**2 / (speakers - 1) + of_seeds**2 / (seeds - 1))
    margin = student.ppf(0.975, degrees) * np.sqrt(variance)
    ends = values.mean() - margin, values.mean() + margin
    assert means(*values).interval(0, PLAIN, None) == pytest.approx(ends)


@pytest.mark.parametrize(
    ("sizes", "weights", "expected"),
    [
        ([[5], [5], [5], [5]], [1], 3),
        ([[5, 9], [5, 9], [5, 9]], [1, 4], 2),  # both groups are the same speakers'
        ([[1000], [1], [1], [1]], [1], 2),  # the large one stands for itself
        ([[5, 5], [5, 5], [5, 0], [5, 0], [5, 0]], [1e-9, 1], 1),  # what varies is of two speakers
        ([[5, 0], [0, 5]], [1, 1], 1),  # each group is of one: nothing can be told
    ],
)
def test_degrees_of_freedom(sizes, weights, expected):
    sizes = np.array(sizes, dtype=float)
    assert freedom(sizes, np.ones(len(sizes)), np.array(weights, dtype=float)) == pytest.approx(expected, abs=0.35)


def test_degrees_of_freedom_are_those_of_the_matrix():
    rng = np.random.default_rng(0)
    sizes, weights = rng.integers(1, 30, size=(7, 3)).astype(float), np.array([0.2, 1.0, 0.5])
    shares = sizes / sizes.sum(0)
    matrix = sum(v * (np.diag(w) - np.outer(w, w)) for v, w in zip(weights, shares.T))
    expected = np.trace(matrix) ** 2 / np.trace(matrix @ matrix)
    assert freedom(sizes, np.ones(7), weights) == pytest.approx(expected)
    copies = np.array([3.0, 1, 1, 1, 1, 1, 2])
    assert freedom(sizes, copies, weights) == pytest.approx(
        freedom(np.repeat(sizes, copies.astype(int), 0), np.ones(10), weights)
    )


@pytest.mark.parametrize("limits", [(0.0, 1.0), (-1.0, 1.0), (0.0, 5.0)])
def test_the_scale_has_no_ends_and_a_way_back(limits):
    values = np.linspace(*limits, 9)
    scale = Scale(limits, 20)
    there = scale.there(values)
    assert np.isfinite(there).all() and (np.diff(there) > 0).all() and there[4] == pytest.approx(0)
    assert scale.back(there) == pytest.approx(values)
    assert np.array_equal(Scale((0, np.inf), 20).there(values), values), "a measure without a highest value"


def test_without_two_clusters_there_is_no_interval():
    assert np.isnan(means([0.4]).interval(0, (0, 1), 1)).all() and means([0.4]).p(0) is None


def test_where_clusters_are_alike_an_utterance_may_differ():
    """At an end of the range the interval is that of a jackknife by hand, in which a cluster differs by a tenth."""
    logits = Scale((0, 1), 30).there(np.array([1, 0.9, 1 - 0.1 * 9 / 8]))  # without it, of all, without another one
    error = np.sqrt(8 / 9 * ((logits[0] - logits[1]) ** 2 + 8 * (logits[2] - logits[1]) ** 2))
    low = Scale((0, 1), 30).back(logits[1] - student.ppf(0.975, 8) * error)
    assert means([1] * 9).interval(0, (0, 1), 30) == pytest.approx((low, 1)) and low > 0
    assert means([0] * 9).interval(0, (0, 1), 30) == pytest.approx((0, 1 - low))


def test_equal_systems_may_differ_by_an_utterance():
    low, high = means([0, 0, 0]).interval(0, (-1, 1), None)
    assert -low == high == pytest.approx(0.1 + student.ppf(0.975, 2) * 0.1)
    assert means([0, 0, 0]).p(0) == 1
    everywhere = means([0.8, 0.8, 0.8])
    assert everywhere.interval(0, (-1, 1), None)[0] > 0 and everywhere.p(0) < 0.05, "a difference of all speakers"
