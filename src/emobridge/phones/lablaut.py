"""The hand-made phone labels of EMO-DB, `lablaut/<stem>xx.lablaut`, which were made with xlabel.

    signal 03a01Fa
    #
        0.080109   -1 _t
        0.119160   -1 !t	+asp
        0.144370   -1 E6

After the line `#` stands a mark a line: a time in s, the number of a colour, a label, and behind tabs qualities and
stress. The time is where a segment STARTS, against the habit of xlabel's other files, whose times are ends: read as
starts, the labels account for 55 % of the variance of these recordings' spectra, read as ends for 37 %, and the full
stop is silent.

`t` is the closure of a stop, `!t` its burst, `tasp` its aspiration and `_t` a closure whose beginning is not heard: one
phone together. A label that begins with + or -, or stands behind a tab, tells that a quality starts or stops (`-sth`:
voice), and is no phone: the phone before goes on. `.` and `(` are pauses.
"""

from __future__ import annotations

import math
from pathlib import Path

from emobridge.data.encodings import read_text
from emobridge.errors import UserError

ASPIRATION = "asp"


def read_lablaut(path: Path) -> list[tuple[float, float, str]]:
    """The phones and pauses of a file: start, end (s; infinite for the last), label in SAMPA.

    Errors: UserError naming `file:line` for what is no such file.
    """
    marks: list[tuple[float, str]] = []
    for time, label in _marks(path):
        base = _base_label(label)
        if not marks or (base and not _goes_on(base, marks[-1][1])):
            marks.append((time, base.lstrip("!_").removesuffix(ASPIRATION) or base))
    ends = [time for time, _ in marks[1:]] + [math.inf]
    return [(time, end, label) for (time, label), end in zip(marks, ends)]


def _marks(path: Path) -> list[tuple[float, str]]:
    head, separator, body = read_text(path).partition("\n#")
    if not separator:
        raise UserError(f"{path}: no label file of EMO-DB; expected a line '#' before the labels")
    first = head.count("\n") + 2
    marks = []
    for number, line in enumerate(body.split("\n"), first):
        fields = line.split(None, 1)
        if not fields:
            continue
        try:
            time = float(fields[0])
        except ValueError:
            time = math.nan
        if not math.isfinite(time):
            raise UserError(f"{path}:{number}: {fields[0][:40]!r} where a time in seconds is expected")
        label = line.split("\t")[0].split()[2:3]  # behind time and colour
        marks.append((time, "".join(label)))
    return marks


def _base_label(label: str) -> str:
    """The label without the qualities that stand behind it; "" where it is a quality.

    >>> _base_label("!b+na"), _base_label("-sth,+tie"), _base_label("[+eng"), _base_label("@")
    ('!b', '', '', '@')
    """
    return label.replace("-", "+").partition("+")[0].rstrip("[ ")


def _goes_on(label: str, before: str) -> bool:
    """Whether a label is a burst or an aspiration of the phone before."""
    return label in ("!", f"!{before}", f"{before}{ASPIRATION}")
