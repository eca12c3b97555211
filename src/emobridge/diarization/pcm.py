"""Samples as they come: raw PCM from a pipe in blocks, and the gaps that a microphone may have between blocks.

Raw PCM is little-endian samples, the channels of a frame side by side, without a header.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emobridge.errors import UserError, count_noun

SCALES = {"s16le": ("<i2", 1 / 32768), "f32le": ("<f4", 1.0)}  # the type of a sample, and what makes full scale 1
# How files begin that are no raw PCM.
WAVE_HEADERS = {
    b"RIFF": "WAV", b"RF64": "WAV", b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3", b"FORM": "AIFF", b".snd": "AU",
    b"\x1aE\xdf\xa3": "WebM",
}  # fmt: skip
LONGEST_HEADER = max(map(len, WAVE_HEADERS))


@dataclass(frozen=True, slots=True)
class Gap:
    """Sound that was skipped: what follows does not continue what came before."""

    seconds: float


SoundBlock = NDArray[np.float32] | Gap  # (T, channels) at the rate of the source


def pcm_blocks(
    reads: Iterable[bytes], encoding: str, channels: int, on_note: Callable[[str], None] | None = None
) -> Iterator[NDArray[np.float32]]:
    """Bytes in pieces of any size, none of them empty, as blocks (T, channels) of float32, 1 is full scale.

    encoding: of SCALES. Bytes after the last whole frame are left out; on_note says so.
    Errors: UserError where the stream begins with the header of an audio file, and where it holds no frame.
    """
    kind, scale = SCALES[encoding]
    size = channels * np.dtype(kind).itemsize
    unread, waiting = iter(reads), b""
    while len(waiting) < max(LONGEST_HEADER, size) and (piece := next(unread, b"")):
        waiting += piece
    _check_header(waiting)
    if len(waiting) < size:
        raise UserError(f"standard input: ended before a frame of {size} bytes ({channels} x {encoding})")
    for piece in itertools.chain([b""], unread):
        waiting += piece
        count = len(waiting) // size * channels
        if count:
            with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is told apart later
                block = np.frombuffer(waiting, kind, count).astype(np.float32) * np.float32(scale)
            yield block.reshape(-1, channels)
            waiting = waiting[len(waiting) // size * size :]
    if waiting and on_note is not None:
        on_note(f"standard input: {count_noun(len(waiting), 'byte')} after the last whole frame left out")


def _check_header(start: bytes) -> None:
    for header, name in WAVE_HEADERS.items():
        if start.startswith(header):
            raise UserError(
                f"standard input: is a {name} file; expected raw samples, such as from: ffmpeg -i FILE -f s16le "
                "-ar 16000 -ac 1 -"
            )
