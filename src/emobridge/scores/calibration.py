"""How far the confidence of a classifier is its share of right answers, and the temperature that brings it nearer.

The confidence of an answer is the probability of its most probable class. All formulas are of Guo, Pleiss, Sun &
Weinberger 2017, "On calibration of modern neural networks" (ICML); what is ours is marked so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emobridge.errors import UserError
from emobridge.scores.jackknife import Floats

CONFIDENCE_BINS = 15  # of equal width over [0, 1], as many as in the paper
SHARES = (1.0, 0.75, 0.5, 0.25)  # of the answers, the surest first
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 100.0  # temperatures; beyond lie certainty and a guess
_LEAST = np.finfo(np.float32).smallest_subnormal  # what a probability of exactly 0, in single precision, counts as


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The answers whose confidence lies in one bin."""

    confidence: float  # mean
    accuracy: float  # the share that is right
    n: int


def top_answers(p: NDArray[Any], truth: NDArray[Any]) -> tuple[Floats, NDArray[np.bool_]]:
    """Of probabilities (N, C) and true classes (N,): how sure each answer is (N,), and whether it is right (N,)."""
    p, truth = _checked(p, truth)
    return p.max(1, initial=0.0), p.argmax(1) == truth if len(p) else np.empty(0, bool)


def reliability_curve(
    p: NDArray[Any], truth: NDArray[Any], *, bins: int = CONFIDENCE_BINS
) -> tuple[ReliabilityBin, ...]:
    """Probabilities (N, C) and true classes (N,) -> the bins ((m - 1) / M, m / M] that hold an answer, in order.

    Errors: UserError for fewer than one bin.
    """
    if bins < 1:
        raise UserError(f"bins: expected 1 or more, got {bins}")
    confidence, is_right = top_answers(p, truth)
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    n, sure, right = (np.bincount(index, weights, bins) for weights in (None, confidence, is_right))
    return tuple(ReliabilityBin(sure[m] / n[m], right[m] / n[m], int(n[m])) for m in np.flatnonzero(n).tolist())


def expected_calibration_error(p: NDArray[Any], truth: NDArray[Any], *, bins: int = CONFIDENCE_BINS) -> float:
    """Equation 3: sum_m n_m / N |accuracy_m - confidence_m|, in [0, 1]; 0 is calibrated, NaN without an answer.

    p: (N, C) probabilities. truth: (N,) true classes. bins: of equal width. Of few answers it is above 0 by chance
    too, for a bin that holds a single one is off by its confidence or by the rest to 1.

    >>> p = np.array([[0.75, 0.25]] * 4)
    >>> expected_calibration_error(p, np.array([0, 0, 0, 1])), expected_calibration_error(p, np.array([1, 1, 1, 1]))
    (0.0, 0.75)
    """
    curve = reliability_curve(p, truth, bins=bins)
    if not curve:
        return float("nan")
    return float(sum(part.n * abs(part.accuracy - part.confidence) for part in curve) / sum(part.n for part in curve))


def accuracy_at_coverage(p: NDArray[Any], truth: NDArray[Any], share: float) -> float:
    """The share of right answers among the surest `share` of them (in (0, 1], at least one answer), in [0, 1].

    p: (N, C). truth: (N,). Of equally sure answers at the cut the mean counts, so that their order does not matter.
    NaN without an answer.
    """
    confidence, is_right = top_answers(p, truth)
    if not len(confidence):
        return float("nan")
    count = max(1, round(share * len(confidence)))
    cut = np.sort(confidence)[-count]
    above, at_cut = confidence > cut, confidence == cut
    right = is_right[above].sum() + (count - above.sum()) * is_right[at_cut].mean()
    return float(right / count)


