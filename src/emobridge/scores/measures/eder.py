"""Emotion diarization error rate (EDER), mean over utterances."""

from __future__ import annotations

from emobridge.scores.measures.base import TimelineMeasure


class Eder(TimelineMeasure):
    """EDER = 1/N sum_n (missed + false alarm + overlap + confusion of n) / duration of n, in [0, 1].

    Wang, Ravanelli, Nfissi & Yacoubi 2023, arXiv:2306.12991; the mean over utterances is what their public recipe
    prints (`sum(eder) / len(eder)`). Lower is better. The four parts: see `scores.diarization`.
    """

    name = "EDER"
    long_name = "emotion diarization error rate, mean over utterances"
    order = 0
