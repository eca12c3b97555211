"""Files whose headers say another length than they hold, and what libsndfile cannot read: all of it is heard."""

from __future__ import annotations

import importlib.util
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from media import write_media

from emobridge.data import _decoders, _frames, audio
from emobridge.data._decoders import stretch
from emobridge.data.audio import AudioError, duration, read_audio, wrong_header
from emobridge.types import SAMPLE_RATE

needs_av = pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="needs the extra media")
WAVE = (
    0.3 * np.sin(np.arange(12 * SAMPLE_RATE) * 0.05) + 0.05 * np.random.default_rng(0).standard_normal(12 * SAMPLE_RATE)
).astype(np.float32)
# Of each format the struct format of the number of bytes of samples, and where it is.
SIZES = {
    "WAV": ("<I", lambda content: content.index(b"data") + 4),
    "RF64": ("<q", lambda content: content.index(b"ds64") + 16),
    "AIFF": (">I", lambda content: content.index(b"SSND") + 4),
    "AU": (">I", lambda content: 8),
    "CAF": (">q", lambda content: content.index(b"data") + 4),
    "W64": ("<q", lambda content: content.index(b"data") + 16),
}


def encoded(path: Path, wave=WAVE, rate=SAMPLE_RATE, **options) -> bytes:
    soundfile.write(path, wave, rate, **options)
    return path.read_bytes()


def with_size(content: bytes, form: str, change) -> bytes:
    kind, place = SIZES[form]
    changed, at = bytearray(content), place(content)
    struct.pack_into(kind, changed, at, change(struct.unpack_from(kind, content, at)[0]))
    return bytes(changed)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("form", SIZES)
