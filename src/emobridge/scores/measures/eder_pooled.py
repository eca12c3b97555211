"""Emotion diarization error rate (EDER), pooled over time."""

from __future__ import annotations

from emobridge.scores.measures.base import TimelineMeasure


class EderPooled(TimelineMeasure):
    """EDER = sum_n (missed + false alarm + overlap + confusion of n) / sum_n duration of n, in [0, 1].

    A second weighs the same in a long utterance as in a short one; as diarization error rates of speakers are pooled.
    Lower is better.
    """

    name = "EDER pooled"
    long_name = "emotion diarization error rate, pooled over time"
    order = 1
    over_time = True
