"""The phone alignments of the demonstration corpora, `.phones.tsv`: start_s, end_s and phone, which is IPA."""

from __future__ import annotations

import math
from pathlib import Path

from emobridge.data.encodings import find_encoding, text_lines
from emobridge.errors import UserError

HEADER = "start_s\tend_s\tphone"


def read_phone_table(path: Path) -> list[tuple[float, float, str]]:
    """The phones of a file: start, end (s), label. Errors: UserError naming `file:line` for what is no such file."""
    lines = text_lines(path, find_encoding(path))
    if next(lines, "").rstrip("\r\n") != HEADER:
        raise UserError(f"{path}:1: expected the columns start_s, end_s and phone, with tabs between them")
    intervals = []
    for number, line in enumerate(lines, 2):
        fields = line.rstrip("\r\n").split("\t")
        if fields == [""]:
            continue
        try:
            start, end, label = float(fields[0]), float(fields[1]), fields[2]
        except (ValueError, IndexError):
            start = end = math.nan
        if not math.isfinite(start + end):
            raise UserError(f"{path}:{number}: expected a start, an end and a phone, got {line[:60]!r}")
        intervals.append((start, end, label))
    return intervals
