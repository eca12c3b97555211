"""Evaluations of timelines: mean and pooled by hand, and the jackknife against a loop that anybody can read."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import t as student

from emobridge.errors import UserError
from emobridge.scores.base import Condition
from emobridge.scores.files import read_scores, write_scores
from emobridge.scores.timelines import TimelineEvaluation
from emobridge.types import Segment

CONDITION = Condition("r", "diarizer", "wavlm", "3", "none", "ravdess", "zed", "0", "test", "target")


def stretch(start, end, emotion="anger"):
    return (Segment(start, end, emotion),)


def small() -> TimelineEvaluation:
    """Two utterances of 10 and 2 s, of anger and joy: EDER 0.2 and 1.0."""
    return TimelineEvaluation(
        (stretch(1, 3), stretch(0, 2, "happiness")),
        ((stretch(2, 4), stretch(0, 2)),),
        (10.0, 2.0),
        ("a", "b"),
    )


def example(n=24, speakers=4, seeds=1, seed=0) -> TimelineEvaluation:
    rng = np.random.default_rng(seed)
    names = ("anger", "happiness", "sadness")
    emotions = [names[index % 3] for index in range(n)]
    durations = tuple(rng.uniform(4, 12, n).tolist())
    references = tuple(stretch(0.2 * end, 0.8 * end, emotion) for end, emotion in zip(durations, emotions))
    worse = rng.uniform(0.05, 0.4, speakers)  # speakers differ, so that clusters matter
    hypotheses = tuple(
        tuple(
            stretch(0.2 * end, max(0.25, 0.8 - worse[i % speakers] * rng.uniform(0.5, 1)) * end, emotion)
            for i, (end, emotion) in enumerate(zip(durations, emotions))
        )
        for _ in range(seeds)
    )
    return TimelineEvaluation(references, hypotheses, durations, tuple(f"s{i % speakers}" for i in range(n)))


def by_name(estimates):
    return {row.measure: row for row in estimates}


def test_mean_and_pooled_by_hand():
    rows = by_name(small().estimates())
    assert rows["EDER"].value == pytest.approx(0.6) and rows["EDER pooled"].value == pytest.approx(4 / 12)
    assert rows["EDER missed"].value == pytest.approx(0.05) and rows["EDER pooled missed"].value == pytest.approx(
        1 / 12
    )
    assert rows["EDER confusion"].value == pytest.approx(0.5) and rows["EDER overlap"].value == 0
    assert rows["EDER pooled confusion"].value == pytest.approx(2 / 12)
    assert rows["EDER anger"].value == pytest.approx(0.2) and rows["EDER happiness"].value == pytest.approx(1.0)
    assert rows["EDER pooled happiness confusion"].value == pytest.approx(1.0)
    assert (rows["EDER"].n, rows["EDER anger"].n, rows["EDER"].intervals_over) == (2, 1, "speakers")
    assert math.isnan(rows["EDER anger"].low)  # of a single speaker
    for row in ("EDER", "EDER pooled"):
        names = ("missed", "false alarm", "overlap", "confusion")
        assert rows[row].value == pytest.approx(sum(rows[f"{row} {name}"].value for name in names))


@pytest.mark.parametrize("measure", ["EDER", "EDER pooled", "EDER missed", "EDER anger"])
def test_the_interval_is_that_of_a_plain_loop_that_leaves_out_each_speaker(measure):
    data = example()
    if "pooled" in measure:
        data = replace(data, references=tuple(stretch(2, 8, e) for e in data.emotions), durations=(10.0,) * 24)
    times = data.error_times()[0]
    keep = [i for i in range(24) if not measure.endswith("anger") or data.emotions[i] == "anger"]
    wrong = np.array([times[i].missed if measure.endswith("missed") else sum(times[i].parts) for i in keep])
    seconds, who = np.array([times[i].scored for i in keep]), np.array([i % 4 for i in keep])

    def value(rows):
        return wrong[rows].sum() / seconds[rows].sum() if "pooled" in measure else (wrong / seconds)[rows].mean()

    whole, left = value(who >= 0), np.array([value(who != k) for k in range(4)])
    n = len(keep)
    half = lambda p: logit((n * p + 0.5) / (n + 1))  # noqa: E731
    error = np.sqrt(3 / 4 * np.sum((half(left) - half(whole)) ** 2))
    ends = half(whole) + np.array([-1, 1]) * student.ppf(0.975, 3) * error
    row = by_name(data.estimates())[measure]
    assert row.value == pytest.approx(whole)
    assert (row.low, row.high) == pytest.approx(tuple(np.clip((expit(ends) * (n + 1) - 0.5) / n, 0, 1)))


def test_a_paired_difference_cancels_what_is_hard_about_a_speaker():
    data = example(seeds=2)
    better = replace(data, hypotheses=tuple(
        tuple(
            (replace(row[0], end=row[0].end + (0.01 + 0.001 * (i % 4)) * end),)
            for i, (row, end) in enumerate(zip(rows, data.durations))
        )
        for rows in data.hypotheses
    ))  # fmt: skip
    gap = by_name(better.difference(data))
    assert gap["EDER difference"].value == pytest.approx(-0.0115)
    assert gap["EDER difference"].high < 0 and gap["EDER difference"].p < 0.01
    pooled = by_name(better.difference(data, measure="EDER pooled"))
    assert -0.013 < pooled["EDER pooled difference"].value < -0.01
    with pytest.raises(UserError, match="the same utterances"):
        data.difference(replace(data, collar=0.1))


@pytest.mark.parametrize("speakers", [("a",), (None,)])
def test_a_single_recording_has_a_value_and_no_interval(speakers):
    data = TimelineEvaluation((stretch(1, 3),), ((stretch(2, 3),),), (4.0,), speakers)
    rows = by_name(data.estimates())
    assert rows["EDER"].value == rows["EDER pooled"].value == 0.25 and math.isnan(rows["EDER"].low)
    assert rows["EDER anger"].value == rows["EDER pooled anger missed"].value == 0.25
    assert by_name(data.difference(data))["EDER difference"].p is None


def test_all_alike_still_leave_an_interval():
    data = replace(example(), hypotheses=(example().references,))
    row = by_name(data.estimates())["EDER"]
    assert row.value == 0 == row.low and 0 < row.high < 0.7


def test_a_recording_that_its_collars_cover_is_left_out():
    data = replace(small(), references=(stretch(1, 3), stretch(1, 1.5, "happiness")), collar=1.0)
    rows = by_name(data.estimates())
    assert rows["EDER"].n == 1 and rows["EDER"].value == pytest.approx(0.0)
    assert "EDER happiness" not in rows or math.isnan(rows["EDER happiness"].value)
    everything = by_name(replace(data, collar=20.0).estimates())
    assert math.isnan(everything["EDER"].value) and everything["EDER"].n == 0


def test_recordings_without_an_emotion_and_with_several():
    data = TimelineEvaluation(
        ((), stretch(0, 1, "neutral"), (*stretch(0, 1), *stretch(2, 3, "sadness"))), (((), (), ()),), (4.0,) * 3,
        (None,) * 3,
    )  # fmt: skip
    assert data.emotions == ("neutral", "neutral", "several")
    assert data.collapsed == "no emotion in any of 3 recordings"
    assert by_name(data.estimates())["EDER several missed"].value == 0.5
    assert by_name(data.estimates())["EDER"].intervals_over == "utterances"


def test_what_collapsed():
    data = small()
    assert data.collapsed == "no emotion but anger in 2 recordings"
    assert replace(data, hypotheses=(data.references,)).collapsed is None


def test_subsets_are_scored_by_themselves():
    data = small()
    assert data.per_subset([[0], [1], [0, 1]])["EDER"] == pytest.approx([0.2, 1.0, 0.6])
    assert data.per_subset([[0, 1]], measure="EDER pooled")["EDER pooled"] == pytest.approx([4 / 12])


def test_rows_of_scores_survive_a_file(tmp_path):
    rows = example(seeds=2).scores(CONDITION)
    write_scores(tmp_path / "scores.json", rows)
    assert read_scores(tmp_path / "scores.json") == tuple(rows)
    assert {row.seed for row in rows} == {"0", "1", "all"} and rows[0].labels == "anger,happiness,sadness"


def test_what_does_not_fit_is_named():
    with pytest.raises(UserError, match="1 hypotheses for 2 recordings"):
        replace(small(), hypotheses=((stretch(0, 1),),))
    with pytest.raises(UserError, match="nothing to score"):
        TimelineEvaluation((), ((),), (), ())
    with pytest.raises(UserError, match="expected a duration above 0"):
        replace(small(), durations=(10.0, 0.0))