def tempered(p: NDArray[Any], temperature: float) -> Floats:
    """Probabilities (N, C) as they are with the logits divided by a temperature: p^(1 / T), with rows that sum to 1.

    Above 1 all answers become less sure, below 1 surer. The most probable class stays what it was.

    >>> tempered(np.array([[0.8, 0.2]]), 2.0).round(3).tolist()
    [[0.667, 0.333]]
    """
    z = _log(np.asarray(p, np.float64)) / temperature
    z -= z.max(1, keepdims=True, initial=-np.inf)
    values: Floats = np.exp(z)
    values /= values.sum(1, keepdims=True)
    return values


def temperature_of_confidence(p: NDArray[Any], confidence: float) -> float:
    """The temperature of at least 1 by which the mean confidence of probabilities (N, C) sinks to `confidence`.

    1 where it is no higher, where `confidence` is NaN, and without an answer; HIGHEST_TEMPERATURE at most.

    >>> round(temperature_of_confidence(np.array([[0.8, 0.2]] * 3), 2 / 3), 3)
    2.0
    """

    def excess(log_temperature: float) -> float:
        return float(tempered(p, np.exp(log_temperature)).max(1).mean()) - confidence

    if not len(p) or not excess(0.0) > 0:
        return 1.0
    from scipy.optimize import brentq  # takes 0.2 s

    highest = float(np.log(HIGHEST_TEMPERATURE))
    return HIGHEST_TEMPERATURE if excess(highest) > 0 else float(np.exp(brentq(excess, 0.0, highest)))


def fit_temperature(p: NDArray[Any], truth: NDArray[Any], *, weights: NDArray[Any] | None = None) -> float:
    """The temperature, within bounds, that makes the true classes (N,) likeliest, given probabilities p (N, C).

    It minimises the mean of -log p_true (section 4.2) from LOWEST_TEMPERATURE to HIGHEST_TEMPERATURE. Each answer
    counts alike, whatever its class: a confidence is to be the share of right answers among utterances as they come,
    and that is what ECE counts. weights: (N,), for other weights, such as equal ones of two sides.
    Ours, after Platt 1999: one answer more is shared out over all answers and classes, so that a few answers that are
    all right do not make a recogniser certain. With many it changes nothing. 1 where nothing can be judged: without an
    answer, and of a single class.
    """
    p, truth = _checked(p, truth)
    if not len(p) or p.shape[1] < 2:
        return 1.0
    log_p, smooth = _log(p), 1 / (len(p) + 1)
    share = np.full(len(p), 1 / len(p)) if weights is None else np.asarray(weights, np.float64) / np.sum(weights)
    likely = share @ ((1 - smooth) * log_p[np.arange(len(p)), truth] + smooth * log_p.mean(1))
    log_p -= (highest := log_p.max(1, keepdims=True))
    likely -= share @ highest[:, 0]

    from scipy.optimize import minimize_scalar  # takes 0.2 s

    def loss(log_temperature: float) -> float:  # convex in 1 / T, and so with one minimum
        inverse = np.exp(-log_temperature)
        return float(share @ np.log(np.exp(log_p * inverse).sum(1)) - likely * inverse)

    best = minimize_scalar(loss, bounds=(np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)), method="bounded")
    return float(np.exp(best.x))


def _log(p: Floats) -> Floats:
    log_p: Floats = np.log(np.maximum(p, _LEAST))
    return log_p


def _checked(p: NDArray[Any], truth: NDArray[Any]) -> tuple[Floats, NDArray[np.int64]]:
    """Errors: UserError for shapes that do not fit, for what is no probability, and for a class that is not there."""
    p, truth = np.asarray(p, np.float64), np.asarray(truth)
    if p.ndim != 2 or truth.shape != p.shape[:1]:
        raise UserError(f"expected probabilities (N, C) and true classes (N,), got {p.shape} and {truth.shape}")
    if len(p) and not (p.min() >= 0 and p.max() <= 1 + 1e-5):  # NaN is neither
        raise UserError("expected probabilities from 0 to 1; some are not")
    if len(p) and not (truth.min() >= 0 and truth.max() < p.shape[1]):
        raise UserError(f"expected true classes from 0 to {p.shape[1] - 1}, got {truth.min()} to {truth.max()}")
    return p, truth.astype(np.int64)
