import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emobridge.data.activity import resolve_detector, speech_segments
from emobridge.errors import UserError

RATE = 16_000


def syllables(seconds, pitch=120.0, level=0.1, seed=0):
    """A voice-like buzz: a pitch that moves, four syllables a second."""
    t = np.arange(round(seconds * RATE)) / RATE
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.15 * np.sin(2 * np.pi * 0.7 * t + rng.uniform(0, 6)))) / RATE
    buzz = sum(np.cos(k * phase) / k for k in range(1, 20))
    return (level * buzz * np.sin(np.pi * 4 * t) ** 4).astype(np.float32)


def seconds_of(segments):
    return sum(end - start for start, end in segments)


@pytest.mark.parametrize("samples", [0, 1, 160, 400, 640])
@pytest.mark.parametrize("detector", ["silero", "energy"])
def test_short_recordings_have_no_speech(detector, samples):
    if detector == "silero":
        pytest.importorskip("silero_vad")
    assert speech_segments([np.full(samples, 0.1, np.float32)] if samples else [], detector=detector) == []


def test_energy_finds_speech_between_silences():
    wave = np.concatenate([np.zeros(2 * RATE), syllables(2), np.zeros(2 * RATE)]).astype(np.float32)
    segments = speech_segments([wave], detector="energy")
    assert segments[0][0] == pytest.approx(2, abs=0.2)
    assert segments[-1][1] == pytest.approx(4, abs=0.2)


def test_detectors_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert resolve_detector("auto") == "energy"
    with pytest.raises(UserError, match=r"needs the package silero-vad: pip install 'emobridge\[vad\]'"):
        resolve_detector("silero")
    with pytest.raises(UserError, match="unknown detector 'enegry': did you mean 'energy'"):
        resolve_detector("enegry")


def test_silero_leaves_the_threads_of_torch():
    pytest.importorskip("silero_vad")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert speech_segments([np.zeros(RATE, np.float32)], detector="silero") == []
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=8), st.lists(st.integers(1, 40_000), max_size=6))
def test_energy_segments_do_not_depend_on_the_pieces(halves, cuts):
    """halves: which half seconds hold a voice."""
    voice = syllables(0.5)
    wave = np.concatenate([voice * 10.0 ** (-half / 6) if half % 2 else np.zeros_like(voice) for half in halves])
    pieces = [piece for piece in np.split(wave, np.cumsum(cuts)) if len(piece)]
    segments = speech_segments(pieces, detector="energy")
    assert segments == speech_segments([wave], detector="energy")
    flat = [time for segment in segments for time in segment]
    assert flat == sorted(flat) and all(start < end for start, end in segments)
    assert all(0 <= time <= len(wave) / RATE for time in flat)
