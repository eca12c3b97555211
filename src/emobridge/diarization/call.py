"""The rows of `diarize` and the sound that they are about, as records: what the page of a call shows.

Each recording is read once more, in pieces, for its pictures and for a copy that browsers play. Memory does not grow
with the length of a recording, but for its rows.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import soundfile

from emobridge.data.audio import AudioError, channel_count, duration, read_pieces
from emobridge.diarization.base import Waveform
from emobridge.diarization.pictures import SoundPainter, SoundPicture
from emobridge.errors import UserError
from emobridge.files import whole_file
from emobridge.inference.output.base import Names, by_recording
from emobridge.types import SAMPLE_RATE, Prediction, short_repr

EMBEDDED = 300.0  # s of a recording that is put into the page itself; of a longer one a copy lies beside the page
MOST_EMBEDDED = 900.0  # s of all recordings in a page, about 5 MB of it
MOST_RECORDINGS = 100  # in a page; a browser has to hold them all
COPY_FORMAT = ("MP3", "MPEG_LAYER_III") if "MP3" in soundfile.available_formats() else ("FLAC", "PCM_16")


@short_repr
@dataclass(frozen=True, slots=True)
class ChannelTimeline:
    """The emotions over time in one channel."""

    channel: int | None  # of the file, from 0; None is the mean of all
    rows: tuple[Prediction, ...]  # in order of time
    picture: SoundPicture


@short_repr
@dataclass(frozen=True, slots=True)
class CallRecord:
    """A recording, its timelines, and where it can be played."""

    name: str  # of its file; with folders where several recordings have the name
    seconds: float
    channels: tuple[ChannelTimeline, ...]
    audio: bytes = b""  # the recording as a file, to be put into a page; b"" where there is none
    audio_file: str = ""  # the address of a copy, relative to the page; "" where there is none
    synthetic: bool = False  # whether the model that answered, or the speech, is synthetic


def call_records(
    rows: Iterable[Prediction],
    page: str | Path,
    *,
    synthetic: bool = False,
    with_audio: bool = True,
    titles: Mapping[str, str] | None = None,
    on_skip: Callable[[str, str], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Iterator[CallRecord]:
    """The record of each recording that the rows are of, in the order of their first rows.

    page: the file that will show them. Long recordings are copied into a folder beside it, PAGE-audio; its names are
    those of the recordings. with_audio: whether they can be played at all: voices are personal data. titles: what the
    page calls the recordings, by their paths; by default by the names of their files. on_skip: is called with a path
    and a reason where a file cannot be read any more; without it the AudioError is raised. on_note: gets a line where
    there are more than MOST_RECORDINGS, of which the first are shown.
    """
    page, names, room, recordings = Path(page), Names(), MOST_EMBEDDED, by_recording(rows)
    count_of = Counter(map(os.path.basename, recordings))
    if len(recordings) > MOST_RECORDINGS and on_note is not None:
        on_note(f"the page shows the first {MOST_RECORDINGS} of {len(recordings):,} recordings")
    for path, answers in itertools.islice(recordings.items(), MOST_RECORDINGS):
        try:
            seconds = duration(path)
            embed = with_audio and seconds <= min(EMBEDDED, room)
            name = names.of(path)
            copy = page.parent / f"{page.stem}-audio" / f"{name}.{COPY_FORMAT[0].lower()}"
            channels = sorted({row.channel for row in answers}, key=lambda number: -1 if number is None else number)
            file: Any = io.BytesIO()
            with whole_file(copy) if with_audio and not embed else contextlib.nullcontext(file) as target:
                pictures = _read(path, seconds, channels, target if with_audio else None)
        except AudioError as error:
            if on_skip is None:
                raise
            on_skip(path, str(error))
            continue
        room -= seconds if embed else 0
        timelines = tuple(
            ChannelTimeline(number, tuple(row for row in answers if row.channel == number), pictures[number])
            for number in channels
        )
        address = quote(f"{copy.parent.name}/{copy.name}") if with_audio and not embed else ""
        base = os.path.basename(path)
        title = titles[path] if titles else base if count_of[base] == 1 else path
        yield CallRecord(title, seconds, timelines, file.getvalue(), address, synthetic)


def _read(path: str, seconds: float, channels: Sequence[int | None], target: Any) -> dict[int | None, SoundPicture]:
    """The picture of each of some channels. target: the file or path that gets a copy; None is no copy."""
    copied: tuple[int | None, ...] = (0, 1) if channel_count(path) == 2 else (None,)
    painters = {number: SoundPainter(round(seconds * SAMPLE_RATE)) for number in channels}
    readers = {number: read_pieces(path, channel=number) for number in {*channels, *(copied if target else ())}}
    with _copy(target, len(copied)) if target else contextlib.nullcontext() as write:
        for pieces in zip(*readers.values(), strict=True):
            sound = dict(zip(readers, pieces, strict=True))
            for number, painter in painters.items():
                painter.add(sound[number])
            if write is not None:
                write(np.stack([sound[number] for number in copied], 1))
    return {number: painter.picture() for number, painter in painters.items()}


@contextlib.contextmanager
def _copy(target: Any, channels: int) -> Iterator[Callable[[Waveform], None]]:
    """A function that writes blocks (T, channels) at 16 kHz into a file that browsers play.

    It is an MP3 of a constant bit rate, in which browsers find a time exactly: 32 kbit/s of one channel, 48 of two.
    FLAC where libsndfile has no MP3.
    """
    container, subtype = COPY_FORMAT
    constant: dict[str, Any] = {}
    if container == "MP3" and "bitrate_mode" in inspect.signature(soundfile.SoundFile).parameters:
        constant = {"bitrate_mode": "CONSTANT", "compression_level": 0.85 if channels == 1 else 0.75}
    try:
        with soundfile.SoundFile(
            target, "w", SAMPLE_RATE, channels, format=container, subtype=subtype, **constant
        ) as file:
            yield lambda block: file.write(np.clip(block, -1, 1))
    except soundfile.LibsndfileError as error:  # a full disk
        raise UserError(f"{target}: cannot be written ({error.error_string.rstrip('.')})") from error
