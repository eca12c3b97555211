"""Calibration: formulas that a person can recompute, and what must hold of any probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from emobridge.errors import UserError
from emobridge.scores.calibration import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    accuracy_at_coverage,
    expected_calibration_error,
    fit_temperature,
    reliability_curve,
    temperature_of_confidence,
    tempered,
    top_answers,
)


def softmax(z: np.ndarray) -> np.ndarray:
    values = np.exp(z - z.max(1, keepdims=True))
    return values / values.sum(1, keepdims=True)


def drawn(temperature: float, n: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities p, and classes drawn from p^(1 / temperature)."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, (n, classes))
    truth = (softmax(z / temperature).cumsum(1) > rng.random((n, 1))).argmax(1)
    return softmax(z), truth


def test_ece_by_hand():
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    truth = np.array([0, 1, 0, 1])
    # two at .9 with one right, one at .6 and one at .8 that are right
    assert expected_calibration_error(p, truth, bins=10) == pytest.approx((2 * 0.4 + 0.4 + 0.2) / 4)
    assert [(part.n, part.accuracy) for part in reliability_curve(p, truth, bins=10)] == [(1, 1.0), (1, 1.0), (2, 0.5)]
    # a single bin holds them all: confidence .8, accuracy .75
    assert expected_calibration_error(p, truth, bins=1) == pytest.approx(0.05)


@pytest.mark.parametrize("bins", [1, 2, 15, 100])
@pytest.mark.parametrize("seed", range(5))
def test_ece_is_the_paper_s_sum_and_in_range(bins, seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(4) * 0.3, 200)
    truth = rng.integers(4, size=200)
    sure, right = p.max(1), p.argmax(1) == truth
    expected = 0.0
    for m in range(1, bins + 1):
        inside = ((m - 1) / bins < sure) & (sure <= m / bins)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    value = expected_calibration_error(p, truth, bins=bins)
    assert value == pytest.approx(expected) and 0 <= value <= 1
    assert sum(part.n for part in reliability_curve(p, truth, bins=bins)) == 200


def test_ece_of_what_is_calibrated_is_0_and_of_certain_errors_1():
    p = np.repeat([[0.5, 0.25, 0.25], [0.75, 0.25, 0.0], [1.0, 0.0, 0.0]], 4, axis=0)
    truth = np.array([0, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0, 0])
    assert expected_calibration_error(p, truth) == 0
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([1])) == 1


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 7.0])
@pytest.mark.parametrize("classes", [2, 4, 9])
def test_the_temperature_of_data_drawn_with_one_is_recovered(temperature, classes):
    p, truth = drawn(temperature, 20_000, classes, seed=classes)
    fitted = fit_temperature(p, truth)
    assert fitted == pytest.approx(temperature, rel=0.08)
    calibrated = expected_calibration_error(tempered(p, fitted), truth)
    assert calibrated < 0.02 and calibrated <= expected_calibration_error(p, truth) + 0.005


def test_it_minimises_the_negative_log_likelihood():
    p, truth = drawn(3.0, 4000, 4, seed=1)

    def nll(temperature: float) -> float:
        return -np.log(tempered(p, temperature)[np.arange(len(p)), truth]).mean()

    grid = np.exp(np.linspace(np.log(0.1), np.log(20), 4000))
    assert fit_temperature(p, truth) == pytest.approx(grid[np.argmin([nll(t) for t in grid])], rel=0.005)


@pytest.mark.parametrize("temperature", [LOWEST_TEMPERATURE, 0.5, 1.0, 3.0, HIGHEST_TEMPERATURE])
def test_a_temperature_changes_no_answer(temperature):
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.dirichlet(np.ones(5) * a, 500) for a in (0.01, 1.0, 100.0)])
    p = np.concatenate([p, np.eye(5), np.full((1, 5), 0.2)]).astype(np.float32)
    q = tempered(p, temperature)
    np.testing.assert_array_equal(q.argmax(1), p.argmax(1))
    np.testing.assert_allclose(q.sum(1), 1)
    assert tempered(p[:0], temperature).shape == (0, 5)


def test_tempered_is_the_softmax_of_divided_logits():
    z = np.random.default_rng(0).normal(0, 3, (50, 4))
    np.testing.assert_allclose(tempered(softmax(z), 2.7), softmax(z / 2.7))
    np.testing.assert_allclose(tempered(softmax(z), 1.0), softmax(z))


@pytest.mark.parametrize("sure", [0.4, 0.9, 1.0])
@pytest.mark.parametrize("n", [1, 2, 10, 100])
def test_a_few_right_answers_make_nothing_certain(sure, n):
    p = np.tile([sure, *[(1 - sure) / 3] * 3], (n, 1))
    temperature = fit_temperature(p, np.zeros(n, int))
    confidence = tempered(p, temperature)[0, 0]
    assert LOWEST_TEMPERATURE <= temperature <= HIGHEST_TEMPERATURE
    assert confidence == pytest.approx(1 - 0.75 / (n + 1), abs=0.01)  # one answer more, shared out over four classes


@pytest.mark.parametrize("n", [1, 10, 1000])
def test_where_all_is_wrong_confidence_is_a_guess(n):
    p = np.tile([0.97, 0.01, 0.01, 0.01], (n, 1))
    assert tempered(p, fit_temperature(p, np.ones(n, int)))[0, 0] < 0.3


def test_probabilities_of_exactly_0_are_borne():
    p = np.array([[1.0, 0.0, 0.0]] * 9 + [[0.0, 1.0, 0.0]])
    temperature = fit_temperature(p, np.zeros(10, int))
    assert np.isfinite(temperature) and tempered(p, temperature)[0, 0] == pytest.approx(0.88, abs=0.05)


def test_nothing_and_a_single_class_tell_no_temperature():
    nothing, none = np.empty((0, 4)), np.empty(0, int)
    assert fit_temperature(nothing, none) == 1 and fit_temperature(np.ones((7, 1)), np.zeros(7, int)) == 1
    assert np.isnan(expected_calibration_error(nothing, none)) and reliability_curve(nothing, none) == ()
    assert np.isnan(accuracy_at_coverage(nothing, none, 0.5))


def test_weights_count_as_repetitions_do():
    p, truth = drawn(2.0, 400, 3, seed=2)
    weights = np.random.default_rng(0).integers(1, 4, 400)
    repeated = fit_temperature(np.repeat(p, weights, axis=0), np.repeat(truth, weights))
    assert fit_temperature(p, truth, weights=weights) == pytest.approx(repeated, rel=0.01)


def test_accuracy_at_coverage_by_hand():
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    truth = np.array([0, 0, 1, 0])
    assert [accuracy_at_coverage(p, truth, share) for share in (0.25, 0.5, 0.75, 1.0)] == [1, 1, 2 / 3, 0.75]
    assert accuracy_at_coverage(p[:1], truth[:1], 0.25) == 1  # at least one answer


def test_equally_sure_answers_count_by_their_mean_in_any_order():
    p, truth = np.tile([0.7, 0.3], (8, 1)), np.array([0, 0, 0, 1, 1, 1, 1, 1])
    for order in (np.arange(8), np.arange(8)[::-1]):
        assert accuracy_at_coverage(p, truth[order], 0.25) == pytest.approx(3 / 8)


def test_confidence_is_of_the_first_of_equal_classes():
    sure, right = top_answers(np.array([[0.5, 0.5]] * 2), np.array([0, 1]))
    assert sure.tolist() == [0.5, 0.5] and right.tolist() == [True, False]


@pytest.mark.parametrize(
    ("p", "truth", "words"),
    [
        (np.ones(3), np.zeros(3, int), r"\(N, C\)"),
        (np.ones((3, 2)) / 2, np.zeros(2, int), r"\(3, 2\) and \(2,\)"),
        (np.array([[np.nan, 0.5]]), np.array([0]), "from 0 to 1"),
        (np.array([[-0.1, 1.1]]), np.array([0]), "from 0 to 1"),
        (np.array([[0.5, 0.5]]), np.array([2]), "from 0 to 1, got 2 to 2"),
        (np.array([[0.5, 0.5]]), np.array([-1]), "got -1 to -1"),
    ],
)
def test_what_is_no_probability_or_no_class_is_refused(p, truth, words):
    for function in (fit_temperature, expected_calibration_error):
        with pytest.raises(UserError, match=words):
            function(p, truth)
    with pytest.raises(UserError, match="bins: expected 1 or more, got 0"):
        expected_calibration_error(np.array([[0.5, 0.5]]), np.array([0]), bins=0)


def test_confidence_sinks_to_what_is_asked():
    p = np.random.default_rng(0).dirichlet([0.3] * 4, 50)
    for confidence in (0.3, 0.5, 0.7):
        temperature = temperature_of_confidence(p, confidence)
        assert temperature >= 1
        assert tempered(p, temperature).max(1).mean() == pytest.approx(min(confidence, p.max(1).mean()), abs=1e-6)
    assert temperature_of_confidence(p, 0.99) == temperature_of_confidence(p, float("nan")) == 1.0
    assert temperature_of_confidence(p[:0], 0.5) == 1.0
    assert temperature_of_confidence(p, 0.1) == HIGHEST_TEMPERATURE, "no temperature brings it below chance"
