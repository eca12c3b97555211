"""The TextGrids of Praat (https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html), long and short.

    File type = "ooTextFile"
    Object class = "TextGrid"
    0 4 <exists> 1 "IntervalTier" "phones" 0 4 2  0 1.5 "AA1"  1.5 4 ""

Both text formats are the same values in the same order; in the long one, words such as `xmin =` stand between them. A
value is a text in quotation marks, or a number or <flag> with white space around it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emobridge.data.encodings import read_text
from emobridge.errors import UserError

VALUE = re.compile(
    r'"((?:[^"]|"")*)"|(?<!\S)(<\w+>)(?!\S)|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)|(?<!\S)!.*'
)
INTERVALS, POINTS = "IntervalTier", "TextTier"
PHONE_TIERS = ("phones", "phone", "phonemes", "phoneme", "mau")  # of MFA, of people, and of WebMAUS


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier of a TextGrid; of a tier of points the intervals are not kept."""

    kind: str  # INTERVALS or POINTS
    name: str
    intervals: list[tuple[float, float, str]]  # start, end (s), text


def read_tiers(file: Path) -> list[Tier]:
    """The tiers of a TextGrid. Errors: UserError for what is no TextGrid in one of the text formats."""
    try:
        text = read_text(file)
    except UserError as error:
        raise UserError(f"{error} (of a binary TextGrid: in Praat, Save as text file...)") from error
    values = _Values(text, str(file))
    if not values.text().startswith("ooTextFile") or values.text() != "TextGrid":
        raise UserError(f'{file}: no TextGrid; expected \'File type = "ooTextFile"\' and the class "TextGrid"')
    values.number(), values.number()
    if values.flag() != "<exists>":
        return []
    return [_tier(values) for _ in range(values.count())]


def read_phone_tier(file: Path) -> list[tuple[float, float, str]]:
    """The intervals of the tier of phones: start, end (s), label; without text they are pauses.

    It is the tier whose name ends as one of PHONE_TIERS ("phones", "anna - phones"), or the only one of intervals.
    Errors: UserError for what is no TextGrid in text, and where no tier or more than one is that of the phones.
    """
    tiers = [tier for tier in read_tiers(file) if tier.kind == INTERVALS]
    chosen = [tier for tier in tiers if tier.name.casefold().strip().endswith(PHONE_TIERS)]
    if not chosen and len(tiers) == 1:
        chosen = tiers
    if len(chosen) != 1:
        problem = "no tier" if not chosen else f"{len(chosen)} tiers"
        names = ", ".join(repr(tier.name) for tier in tiers) or "none"
        raise UserError(f"{file}: {problem} of phones; expected a tier 'phones' (tiers of intervals: {names})")
    return chosen[0].intervals


def textgrid_text(tiers: Sequence[Tier], seconds: float) -> str:
    """The text of a TextGrid, in the long format. seconds: where each tier ends; it begins at 0.

    Intervals of a tier lie one after the other without a gap.
    """
    length = repr(float(seconds))
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {length}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, tier in enumerate(tiers, 1):
        lines += [f"    item [{number}]:", f'        class = "{tier.kind}"', f"        name = {_quoted(tier.name)}"]
        lines += ["        xmin = 0", f"        xmax = {length}", f"        intervals: size = {len(tier.intervals)}"]
        for index, (start, end, text) in enumerate(tier.intervals, 1):
            lines += [f"        intervals [{index}]:", f"            xmin = {float(start)!r}"]
            lines += [f"            xmax = {float(end)!r}", f"            text = {_quoted(text)}"]
    return "\n".join(lines) + "\n"


def without_gaps(intervals: Sequence[tuple[float, float, str]], seconds: float) -> list[tuple[float, float, str]]:
    """The intervals with intervals without text between them, from 0 to `seconds`, as a tier has them.

    >>> without_gaps([(1.0, 2.0, "a")], 3.0)
    [(0.0, 1.0, ''), (1.0, 2.0, 'a'), (2.0, 3.0, '')]
    """
    filled, last = [], 0.0
    for start, end, text in intervals:
        if start > last:
            filled.append((last, start, ""))
        filled.append((start, end, text))
        last = end
    return filled if last >= seconds else [*filled, (last, seconds, "")]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _tier(values: _Values) -> Tier:
    kind, name = values.text(), values.text()
    if kind not in (INTERVALS, POINTS):
        raise UserError(f"{values.where}: a tier of the class {kind[:40]!r}; expected {INTERVALS} or {POINTS}")
    values.number(), values.number()
    intervals = []
    for _ in range(values.count()):
        start = values.number()
        end = values.number() if kind == INTERVALS else start
        intervals.append((start, end, values.text()))
    return Tier(kind, name, intervals)


class _Values:
    """The values of a text file of Praat, one after the other. Errors: UserError that begins with `where`."""

    def __init__(self, text: str, where: str) -> None:
        self.where = where
        self._matches = (match for match in VALUE.finditer(text) if match.lastindex)

    def text(self) -> str:
        return self._next(1, "a text in quotation marks").replace('""', '"')

    def flag(self) -> str:
        return self._next(2, "<exists>")

    def number(self) -> float:
        return float(self._next(3, "a number"))

    def count(self) -> int:
        return round(min(max(self.number(), 0), 1e9))

    def _next(self, group: int, noun: str) -> str:
        match = next(self._matches, None)
        if match is None:
            raise UserError(f"{self.where}: ends too early; expected {noun}, as in a TextGrid")
        if match.lastindex != group:
            raise UserError(f"{self.where}: {match[0][:40]!r} where {noun} is expected, as in a TextGrid")
        return str(match[group])
