"""Dynamic time warping against a plain implementation, and times that follow a path."""

from __future__ import annotations

import numpy as np
import pytest

from emobridge.phones.warping import cosine_costs, mapped_times, warp


def plain_total(costs):
    """The least total by the textbook's recursion, cell by cell."""
    totals = np.full((costs.shape[0] + 1, costs.shape[1] + 1), np.inf)
    totals[0, 0] = 0
    for i in range(costs.shape[0]):
        for j in range(costs.shape[1]):
            totals[i + 1, j + 1] = costs[i, j] + min(totals[i, j], totals[i, j + 1], totals[i + 1, j])
    return totals[-1, -1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 2), (13, 5), (5, 13), (20, 20)])
def test_a_path_is_the_cheapest_and_goes_from_corner_to_corner_by_single_steps(shape):
    costs = np.random.default_rng(sum(shape)).random(shape).astype(np.float32)
    path = warp(costs)
    assert path[0].tolist() == [0, 0] and path[-1].tolist() == [shape[0] - 1, shape[1] - 1]
    steps = np.diff(path, axis=0)
    assert set(map(tuple, steps.tolist())) <= {(0, 1), (1, 0), (1, 1)}
    assert costs[path[:, 0], path[:, 1]].sum() == pytest.approx(plain_total(costs))


def test_costs_without_a_cell_are_refused():
    with pytest.raises(ValueError, match="expected a cell"):
        warp(np.zeros((0, 3), np.float32))


def test_cosines_as_costs():
    costs = cosine_costs(np.array([[1, 0], [0, 0]], np.float32), np.array([[2, 0], [0, 1], [-1, 0]], np.float32))
    assert np.allclose(costs, [[0, 1, 2], [1, 1, 1]], atol=1e-6)


def test_a_sequence_that_is_slowed_down_is_found_in_itself():
    frames = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    path = warp(cosine_costs(frames, np.repeat(frames, 3, axis=0)))
    times = mapped_times(path, np.array([0.1, 0.25, 0.4]), 100.0)
    assert np.allclose(times, [0.31, 0.76, 1.21]), "the middle of the three frames that each became"
