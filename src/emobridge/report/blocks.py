"""A page as records: the HTML, the Markdown and the JSON of a report are three renderings of the same blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from emobridge.scores.base import Estimate
from emobridge.scores.measures.base import measure_of

FEW_SPEAKERS = 10  # of a corpus; with fewer, an interval over speakers is too narrow
STAMP = "SYNTHETIC run. "  # of the run: it also stands over published numbers, which are not
CONSTRUCTED = "CONSTRUCTED attributes. "  # they were computed from the audio: see data.constructed


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, a head and rows of text."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot and the numbers behind it; Markdown and JSON show the numbers."""

    svg: str
    table: Table
    file: str = ""  # its name under figures/, where it is a file of its own too
    cloud: str = ""  # JSON of what cloud.html shows in its place, to be turned, where a page may run scripts


@dataclass(frozen=True, slots=True)
class Section:
    """A title and the blocks below it."""

    title: str
    paragraphs: tuple[str, ...] = ()
    items: tuple[str, ...] = ()  # a list under the paragraphs
    blocks: tuple[Table | Figure, ...] = ()
    code: str = ""  # shown verbatim


@dataclass(frozen=True, slots=True)
class Page:
    """All that the three formats say."""

    title: str
    subtitle: str
    lead: str  # the verdict: one paragraph
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]


def stamp_of(synthetic: bool, constructed: bool = False) -> str:
    """What stands before every caption of a run, if anything."""
    return (STAMP if synthetic else "") + (CONSTRUCTED if constructed else "")


def stamped(sections: Iterable[Section], stamp: str = STAMP) -> tuple[Section, ...]:
    """The same sections with every caption saying SYNTHETIC, so that no table can be quoted without it."""
    return tuple(replace(section, blocks=tuple(_stamp(one, stamp) for one in section.blocks)) for section in sections)


def _stamp(block: Table | Figure, stamp: str) -> Table | Figure:
    if isinstance(block, Figure):
        return replace(block, table=replace(block.table, caption=stamp + block.table.caption))
    return replace(block, caption=stamp + block.caption)


def percent(value: float) -> str:
    """A share as per cent with one decimal.

    >>> percent(0.6666)
    '66.7'
    """
    return f"{100 * value:.1f}"


def number(measure: str, value: float) -> str:
    """A value in the unit and with the digits of its measure; "undefined" for NaN.

    >>> number("UA", 0.6666), number("CCC arousal", 0.6666)
    ('66.7', '0.667')
    """
    return measure_of(measure).number(value)


def interval(measure: str, value: float, low: float, high: float) -> str:
    """A value and its interval.

    >>> interval("UA", 0.667, 0.612, 0.719)
    '66.7 (61.2 to 71.9)'
    """
    if value != value:
        return "undefined"
    return f"{number(measure, value)} ({number(measure, low)} to {number(measure, high)})"


def points_of(measure: str, difference: Estimate) -> str:
    """A difference with its interval: in points where the measure is in per cent."""
    signed = measure_of(measure).signed
    value, low, high = (signed(number) for number in (difference.value, difference.low, difference.high))
    return f"{value} ({low} to {high})"


def count(n: int, thing: str) -> str:
    """The number with its noun.

    >>> count(1, "seed"), count(2, "utterance")
    ('1 seed', '2 utterances')
    """
    return f"{n} {thing}{'' if n == 1 else 's'}"
