"""The cut of a corpus into units is one cut, whoever makes it and whatever order its rows are in."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from emobridge.data.audio import AudioError
from emobridge.features.units import cut_units
from emobridge.types import Utterance


def row(name: str, seconds: float | None = 1.0, start: float = 0.0, channel: int | None = None) -> Utterance:
    end = None if seconds is None else start + seconds
    return Utterance(name, "c", f"/nowhere/{name}.wav", start=start, end=end, channel=channel)


def test_the_longest_come_first_and_those_of_one_length_in_order_of_their_path():
    rows = [row("b"), row("a"), row("long", 3.0), row("short", 0.5)]
    assert cut_units(rows, 3) == [[2, 1, 0], [3]]


@pytest.mark.parametrize("size", [1, 2, 3, 64])
def test_the_order_of_the_rows_changes_nothing(size):
    rows = [row("a", 1.0, start, channel) for start in (0.0, 1.0, 2.5) for channel in (None, 0, 1)]
    rows += [row("b"), row("c", 2.0), row("c", 2.0, 2.0)]
    expected = [[rows[index] for index in unit] for unit in cut_units(rows, size)]
    shuffled = random.Random(3).sample(rows, len(rows))
    assert [[shuffled[index] for index in unit] for unit in cut_units(shuffled, size)] == expected
    assert [len(unit) for unit in expected[:-1]] == [size] * (len(expected) - 1) and len(expected[-1]) <= size
    assert sorted(index for unit in cut_units(rows, size) for index in unit) == list(range(len(rows)))


def test_a_stretch_that_stands_twice_is_in_one_unit_once():
    rows = [row("a"), replace(row("a"), id="again"), row("a", start=1.0)]
    assert cut_units(rows, 64) == [[0, 2]]


def test_rows_without_a_length_come_last_or_raise(tmp_path):
    soundfile.write(tmp_path / "good.wav", np.zeros(1600), 16000)
    rows = [row("gone", None), replace(row("good", None), path=str(tmp_path / "good.wav")), row("odd", float("nan"))]
    assert cut_units(rows, 64) == [[1, 0, 2]]
    with pytest.raises(AudioError, match="gone"):
        cut_units(rows, 64, strict=True)


def test_no_clip_is_no_unit():
    assert cut_units([], 64) == []
