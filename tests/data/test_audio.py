from __future__ import annotations

import numpy as np
import pytest
import soundfile

from emobridge.data import _decoders
from emobridge.data.audio import (
    AudioError,
    audio_digest,
    duration,
    duration_up_to,
    forget_files,
    header,
    random_crop,
    read_audio,
    read_utterance,
    stated_seconds,
)
from emobridge.errors import UserError
from emobridge.types import SAMPLE_RATE, Utterance


def tone(seconds: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au"])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_any_format_and_rate_reads_as_the_same_tone(tmp_path, suffix, rate):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(1.0, rate), rate)
    wave = read_audio(path)
    assert wave.dtype == np.float32 and wave.shape == (SAMPLE_RATE,)
    expected = tone(1.0, SAMPLE_RATE)
    inside = slice(2000, -2000)
    assert np.abs(wave - expected)[inside].max() < (0.1 if suffix in ("ogg", "mp3") else 2e-3)
    assert duration(path) == pytest.approx(1.0, abs=0.01)
    frames, rate = header(path)
    assert frames / rate == duration(path)


@pytest.mark.parametrize("channels", [2, 6])
def test_channels_are_averaged(tmp_path, channels):
    path = tmp_path / "a.wav"
    data = np.zeros((SAMPLE_RATE, channels), np.float32)
    data[:, 0] = tone(1.0, SAMPLE_RATE)
    soundfile.write(path, data, SAMPLE_RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(path), data[:, 0] / channels, atol=1e-7)


def test_one_channel_of_a_call_is_that_speaker_alone(tmp_path):
    path = tmp_path / "call.wav"
    callers = np.stack([tone(1.0, 8000, 200.0), -tone(1.0, 8000, 200.0)], axis=1)  # a mean would be silence
    soundfile.write(path, callers, 8000, subtype="FLOAT")
    first, second = (read_utterance(Utterance("u", "c", str(path), 0.25, 0.75, channel=n)) for n in (0, 1))
    assert len(first) == SAMPLE_RATE // 2 and np.abs(first).max() > 0.4
    np.testing.assert_array_equal(first, -second)
    assert not read_utterance(Utterance("u", "c", str(path))).any()
    with pytest.raises(AudioError, match=r"call\.wav: channel 2: expected 0 to 1"):
        read_audio(path, channel=2)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_slice_equals_the_slice_of_the_whole(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, 3 * SAMPLE_RATE), SAMPLE_RATE, subtype="PCM_16")
    whole = read_audio(path)
    np.testing.assert_array_equal(read_audio(path, 0.5, 2.25), whole[8000:36000])
    np.testing.assert_array_equal(read_audio(path, 1.0), whole[16000:])


def test_a_slice_of_a_long_file_decodes_only_the_slice(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(60 * 8000, np.float32), 8000)
    read, counts = soundfile.SoundFile.read, []

    def spy(self, frames=-1, **options):
        counts.append(frames)
        return read(self, frames, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", spy)
    assert len(read_audio(path, 50.0, 51.0)) == SAMPLE_RATE
    assert counts == [8000]


def test_blocks_join_without_a_seam(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(65.0, 8000, 100.0), 8000, subtype="FLOAT")
    wave = read_audio(path)
    assert len(wave) == 65 * SAMPLE_RATE
    assert np.abs(wave - tone(65.0, SAMPLE_RATE, 100.0))[2000:-2000].max() < 2e-3


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_silent_and_one_sample_audio_read_fine(tmp_path, rate):
    for frames in (1, rate):
        path = tmp_path / f"{frames}.wav"
        soundfile.write(path, np.zeros(frames), rate)
        wave = read_audio(path)
        assert len(wave) >= 1 and not wave.any()


def fails(path, match, *times):
    with pytest.raises(AudioError, match=match) as caught:
        read_audio(path, *times)
    assert isinstance(caught.value, UserError)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_no_audio(tmp_path):
    fails(tmp_path / "gone.wav", "no such file")
    fails(tmp_path, "is a folder")
    (tmp_path / "empty.wav").touch()
    fails(tmp_path / "empty.wav", "is empty")
    (tmp_path / "text.wav").write_text("this is not audio\n" * 100)
    fails(tmp_path / "text.wav", "cannot be read as audio")
    soundfile.write(tmp_path / "zero.wav", np.zeros(0), 16000)
    fails(tmp_path / "zero.wav", "no samples")


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "aiff", "au", "w64"])
def test_a_truncated_file(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, 2 * SAMPLE_RATE), SAMPLE_RATE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    fails(path, "cut short|cannot be read as audio")


