"""Decoding in pieces, by libsndfile or, for what it lacks or reads in part, by FFmpeg through PyAV.

Which of the two reads a file follows from the file alone, never from what is installed: a clip has the same samples
everywhere. What has no exact places to seek to, MP3 first of all, is decoded from its start; a stretch that begins
where the last one ended goes on there.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from emobridge.data._ffmpeg import Clamped, Ffmpeg, Samples, measure
from emobridge.data._frames import CHECKS
from emobridge.data._sizes import Patch, Unreadable, sizes_of
from emobridge.errors import UserError
from emobridge.files import file_version

SLOWEST, FASTEST = 2_000, 768_000  # Hz; below is no speech, above no recorder
BLOCK = 30.0  # s decoded at a time, so that an hour of stereo never lies in memory at its own rate
BLOCK_VALUES = 1 << 22  # samples, those of all channels, decoded at a time at most
UNKNOWN_LENGTH = 1 << 61  # frames: libsndfile has more where it does not know


class AudioError(UserError):
    """A file that is missing, is no audio, or does not hold what its row in the manifest says."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file once it was looked at."""

    frames: int  # samples of one channel
    rate: int  # Hz
    channels: int
    by_ffmpeg: bool = False
    in_order: bool = False  # decoded from the start, for want of exact seeking
    patch: Patch | None = None
    note: str = ""  # how its header is wrong; "" where it is right


def facts_of(path: Path) -> Facts:
    """The facts of a file, looked up once for each of its versions.

    A file whose length only decoding tells is decoded to its end. Errors: AudioError for what cannot be read.
    """
    with audio_errors(path):
        return _facts(*file_version(path))


@contextlib.contextmanager
def audio_errors(path: Path) -> Iterator[None]:
    """Turn the errors of a block that reads `path` into AudioError of one line."""
    try:
        yield
    except Unreadable as error:
        raise AudioError(f"{path}: {error}") from error
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: cannot be read as audio ({_reason(error)})") from error
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror or error})") from error


@functools.lru_cache(maxsize=1 << 17)
def _facts(path: str, *version: int) -> Facts:
    length = os.path.getsize(path)
    if length == 0:
        raise Unreadable("is empty (0 bytes)")
    note: str | None = None
    with open(path, "rb") as content:
        sizes = sizes_of(content, length)
        try:
            with _sndfile(path, sizes.patch) as file:
                form, in_order = file.format, file.format == "MP3" or not file.seekable()
                facts = Facts(file.frames, file.samplerate, file.channels, False, in_order, sizes.patch, sizes.note)
        except soundfile.LibsndfileError as error:
            return _checked(_facts_by_ffmpeg(path, _reason(error)))
        if form in CHECKS:
            note = CHECKS[form](content, length, facts.frames)
        elif facts.frames >= UNKNOWN_LENGTH:
            note = ""
    return _checked(facts if note is None else _facts_by_ffmpeg(path, "", note))


def _checked(facts: Facts) -> Facts:
    if not SLOWEST <= facts.rate <= FASTEST:
        raise Unreadable(f"sample rate {facts.rate} Hz: expected {SLOWEST} to {FASTEST} Hz")
    if facts.frames <= 0:
        raise Unreadable("holds no samples")
    return facts


def stated_seconds(path: Path) -> float | None:
    """The length that a file's header states, in s, right or wrong; None where it states none. Nothing is decoded."""
    with contextlib.suppress(soundfile.LibsndfileError, OSError):
        about = soundfile.info(str(path))
        return about.frames / about.samplerate if about.frames < UNKNOWN_LENGTH else None
    errors = (ImportError, ValueError, LookupError, NotImplementedError, OSError)
    with contextlib.suppress(*errors), Clamped(str(path)) as content, Ffmpeg(content) as decoder:
        return decoder.stated_seconds
    return None


def forget_files() -> None:
    """Let go of what is known of files, and of the one that is being decoded: for who reads thousands, each once."""
    _facts.cache_clear()
    _cursors.clear()


def stretch(path: Path, facts: Facts, first: int, last: int) -> Iterator[Samples]:
    """Frames `first` to `last` in pieces of at most BLOCK seconds, fewer where decoding ends before.

    Errors: as `audio_errors` turns them.
    """
    if facts.in_order:
        yield from _in_order(path, facts, first, last)
        return
    with _sndfile(str(path), facts.patch) as file:
        file.seek(first)
        yield from _blocks(file, last - first)


def _blocks(file: soundfile.SoundFile, count: int) -> Iterator[Samples]:
    """The next `count` frames of an open file."""
    size = max(1, min(round(BLOCK * file.samplerate), BLOCK_VALUES // file.channels))
    while count > 0:
        block = file.read(min(size, count), dtype="float32", always_2d=True)
        if not len(block):
            return
        yield block
        count -= len(block)


@contextlib.contextmanager
def _sndfile(path: str, patch: Patch | None) -> Iterator[soundfile.SoundFile]:
    with contextlib.ExitStack() as stack:
        source = path if patch is None else stack.enter_context(_Patched(path, patch))
        yield stack.enter_context(soundfile.SoundFile(source))


class _Patched(Clamped):
    """A file in which some bytes are others."""

    def __init__(self, path: str, patch: Patch) -> None:
        super().__init__(path)
        self.patch = patch

    def readinto(self, buffer: Any) -> int:
        at, view = self.tell(), memoryview(buffer).cast("B")
        count = super().readinto(view)
        for index, byte in enumerate(self.patch.content, self.patch.at - at):
            if 0 <= index < count:
                view[index] = byte
        return count


@dataclass(slots=True)
class _Cursor:
    """A file that is being decoded from its start."""

    version: tuple[object, ...]
    blocks: Iterator[Samples]
    at: int  # the frame at which `waiting` begins
    waiting: Samples  # decoded and not yet read


_cursors: dict[int, _Cursor] = {}  # of each process the last one; who reads takes it out


def _in_order(path: Path, facts: Facts, first: int, last: int) -> Iterator[Samples]:
    version = file_version(path)
    cursor = _cursors.pop(os.getpid(), None)
    if cursor is None or cursor.version != version or cursor.at > first:
        blocks = _all_by_ffmpeg(str(path)) if facts.by_ffmpeg else _all_by_sndfile(str(path), facts)
        cursor = _Cursor(version, blocks, 0, np.empty((0, facts.channels), np.float32))
    while cursor.at < last:
        if not len(cursor.waiting):
            block = next(cursor.blocks, None)
            if block is None:
                return
            cursor.waiting = block
        skipped = min(max(first - cursor.at, 0), len(cursor.waiting))
        taken = min(last - cursor.at, len(cursor.waiting))
        block, cursor.waiting = cursor.waiting[skipped:taken], cursor.waiting[taken:]
        cursor.at += taken
        if len(block):
            yield block
    _cursors[os.getpid()] = cursor


def _all_by_sndfile(path: str, facts: Facts) -> Iterator[Samples]:
    with _sndfile(path, facts.patch) as file:
        yield from _blocks(file, facts.frames)


def _all_by_ffmpeg(path: str) -> Iterator[Samples]:
    with Clamped(path) as content, Ffmpeg(content) as decoder:
        yield from decoder.blocks()


def _facts_by_ffmpeg(path: str, reason: str, note: str = "") -> Facts:
    return Facts(*measure(path, reason), by_ffmpeg=True, in_order=True, note=note)


def _reason(error: soundfile.LibsndfileError) -> str:
    return " ".join(error.error_string.split()).rstrip(".")
