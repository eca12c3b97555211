"""CTM, the time marks of NIST's scoring tools and of Kaldi: `utterance channel start duration label [confidence]`.

Times are in s. Lines that begin with `;;` are comments.
"""

from __future__ import annotations

import math
from pathlib import Path

from emobridge.data.encodings import find_encoding, text_lines
from emobridge.errors import UserError


def read_ctm(path: Path) -> dict[str, list[tuple[float, float, str]]]:
    """The phones by the name of the utterance: start, end (s), label.

    Errors: UserError naming `file:line` for what is no such line.
    """
    utterances: dict[str, list[tuple[float, float, str]]] = {}
    for number, line in enumerate(text_lines(path, find_encoding(path)), 1):
        fields = line.split()
        if not fields or fields[0].startswith(";;"):
            continue
        try:
            name, start, seconds, label = fields[0], float(fields[2]), float(fields[3]), fields[4]
        except (ValueError, IndexError):
            start = seconds = math.nan
        if not math.isfinite(start + seconds):
            raise UserError(f"{path}:{number}: expected `utterance channel start duration label`, got {line[:60]!r}")
        utterances.setdefault(name, []).append((start, start + seconds, label))
    return utterances
