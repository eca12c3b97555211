"""EDER by hand and against counting on a grid; boundaries. `test_diarization_pyannote.py` has the other referee."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emobridge.errors import UserError
from emobridge.literature.published import published
from emobridge.scores.diarization import PARTS, ErrorTimes, active_emotions, boundary_errors, error_times
from emobridge.types import Segment

ANGER, JOY, GRIEF, CALM = "anger", "happiness", "sadness", "neutral"
GRID = 0.25  # s: sums of such numbers are exact


def parts(reference, hypothesis, duration=10.0, **options):
    return error_times(reference, hypothesis, duration, **options).parts


def heard(start, end, emotion=ANGER):
    return Segment(start, end, emotion)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "missed", "false_alarm", "overlap", "confusion"),
    [
        ([], [], 0, 0, 0, 0),
        ([heard(2, 4)], [heard(2, 4)], 0, 0, 0, 0),
        ([heard(2, 4)], [], 2, 0, 0, 0),
        ([], [heard(2, 5)], 0, 3, 0, 0),
        ([heard(2, 4)], [heard(3, 5)], 1, 1, 0, 0),
        ([heard(2, 4)], [heard(2, 4, JOY)], 0, 0, 0, 2),
        ([heard(2, 6)], [heard(2, 6), heard(3, 4, JOY)], 0, 0, 1, 0),
        ([heard(2, 6)], [heard(2, 3, JOY), heard(2, 3, GRIEF)], 3, 0, 0, 1),
        ([], [heard(1, 2), heard(1, 2, JOY)], 0, 1, 0, 0),
        # The reference itself overlaps: ours.
        ([heard(2, 4), heard(2, 4, JOY)], [heard(2, 4)], 2, 0, 0, 0),
        ([heard(2, 4), heard(2, 4, JOY)], [heard(2, 4), heard(2, 4, JOY), heard(2, 4, GRIEF)], 0, 0, 2, 0),
        ([heard(2, 4), heard(2, 4, JOY)], [heard(2, 4), heard(2, 4, GRIEF)], 0, 0, 0, 2),
        # Neutral is the absence of emotion, in either side.
        ([heard(0, 5, CALM), heard(5, 10)], [heard(0, 10, CALM)], 5, 0, 0, 0),
        ([heard(0, 5, CALM)], [heard(0, 5)], 0, 5, 0, 0),
        ([heard(0, 5, CALM)], [], 0, 0, 0, 0),
        # Two segments of one emotion, that touch, overlap or stand in another order, are one.
        ([heard(2, 6)], [heard(4, 6), heard(2, 4)], 0, 0, 0, 0),
        ([heard(2, 6)], [heard(2, 5), heard(3, 6)], 0, 0, 0, 0),
        # What lies after the end is cut off.
        ([heard(8, 12)], [heard(9, 30)], 1, 0, 0, 0),
        ([heard(8, 10)], [heard(8, 10), heard(10, 12, JOY), heard(20, 21, JOY)], 0, 0, 0, 0),
    ],
)
def test_the_parts_by_hand(reference, hypothesis, missed, false_alarm, overlap, confusion):
    times = error_times(reference, hypothesis, 10.0)
    assert times.parts == (missed, false_alarm, overlap, confusion)
    assert (times.scored, times.eder) == (10.0, (missed + false_alarm + overlap + confusion) / 10)
    assert times.rates == tuple(part / 10 for part in times.parts)


def test_neutral_as_a_class_is_a_label_as_any_other():
    reference, hypothesis = [heard(0, 4, CALM), heard(4, 8)], [heard(0, 6, CALM), heard(9, 10, CALM)]
    assert parts(reference, hypothesis) == (4, 0, 0, 0)
    assert parts(reference, hypothesis, neutral_as="class") == (2, 1, 0, 2)


def test_a_collar_takes_time_out_of_both_score_and_duration():
    reference = [heard(2, 4), heard(4, 6)]  # of one emotion: no change at 4
    times = error_times(reference, [heard(3, 9)], 10.0, collar=0.5)
    assert times == ErrorTimes(0.5, 2.5, 0, 0, 8.0)
    assert error_times([heard(0, 10)], [heard(0, 5)], 10.0, collar=1).scored == 10.0  # ends are no changes
    assert error_times([], [heard(0, 5)], 10.0, collar=1) == ErrorTimes(0, 5, 0, 0, 10.0)
    nothing = error_times([heard(1, 2)], [heard(0, 1)], 3.0, collar=4.0)
    assert nothing.scored == 0 and math.isnan(nothing.eder) and all(map(math.isnan, nothing.rates))
    assert error_times([heard(1, 2)], [], 3.0, collar=0.5).scored == 1.0  # collars that touch: 0.5 to 2.5


@pytest.mark.parametrize("duration", [0.0, -1.0, math.inf, math.nan])
def test_a_recording_has_a_duration(duration):
    with pytest.raises(UserError, match="expected a duration above 0"):
        error_times([], [], duration)


def test_bad_options_are_named():
    with pytest.raises(UserError, match=r"collar: expected 0 or more seconds, got -0\.1"):
        error_times([], [], 1.0, collar=-0.1)
    with pytest.raises(UserError, match="unknown use of neutral 'abscence': did you mean 'absence'"):
        error_times([], [], 1.0, neutral_as="abscence")


def test_the_example_of_the_recipe():
    """The example in the docstring of SpeechBrain's EDER, 0.2704918: its six frames of 0.2 s end at 1.2 of 1.22 s."""
    times = error_times([heard(0.39, 1.10)], [heard(0.6, 1.2)], 1.22)
    assert times.missed == pytest.approx(0.21) and times.false_alarm == pytest.approx(0.10)
    # There the last 0.02 s, without a frame, count as an error; here nothing is said of them, which is neutral.
    assert times.eder + 0.02 / 1.22 == pytest.approx(0.2704918032786885)


