"""What libsndfile lacks, m4a, mp4, webm, aac, amr, wma ..., and what it reads in part, decoded by FFmpeg through PyAV.

PyAV is the extra `media`. Without it such a file is an error that says how to install it.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from emobridge.data._sizes import BOXES, Unreadable

Samples = NDArray[np.float32]  # (T, channels)

NEEDS_AV = "needs the package 'av': pip install 'emobridge[media]'"
# FFmpeg's names of the formats that may be read: those of recordings, and none that names other files to open.
DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,tta,"
    "w64,wav,wv"
)
# How such files begin, but those with BOXES: so they are told from what is no audio where PyAV is not installed.
MEDIA = (
    *(
        b"\x1aE\xdf\xa3",
        b"#!AMR",
        b"0&\xb2u",
        b"FLV\x01",
        b"wvpk",
        b"MAC ",
        b"TTA1",
        b"\xff\xf1",
        b"\xff\xf9",
        b"\x0bw",
    ),
    *(b"\x00\x00\x01\xba", b"G@", b"OggS", b"RIFF", b"FORM", b"caff", b"ID3", b".snd", b"fLaC"),
)


class TooLongSound(Exception):
    """A file that is being measured is longer than who asks wants to know."""


class Clamped(io.BufferedReader):
    """An open file, whose ends a damaged header cannot lead beyond: the libraries print what Python raises there."""

    def __init__(self, path: str) -> None:
        super().__init__(io.FileIO(path))
        self.length = os.path.getsize(path)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self.length}[whence]
        return super().seek(min(max(base + offset, 0), self.length))


longest_measured = ContextVar("longest_measured", default=float("inf"))  # s, after which `measure` goes no further


def measure(path: str, reason: str) -> tuple[int, int, int]:
    """Frames, rate in Hz and channels of a file that libsndfile cannot read, for a reason, or reads in part.

    It is decoded to its end. Errors: Unreadable, which names the package to install where that is what is missing.
    """
    with Clamped(path) as content:
        head = content.read(8)
        content.seek(0)
        try:
            with Ffmpeg(content) as decoder:
                frames = _frames_of(decoder)
        except ImportError as error:
            is_media = not reason or head.startswith(MEDIA) or head[4:] in BOXES
            what = f"cannot be read as audio ({reason})" if reason else "its header does not tell its length"
            raise Unreadable(f"{f'{what}; it {NEEDS_AV}' if is_media else what}") from error
        except (ValueError, LookupError, NotImplementedError) as error:
            what = reason or " ".join(str(error).split())
            raise Unreadable(f"cannot be read as audio ({what})") from error
    if not decoder.rate:
        raise Unreadable(f"cannot be read as audio ({reason or 'it holds no audio that can be decoded'})")
    return frames, decoder.rate, decoder.channels


def _frames_of(decoder: Ffmpeg) -> int:
    frames, longest = 0, longest_measured.get()
    for block in decoder.blocks():
        frames += len(block)
        if frames > longest * decoder.rate:
            raise TooLongSound
    return frames


class Ffmpeg:
    """The first audio stream of an open file, with the rate and the channels of its first frame.

    Errors: ImportError without PyAV; ValueError for what is no audio.
    """

    def __init__(self, content: BinaryIO) -> None:
        import av

        self.av: Any = av
        self.first: Any = None  # frame
        self.rate = self.channels = 0
        try:
            options = {"format_whitelist": DEMUXERS}
            self.container: Any = av.open(content, container_options=options, metadata_errors="replace")
        except av.error.FFmpegError as error:
            raise ValueError(error.strerror or str(error)) from error

    def __enter__(self) -> Ffmpeg:
        return self

    def __exit__(self, *exception: object) -> None:
        self.container.close()

    @property
    def stated_seconds(self) -> float | None:
        """The length that the container states, in s; None where it states none."""
        length: int | None = self.container.duration
        return None if length is None else length / float(self.av.time_base)

    def blocks(self) -> Iterator[Samples]:
        """All that can be decoded; damaged packets are left out, as players do."""
        frames = self._frames()
        self.first = next(frames, None)
        if self.first is None:
            return
        self.rate, self.channels = self.first.sample_rate, self.first.layout.nb_channels
        yield _samples(self.first)
        kind, resampler = _kind(self.first), None
        for frame in frames:
            if _kind(frame) == _kind(self.first):
                yield _samples(frame)
                continue
            if resampler is None or kind != _kind(frame):  # another recording in the same file
                resampler = self.av.AudioResampler(self.first.format, self.first.layout, self.rate)
                kind = _kind(frame)
            frame.pts = None
            for converted in resampler.resample(frame):
                yield _samples(converted)

    def _frames(self) -> Iterator[Any]:
        errors = self.av.error.FFmpegError
        if not self.container.streams.audio:
            return
        with contextlib.suppress(errors):  # where the container itself is damaged: what was before
            for packet in self.container.demux(self.container.streams.audio[0]):
                decoded: list[Any] = []
                with contextlib.suppress(errors):
                    decoded = packet.decode()
                yield from decoded


def _kind(frame: Any) -> tuple[object, ...]:
    return frame.format.name, frame.layout.nb_channels, frame.sample_rate


def _samples(frame: Any) -> Samples:
    """(T, channels) float32 of a frame of FFmpeg's, full scale at 1."""
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    if values.dtype.kind == "u":
        return np.asarray((values.astype(np.float32) - 128) / 128, np.float32)
    if values.dtype.kind == "i":
        return np.asarray(values / float(1 << (8 * values.dtype.itemsize - 1)), np.float32)
    return np.ascontiguousarray(values, np.float32)
