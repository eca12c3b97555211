"""Damaged audio files of every format: an error of one line or finite samples, and never anything else, nor a hang."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from media import write_media

from emobridge.data.audio import AudioError, duration, read_audio, wrong_header

NOISE = (0.2 * np.random.default_rng(0).standard_normal(4_800)).astype(np.float32)
WRITTEN = {
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "float": {"format": "WAV", "subtype": "FLOAT"},
    "adpcm": {"format": "WAV", "subtype": "IMA_ADPCM"},
    "gsm": {"format": "WAV", "subtype": "GSM610"},
    "rf64": {"format": "RF64"},
    "w64": {"format": "W64"},
    "aiff": {"format": "AIFF"},
    "au": {"format": "AU"},
    "caf": {"format": "CAF"},
    "sph": {"format": "NIST"},
    "flac": {"format": "FLAC"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3"},
}
CODECS = {"m4a": "aac", "webm": "libopus", "aac": "aac", "amr": "amr_nb", "mka": "flac"}
CASES = 40  # of each format


def content_of(name: str, folder: Path) -> bytes:
    path = folder / f"whole.{name}"
    if name in WRITTEN:
        soundfile.write(path, NOISE, 8_000, **WRITTEN[name])
        return path.read_bytes()
    rate = 48_000 if name == "webm" else 8_000
    return write_media(path, NOISE, 8_000, CODECS[name], rate).read_bytes()


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with some bytes changed, mostly of its header, or cut short, lengthened, or with a part twice."""
    changed = bytearray(content)
    kind = rng.integers(5)
    if kind <= 2:
        reach = len(changed) if kind == 2 else min(len(changed), 120)
        for _ in range(rng.integers(1, 6)):
            changed[rng.integers(reach)] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)])
    elif kind == 3:
        del changed[rng.integers(len(changed)) :]
    else:
        first, last = sorted(rng.integers(len(changed), size=2))
        changed[first:first] = changed[first:last]
    return bytes(changed)


def error_of(path: Path) -> str:
    """What is wrong with a file, or "" where it gives samples, which are finite then."""
    try:
        seconds, note = duration(path), wrong_header(path)
        wave = read_audio(path, 0.0, min(seconds, 5.0))
    except AudioError as error:
        return str(error)
    assert seconds > 0 and note.isprintable()
    assert wave.dtype == np.float32 and len(wave) and np.isfinite(wave).all()
    return ""


@pytest.mark.parametrize("name", [*WRITTEN, *CODECS])
def test_damage_is_an_error_of_one_line_or_finite_samples(tmp_path, name):
    if name in CODECS and importlib.util.find_spec("av") is None:
        pytest.skip("needs the extra media")
    content, rng = content_of(name, tmp_path), np.random.default_rng(list(name.encode()))
    began, readable = time.monotonic(), 0
    for case in range(CASES):
        path = tmp_path / f"{case}.{name}"
        path.write_bytes(damaged(content, rng))
        line = error_of(path)
        assert not line or (line.startswith(f"{path}: ") and line.isprintable())
        readable += not line
    assert time.monotonic() - began < 20, "damaged files of 0.6 s are looked at in no time"
    assert readable > 0, "the damage is not too much to test anything"
    assert readable < CASES or name in ("aac", "amr"), "nor too little; these two have next to no header"