def stretches(single):
    """Segments on a grid in 0 to 16 s; `single`: without overlap."""
    cell = st.tuples(st.integers(0, 60), st.integers(1, 20), st.sampled_from((ANGER, JOY, GRIEF, CALM)))

    def segments(cells):
        rows, last = [], 0
        for start, length, emotion in sorted(cells):
            start = max(start, last) if single else start
            if start + length <= 64:
                rows.append(Segment(start * GRID, (start + length) * GRID, emotion))
                last = start + length
        return rows

    return st.lists(cell, max_size=8).map(segments)


@settings(max_examples=60, deadline=None)
@given(stretches(False), stretches(False), st.sampled_from(["absence", "class"]))
def test_any_overlap_is_that_of_counting_cells(reference, hypothesis, neutral_as):
    counts = dict.fromkeys((*PARTS, "correct"), 0)
    for cell in range(64):
        middle = (cell + 0.5) * GRID
        sides = [
            {row.emotion for row in rows if row.start < middle < row.end}
            - ({CALM} if neutral_as == "absence" else set())
            for rows in (reference, hypothesis)
        ]
        truth, answer = sides
        wrong = (
            ("missed" if not answer else "confusion" if answer - truth else "missed")
            if truth - answer
            else ("overlap" if truth else "false alarm")
        )
        counts["correct" if truth == answer else wrong] += 1
    times = error_times(reference, hypothesis, 16.0, neutral_as=neutral_as)
    assert times.parts == tuple(counts[part] * GRID for part in PARTS)
    assert 0 <= times.eder <= 1


def test_an_hour_of_short_segments_is_quick_and_exact():
    rng = random.Random(0)
    cuts = sorted({round(rng.uniform(0, 3600), 3) for _ in range(4000)})
    rows = [heard(a, b, rng.choice((ANGER, JOY, GRIEF))) for a, b in itertools.pairwise(cuts)]
    assert error_times(rows, rows, 3600.0, collar=0.1).eder == 0
    assert error_times(rows, [], 3600.0).missed == pytest.approx(cuts[-1] - cuts[0])


def test_a_timeline_joins_and_cuts():
    line = active_emotions([heard(0, 1), heard(1, 2), heard(2, 3, CALM), heard(5, 9, JOY)], 6.0)
    assert (line.times, line.changes) == ((0.0, 2, 5), (2, 5))
    assert [sorted(active) for active in line.emotions] == [[ANGER], [], [JOY]]
    assert active_emotions([heard(0, 6)], 6.0).changes == ()


def test_boundaries_match_where_each_is_the_others_nearest():
    found = boundary_errors([heard(2, 6)], [heard(2.25, 5.5)], 10.0)
    assert (found.distances, found.missed, found.inserted, found.median) == ((0.25, 0.5), 0, 0, 0.375)
    crowded = boundary_errors([heard(2, 6)], [heard(1.5, 2.25), heard(2.5, 3)], 10.0)
    assert (crowded.distances, crowded.missed, crowded.inserted) == ((0.25,), 1, 3)
    tied = boundary_errors([heard(2, 10)], [heard(1, 3)], 10.0)  # 1 and 3 lie equally near
    assert (tied.distances, tied.missed, tied.inserted) == ((1.0,), 0, 1)


def test_boundaries_of_nothing():
    for reference, hypothesis, missed, inserted in (
        ([], [], 0, 0), ([heard(2, 6)], [], 2, 0), ([], [heard(2, 6)], 0, 2), ([heard(0, 10)], [heard(0, 10)], 0, 0),
    ):  # fmt: skip
        result = boundary_errors(reference, hypothesis, 10.0)
        assert (result.distances, result.missed, result.inserted) == ((), missed, inserted)
        assert math.isnan(result.median)


def test_the_printed_average_may_be_a_mean_over_utterances():
    """Han et al. 2025 print 36.6, 27.5 and 50.3, whose mean is 38.1, and 38.2: 8 utterances an emotion, and rounding.

    Lengths of utterances are not printed, so that a pooled rate may be any number between the lowest and the highest.
    """
    printed = {row.method: row.value for row in published() if "diarization" in row.id and row.encoder == "wavlm-large"
               and row.target == "zed"}  # fmt: skip
    cells = [printed[f"diarization, {emotion}"] for emotion in ("angry", "happy", "sad")]
    assert f"{sum(cells) / 3:.1f}" == "38.1" and printed["diarization, average"] == 38.2
    shares = [cell / 100 + 0.0004 for cell in cells for _ in range(8)]
    rates = [error_times([heard(0, 10)], [heard(10 * share, 10)], 10.0).eder for share in shares]
    means = [sum(rates[start : start + 8]) / 8 for start in (0, 8, 16)]
    assert [f"{100 * mean:.1f}" for mean in means] == [f"{cell:.1f}" for cell in cells]
    assert f"{100 * sum(rates) / 24:.1f}" == "38.2"
