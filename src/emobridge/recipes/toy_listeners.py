"""Listeners in the place of people, for `recipe run --toy`: they answer by a rule, and NO NUMBER OF THEM IS A RESULT.

A listener knows an emotion of the own language more often than of another one, and marks a stretch near the true one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from emobridge.files import write_csv
from emobridge.languages import primary_language
from emobridge.listening.dialect import DIALECT_EMOTIONS
from emobridge.listening.records import ListeningItem, ListeningStudy

_LISTENERS = 3  # of each group
_RIGHT = {True: 0.9, False: 0.6}  # the share of right answers, of natives and of others
_SHIFT = 0.04  # s by which the ends of a marked stretch lie beside the true ones, on average


def write_answers(path: Path, study: ListeningStudy, groups: tuple[str, ...]) -> Path:
    """Write the answers of simulated listeners to all items as a plain table; returns its path.

    groups: native languages. The same study gets the same answers.
    """
    rows = (
        row for native in groups for number in range(_LISTENERS) for row in _answers(study, native, f"{native}{number}")
    )
    write_csv(path, rows)
    return path


def _answers(study: ListeningStudy, native: str, listener: str) -> Iterator[dict[str, object]]:
    rng = np.random.default_rng(zlib.crc32(f"{study.name} {listener}".encode()))
    for item in study.items:
        if item.kind != "item":
            continue
        truth = DIALECT_EMOTIONS.get(item.emotion, item.emotion)
        is_right = rng.random() < _RIGHT[primary_language(item.language) == native]
        emotion = truth if is_right else str(rng.choice([name for name in study.emotions if name != truth]))
        start, end = _mark(item, rng) if study.wants_segment else ("", "")
        yield {"listener": listener, "item": item.id, "emotion": emotion, "start": start, "end": end,
               "native": native, "languages": "en:C1"}  # fmt: skip


def _mark(item: ListeningItem, rng: np.random.Generator) -> tuple[float, float]:
    """A stretch near the true one, within the recording."""
    start, end = item.segment or (0.0, item.seconds)
    first, last = np.clip(np.array([start, end]) + rng.normal(0, _SHIFT, 2), 0, item.seconds).round(3).tolist()
    return (first, last) if first < last else (0.0, round(item.seconds, 3))
