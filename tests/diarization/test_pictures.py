"""A sound's columns: the same however it is cut, and bounded however long it is."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sounds import RATE, syllables

from emobridge.diarization import pictures
from emobridge.diarization.pictures import MELS, SoundPainter


def painted(wave, size=16_000, expected=None):
    painter = SoundPainter(len(wave) if expected is None else expected)
    for first in range(0, len(wave), size):
        painter.add(wave[first : first + size])
    return painter.picture()


def test_the_envelope_holds_every_extreme():
    wave = syllables(2)
    picture = painted(wave)
    cells = wave.reshape(40, -1)
    np.testing.assert_array_equal(picture.low, np.minimum(cells.min(1), 0))
    np.testing.assert_array_equal(picture.high, np.maximum(cells.max(1), 0))
    assert picture.seconds == 2 and picture.levels.shape == (40, MELS)


@pytest.mark.parametrize("size", [37, 1601])
def test_the_pieces_do_not_matter(size):
    wave = syllables(1.37)
    whole, cut = painted(wave, len(wave)), painted(wave, size)
    np.testing.assert_array_equal(whole.high, cut.high)
    np.testing.assert_allclose(whole.levels, cut.levels, atol=1e-3)


def test_a_tone_is_in_its_band_at_its_time():
    time = np.arange(2 * RATE) / RATE
    wave = (np.sin(2 * np.pi * 2000 * time) * (time >= 1)).astype(np.float32)
    levels = painted(wave).levels
    mel = 2595 * np.log10(1 + 2000 / 700)
    band = int(mel / (2595 * np.log10(1 + 8000 / 700)) * MELS)
    assert levels[30].argmax() == band and -12 < levels[30, band] < 3
    assert levels[:18].max() < -100


def test_a_size_of_1_and_a_wrong_size():
    assert painted(np.ones(1, np.float32)).high.tolist() == [1]
    assert painted(np.zeros(0, np.float32)).seconds == 0
    longer = painted(np.ones(3 * RATE, np.float32), expected=2 * RATE)
    assert longer.seconds == 3 and len(longer.high) == 40, "what comes beyond is in the last column"


def test_columns_and_memory_are_bounded(monkeypatch):
    monkeypatch.setattr(pictures, "PICTURE_COLUMNS", 1000)
    second = syllables(30)

    def paint(seconds):
        painter = SoundPainter(seconds * RATE)
        tracemalloc.start()
        for _ in range(seconds // 30):
            painter.add(second)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return len(painter.picture().high), peak

    paint(60)
    short, long = paint(60), paint(360)
    assert short[0] == long[0] == 1000 and long[1] < 1.1 * short[1]
