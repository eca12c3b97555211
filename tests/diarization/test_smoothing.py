"""Smoothing: segments that tile the recording, none too short, against an exhaustive search."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from emobridge.diarization.smoothing import LONGEST_STRETCH, Smoother, Smoothing, TimelineSegment, smooth


def one_hot(labels, classes: int) -> np.ndarray:
    return np.eye(classes)[np.asarray(labels)]


def spoken(frames: np.ndarray) -> np.ndarray:
    return np.ones(len(frames), dtype=bool)


def draw(rng: np.random.Generator, frames: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    values = rng.dirichlet(np.full(classes, 0.7), size=frames)
    speech = np.repeat(rng.random(frames) < 0.7, rng.integers(1, 12, frames))[:frames]
    return values, speech


def stretches(speech: np.ndarray, pause: int) -> list[tuple[int, int]]:
    """Runs of speech, those with shorter pauses between them joined: slow and plain."""
    runs = [[0, 0] for _ in range(0)]
    for frame in np.flatnonzero(speech):
        if runs and frame - runs[-1][1] < max(pause, 1):
            runs[-1][1] = frame + 1
        else:
            runs.append([frame, frame + 1])
    return [tuple(map(int, run)) for run in runs]


@pytest.mark.parametrize("seed", range(12))
def test_segments_tile_the_frames_and_none_is_too_short(seed):
    rng = np.random.default_rng(seed)
    frames, classes, rate = int(rng.integers(1, 400)), int(rng.integers(1, 6)), float(rng.choice([4.0, 12.5, 50.0]))
    smoothing = Smoothing(*(float(rng.choice(values)) for values in ([0.0, 0.3, 1.0], [0.0, 0.2, 0.5], [0.0, 0.2])))
    values, speech = draw(rng, frames, classes)
    segments = smooth(values, speech, rate, smoothing)
    assert [segment.first for segment in segments] == [0, *(segment.last for segment in segments[:-1])]
    assert segments[-1].last == frames
    shortest, pause = (math.ceil(seconds * rate - 1e-9) for seconds in (smoothing.shortest, smoothing.pause))
    inside = [(row.first, row.last) for row in segments if row.label is not None]
    for first, last in stretches(speech, pause):
        within = [(begin, end) for begin, end in inside if first <= begin < last]
        assert within[0][0] == first and within[-1][1] == last
        assert len(within) == 1 or min(end - begin for begin, end in within) >= shortest
        inside = [part for part in inside if part not in within]
    assert not inside
    for before, after in itertools.pairwise(segments):
        touching_stretches = before.label is not None and not speech[before.last - 1 : after.first + 1].all()
        assert before.label != after.label or touching_stretches
    for segment in segments:
        if segment.label is not None:
            mean = values[segment.first : segment.last].mean(0)
            assert np.allclose(segment.probabilities, mean) and segment.label == int(np.argmax(mean))


def best_by_trying(values: np.ndarray, shortest: int, cost: float) -> float:
    """The value of the best segmentation, by trying all."""
    count, best = len(values), -np.inf
    for size in range(count):
        for cuts in itertools.combinations(range(1, count), size):
            parts = list(itertools.pairwise([0, *cuts, count]))
            if size and min(last - first for first, last in parts) < shortest:
                continue
            best = max(best, sum(values[first:last].sum(0).max() for first, last in parts) - cost * size)
    return best


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("shortest", "cost"), [(1, 0.0), (1, 0.6), (2, 0.3), (3, 0.0), (4, 0.2)])
def test_the_segmentation_is_the_best_of_all(seed, shortest, cost):
    values = np.random.default_rng(seed).dirichlet(np.ones(3), size=9)
    segments = smooth(values, spoken(values), 1.0, Smoothing(shortest=shortest, cost=cost))
    value = sum(values[row.first : row.last].sum(0).max() for row in segments) - cost * (len(segments) - 1)
    assert value == pytest.approx(best_by_trying(values, shortest, cost))


def test_a_change_is_found_at_its_frame_and_a_short_doubt_is_smoothed_away():
    truth = np.repeat([0, 1, 0], [100, 80, 120])
    values = 0.2 + 0.6 * one_hot(truth, 2)
    values[40:46] = [0.1, 0.9]
    segments = smooth(values, spoken(values), 50.0)
    assert [(row.first, row.last, row.label) for row in segments] == [(0, 100, 0), (100, 180, 1), (180, 300, 0)]


def test_noisy_boundaries_are_within_a_tenth_of_a_second():
    rng, errors = np.random.default_rng(0), []
    for _ in range(20):
        truth = np.repeat([0, 1, 0], rng.integers(75, 200, 3))
        values = np.clip(0.35 + 0.3 * one_hot(truth, 2) + 0.25 * rng.standard_normal((len(truth), 2)), 0.01, 1)
        segments = smooth(values / values.sum(1, keepdims=True), spoken(truth), 50.0)
        expected = np.flatnonzero(np.diff(truth)) + 1
        assert len(segments) == 3
        errors += [abs(row.last - cut) / 50 for row, cut in zip(segments, expected)]
    assert np.median(errors) < 0.1


def test_short_pauses_are_bridged_and_long_ones_are_no_speech():
    speech = np.repeat([False, True, False, True, False, True, False], [10, 100, 20, 100, 30, 40, 5])
    segments = smooth(one_hot(np.zeros(len(speech), dtype=int), 2), speech, 50.0)  # pause 0.5 s: 25 frames
    spans = [(row.first, row.last, row.label) for row in segments]
    assert spans == [(0, 10, None), (10, 230, 0), (230, 260, None), (260, 300, 0), (300, 305, None)]


@pytest.mark.parametrize(
    ("labels", "speech", "expected"),
    [
        ([1], [True], [TimelineSegment(0, 1, (0.0, 1.0))]),
        ([1], [False], [TimelineSegment(0, 1, ())]),
        ([0, 1], [False, True], [TimelineSegment(0, 1, ()), TimelineSegment(1, 2, (0.0, 1.0))]),
    ],
)
def test_single_frames(labels, speech, expected):
    assert smooth(one_hot(labels, 2), np.array(speech), 50.0) == expected


def test_one_class_is_one_segment_and_no_frames_are_none():
    assert smooth(np.ones((500, 1)), np.ones(500, dtype=bool), 50.0) == [TimelineSegment(0, 500, (1.0,))]
    assert smooth(np.ones((0, 3)), np.ones(0, dtype=bool), 50.0) == []


@pytest.mark.parametrize("size", [1, 7, 333])
def test_the_cut_into_calls_does_not_matter(size):
    rng = np.random.default_rng(5)
    values, speech = draw(rng, 2000, 3)
    smoother, rows = Smoother(25.0), []
    for first in range(0, len(values), size):
        rows += smoother.add(values[first : first + size], speech[first : first + size])
    rows += smoother.finish()
    whole = smooth(values, speech, 25.0)
    assert [(row.first, row.last, row.label) for row in rows] == [(row.first, row.last, row.label) for row in whole]


@pytest.mark.parametrize("length", [37, 5000])
def test_endless_speech_is_settled_in_parts_that_join(length):
    frames = int(5 * LONGEST_STRETCH * 10)
    truth = np.arange(frames) // length % 2
    values = 0.3 + 0.4 * one_hot(truth, 2)
    smoother, early = Smoother(10.0), []
    for block in np.array_split(values, 50):
        early += smoother.add(block, spoken(block))
    rows = [*early, *smoother.finish()]
    cuts = [row.last for row in rows[:-1]]
    assert early and cuts == [cut for cut in range(length, frames, length)]
    assert all(row.label == index % 2 for index, row in enumerate(rows))


def test_the_held_frames_are_bounded():
    smoother, most = Smoother(10.0), 0
    for _ in range(200):
        smoother.add(np.full((100, 4), 0.25), np.ones(100, dtype=bool))
        most = max(most, sum(len(block) for block in smoother._blocks))
    assert most <= LONGEST_STRETCH * 10 + 100


def test_bad_input_is_refused():
    for values, speech in (
        (np.ones((3, 2)), np.ones(2, dtype=bool)),
        (np.ones(3), np.ones(3, dtype=bool)),
        (np.full((3, 2), np.nan), np.ones(3, dtype=bool)),
        (np.ones((3, 0)), np.ones(3, dtype=bool)),
    ):
        with pytest.raises(ValueError, match="frames"):
            smooth(values, speech, 50.0)
    with pytest.raises(ValueError, match="shortest"):
        Smoothing(shortest=-1)
    with pytest.raises(ValueError, match="frame rate"):
        Smoother(0.0)
