"""Level, pitch and rate of tones that are known."""

from __future__ import annotations

import numpy as np
import pytest

from emobridge.data.prosody import level, pitch, rate

TIME = np.arange(32000) / 16000  # 2 s


def tone(frequency, gain=0.1, harmonics=1):
    parts = [np.sin(2 * np.pi * k * frequency * TIME) / k for k in range(1, harmonics + 1)]
    return (gain * sum(parts)).astype(np.float32)


@pytest.mark.parametrize(("gain", "expected"), [(1.0, -3.01), (0.1, -23.01), (0.05, -29.03)])
def test_the_level_of_a_sine_is_half_its_squared_amplitude(gain, expected):
    assert level(tone(200, gain)) == pytest.approx(expected, abs=0.01)


def test_silence_has_a_finite_level():
    assert level(np.zeros(100, dtype=np.float32)) == pytest.approx(-120)


@pytest.mark.parametrize("frequency", [80.0, 101.3, 150.0, 220.0, 333.0, 450.0])
@pytest.mark.parametrize("harmonics", [1, 8])
def test_the_pitch_of_a_tone(frequency, harmonics):
    assert pitch(tone(frequency, harmonics=harmonics)) == pytest.approx(frequency, rel=0.005)


def test_the_pitch_of_a_tone_without_its_fundamental():
    missing = tone(120, harmonics=8) - tone(120)
    assert pitch(missing) == pytest.approx(120, rel=0.005)


def test_pitch_is_the_median_of_voiced_frames_only():
    noise = (0.1 * np.random.default_rng(0).standard_normal(32000)).astype(np.float32)
    silence = np.zeros(32000, dtype=np.float32)
    assert pitch(np.concatenate([silence, tone(130), noise, tone(130)])) == pytest.approx(130, rel=0.01)
    glide = np.sin(2 * np.pi * np.cumsum(np.linspace(100, 200, 32000)) / 16000).astype(np.float32)
    assert pitch(glide) == pytest.approx(150, rel=0.02)


@pytest.mark.parametrize(
    "wave",
    [
        np.zeros(16000),
        0.1 * np.random.default_rng(0).standard_normal(16000),
        np.full(16000, 0.2),
        np.ones(1),
    ],
    ids=["silence", "noise", "constant", "one sample"],
)
def test_what_has_no_voice_has_no_pitch(wave):
    assert np.isnan(pitch(wave.astype(np.float32)))


def test_pitch_does_not_depend_on_level():
    assert pitch(tone(170, 0.001)) == pytest.approx(pitch(tone(170, 0.9)))


@pytest.mark.parametrize("bursts", [1, 3, 6, 10])
def test_the_rate_counts_bursts_a_second(bursts):
    """Hann bursts of a tone of 2 s, evenly spaced."""
    swell = np.zeros(32000)
    for centre in (np.arange(bursts) + 0.5) * 32000 / bursts:
        swell[int(centre) - 1000 : int(centre) + 1000] += np.hanning(2000)
    assert rate((tone(200) * (swell + 1e-3)).astype(np.float32)) == pytest.approx(bursts / 2)


def test_small_waves_on_a_level_are_no_syllables():
    """The level sinks a little: of peaks of exactly one height none would be the lower one."""
    sinking = tone(200) * np.linspace(1, 0.99, len(TIME))
    ripple = 1 + 0.1 * np.sin(2 * np.pi * 5 * TIME)  # 1.7 dB from dip to peak
    assert rate((sinking * ripple).astype(np.float32)) == 0.5, "all is one"
    deep = 1 + 0.5 * np.sin(2 * np.pi * 5 * TIME)  # 9.5 dB
    assert rate((sinking * deep).astype(np.float32)) == 5


def test_what_is_faint_beside_the_rest_does_not_count():
    assert pitch(np.concatenate([tone(130), tone(250, 0.002), tone(250, 0.002)])) == pytest.approx(130, rel=0.005)
    swell = np.abs(np.sin(2 * np.pi * 2 * TIME)) + 1e-4  # 4 a second
    speech = (tone(200) * swell).astype(np.float32)
    assert rate(np.concatenate([speech, 0.01 * speech])) == pytest.approx(rate(speech) / 2)


def test_a_long_clip_is_heard_in_blocks():
    assert pitch(np.concatenate([tone(100)] * 10 + [tone(200)] * 12)) == pytest.approx(200, rel=0.005)  # 44 s


def test_a_pause_slows_the_rate():
    swell = np.abs(np.sin(2 * np.pi * 2 * TIME))  # 4 a second
    speech = (tone(200) * swell).astype(np.float32)
    paused = np.concatenate([speech, np.zeros(32000, dtype=np.float32)])
    assert rate(paused) == pytest.approx(rate(speech) / 2)


def test_the_shortest_wave_and_silence_have_a_rate_of_zero():
    assert rate(np.ones(1, dtype=np.float32)) == 0
    assert rate(np.zeros(16000, dtype=np.float32)) == 0