@pytest.mark.parametrize("size", ["less", "zero"])
def test_a_header_that_says_less_is_put_right(tmp_path, form, size):
    content = encoded(tmp_path / "whole", format=form, subtype="PCM_16")
    change = {"less": lambda true: true * 5 // 12 // 2 * 2, "zero": lambda true: 0}[size]
    path = written(tmp_path / "a.wav", with_size(content, form, change))
    assert duration(path) == 12.0
    np.testing.assert_array_equal(read_audio(path), read_audio(tmp_path / "whole"))
    np.testing.assert_array_equal(read_audio(path, 7.25, 9.5), read_audio(tmp_path / "whole", 7.25, 9.5))
    if (form, size) != ("W64", "zero"):  # a number below zero, since it counts its own header
        assert "it holds 38" in wrong_header(path)


@pytest.mark.parametrize("form", SIZES)
def test_a_stream_of_unknown_length_is_read_whole(tmp_path, form):
    content = encoded(tmp_path / "whole", format=form, subtype="PCM_16")
    marks = (-1,) if SIZES[form][0][1] == "q" else (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000)
    for mark in marks:
        path = written(tmp_path / f"{mark}.wav", with_size(content, form, lambda true, mark=mark: mark))
        assert (duration(path), len(read_audio(path)), wrong_header(path)) == (12.0, len(WAVE), "")


@pytest.mark.parametrize("form", [*SIZES, "NIST"])
def test_a_header_that_promises_more_is_cut_short(tmp_path, form):
    content = encoded(tmp_path / "whole", format=form, subtype="PCM_16")
    with pytest.raises(AudioError, match=r"half\.wav: is cut short \(its header promises \d+ bytes, it holds \d+\)"):
        duration(written(tmp_path / "half.wav", content[: len(content) // 2]))


@pytest.mark.parametrize("form", ["WAV", "AIFF"])
def test_what_stands_behind_the_samples_is_not_heard(tmp_path, form):
    content = encoded(tmp_path / "whole", format=form, subtype="PCM_16")
    chunk = b"LIST" + struct.pack(SIZES[form][0], 4000) + bytes(range(250)) * 16
    for behind in (chunk, chunk + chunk, b"TAG" + b"a" * 125, b"\0" * 700, b"ID3\x04" + b"x" * 5000):
        path = written(tmp_path / f"{len(behind)}.wav", content + behind)
        assert (duration(path), wrong_header(path)) == (12.0, "")


def test_the_samples_of_codecs_with_blocks_are_put_right_too(tmp_path):
    for subtype in ("IMA_ADPCM", "MS_ADPCM", "ULAW", "GSM610"):
        rate = 8000 if subtype == "GSM610" else SAMPLE_RATE
        content = encoded(tmp_path / "whole.wav", rate=rate, format="WAV", subtype=subtype)
        path = written(tmp_path / f"{subtype}.wav", with_size(content, "WAV", lambda true: 1300))
        np.testing.assert_array_equal(read_audio(path), read_audio(tmp_path / "whole.wav"))


def flac_with(content: bytes, samples: int) -> bytes:
    """The FLAC file with another number of samples in its header."""
    changed = bytearray(content)
    field = int.from_bytes(content[21:26], "big") >> 36 << 36 | samples
    changed[21:26] = field.to_bytes(5, "big")
    return bytes(changed)


@needs_av
@pytest.mark.parametrize(("samples", "says"), [(0, ""), (80_000, "its header says 5.000 s")])
def test_a_flac_of_unknown_or_wrong_length(tmp_path, samples, says):
    content = encoded(tmp_path / "whole.flac")
    path = written(tmp_path / "a.flac", flac_with(content, samples))
    assert duration(path) == 12.0 and wrong_header(path).startswith(says) and bool(says) == bool(wrong_header(path))
    np.testing.assert_array_equal(read_audio(path), read_audio(tmp_path / "whole.flac"))


@pytest.mark.parametrize("samples", [800_000, (1 << 36) - 1])
def test_a_flac_that_promises_more(tmp_path, samples):
    path = written(tmp_path / "a.flac", flac_with(encoded(tmp_path / "whole.flac"), samples))
    with pytest.raises(AudioError, match=r"a\.flac: is cut short \(its header promises [\d.]+ s, it holds 12\.000 s\)"):
        duration(path)


@needs_av
@pytest.mark.parametrize(
    ("options", "slack"),
    [({"format": "FLAC"}, 0.0), ({"format": "OGG", "subtype": "VORBIS"}, 0.1), ({"format": "MP3"}, 0.2)],
    ids=["flac", "ogg", "mp3"],
)
@pytest.mark.parametrize("between", [b"", b"ID3\x04\0\0\0\0\0\x0a" + b"\0" * 10])
def test_several_files_in_one_are_read_to_the_end(tmp_path, options, slack, between):
    first, second = (encoded(tmp_path / str(end), WAVE[: end * SAMPLE_RATE], **options) for end in (12, 5))
    for name, content, seconds in (("a", first + between + second, 17.0), ("b", first + between + first, 24.0)):
        path = written(tmp_path / name, content)
        assert seconds <= duration(path) <= seconds + slack
        assert len(read_audio(path)) == round(duration(path) * SAMPLE_RATE)


@needs_av
def test_an_mp3_with_garbage_without_a_header_or_with_another_rate(tmp_path):
    whole = encoded(tmp_path / "a.mp3")
    step, *_ = _frames._mp3_frame(whole[:200])
    faster = encoded(tmp_path / "b.mp3", np.tile(WAVE, 3), 44_100)
    for name, content, seconds in (
        ("garbage.mp3", b"\x12" * 5000 + whole, 12.0),
        ("headless.mp3", whole[step:], 12.0),
        ("damaged.mp3", whole[:20_000] + bytes(range(256)) * 12 + whole[20_000:], 12.0),
        ("rates.mp3", whole + faster, 12.0 + 36 * SAMPLE_RATE / 44_100),
        ("tagged.mp3", whole + b"TAG" + b"a" * 125, 12.0),
    ):
        assert duration(written(tmp_path / name, content)) == pytest.approx(seconds, abs=0.2)
        assert len(read_audio(tmp_path / name)) == round(duration(tmp_path / name) * SAMPLE_RATE)


def test_an_mp3_that_is_cut_short(tmp_path):
    content = encoded(tmp_path / "whole.mp3")
    with pytest.raises(AudioError, match=r"a\.mp3: is cut short \(its header promises 12\.\d+ s, it holds 6\.\d+ s"):
        duration(written(tmp_path / "a.mp3", content[: len(content) // 2]))


def by_av(path: Path, codec: str, rate: int, **options: str) -> Path:
    return write_media(path, WAVE, SAMPLE_RATE, codec, rate, **options)


CONTAINERS = [
    ("a.m4a", "aac", 44_100),
    ("a.mp4", "aac", 16_000),
    ("a.aac", "aac", 16_000),
    ("a.3gp", "aac", 16_000),
    ("a.webm", "libopus", 48_000),
    ("a.mka", "flac", 16_000),
    ("a.amr", "amr_nb", 8_000),
    ("a.mov", "pcm_s16le", 16_000),
]


@needs_av
@pytest.mark.parametrize(("name", "codec", "rate"), CONTAINERS)
def test_what_libsndfile_lacks_is_read_by_ffmpeg(tmp_path, name, codec, rate):
    path = by_av(tmp_path / name, codec, rate)
    wave = read_audio(path)
    assert duration(path) == pytest.approx(12.0, abs=0.15) and len(wave) == round(duration(path) * SAMPLE_RATE)
    assert 0.15 < wave.std() < 0.25  # a sine of 0.3, and noise


@needs_av
def test_an_m4a_that_is_cut_short(tmp_path):
    content = by_av(tmp_path / "a.m4a", "aac", 16_000, movflags="faststart").read_bytes()
    for name, kept_bytes in (("b.m4a", len(content) // 2), ("c.m4a", 40)):
        with pytest.raises(AudioError, match=f"{name}: (is cut short|cannot be read as audio)"):
            duration(written(tmp_path / name, content[:kept_bytes]))


@needs_av
@pytest.mark.parametrize("name", ["a.mp3", "joined.mp3", "a.m4a", "unknown.flac", "gsm.wav"])
def test_a_stretch_of_what_cannot_be_sought_in_is_that_of_the_whole(tmp_path, name):
    path = tmp_path / name
    if name == "a.m4a":
        by_av(path, "aac", 16_000)
    elif name == "gsm.wav":
        encoded(path, rate=8000, format="WAV", subtype="GSM610")
    else:
        content = encoded(tmp_path / "whole", format="FLAC" if name == "unknown.flac" else "MP3")
        written(path, {"joined.mp3": content * 2, "unknown.flac": flac_with(content, 0)}.get(name, content))
    facts = audio.facts_of(path)
    whole = np.concatenate(list(stretch(path, facts, 0, facts.frames)))
    assert len(whole) == facts.frames
    for start, end in ((0.5, 1.0), (1.0, 3.25), (2.0, 2.5), (9.0, 11.0), (0.0, 12.0)):  # forward, and back
        first, last = round(start * facts.rate), round(end * facts.rate)
        np.testing.assert_array_equal(np.concatenate(list(stretch(path, facts, first, last))), whole[first:last])
        if facts.rate == SAMPLE_RATE:
            np.testing.assert_array_equal(read_audio(path, start, end), whole[first:last, 0])


@needs_av
def test_windows_in_order_decode_a_file_once(tmp_path, monkeypatch):
    path = written(tmp_path / "a.mp3", encoded(tmp_path / "whole.mp3") * 2)
    duration(path)
    starts, decode = [], _decoders._all_by_ffmpeg
    monkeypatch.setattr(_decoders, "_all_by_ffmpeg", lambda path: starts.append(path) or decode(path))
    windows = [read_audio(path, float(start), start + 4.0) for start in range(0, 24, 4)]
    assert len(starts) == 1
    np.testing.assert_array_equal(np.concatenate(windows), read_audio(path, 0.0, 24.0))


@needs_av
def test_no_playlist_opens_other_files(tmp_path):
    by_av(tmp_path / "secret.m4a", "aac", 16_000)
    for name, text in (
        ("a.m4a", f"#EXTM3U\n#EXTINF:12,\n{tmp_path}/secret.m4a\n#EXT-X-ENDLIST\n"),
        ("b.m4a", f"ffconcat version 1.0\nfile {tmp_path}/secret.m4a\n"),
    ):
        with pytest.raises(AudioError, match="cannot be read as audio"):
            duration(written(tmp_path / name, text.encode()))


@needs_av
def test_without_the_extra_such_files_say_how_to_install_it(tmp_path, monkeypatch):
    m4a = by_av(tmp_path / "a.m4a", "aac", 16_000)
    joined = written(tmp_path / "joined.mp3", encoded(tmp_path / "whole.mp3") * 2)
    text = written(tmp_path / "text.m4a", b"no audio at all, and not much of a text either")
    monkeypatch.setitem(sys.modules, "av", None)
    for path in (m4a, joined):
        with pytest.raises(
            AudioError, match=rf"{path.name}: .*needs the package 'av': pip install 'emobridge\[media\]'"
        ):
            duration(path)
    with pytest.raises(AudioError, match=r"text\.m4a: cannot be read as audio \([^;]*\)$"):
        duration(text)
    assert duration(tmp_path / "whole.mp3") == 12.0


@pytest.mark.parametrize("rate", [1, 100, 1_999, 768_001, 1_000_000_000])
def test_rates_that_no_recorder_has(tmp_path, rate):
    content = bytearray(encoded(tmp_path / "a.wav", WAVE[:1000], subtype="PCM_16"))
    content[24:28] = struct.pack("<I", rate)
    with pytest.raises(AudioError, match=rf"b\.wav: sample rate {rate} Hz: expected 2000 to 768000 Hz"):
        read_audio(written(tmp_path / "b.wav", bytes(content)))


def test_floats_of_16_bit_scale_are_read_as_they_are_and_larger_ones_refused(tmp_path):
    wave = np.round(WAVE[:1000] * 32_767).astype(np.float32)
    wave[7] = -32_768.0
    encoded(tmp_path / "a.wav", wave, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), wave)
    wave[500] = 1e25
    encoded(tmp_path / "b.wav", wave, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"b\.wav: holds samples of 1e\+25 times full scale; expected 32768 at most"):
        read_audio(tmp_path / "b.wav")


@pytest.mark.parametrize("name", ["caf\udce9.wav", "a\nb.wav", "a\x1b[31m.wav", "a\0b.wav", "\ud800.wav"])
def test_names_that_cannot_be_printed(tmp_path, name):
    for read in (duration, read_audio, audio.audio_digest):
        with pytest.raises(AudioError, match="its name is not text that can be printed") as caught:
            read(f"{tmp_path}/{name}")
        assert str(caught.value).isprintable() and str(caught.value).encode()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_an_hour_goes_through_in_pieces():
    """The memory of a process that measures and hears a small FLAC file of an hour stays below 200 MB."""
    program = """
import re, tempfile, numpy as np, soundfile
from pathlib import Path
from emobridge.audit.hearing import decode_manifest
from emobridge.data.audio import duration, utterance_pieces
from emobridge.types import Utterance
path = Path(tempfile.mkdtemp()) / "a.flac"
with soundfile.SoundFile(path, "w", 16_000, 1) as file:
    for _ in range(60):
        file.write(np.zeros(60 * 16_000, np.int16))
assert path.stat().st_size < 600_000 and duration(path) == 3600
manifest = decode_manifest("m", (Utterance("u", "c", str(path)),), utterance_pieces, lambda: None)
assert manifest.sound.seconds == 3600
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 200
