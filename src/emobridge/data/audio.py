"""Audio files in, 16 kHz mono out: any format that libsndfile or FFmpeg reads, of any rate and number of channels.

A length is that of what decodes, not what a header says: see `_sizes` and `_frames`. Everything is decoded in pieces.
Everything that can be wrong with a file is an AudioError of one line that names it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from emobridge.data._decoders import AudioError as AudioError
from emobridge.data._decoders import Facts, audio_errors, facts_of, stretch
from emobridge.data._decoders import forget_files as forget_files
from emobridge.data._decoders import stated_seconds as _stated_seconds
from emobridge.data._ffmpeg import Samples, TooLongSound, longest_measured
from emobridge.data.notes import noted_digests
from emobridge.types import SAMPLE_RATE, Utterance

END_TOLERANCE = 0.05  # s that `end` may lie beyond the file: labels are often rounded
SILENT = -60.0  # dB of full scale, peak; the quietest clip of RAVDESS, real speech, peaks at -47
# Of full scale. Floating-point files may exceed 1: mixes do a little, and 16-bit samples that were stored as floats
# without a division reach this. They are read as they are. What is larger is no recording but damage.
LARGEST_SAMPLE = 32_768.0
SAME_CHANNELS = 0.99  # correlation from which two channels hold the same sound: one signal coded as two is above
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

Read = Callable[[Utterance], NDArray[np.float32]]  # -> (T,) at SAMPLE_RATE
ReadPieces = Callable[[Utterance], Iterable[NDArray[np.float32]]]  # -> (T_i,) at SAMPLE_RATE, one after the other


def duration(path: str | Path) -> float:
    """Length in seconds. It is decoded for, once, where the header cannot be believed.

    Errors: AudioError for a file that is missing, empty, no audio, or shorter than its header promises.
    """
    facts = facts_of(_checked(path))
    return facts.frames / facts.rate


def duration_up_to(path: str | Path, longest: float) -> float:
    """As `duration`; inf for more than so many seconds where only decoding tells: a small file may hold days.

    Errors: AudioError as `duration` has them.
    """
    token = longest_measured.set(longest)
    try:
        return duration(path)
    except TooLongSound:
        return math.inf
    finally:
        longest_measured.reset(token)


def stated_seconds(path: str | Path) -> float | None:
    """The length that a file's header states, in s, right or wrong; None where it states none, or is no audio.

    It costs nothing: for a look at a file before `duration`. Errors: AudioError for what is no file.
    """
    return _stated_seconds(_checked(path))


def utterance_seconds(utterance: Utterance) -> float:
    """Length of an utterance in seconds; the file is looked at only where its row has no end. Errors: AudioError."""
    return (duration(utterance.path) if utterance.end is None else utterance.end) - utterance.start


def header(path: str | Path) -> tuple[int, int]:
    """(frames, rate in Hz) of a file. Errors: AudioError as `duration` has them."""
    facts = facts_of(_checked(path))
    return facts.frames, facts.rate


def wrong_header(path: str | Path) -> str:
    """How a file that can be read has a wrong length in its header; "" where it is right, or has none.

    Errors: AudioError as `duration` has them.
    """
    return facts_of(_checked(path)).note


def channel_count(path: str | Path) -> int:
    """How many channels the file has. Errors: AudioError as `duration` has them."""
    return facts_of(_checked(path)).channels


def audio_digest(path: str | Path) -> bytes:
    """The sha256 (32 bytes) of the file's content, whatever it holds.

    It is read again only when the file has changed: see `notes`. Errors: AudioError for a file that cannot be read.
    """
    digest = audio_digests([str(path)])[str(path)]
    if isinstance(digest, AudioError):
        raise digest
    return digest


def audio_digests(paths: Iterable[str]) -> dict[str, bytes | AudioError]:
    """`audio_digest` of each path, which is looked at once; the error of a file that cannot be read."""
    digests: dict[str, bytes | AudioError] = {}
    names = []
    for path in dict.fromkeys(paths):
        try:
            _check_name(path)
            names.append(path)
        except AudioError as error:
            digests[path] = error
    for path, digest in noted_digests(names).items():
        if isinstance(digest, OSError):
            digests[path] = AudioError(f"{path}: cannot be read ({digest.strerror or digest})")
        else:
            digests[path] = digest
    return digests


def read_utterance(utterance: Utterance) -> np.ndarray:
    """The audio of one row of a manifest: its stretch and its channel, as `read_audio` gives it."""
    return read_audio(utterance.path, utterance.start, utterance.end, utterance.channel)


def utterance_pieces(utterance: Utterance) -> Iterator[np.ndarray]:
    """The audio of one row of a manifest in pieces: together what `read_utterance` gives."""
    return read_pieces(utterance.path, utterance.start, utterance.end, utterance.channel)


def read_audio(
    path: str | Path, start: float = 0.0, end: float | None = None, channel: int | None = None
) -> np.ndarray:
    """The stretch from `start` to `end` (s; None is the end of the file): (T,) float32, mono, 16 kHz, T >= 1.

    channel: of the file, from 0; None is the mean of all. Only the stretch is decoded, where the format allows it. An
    `end` up to 0.05 s beyond the file is taken as its end.
    Errors: AudioError for a bad file, for samples that are not finite or beyond LARGEST_SAMPLE, for times outside the
    file, and for a channel that it does not have.
    """
    return np.concatenate(list(read_pieces(path, start, end, channel)))


def read_pieces(
    path: str | Path, start: float = 0.0, end: float | None = None, channel: int | None = None
) -> Iterator[np.ndarray]:
    """What `read_audio` reads, in pieces (T_i,) of half a minute or less, none of them empty. Errors: as there."""
    path = _checked(path)
    facts = facts_of(path)
    if channel is not None and not 0 <= channel < facts.channels:
        raise AudioError(f"{path}: channel {channel}: expected 0 to {facts.channels - 1}, the first to the last")
    first, last = _frames(facts, path, start, end)
    resampler = soxr.ResampleStream(facts.rate, SAMPLE_RATE, 1) if facts.rate != SAMPLE_RATE else None
    read = False
    with audio_errors(path):
        for block, is_last in _blocks(path, facts, first, last):
            _check_values(path, block)
            mono = block.mean(axis=1, dtype=np.float32) if channel is None else np.ascontiguousarray(block[:, channel])
            piece = mono if resampler is None else resampler.resample_chunk(mono, last=is_last)
            if len(piece) or (is_last and not read):
                yield piece if len(piece) else mono[:1]  # less than one sample at 16 kHz
                read = True


def channels_agree(utterance: Utterance) -> bool:
    """Whether all channels of a row's stretch hold the same sound, louder or quieter: their mean then loses nothing.

    They agree where each correlates with the loudest at SAME_CHANNELS or more. Errors: AudioError as for `read_audio`.
    """
    path = _checked(utterance.path)
    facts = facts_of(path)
    if facts.channels == 1:
        return True
    first, last = _frames(facts, path, utterance.start, utterance.end)
    count, total, products = 0, np.zeros(facts.channels), np.zeros((facts.channels, facts.channels))
    with audio_errors(path):
        for block, _ in _blocks(path, facts, first, last):
            wide = block.astype(np.float64)
            count, total, products = count + len(wide), total + wide.sum(0), products + wide.T @ wide
    covariance = products / count - np.outer(total, total) / count**2
    power = covariance.diagonal().clip(min=0.0)
    loudest = int(power.argmax())
    if power[loudest] <= 0:
        return True
    return bool((covariance[loudest] >= SAME_CHANNELS * np.sqrt(power * power[loudest])).all() and (power > 0).all())


def _blocks(path: Path, facts: Facts, first: int, last: int) -> Iterator[tuple[Samples, bool]]:
    """Frames `first` to `last` of a file, and of each block whether it is the last one."""
    at = first
    waiting: Samples | None = None  # one block, for only the next one tells whether it is the last
    for block in stretch(path, facts, first, last):
        if waiting is not None:
            yield waiting, False
        waiting = block
        at += len(block)
    if waiting is None or last - at > END_TOLERANCE * facts.rate:
        seconds = f"{at / facts.rate:.3f} of {last / facts.rate:.3f} s"
        raise AudioError(f"{path}: is cut short (decoding stops at {seconds})")
    yield waiting, True


def _check_values(path: Path, block: Samples) -> None:
    largest = float(np.abs(block).max())
    if not math.isfinite(largest):
        raise AudioError(f"{path}: holds samples that are not finite numbers (NaN or infinity)")
    if largest > LARGEST_SAMPLE:
        raise AudioError(
            f"{path}: holds samples of {largest:.3g} times full scale; expected {LARGEST_SAMPLE:g} at most"
        )


def printable(name: str) -> str:
    """The name of a file with what cannot be printed, bytes that are no UTF-8 text among it, as escapes."""
    return UNPRINTABLE.sub(lambda character: ascii(character[0])[1:-1], name)


def _check_name(path: str | Path) -> None:
    """Refuse a name that cannot be printed, nor be written into any result."""
    if UNPRINTABLE.search(str(path)):
        raise AudioError(f"{printable(str(path))}: its name is not text that can be printed; rename it")


def _checked(path: str | Path) -> Path:
    """The path, after the checks that need no look inside."""
    _check_name(path)
    path = Path(path)
    with audio_errors(path):  # a folder that may not be entered, a name that is too long
        if not path.exists():
            raise AudioError(f"{path}: no such file")
        if path.is_dir():
            raise AudioError(f"{path}: is a folder, not an audio file")
        if not path.is_file():
            raise AudioError(f"{path}: is no file but a pipe or a device")
    return path


def _frames(facts: Facts, path: Path, start: float, end: float | None) -> tuple[int, int]:
    """The first frame, and the frame after the last, at the file's own rate."""
    length = facts.frames / facts.rate
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
    first = min(round(start * facts.rate), facts.frames - 1)
    last = min(round(end * facts.rate), facts.frames)
    return first, max(last, first + 1)


def random_crop(size: int, seconds: float, rng: np.random.Generator) -> slice:
    """A stretch of `seconds` at a random place of a wave of `size` samples; all of a shorter one."""
    length = max(1, round(seconds * SAMPLE_RATE))
    if size <= length:
        return slice(0, size)
    first = int(rng.integers(0, size - length + 1))
    return slice(first, first + length)