def test_a_streamed_wav_of_unknown_length_reads(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(1.0, SAMPLE_RATE), SAMPLE_RATE)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert len(read_audio(path)) == SAMPLE_RATE


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path, value):
    wave = tone(0.1, SAMPLE_RATE)
    wave[100] = value
    soundfile.write(tmp_path / "a.wav", wave, SAMPLE_RATE, subtype="FLOAT")
    fails(tmp_path / "a.wav", "not finite")


@pytest.mark.parametrize(
    ("times", "match"),
    [
        ((-1.0,), "start -1.0"),
        ((float("nan"),), "start nan"),
        ((0.5, 0.5), "end 0.5 s: expected a time after"),
        ((0.5, 0.2), "end 0.2 s: expected a time after"),
        ((0.5, float("nan")), "end nan s: expected a time after"),
        ((1.0,), "start 1.0 s is beyond"),
        ((0.5, 1.06), "end 1.06 s is beyond"),
    ],
)
def test_times_outside_the_file(tmp_path, times, match):
    soundfile.write(tmp_path / "a.wav", tone(1.0, SAMPLE_RATE), SAMPLE_RATE)
    fails(tmp_path / "a.wav", match, *times)


def test_an_end_slightly_beyond_the_file_is_its_end(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1.0, SAMPLE_RATE), SAMPLE_RATE)
    assert len(read_audio(tmp_path / "a.wav", 0.5, 1.04)) == SAMPLE_RATE // 2


def test_random_crop():
    wave = np.arange(3 * SAMPLE_RATE, dtype=np.float32)
    crops = [wave[random_crop(len(wave), 2.0, np.random.default_rng(seed))] for seed in (0, 0, 1)]
    assert all(len(crop) == 2 * SAMPLE_RATE and (np.diff(crop) == 1).all() for crop in crops)
    assert crops[0][0] == crops[1][0] != crops[2][0]
    assert random_crop(len(wave), 5.0, np.random.default_rng(0)) == slice(0, len(wave))


def test_the_digest_of_a_file_is_that_of_its_content(tmp_path):
    for name, frequency in (("a.wav", 440.0), ("b.wav", 440.0), ("c.wav", 441.0)):
        soundfile.write(tmp_path / name, tone(0.1, 8000, frequency), 8000)
    same, copy, other = (audio_digest(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav"))
    assert same == copy != other and len(same) == 32
    with pytest.raises(AudioError, match=r"d\.wav: cannot be read \(No such file"):
        audio_digest(tmp_path / "d.wav")


def test_a_file_that_states_no_length_is_measured_no_longer_than_needed(tmp_path):
    path = tmp_path / "silence.flac"
    soundfile.write(path, np.zeros(20 * 16_000), 16_000)
    content = bytearray(path.read_bytes())
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])  # the number of samples in its header
    path.write_bytes(content)
    assert duration_up_to(path, 5.0) == float("inf")
    assert duration_up_to(path, 20.0) == duration(path) == 20.0, "nothing is kept of the first look"


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_the_length_that_a_header_states(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(1.5, SAMPLE_RATE), SAMPLE_RATE)
    assert stated_seconds(path) == pytest.approx(1.5, abs=0.1)


def test_a_container_states_its_length_too(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(2.0, SAMPLE_RATE)[None], format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    assert stated_seconds(path) == pytest.approx(2.0, abs=0.2)


def test_what_is_no_audio_states_no_length(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("no audio")
    assert stated_seconds(path) is None
    with pytest.raises(AudioError, match="no such file"):
        stated_seconds(tmp_path / "gone.wav")


def test_files_are_forgotten(tmp_path):
    path = tmp_path / "a.mp3"
    soundfile.write(path, tone(2.0, SAMPLE_RATE), SAMPLE_RATE)
    read_audio(path, 0.0, 0.5)  # decoded in order: the rest waits
    assert _decoders._facts.cache_info().currsize and _decoders._cursors
    forget_files()
    assert not _decoders._facts.cache_info().currsize and not _decoders._cursors
