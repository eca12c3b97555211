"""A page as records: the HTML, the Markdown and the JSON of a report are three renderings of the same blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from emobridge.scores.base import Estimate
from emobridge.scores.measures.base import PER_CENT, measure_of
from emobridge.types import Score

STAMP = "SYNTHETIC run. "  # says "run", since it stands over published numbers too, which are real
CONSTRUCTED = "CONSTRUCTED attributes. "  # they were computed from the audio: see data.constructed


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, a head and rows of text."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    file: str = ""  # of its CSV and LaTeX beside the page, without the ending; "" where they are not written


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot and the numbers behind it; Markdown and JSON show the numbers."""

    svg: str
    table: Table
    file: str = ""  # its name under figures/ without .svg; "" where it is drawn in the page alone
    cloud: str = ""  # JSON of the turnable picture that cloud.html draws instead, where a page may run scripts


@dataclass(frozen=True, slots=True)
class PlayableTable:
    """A table of recordings, each with a button that plays an excerpt in HTML; Markdown and JSON show the table."""

    table: Table
    excerpts: tuple[bytes | None, ...]  # audio files, one a row; None where there is none


PageBlock = Table | Figure | PlayableTable


@dataclass(frozen=True, slots=True)
class Section:
    """A title and the blocks below it."""

    title: str
    paragraphs: tuple[str, ...] = ()
    items: tuple[str, ...] = ()  # a list under the paragraphs
    blocks: tuple[PageBlock, ...] = ()
    code: str = ""  # shown verbatim


@dataclass(frozen=True, slots=True)
class Page:
    """The contents of the three formats."""

    title: str
    subtitle: str
    lead: str  # the headline: one paragraph
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]


def figure(svg: str, table: Table, file: str = "") -> Figure | Table:
    """A drawing over its numbers; the table alone where there was nothing to draw, and the drawing is ""."""
    return Figure(svg, table, file) if svg else table


def without_empty_columns(table: Table) -> Table:
    """The table without the columns that no row has anything in; as it is where it has no rows."""
    filled = [index for index in range(len(table.columns)) if any(row[index] for row in table.rows)]
    if not table.rows or len(filled) == len(table.columns):
        return table
    rows = tuple(tuple(row[index] for index in filled) for row in table.rows)
    return replace(table, columns=tuple(table.columns[index] for index in filled), rows=rows)


def stamp_of(synthetic: bool, constructed: bool = False) -> str:
    """The words before every caption of a run on made-up speech or attributes; "" for others."""
    return (STAMP if synthetic else "") + (CONSTRUCTED if constructed else "")


def stamped(sections: Iterable[Section], stamp: str = STAMP) -> tuple[Section, ...]:
    """The same sections with the stamp before every caption, so that no table can be quoted without it."""

    def stamp_table(table: Table) -> Table:
        return replace(table, caption=stamp + table.caption)

    return tuple(
        replace(section, blocks=tuple(with_table(block, stamp_table) for block in section.blocks))
        for section in sections
    )


def table_of(block: PageBlock) -> Table:
    """The table of a block: itself, or the one that it shows."""
    return block if isinstance(block, Table) else block.table


def with_table(block: PageBlock, change: Callable[[Table], Table]) -> PageBlock:
    """The block with its table changed."""
    return change(block) if isinstance(block, Table) else replace(block, table=change(block.table))


def percent(value: float) -> str:
    """A share as per cent with one decimal.

    >>> percent(0.6666)
    '66.7'
    """
    return f"{100 * value:.1f}"


def number(measure: str, value: float) -> str:
    """A value in the unit and with the digits of its measure, such as per cent with one; "undefined" for NaN.

    >>> number("UA", 0.667), number("CCC arousal", 0.667)
    ('66.7', '0.667')
    """
    return measure_of(measure).number(value)


def interval(measure: str, value: float, low: float, high: float) -> str:
    """A value and its interval.

    >>> interval("UA", 0.667, 0.612, 0.719)
    '66.7 (61.2 to 71.9)'
    """
    return "undefined" if value != value else f"{number(measure, value)} ({bounds(measure, low, high)})"


def bounds(measure: str, low: float, high: float) -> str:
    """The ends of an interval; NaN where there is none, as of a single speaker.

    >>> bounds("UA", 0.612, 0.719), bounds("UA", float("nan"), float("nan"))
    ('61.2 to 71.9', 'no interval')
    """
    return "no interval" if low != low else f"{number(measure, low)} to {number(measure, high)}"


def score_text(score: Score) -> str:
    """The value of a score and its interval."""
    return interval(score.measure, score.value, score.low, score.high)


def bracketed(score: Score) -> str:
    """The value of a score and its interval for a terminal: "66.7 [61.2, 71.9]"."""
    value, low, high = (number(score.measure, bound) for bound in (score.value, score.low, score.high))
    return f"{value:>5} [{'no interval' if low == 'undefined' else f'{low}, {high}'}]"


def signed_interval(difference: Estimate) -> str:
    """A difference with its sign and interval, in the unit of its measure."""
    signed = measure_of(difference.measure).signed
    ends = (
        "no interval" if difference.low != difference.low else f"{signed(difference.low)} to {signed(difference.high)}"
    )
    return f"{signed(difference.value)} ({ends})"


def unit(measure: str) -> str:
    """What follows a value of the measure in a sentence: " %", or "" where it is no share.

    >>> unit("UA"), unit("CCC arousal")
    (' %', '')
    """
    return " %" if measure_of(measure).unit == PER_CENT else ""


def count(n: int, thing: str) -> str:
    """The number with its noun.

    >>> count(1, "seed"), count(2, "utterance")
    ('1 seed', '2 utterances')
    """
    return f"{n} {thing}{'' if n == 1 else 's'}"
