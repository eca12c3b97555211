"""Level, pitch and rate of tones that are known, and the numbers of prosody of waves that are made up."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emobridge.data.prosody import NO_PITCH, PROSODY, level, pitch, prosody, rate

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


# ------------------------------------------------------------------ the numbers of prosody


def numbers(wave) -> dict[str, float]:
    """The numbers by name; a warning of NumPy is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = prosody(np.asarray(wave, dtype=np.float32))
    assert values.dtype == np.float32 and values.shape == (len(PROSODY),) and np.isfinite(values).all()
    return dict(zip(PROSODY, values.tolist()))


def pulses(hertz, seconds=2.0):
    """A voice at its simplest: pulses of 1 ms that die away."""
    wave = np.zeros(round(seconds * 16000))
    wave[(np.arange(1, seconds * hertz - 1) * 16000 / hertz).astype(int)] = 0.5
    return np.convolve(wave, np.exp(-np.arange(48) / 16))[: len(wave)]


def semitones(hertz):
    return 12 * np.log2(hertz / 100)


NOISE = 0.1 * np.random.default_rng(0).standard_normal(32000)


def test_there_are_18_numbers_with_names_of_their_own():
    assert len(PROSODY) == len(set(PROSODY)) == 18


@pytest.mark.parametrize("hertz", [80, 125, 200, 320, 400])
def test_the_pitch_of_a_pulse_train(hertz):
    measured = numbers(pulses(hertz))
    for name in ("median of F0", "10th percentile of F0", "90th percentile of F0"):
        assert measured[name] == pytest.approx(semitones(hertz), abs=0.3)
    assert measured["deviation of F0"] < 0.5 and measured["step of F0"] < 0.5
    assert measured["share of voice"] > 97


def test_a_glide_has_percentiles_and_steps():
    rising = 100 * 2 ** (TIME / 2)  # an octave in 2 s
    measured = numbers(0.3 * np.sin(2 * np.pi * np.cumsum(rising) / 16000))
    assert measured["median of F0"] == pytest.approx(6, abs=0.1)
    assert measured["10th percentile of F0"] == pytest.approx(1.2, abs=0.1)
    assert measured["90th percentile of F0"] == pytest.approx(10.8, abs=0.1)
    assert measured["deviation of F0"] == pytest.approx(12 / np.sqrt(12), abs=0.05)
    assert measured["step of F0"] == pytest.approx(0.6, abs=0.1), "12 semitones in 2 s are 0.6 in a tenth of a second"


def test_a_step_of_the_level():
    """1 s at -23 dB, then 1 s at -33 dB."""
    measured = numbers(np.concatenate([tone(200)[:16000], 10**-0.5 * tone(200)[16000:]]))
    assert measured["mean of level"] == pytest.approx(-28, abs=0.1)
    assert measured["deviation of level"] == pytest.approx(5, abs=0.1)
    assert measured["range of level"] == pytest.approx(10, abs=0.1)
    assert measured["step of level"] == pytest.approx(10 * 10 / 200, abs=0.1), (
        "10 dB once in 200 frames, per tenth of a s"
    )


@given(st.floats(-25, 25))
def test_a_gain_moves_the_mean_of_the_level_and_nothing_else(gain):
    speech = np.concatenate([pulses(150, 0.4), 0.1 * NOISE[:3200], pulses(180, 0.3)])
    before, after = numbers(speech), numbers(10 ** (gain / 20) * speech)
    assert after.pop("mean of level") - before.pop("mean of level") == pytest.approx(gain, abs=0.01)
    assert after == pytest.approx(before, abs=0.01)


def test_a_constant_offset_changes_nothing():
    speech = np.concatenate([pulses(150, 0.4), 0.1 * NOISE[:3200]])
    assert numbers(speech + 0.2) == pytest.approx(numbers(speech), abs=0.02)


