"""Whether libsndfile's number of samples of MP3, Ogg and FLAC files is that of their frames, without decoding.

    MP3     without a Xing header libsndfile guesses from the first frames; with one, it believes that of the first of
            several files in one
    Ogg     of several streams one after the other (chained) it reads the first
    FLAC    an encoder that writes to a pipe leaves no length; libsndfile cannot read such a file

A file that fails its check in CHECKS needs a decoder that reads to the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO

from emobridge.data._sizes import PADDING, Unreadable

# Bit rates in kbit/s by their index, and rates in Hz, of MPEG 1 and of MPEG 2 and 2.5, layer III.
BITRATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
RATES = (44_100, 48_000, 32_000)
MPEG_VERSIONS = {3: 1, 2: 2, 0: 4}  # of the header's two bits: by what the rates are divided


def mp3_check(file: BinaryIO, length: int, frames: int) -> str | None:
    """None where `frames` samples, libsndfile's number, are those of the file; else why not, "" without a reason.

    Counts the frames of an MP3 file. Errors: Unreadable where its Xing header promises more.
    """
    at = begins = _behind_tags(file, 0)
    count, promised, headers, kind = 0, 0, 0, None
    while at + 4 <= length:
        file.seek(at)
        content = file.read(192)
        frame = _mp3_frame(content)
        if frame is None:
            behind = _behind_tags(file, at)
            if behind == at:
                break
            at = behind
            continue
        step, *this_kind = frame
        if kind not in (None, this_kind):
            return ""
        kind = this_kind
        tag = re.search(rb"Xing|Info|VBRI", content[:48])
        if tag:
            headers += 1
            if at == begins and tag[0] != b"VBRI" and len(content) > tag.end() + 8 and content[tag.end() + 3] & 1:
                promised = int.from_bytes(content[tag.end() + 4 : tag.end() + 8], "big")
        else:
            count += 1
        at += step
    if kind is None:
        return ""
    samples, rate = kind
    is_whole = length - at <= PADDING
    if promised > count + 2 and headers == 1 and is_whole:
        seconds = f"promises {promised * samples / rate:.3f} s, it holds {count * samples / rate:.3f} s"
        raise Unreadable(f"is cut short (its header {seconds})")
    # An encoder's delay and padding, which a header tells too, are no samples.
    if headers <= 1 and is_whole and abs(frames - count * samples) <= (4 * samples if promised else samples):
        return None
    return f"its header says {promised * samples / rate:.3f} s, which is a part of it" if promised else ""


def _mp3_frame(content: bytes) -> tuple[int, int, int] | None:
    """Bytes and samples of the MP3 frame that begins `content`, and its rate in Hz; None where none does."""
    if len(content) < 4 or content[0] != 0xFF or content[1] & 0xE6 != 0xE2:
        return None
    version, bitrate, rate = content[1] >> 3 & 3, content[2] >> 4, content[2] >> 2 & 3
    if version not in MPEG_VERSIONS or not 0 < bitrate < 15 or rate == 3:
        return None
    is_first = version == 3
    hertz = RATES[rate] // MPEG_VERSIONS[version]
    kilobits = BITRATES[0 if is_first else 1][bitrate]
    return (
        (144 if is_first else 72) * kilobits * 1000 // hertz + (content[2] >> 1 & 1),
        1152 if is_first else 576,
        hertz,
    )


def ogg_check(file: BinaryIO, length: int, frames: int) -> str | None:
    """None where an Ogg file holds one stream, or several at once; "" for several one after the other."""
    at, streams_go_on = 0, False
    while at + 27 <= length:
        file.seek(at)
        header = file.read(27)
        if header[:4] != b"OggS":
            return None if length - at <= PADDING else ""
        begins_stream = bool(header[5] & 2)
        if begins_stream and streams_go_on:
            return ""
        streams_go_on |= not begins_stream
        at += 27 + header[26] + sum(file.read(header[26]))
    return None


FLAC_BLOCKS = {1: 192, **{code: 576 << (code - 2) for code in range(2, 6)}, **{c: 256 << (c - 8) for c in range(8, 16)}}
FLAC_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")


def flac_check(file: BinaryIO, length: int, frames: int) -> str | None:
    """None where the last frame of a FLAC file ends at its `frames`-th sample; else why not, "" without a length.

    Errors: Unreadable where the header promises more than the frames hold.
    """
    begins = _behind_tags(file, 0)
    file.seek(begins)
    head = file.read(42)
    if not FLAC_START.match(head) or len(head) < 42:
        return ""
    largest, rate = int.from_bytes(head[15:18], "big"), int.from_bytes(head[18:21], "big") >> 4
    promised = int.from_bytes(head[21:26], "big") & (1 << 36) - 1
    if not promised or not rate:
        return ""
    if _holds(file, begins + 42, FLAC_START):
        return f"its header says {promised / rate:.3f} s, which is a part of it"
    file.seek(max(begins + 42, length - max(1 << 16, min(2 * largest, 1 << 22))))
    held = _flac_end(file.read(), int.from_bytes(head[8:10], "big"))
    if held is not None and held < promised:
        seconds = f"promises {promised / rate:.3f} s, it holds {held / rate:.3f} s"
        raise Unreadable(f"is cut short (its header {seconds})")
    return None if held == promised else f"its header says {promised / rate:.3f} s, which is not what it holds"


def _holds(file: BinaryIO, at: int, pattern: re.Pattern[bytes]) -> bool:
    """Whether a pattern of at most 8 bytes occurs from `at` on."""
    file.seek(at)
    before = b""
    while block := file.read(1 << 20):
        if pattern.search(before + block):
            return True
        before = block[-7:]
    return False


def _flac_end(tail: bytes, block_size: int) -> int | None:
    """The number of the sample behind the last frame whose header is in `tail`; None where there is none."""
    at = len(tail)
    while (at := tail.rfind(b"\xff", 0, at)) >= 0:
        header = tail[at : at + 16]
        if len(header) > 6 and header[1] & 0xFE == 0xF8 and not header[3] & 1:
            end = _flac_frame_end(header, block_size)
            if end is not None:
                return end
    return None


def _flac_frame_end(header: bytes, block_size: int) -> int | None:
    """The number of the sample behind a frame with this header; None for what is no header."""
    ones = f"{header[4]:08b}".index("0") if header[4] < 0xFF else 8
    more = max(ones - 1, 0)  # bytes of the number behind its first one
    code, rate = header[2] >> 4, header[2] & 15
    size_bytes = {6: 1, 7: 2}.get(code, 0)
    end = 5 + more + size_bytes + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if ones in (1, 8) or rate == 15 or (code not in FLAC_BLOCKS and not size_bytes) or len(header) <= end:
        return None
    if _crc8(header[:end]) != header[end]:
        return None
    number = header[4] & (0x7F >> ones)
    for byte in header[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    size = int.from_bytes(header[5 + more : 5 + more + size_bytes], "big") + 1 if size_bytes else FLAC_BLOCKS[code]
    return number + size if header[1] & 1 else number * block_size + size


def _crc8(content: bytes) -> int:
    """The checksum of FLAC's frame headers: x^8 + x^2 + x + 1, from 0."""
    remainder = 0
    for byte in content:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder << 1 ^ (0x107 if remainder & 0x80 else 0)) & 0xFF
    return remainder


def _behind_tags(file: BinaryIO, at: int) -> int:
    """Where what follows the tags of players at `at` begins: `at` itself where there is none."""
    while True:
        file.seek(at)
        head = file.read(16)
        if len(head) == 16 and head.startswith(b"ID3"):
            at += 10 + sum((byte & 0x7F) << 7 * index for index, byte in enumerate(reversed(head[6:10])))
        elif head.startswith(b"TAG"):
            at += 128
        elif len(head) == 16 and head.startswith(b"APETAGEX"):
            at += 32 + int.from_bytes(head[12:16], "little")
        else:
            return at


# By libsndfile's name of a format: whether its number of samples is that of the file.
CHECKS: dict[str, Callable[[BinaryIO, int, int], str | None]] = {
    "MP3": mp3_check,
    "OGG": ogg_check,
    "FLAC": flac_check,
}
