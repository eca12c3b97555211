"""One pass over the audio of a manifest; a few numbers, a hash and a fingerprint of each utterance remain."""

from __future__ import annotations

import functools
import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emobridge.audit.clip_sounds import ClipSound, noted_sound, noted_sounds
from emobridge.audit.fingerprint import Fingerprint, FingerprintStream
from emobridge.data.activity import speech_segments
from emobridge.data.audio import SILENT, AudioError, ReadPieces, utterance_pieces, wrong_header
from emobridge.errors import UserError
from emobridge.types import SAMPLE_RATE, Utterance

LOOKED_UP = 5000  # utterances whose notes are in memory at a time; each of their files is looked at once
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
    speech: float | None = None  # share of `seconds` in which somebody speaks; None where that was not looked for


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
    prints: list[Fingerprint | None]  # None where silent, too short, not readable or not taken
    speech: NDArray[np.float64]  # (N,), seconds of speech; NaN where not readable or not looked for

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
        share = float(self.speech[self.readable].sum() / seconds.sum())
        return Sound(
            manifest=self.name,
            utterances=len(self.rows),
            readable=len(levels),
            seconds=float(seconds.sum()),
            shortest=float(seconds.min()),
            longest=float(seconds.max()),
            level=float(levels.mean()),
            level_spread=float(levels.std()),
            speech=None if np.isnan(share) else share,
        )

    def ids(self, indices: Iterable[int]) -> tuple[str, ...]:
        """The ids of the utterances at `indices`."""
        return tuple(self.rows[index].id for index in indices)


def decode_manifest(
    name: str, rows: tuple[Utterance, ...], read: ReadPieces, tick: Callable[[], None], *, details: bool = False
) -> DecodedManifest:
    """Decode each utterance in turn and call `tick` after it. A UserError that `read` raises becomes a failure.

    details: whether to take fingerprints and to look for speech too.
    """
    count = len(rows)
    manifest = DecodedManifest(
        name=name,
        rows=rows,
        acoustics=np.full((count, 3), np.nan),
        clipped=np.zeros(count),
        digests=[b""] * count,
        failures={},
        headers={},
        prints=[None] * count,
        speech=np.full(count, np.nan),
    )
    takes_notes = details and read is utterance_pieces  # what somebody's own reader makes up is not noted
    for index, (row, noted) in enumerate(_with_notes(rows) if takes_notes else ((row, None) for row in rows)):
        decode = functools.partial(_decoded, row, read, details)
        try:
            sound = noted or (noted_sound(row, decode) if takes_notes else decode())
        except UserError as error:
            manifest.failures[index] = str(error)
        else:
            _enter(manifest, index, sound)
        tick()
    return manifest


def _with_notes(rows: Sequence[Utterance]) -> Iterator[tuple[Utterance, ClipSound | None]]:
    """Each utterance with what is noted of it."""
    for first in range(0, len(rows), LOOKED_UP):
        part = rows[first : first + LOOKED_UP]
        yield from zip(part, noted_sounds(part))


def _enter(manifest: DecodedManifest, index: int, sound: ClipSound) -> None:
    manifest.acoustics[index] = sound.level, sound.peak, sound.seconds
    manifest.clipped[index] = sound.clipped
    manifest.speech[index] = sound.speech
    manifest.digests[index] = sound.digest
    manifest.prints[index] = sound.fingerprint
    if sound.header:
        manifest.headers[index] = sound.header


def _header(path: str) -> str:
    """How the header of a file is wrong; "" too where `read` made up what is no file."""
    try:
        return wrong_header(path)
    except AudioError:
        return ""


@dataclass(slots=True)
class _Tally:
    """What an utterance sounds like, noted piece by piece."""

    stream: FingerprintStream | None
    digest: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=16))
    count: int = 0  # samples
    clipped: int = 0  # samples at full scale
    largest: float = 0.0
    squares: float = 0.0

    def passing(self, pieces: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """The pieces as they are, each noted before it is passed on."""
        for wave in pieces:
            loudness = np.abs(wave)
            self.count += len(wave)
            self.clipped += int(np.count_nonzero(loudness >= CLIPPING_LEVEL))
            self.largest = max(self.largest, float(loudness.max()))
            self.squares += float(np.square(wave, dtype=np.float64).sum())
            self.digest.update(wave.tobytes())
            if self.stream is not None:
                self.stream.add(wave)
            yield wave


def _decoded(row: Utterance, read: ReadPieces, details: bool) -> ClipSound:
    """What an utterance sounds like, in one pass over its pieces."""
    pieces, speech = read(row), math.nan
    tally = _Tally(FingerprintStream() if details else None)
    if details:  # by the rule that every machine has, so that an audit says the same everywhere
        segments = speech_segments(tally.passing(pieces), detector="energy")
        speech = float(sum(end - start for start, end in segments))
    else:
        deque(tally.passing(pieces), maxlen=0)
    peak = float(20 * np.log10(tally.largest + 1e-6))
    is_silent = peak <= SILENT  # silence of one length is the same everywhere, and no copy
    return ClipSound(
        level=float(10 * np.log10(tally.squares / tally.count + 1e-12)),
        peak=peak,
        seconds=tally.count / SAMPLE_RATE,
        clipped=tally.clipped / tally.count,
        speech=speech,
        digest=b"" if is_silent else tally.digest.digest(),
        header=_header(row.path),
        fingerprint=None if is_silent or tally.stream is None else tally.stream.finish(),
    )