def test_the_spectrum_of_noise_and_of_tones():
    noise = numbers(NOISE)
    assert noise["mean of zero crossings"] == pytest.approx(50, abs=1)
    assert noise["mean of spectral centroid"] == pytest.approx(24, abs=0.5), "4 kHz"
    assert noise["mean of high to low energy"] == pytest.approx(10 * np.log10(7), abs=0.5)
    assert noise["deviation of high to low energy"] > 0.5
    low, high = numbers(tone(250)), numbers(tone(2000))
    assert low["mean of spectral centroid"] == pytest.approx(-24, abs=0.5)
    assert high["mean of spectral centroid"] == pytest.approx(12, abs=0.2)
    assert low["mean of high to low energy"] < -40 and high["mean of high to low energy"] > 40
    assert high["mean of zero crossings"] == pytest.approx(25, abs=0.3)
    assert high["deviation of zero crossings"] < 2


def test_a_pause_is_not_speech_and_a_step_does_not_span_it():
    silence = np.zeros(16000)
    paused = numbers(np.concatenate([tone(200)[:16000], silence, 0.3 * tone(200)[:16000], silence]))
    assert paused["share of speech"] == pytest.approx(50, abs=1.5)
    assert paused["duration of speech"] == pytest.approx(10 * np.log10(2), abs=0.2)
    steady = numbers(np.concatenate([silence, tone(200)[:16000], silence]))
    assert steady["duration of speech"] == pytest.approx(0, abs=0.15)
    assert paused["step of level"] == pytest.approx(steady["step of level"], abs=0.5)
    assert paused["step of F0"] < 0.1


def test_half_of_the_speech_is_voiced():
    measured = numbers(np.concatenate([pulses(200), NOISE * level_ratio(pulses(200), NOISE)]))
    assert measured["share of voice"] == pytest.approx(50, abs=5)
    assert measured["median of F0"] == pytest.approx(semitones(200), abs=0.5)


def level_ratio(first, second):
    return 10 ** ((level(first) - level(second)) / 20)


def test_a_voice_that_noise_hides_has_its_own_pitch_and_not_a_constant():
    """No frame passes for voiced, and yet F0 is not lost: the most periodic frames have it."""
    hidden = tone(140, 0.1, harmonics=6) + 2.2 * NOISE
    assert np.isnan(pitch(hidden.astype(np.float32))) or numbers(hidden)["share of voice"] < 10
    assert numbers(hidden)["median of F0"] == pytest.approx(semitones(140), abs=1)


def test_the_pitch_of_noise_is_within_the_range_of_voices():
    measured = numbers(NOISE)
    assert (
        semitones(75) - 0.5
        < measured["10th percentile of F0"]
        <= measured["90th percentile of F0"]
        < semitones(500) + 0.5
    )


@pytest.mark.parametrize(
    "wave",
    [np.zeros(1), np.ones(1), np.zeros(16000), np.full(16000, 0.3), np.full(700, -1.0)],
    ids=["a zero", "a one", "silence", "constant", "short constant"],
)
def test_without_any_sound_there_is_no_pitch_and_no_level(wave):
    measured = numbers(wave)
    assert [measured[name] for name in PROSODY[:5]] == pytest.approx([NO_PITCH] * 3 + [0, 0])
    assert measured["mean of level"] == -70 and measured["share of speech"] == measured["share of voice"] == 0


@pytest.mark.parametrize("samples", [1, 2, 3, 79, 80, 159, 160, 161, 399, 400, 401, 639, 640, 641, 960])
def test_every_length_has_finite_numbers(samples):
    numbers(NOISE[:samples])
    numbers(pulses(200)[:samples])
    click = np.zeros(samples)
    click[-1] = 1
    numbers(click)


@pytest.mark.parametrize("gain", [1e-38, 1e-20, 1e-6, 1.0, 1e6, 1e30])
def test_every_level_has_finite_numbers(gain):
    numbers(gain * tone(200))
    numbers(gain * np.sign(tone(200)))


@given(arrays(np.float32, st.integers(1, 1500), elements=st.floats(-1, 1, width=32)))
def test_every_wave_has_finite_numbers(wave):
    numbers(wave)


def test_a_long_clip_has_the_numbers_of_its_parts_in_bounded_memory():
    part = np.tile(np.concatenate([pulses(150, 1.0), 0.1 * NOISE[:16000]]), 10)  # 20 s
    whole = np.tile(part, 15).astype(np.float32)
    expected = numbers(part)
    expected["duration of speech"] += 10 * np.log10(15)
    assert numbers(whole) == pytest.approx(expected, rel=0.02, abs=0.3)
    tracemalloc.start()
    prosody(whole)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * whole.nbytes + 40e6
