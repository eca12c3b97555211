"""One pass over the audio of a manifest; a few numbers, a hash and a fingerprint of each utterance remain."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emobridge.audit.fingerprint import Fingerprint, FingerprintStream
from emobridge.data.audio import SILENT, AudioError, ReadPieces, wrong_header
from emobridge.errors import UserError
from emobridge.types import SAMPLE_RATE, Utterance

CLIPPING_LEVEL = 0.999  # of 1; resampling and averaging of channels smear the flat tops a little


@dataclass(frozen=True, slots=True)
class Sound:
    """A summary of the readable utterances of a manifest."""

    manifest: str
    utterances: int  # readable or not
    readable: int
    seconds: float  # their sum
    shortest: float  # s
    longest: float  # s
    level: float  # dB of full scale, mean of the RMS levels
    level_spread: float  # dB, their standard deviation


@dataclass(slots=True)
class DecodedManifest:
    """A manifest after its N utterances were decoded."""

    name: str
    rows: tuple[Utterance, ...]
    acoustics: NDArray[np.float64]  # (N, 3): RMS level in dB, peak in dB, length in s; NaN where it cannot be read
    clipped: NDArray[np.float64]  # (N,), share of samples at full scale
    digests: list[bytes]  # of the samples; empty where silent or not readable
    failures: dict[int, str]  # why an utterance cannot be read
    headers: dict[int, str]  # how the header of one that can be read is wrong
    prints: list[Fingerprint | None]  # None where silent, too short or not readable

    @property
    def readable(self) -> NDArray[np.int64]:
        """Indices of the utterances that could be decoded."""
        return np.flatnonzero(~np.isnan(self.acoustics[:, 0]))

    @property
    def sound(self) -> Sound:
        """The summary over the readable utterances."""
        levels, _, seconds = self.acoustics[self.readable].T
        if not len(levels):
            return Sound(self.name, len(self.rows), 0, 0.0, 0.0, 0.0, 0.0, 0.0)
        numbers = seconds.sum(), seconds.min(), seconds.max(), levels.mean(), levels.std()
        return Sound(self.name, len(self.rows), len(levels), *map(float, numbers))

    def ids(self, indices: Iterable[int]) -> tuple[str, ...]:
        """The ids of the utterances at `indices`."""
        return tuple(self.rows[index].id for index in indices)


def decode_manifest(
    name: str, rows: tuple[Utterance, ...], read: ReadPieces, tick: Callable[[], None], *, prints: bool = False
) -> DecodedManifest:
    """Decode each utterance in turn and call `tick` after it. A UserError that `read` raises becomes a failure.

    prints: whether to take fingerprints too.
    """
    count = len(rows)
    manifest = DecodedManifest(
        name, rows, np.full((count, 3), np.nan), np.zeros(count), [b""] * count, {}, {}, [None] * count
    )
    for index, row in enumerate(rows):
        try:
            _decode(manifest, index, read(row), FingerprintStream() if prints else None)
        except UserError as error:
            manifest.failures[index] = str(error)
        else:
            note = _header(row.path)
            if note:
                manifest.headers[index] = note
        tick()
    return manifest


def _header(path: str) -> str:
    """How the header of a file is wrong; "" too where `read` made up what is no file."""
    try:
        return wrong_header(path)
    except AudioError:
        return ""


def _decode(
    manifest: DecodedManifest, index: int, pieces: Iterable[NDArray[np.float32]], stream: FingerprintStream | None
) -> None:
    """Note what an utterance sounds like, piece by piece."""
    digest = hashlib.blake2b(digest_size=16)
    count, clipped, largest, squares = 0, 0, 0.0, 0.0
    for wave in pieces:
        loudness = np.abs(wave)
        count += len(wave)
        clipped += int(np.count_nonzero(loudness >= CLIPPING_LEVEL))
        largest = max(largest, float(loudness.max()))
        squares += float(np.square(wave, dtype=np.float64).sum())
        digest.update(wave.tobytes())
        if stream is not None:
            stream.add(wave)
    peak = 20 * np.log10(largest + 1e-6)
    manifest.acoustics[index] = 10 * np.log10(squares / count + 1e-12), peak, count / SAMPLE_RATE
    manifest.clipped[index] = clipped / count
    if peak > SILENT:  # silence of one length is the same everywhere, and no copy
        manifest.digests[index] = digest.digest()
        manifest.prints[index] = None if stream is None else stream.finish()
