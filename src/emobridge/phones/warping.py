"""Dynamic time warping: which frames of two sequences belong together (Sakoe and Chiba 1978, symmetric, slope free)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cosine_costs(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, D) and (M, D) -> (N, M) in [0, 2]: one less the cosine; of a frame without direction it is 1."""
    rows, columns = (
        frames / np.maximum(np.linalg.norm(frames, axis=1, keepdims=True), 1e-8) for frames in (first, second)
    )
    return np.asarray(1 - rows @ columns.T, np.float32)


def warp(costs: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N, M) -> (K, 2): the cheapest path of pairs from (0, 0) to (N - 1, M - 1) by steps (1, 1), (1, 0) and (0, 1).

    The cost of a path is the sum of its cells. It is computed along anti-diagonals, whose cells do not depend on each
    other: a byte a cell is held beside the costs. Errors: ValueError for costs without a cell.
    """
    rows, columns = costs.shape
    if not rows or not columns:
        raise ValueError(f"costs of the shape {costs.shape}: expected a cell at least")
    steps = np.zeros((rows, columns), np.int8)  # 0 diagonal, 1 down a row, 2 along it
    # Cell (i, j) is on diagonal i + j; totals are held by i + 1, and before the first row and column are infinite.
    before = np.full(rows + 1, np.inf)
    last = before.copy()
    before[0] = 0.0
    for diagonal in range(rows + columns - 1):
        low, high = max(0, diagonal - columns + 1), min(rows - 1, diagonal) + 1
        i = np.arange(low, high)
        candidates = np.stack([before[low:high], last[low:high], last[low + 1 : high + 1]])
        best = candidates.argmin(0)
        totals = np.full(rows + 1, np.inf)
        totals[low + 1 : high + 1] = candidates[best, i - low] + costs[i, diagonal - i]
        steps[i, diagonal - i] = best
        before, last = last, totals
    return _backwards(steps)


def _backwards(steps: NDArray[np.int8]) -> NDArray[np.int64]:
    i, j = steps.shape[0] - 1, steps.shape[1] - 1
    path = [(i, j)]
    while i or j:
        step = steps[i, j]
        i, j = i - (step != 2), j - (step != 1)
        path.append((i, j))
    return np.array(path[::-1], np.int64)


def mapped_times(path: NDArray[np.int64], times: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Times (s) of the first sequence in the second, never falling: the mean of the frames that belong to each frame.

    path: as `warp` gives it. rate: of the frames, in Hz; frame i is about the time i / rate.
    """
    partners = np.bincount(path[:, 0], path[:, 1]) / np.bincount(path[:, 0])
    mapped: NDArray[np.float64] = np.interp(times * rate, np.arange(len(partners)), partners) / rate
    return mapped
