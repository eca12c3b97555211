"""The number of bytes of samples in files of chunks (WAV, RF64, W64, AIFF, AU, CAF), against what their header says.

libsndfile believes the header, and reads a part, or nothing, of a file whose recorder did not come back to fill it in.
`sizes_of` tells what belongs there.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

TOLERANCE = 64  # bytes: some recorders count the header itself as samples
PADDING = 1024  # bytes behind the samples that need not be a chunk: padding, or another program's tag
TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")  # begin what players write behind audio
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # that files of the MP4 family begin with
CHUNKS = 10_000  # that may stand before the samples
STREAM = 0x7FFFF000  # bytes: from here on a size of 32 bits is a stream's mark for one that is not known


class Unreadable(Exception):
    """Why a file cannot be read, as the part of a line that follows its name."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes that belong into a file in place of those that are there."""

    at: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Sizes:
    """How the size in the header of a file of chunks is wrong."""

    patch: Patch | None = None
    note: str = ""  # for the audit; "" where the header is right, or is a stream's


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file of chunks is laid out: each is a name, a size and a content."""

    first: int  # where the first chunk begins
    name: int  # bytes of a name
    size: str  # struct format of a size
    counted: int  # bytes of name and size that the size counts
    align: int
    samples: bytes  # how the name of the chunk of samples begins


LAYOUTS = {
    b"RIFF": Layout(12, 4, "<I", 0, 2, b"data"),
    b"RF64": Layout(12, 4, "<I", 0, 2, b"data"),
    b"RIFX": Layout(12, 4, ">I", 0, 2, b"data"),
    b"FORM": Layout(12, 4, ">I", 0, 2, b"SSND"),
    b"caff": Layout(8, 4, ">q", 0, 1, b"data"),
    b"riff": Layout(40, 16, "<q", 24, 8, b"data"),  # W64
}


def sizes_of(file: BinaryIO, length: int) -> Sizes:
    """What is wrong with the size of the samples in a file of `length` bytes; of other formats nothing.

    Errors: Unreadable where the header promises more than the file has.
    """
    file.seek(0)
    magic = file.read(4)
    _check_boxes(file, length)
    if magic == b"NIST":
        _check_sphere(file, length)
    layout = LAYOUTS.get(magic)
    samples = _au(file) if magic == b".snd" else _chunk_of_samples(file, layout) if layout else None
    if samples is None:
        return Sizes()
    begins, promised, field, form = samples
    held = length - begins
    if held <= 0:
        return Sizes()
    largest = (1 << (8 * struct.calcsize(form) - (form[1] == "q"))) - 1
    patch = Patch(field, struct.pack(form, min(held + (layout.counted if layout else 0), largest)))
    if promised < 0 or (promised >= STREAM and promised > held + TOLERANCE):
        return Sizes(patch)
    if promised > held + TOLERANCE:
        raise Unreadable(f"is cut short (its header promises {promised} bytes, it holds {held})")
    behind = held - promised
    if (promised and behind <= PADDING) or (layout and _are_chunks(file, layout, begins + promised, length)):
        return Sizes()
    return Sizes(patch, f"its header says {promised} bytes of samples, it holds {held}")


def _check_boxes(file: BinaryIO, length: int) -> None:
    """Refuse a file of the MP4 family whose box of samples goes on beyond its end. Such a box may be anywhere."""
    at = 0
    for _ in range(CHUNKS):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8 or (at == 0 and head[4:8] not in BOXES):
            return
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        if head[4:8] == b"mdat" and at + size > length + TOLERANCE:
            raise Unreadable(f"is cut short (its header promises {size} bytes, it holds {length - at})")
        if size < 8:  # 0 goes on to the end
            return
        at += size


def _check_sphere(file: BinaryIO, length: int) -> None:
    """Refuse a NIST SPHERE file that has fewer samples than its header, which is text, says."""
    file.seek(0)
    head = file.read(1024)
    fields = dict(re.findall(rb"(\w+) -i (\d+)", head))
    size = re.match(rb"NIST_1A\s+(\d+)", head)
    if size is None or not {b"sample_count", b"sample_n_bytes"} <= fields.keys() or b"shorten" in head:
        return
    promised = int(fields[b"sample_count"]) * int(fields[b"sample_n_bytes"]) * int(fields.get(b"channel_count", 1))
    held = length - int(size[1])
    if promised > held + TOLERANCE:
        raise Unreadable(f"is cut short (its header promises {promised} bytes, it holds {held})")


def _au(file: BinaryIO) -> tuple[int, int, int, str] | None:
    file.seek(4)
    content = file.read(8)
    if len(content) < 8:
        return None
    begins, promised = struct.unpack(">II", content)
    return begins, promised, 8, ">I"


def _chunk_of_samples(file: BinaryIO, layout: Layout) -> tuple[int, int, int, str] | None:
    """Where the samples begin, the bytes that their chunk promises, and where, and as what, that number stands."""
    at, width = layout.first, struct.calcsize(layout.size)
    of_rf64: tuple[int, int] | None = None  # of the samples, and where it stands
    for _ in range(CHUNKS):
        file.seek(at)
        name, number = file.read(layout.name), file.read(width)
        if len(number) < width:
            return None
        begins = at + layout.name + width
        size = struct.unpack(layout.size, number)[0] - layout.counted
        if name == b"ds64":
            content = file.read(16)
            of_rf64 = (struct.unpack("<q", content[8:])[0], begins + 8) if len(content) == 16 else None
        if name.startswith(layout.samples):
            if of_rf64 is not None:
                return begins, *of_rf64, "<q"
            unknown_in_w64 = layout.counted and size < 0  # libsndfile counts the bytes itself
            return None if unknown_in_w64 else (begins, size, begins - width, layout.size)
        if size < 0:
            return None
        at = begins + size + -size % layout.align
    return None


def _are_chunks(file: BinaryIO, layout: Layout, at: int, length: int) -> bool:
    """Whether chunks, or a player's tag, fill the file from `at` to its end."""
    width = struct.calcsize(layout.size)
    at += -at % layout.align
    for _ in range(CHUNKS):
        if length - at <= TOLERANCE:
            return True
        file.seek(at)
        name, number = file.read(layout.name), file.read(width)
        if name.startswith(TAGS):
            return True
        size = struct.unpack(layout.size, number)[0] - layout.counted if len(number) == width else -1
        if not re.fullmatch(rb"[ -~]{4}", name[:4]) or size < 0:
            return False
        at += layout.name + width + size + -size % layout.align
        if at > length + layout.align:
            return False
    return False
