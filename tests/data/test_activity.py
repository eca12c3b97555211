import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import RATE, syllables

from emobridge.data.activity import PADDING, resolve_detector, speech_segments
from emobridge.data.audio import read_pieces
from emobridge.errors import UserError


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


def tone(seconds, *frequencies):
    t = np.arange(round(seconds * RATE)) / RATE
    return 0.1 * np.sum([np.sin(2 * np.pi * hertz * t) for hertz in frequencies], axis=0)


def chords(seconds):
    """Three notes a half second, struck and dying away, with four partials each."""
    struck = []
    for root in np.random.default_rng(0).uniform(150, 300, round(2 * seconds)):
        decay = np.exp(-np.arange(RATE // 2) / (0.2 * RATE))
        struck.append(decay * tone(0.5, *(root * ratio * k for ratio in (1, 1.25, 1.5) for k in (1, 2, 3, 4))))
    return np.concatenate(struck)


def beeps(seconds):
    t = np.arange(round(seconds * RATE)) / RATE
    return tone(seconds, 480, 620) * (t % 0.5 < 0.25)


def pink_noise(seconds):
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=round(seconds * RATE)))
    noise = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)))
    return 0.1 * noise / noise.std()


NON_SPEECH = {
    "silence": lambda seconds: np.zeros(round(seconds * RATE)),
    "white noise": lambda seconds: np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)),
    "quiet noise": lambda seconds: np.random.default_rng(0).normal(0, 0.0005, round(seconds * RATE)),
    "pink noise": pink_noise,
    "a tone": lambda seconds: tone(seconds, 220),
    "hum": lambda seconds: tone(seconds, 50, 100, 150),
    "a chord": lambda seconds: tone(seconds, 261.6, 329.6, 392.0),
    "struck chords": chords,
    "beeps": beeps,
}


@pytest.mark.parametrize("sound", NON_SPEECH)
def test_energy_refuses_what_is_no_speech(sound):
    assert speech_segments([NON_SPEECH[sound](10).astype(np.float32)], detector="energy") == []


@pytest.mark.parametrize("sound", NON_SPEECH)
def test_energy_finds_speech_among_what_is_none(sound):
    """Two seconds of a voice after each four of the sound, five times."""
    voice = syllables(2)
    wave = np.concatenate([np.concatenate([NON_SPEECH[sound](4), voice]) for _ in range(5)]).astype(np.float32)
    segments = speech_segments([wave], detector="energy")
    for index in range(5):
        begin = 6 * index
        wrong = sum(max(0, min(end, begin + 3.6) - max(start, begin + 0.4)) for start, end in segments)
        right = sum(max(0, min(end, begin + 6) - max(start, begin + 4)) for start, end in segments)
        assert (wrong, right > 1.0) == (0, True)


def test_energy_finds_a_quiet_speaker_after_a_loud_one():
    loud, quiet = syllables(2, level=0.3), syllables(2, pitch=200, level=0.003)
    segments = speech_segments([np.concatenate([loud, quiet, loud])], detector="energy")
    assert sum(max(0, min(end, 4) - max(start, 2)) for start, end in segments) > 1.0


@pytest.mark.parametrize("corpus", ["ravdess", "emodb", "emovo"])
@pytest.mark.parametrize("detector", ["silero", "energy"])
def test_real_clips_have_speech(shared, corpus, detector):
    if detector == "silero":
        pytest.importorskip("silero_vad")
    paths = sorted((shared / "corpora" / corpus).rglob("*.flac"))[5::60]
    silent = [path.name for path in paths if not speech_segments(read_pieces(path), detector=detector)]
    assert len(paths) > 5 and not silent


def test_silero_segments_do_not_depend_on_the_pieces(shared):
    pytest.importorskip("silero_vad")
    path = min((shared / "corpora" / "emodb").rglob("*.flac"))
    wave = np.concatenate(list(read_pieces(path)))
    (segment,) = speech_segments([wave], detector="silero")
    assert 0 <= segment[0] < segment[1] <= len(wave) / RATE
    assert speech_segments(np.array_split(wave, 37), detector="silero") == [segment]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.33, 0.4, 0.9]), st.booleans(), st.integers(1, 25)), max_size=12),
    st.sampled_from([0.3, 0.7, 2.0]),
)
def test_silero_ends_where_it_has_enough_and_says_the_same(runs, enough):
    """Whether a recording holds enough speech. runs: probability, whether there is a voice, and chunks."""
    package = pytest.importorskip("silero_vad")
    from emobridge.data import _silero

    probabilities = np.array([value for value, _, count in runs for _ in range(count)], dtype=np.float32)
    voices = np.array([value > _silero.LIKELY and voiced for value, voiced, count in runs for _ in range(count)])

    class Network:
        def reset(self):
            self.computed = 0

        def probabilities(self, chunks):
            self.computed += len(chunks)
            return probabilities[self.computed - len(chunks) : self.computed]

    def seconds(enough):
        segments = speech_segments([np.zeros(len(probabilities) * 512, np.float32)], detector="silero", enough=enough)
        return sum(end - start - 2 * PADDING for start, end in segments)

    network = Network()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_silero, "_load", lambda: (package, network))
        patch.setattr(
            _silero, "_are_voiced", lambda chunks, _: list(voices[network.computed - len(chunks) :][: len(chunks)])
        )
        whole, part = seconds(np.inf), seconds(enough)
    assert (part >= enough) == (whole >= enough) and part <= whole + 1e-9
    if part < enough:
        assert network.computed == len(probabilities) and part == whole


def test_silero_computes_no_more_than_it_needs(shared):
    pytest.importorskip("silero_vad")
    path = min((shared / "corpora" / "emodb").rglob("*.flac"))
    wave = np.tile(np.concatenate(list(read_pieces(path))), 8)
    given = []
    part = speech_segments((given.append(piece) or piece for piece in np.split(wave, 8)), detector="silero", enough=0.5)
    assert len(given) == 1 and sum(end - start for start, end in part) > 0.5


def test_both_forms_of_silero_give_the_same_probabilities(shared):
    """ONNX Runtime takes blocks of a recording at once, torch a chunk at a time."""
    pytest.importorskip("silero_vad")
    pytest.importorskip("onnxruntime")
    from emobridge.data import _silero

    package, sequence = _silero._load()
    assert type(sequence) is _silero._Sequence
    network = _silero._Network(package.load_silero_vad(onnx=False))
    path = min((shared / "corpora" / "emovo").rglob("*.flac"))
    wave = np.tile(np.concatenate(list(read_pieces(path))), 8)
    assert len(wave) > _silero.BLOCK * _silero.NETWORK_STEP
    for form in (sequence, network):
        form.reset()
    first, second = (
        np.concatenate([form.probabilities(chunks) for chunks, _ in _silero._chunks([wave], _silero.BLOCK)])
        for form in (sequence, network)
    )
    assert len(first) == -(-len(wave) // _silero.NETWORK_STEP)
    np.testing.assert_allclose(first, second, atol=1e-4)
    assert first.max() > 0.9
