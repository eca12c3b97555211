"""EDER against pyannote.metrics, which the development tools have for Python 3.11 and later."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emobridge.scores.diarization import error_times
from emobridge.types import Segment

pytest.importorskip("pyannote.metrics", reason="pyannote.metrics is not installed")
from pyannote.core import Annotation, Timeline
from pyannote.core import Segment as Span
from pyannote.metrics.detection import DetectionErrorRate
from pyannote.metrics.diarization import DiarizationErrorRate
from pyannote.metrics.identification import IdentificationErrorRate

EMOTIONS = ("anger", "happiness", "sadness", "neutral")
GRID = 0.25  # s


def stretches(single):
    """Segments on a grid in 0 to 16 s; `single`: without overlap."""
    cell = st.tuples(st.integers(0, 60), st.integers(1, 20), st.sampled_from(EMOTIONS))

    def segments(cells):
        rows, last = [], 0
        for start, length, emotion in sorted(cells):
            start = max(start, last) if single else start
            if start + length <= 64:
                rows.append(Segment(start * GRID, (start + length) * GRID, emotion))
                last = start + length
        return rows

    return st.lists(cell, max_size=8).map(segments)


def annotation(segments, support=False):
    marks = Annotation()
    for number, segment in enumerate(segments):
        if segment.emotion != "neutral":
            marks[Span(segment.start, segment.end), number] = segment.emotion
    return marks.support() if support else marks


def components(metric, reference, hypothesis):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return metric(annotation(reference, True), annotation(hypothesis, True), uem=Timeline([Span(0, 16)]),
                      detailed=True)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(stretches(True), stretches(True))
def test_without_overlap_the_parts_are_those_of_pyannote(reference, hypothesis):
    got = error_times(reference, hypothesis, 16.0)
    expected = components(IdentificationErrorRate(), reference, hypothesis)
    assert (got.missed, got.false_alarm, got.confusion) == pytest.approx(
        (expected["missed detection"], expected["false alarm"], expected["confusion"])
    )
    assert got.overlap == 0
    best = components(DiarizationErrorRate(), reference, hypothesis)  # which may rename the labels
    assert (got.missed, got.false_alarm) == pytest.approx((best["missed detection"], best["false alarm"]))
    assert got.confusion >= best["confusion"] - 1e-9


@settings(max_examples=60, deadline=None)
@given(stretches(True), stretches(True), st.sampled_from([0.25, 0.5, 1.0]))
def test_collars_are_those_of_pyannote_of_twice_the_width(reference, hypothesis, collar):
    inner = [segment for segment in reference if segment.start > 0 and segment.end < 16]  # ends: see the docstring
    got = error_times(inner, hypothesis, 16.0, collar=collar)
    expected = components(IdentificationErrorRate(collar=2 * collar), inner, hypothesis)
    assert (got.missed, got.false_alarm, got.confusion) == pytest.approx(
        (expected["missed detection"], expected["false alarm"], expected["confusion"])
    )


@settings(max_examples=60, deadline=None)
@given(stretches(True), stretches(False))
def test_emotional_or_not_is_pyannotes_detection_even_where_the_hypothesis_overlaps(reference, hypothesis):
    got = error_times(reference, hypothesis, 16.0)
    expected = components(DetectionErrorRate(), reference, hypothesis)
    assert (got.missed, got.false_alarm) == pytest.approx((expected["miss"], expected["false alarm"]))
