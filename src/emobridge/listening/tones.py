"""The sound of the audio check: a few tones to count, which takes no language."""

from __future__ import annotations

import functools
import hashlib
import io
import re
import wave

import numpy as np

COUNTS = (2, 3, 4, 5)
TONE_RATE = 16_000  # Hz
TONE, PAUSE, FADE = 0.25, 0.35, 0.02  # s
PITCH, LEVEL = 440.0, 0.1  # Hz; of full scale, about as loud as speech
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


def tone_count(listener: str, attempt: int) -> int:
    """How many tones a listener hears at the attempt of this number, from 0."""
    return COUNTS[hashlib.sha256(f"{listener} {attempt}".encode()).digest()[0] % len(COUNTS)]


@functools.cache
def tones(count: int) -> bytes:
    """A WAV file of `count` tones with pauses around them; it is as long for any count, so that this tells nothing."""
    fade = np.minimum(1, np.arange(int(TONE * TONE_RATE)) / (FADE * TONE_RATE))
    tone = LEVEL * np.sin(2 * np.pi * PITCH * np.arange(len(fade)) / TONE_RATE) * fade * fade[::-1]
    sound = np.zeros(int((PAUSE + max(COUNTS) * (TONE + PAUSE)) * TONE_RATE))
    for number in range(count):
        start = int((PAUSE + number * (TONE + PAUSE)) * TONE_RATE)
        sound[start : start + len(tone)] = tone
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, TONE_RATE, 0, "NONE", ""))
        writer.writeframes((sound * 32767).astype("<i2").tobytes())
    return file.getvalue()


def part_of(data: bytes, header: str) -> tuple[int, bytes, dict[str, str]]:
    """The status, the bytes and the headers that answer a request with this header Range ("" is all; RFC 9110, 14.2).

    >>> part_of(b"abcdef", "bytes=2-3")
    (206, b'cd', {'accept-ranges': 'bytes', 'content-range': 'bytes 2-3/6'})
    """
    headers = {"accept-ranges": "bytes"}
    match = _RANGE.fullmatch(header.strip())
    if not match or not (match[1] or match[2]):
        return 200, data, headers
    first = int(match[1]) if match[1] else max(0, len(data) - int(match[2]))
    last = min(int(match[2]), len(data) - 1) if match[1] and match[2] else len(data) - 1
    if first > last:
        return 416, b"", {**headers, "content-range": f"bytes */{len(data)}"}
    return 206, data[first : last + 1], {**headers, "content-range": f"bytes {first}-{last}/{len(data)}"}
