"""Audio files in, 16 kHz mono out: any format that libsndfile reads, at any rate, with any number of channels.

Everything that can be wrong with a file is an AudioError of one line that names it.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from emobridge.errors import UserError
from emobridge.files import file_digest
from emobridge.types import SAMPLE_RATE, Utterance

END_TOLERANCE = 0.05  # s that `end` may lie beyond the file: labels are often rounded
HEADER_TOLERANCE = 64  # bytes: some recorders count the header itself as samples
SILENT = -60.0  # dB of full scale, peak; the quietest clip of RAVDESS, real speech, peaks at -47
BLOCK = 30.0  # s decoded at a time, so that an hour of stereo never lies in memory at its own rate


Read = Callable[[Utterance], NDArray[np.float32]]  # -> (T,) at SAMPLE_RATE


class AudioError(UserError):
    """A file that is missing, is no audio, or does not hold what its row in the manifest says."""


def duration(path: str | Path) -> float:
    """Length in seconds, from the file's header.

    Errors: AudioError for a file that is missing, empty, no audio, or shorter than its header promises.
    """
    with _opened(path) as file:
        return float(file.frames / file.samplerate)


def header(path: str | Path) -> tuple[int, int]:
    """(frames, rate in Hz) from the file's header. Errors: AudioError as `duration` has them."""
    with _opened(path) as file:
        return file.frames, file.samplerate


def channel_count(path: str | Path) -> int:
    """How many channels the file has, from its header. Errors: AudioError as `duration` has them."""
    with _opened(path) as file:
        return int(file.channels)


def audio_digest(path: str | Path) -> bytes:
    """The sha256 (32 bytes) of the file's content, whatever it holds; read again only when the file has changed.

    Errors: AudioError for a file that is missing or cannot be read.
    """
    try:
        return file_digest(path)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror or error})") from error


def read_utterance(utterance: Utterance) -> np.ndarray:
    """The audio of one row of a manifest: its stretch and its channel, as `read_audio` gives it."""
    return read_audio(utterance.path, utterance.start, utterance.end, utterance.channel)


def read_audio(
    path: str | Path, start: float = 0.0, end: float | None = None, channel: int | None = None
) -> np.ndarray:
    """The stretch from `start` to `end` (s; None is the end of the file): (T,) float32, mono, 16 kHz, T >= 1.

    channel: of the file, from 0; None is the mean of all. Only the stretch is decoded. An `end` up to 0.05 s beyond the
    file is taken as its end.
    Errors: AudioError for a bad file, for samples that are NaN or infinite, for times outside the file, and for a
    channel that it does not have.
    """
    with _opened(path) as file:
        if channel is not None and not 0 <= channel < file.channels:
            raise AudioError(f"{path}: channel {channel}: expected 0 to {file.channels - 1}, the first to the last")
        first, last = _frames(file, path, start, end)
        rate = file.samplerate
        resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1) if rate != SAMPLE_RATE else None
        parts = []
        for block, is_last in _mono_blocks(file, path, first, last, channel):
            parts.append(block if resampler is None else resampler.resample_chunk(block, last=is_last))
    wave = np.concatenate(parts)
    if len(wave) == 0:  # less than one sample at 16 kHz
        wave = block[:1]
    if not np.isfinite(wave).all():
        raise AudioError(f"{path}: holds samples that are not finite numbers (NaN or infinity)")
    return wave


def random_crop(wave: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A stretch of `seconds` at a random place of `wave` (T,); a shorter wave comes back whole."""
    length = max(1, round(seconds * SAMPLE_RATE))
    if len(wave) <= length:
        return wave
    first = int(rng.integers(0, len(wave) - length + 1))
    return wave[first : first + length]


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[soundfile.SoundFile]:
    """The open file, after the checks that need no decoding."""
    path = Path(path)
    if not path.exists():
        raise AudioError(f"{path}: no such file")
    if path.is_dir():
        raise AudioError(f"{path}: is a folder, not an audio file")
    try:
        if path.stat().st_size == 0:
            raise AudioError(f"{path}: is empty (0 bytes)")
        with soundfile.SoundFile(str(path)) as file:
            if file.frames <= 0:
                raise AudioError(f"{path}: holds no samples")
            _check_whole(file, path)
            yield file
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: cannot be read as audio ({_reason(error)})") from error
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror or error})") from error


def _reason(error: soundfile.LibsndfileError) -> str:
    return " ".join(error.error_string.split()).rstrip(".")


def _check_whole(file: soundfile.SoundFile, path: Path) -> None:
    """Refuse a truncated file: libsndfile shortens it without an error, but its log has the size from the header."""
    sizes = {"WAV": "data", "WAVEX": "data", "AIFF": "FORM", "AU": "Data Size", "W64": "riff", "RF64": "Riff size"}
    if file.format not in sizes:
        return
    match = re.search(rf"^ *{sizes[file.format]} *: (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    if not match:
        return
    promised, size = map(int, match.groups())
    is_stream = promised >= 0x7FFFF000  # a recorder that writes to a pipe cannot know the length
    if promised > size + HEADER_TOLERANCE and not is_stream:
        raise AudioError(f"{path}: is cut short (its header promises {promised} bytes, it holds {size})")


def _frames(file: soundfile.SoundFile, path: str | Path, start: float, end: float | None) -> tuple[int, int]:
    """The first frame, and the frame after the last, at the file's own rate."""
    length = file.frames / file.samplerate
    if not math.isfinite(start) or start < 0:
        raise AudioError(f"{path}: start {start} s: expected a time from 0 to {length:.3f} s")
    if start >= length:
        raise AudioError(f"{path}: start {start} s is beyond the end of the file ({length:.3f} s)")
    if end is None:
        end = length
    if not end > start:  # NaN too
        raise AudioError(f"{path}: end {end} s: expected a time after the start ({start} s)")
    if end > length + END_TOLERANCE:
        raise AudioError(f"{path}: end {end} s is beyond the end of the file ({length:.3f} s)")
    first = min(round(start * file.samplerate), file.frames - 1)
    last = min(round(end * file.samplerate), file.frames)
    return first, max(last, first + 1)


def _mono_blocks(
    file: soundfile.SoundFile, path: str | Path, first: int, last: int, channel: int | None
) -> Iterator[tuple[np.ndarray, bool]]:
    """Decode frames `first` to `last` in blocks: each (T,) float32, and whether it is the last block."""
    file.seek(first)
    size = round(BLOCK * file.samplerate)
    at = first
    while at < last:
        expected = min(size, last - at)
        block = file.read(expected, dtype="float32", always_2d=True)
        at += len(block)
        missing = last - at if len(block) < expected else 0
        if missing > END_TOLERANCE * file.samplerate or len(block) == 0:
            raise AudioError(
                f"{path}: is cut short (decoding stops at {at / file.samplerate:.3f} of {last / file.samplerate:.3f} s)"
            )
        mono = block.mean(axis=1, dtype=np.float32) if channel is None else np.ascontiguousarray(block[:, channel])
        yield mono, missing > 0 or at == last
        if missing:
            return
