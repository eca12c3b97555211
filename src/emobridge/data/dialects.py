"""How a table of text is written: what parts its columns, whether '"' encloses text, and where its header stands.

A delimiter is found on the first lines; quoting is decided by reading ALL lines both ways. In a table without quoting,
as Common Voice has it, a sentence that opens with '"' would else swallow the rows up to the next mark without an error.
Without quoting each line is a row. Where that gives all lines the same number of columns, lines that '"' would make
one row are rows: the lines of an enclosed text have that number by chance only where there are few columns and commas
part them. There, and wherever else the readings leave a doubt, the user is asked.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from emobridge.data.encodings import text_lines
from emobridge.errors import UserError, count_noun, unknown

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
QUOTINGS = ("standard", "none")
SAMPLE = 1000  # lines in which the delimiter is found
PROSE_COLUMNS = 5  # the lines of a text may hold as many commas as a row of fewer columns
HEADER_ROWS = 20  # rows among which the header is looked for
_SEPARATOR = re.compile(r'"?sep=(.|\\t)"?\s*', re.IGNORECASE)  # Excel's own first line
_COMMA = re.compile(r"[+-]?(?:0?,\d+|\d+,(?:\d{1,2}|\d{4,}))")  # a decimal comma that cannot part thousands
_COMMA_OR_THOUSANDS = re.compile(r"[+-]?\d*,\d+")  # semicolons stand where the comma is that of numbers
_POINT = re.compile(r"[+-]?(?:0?\.\d+|\d+\.(?:\d{1,2}|\d{4,}))")

IsName = Callable[[str], bool]  # whether a text is the name of a column that the caller understands


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a table is written."""

    encoding: str  # "" of an Excel file
    delimiter: str = ""  # "" where the rows are not parted by characters (JSON, Excel)
    quoting: str = ""  # "standard", "none", or "" where there is no quotation mark
    header: int = 1  # line of the header
    titles: int = 0  # rows before the header that are no data
    decimal_comma: bool = False
    width: int = 0  # columns

    def __str__(self) -> str:
        delimiter = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "'|'"}.get(self.delimiter, self.delimiter)
        return ", ".join(
            filter(
                None,
                (
                    f"{self.encoding.removesuffix('-sig')} text" if self.encoding else "an Excel file",
                    f"{delimiter} between columns" if delimiter and self.width > 1 else "",
                    {"standard": "quotation marks enclose text", "none": "quotation marks are text"}.get(self.quoting),
                    "decimal commas" if self.decimal_comma else "",
                    f"header in line {self.header}" if self.header > 1 else "",
                    f"{count_noun(self.titles, 'row')} above it left out" if self.titles else "",
                ),
            )
        )


@dataclass(slots=True)
class Survey:
    """What reading all rows in one way shows."""

    delimiter: str
    quoting: str
    names: tuple[str, ...] = ()  # of the header, without the empty ones at its end
    cells: int = 0  # of the header, with the empty ones
    header: int = 1  # its line
    titles: int = 0  # rows before it that are not empty
    hits: int = 0  # names that the caller understands
    rows: int = 0  # after the header
    bad: int = 0  # rows with another number of columns than the header
    loose: int = 0  # rows with fewer or more empty cells at their end than the header has
    problem: str = ""  # the first of them: "LINE: what"
    bare: int = 0  # cells that hold a quotation mark and are not enclosed by two
    encloses_names: bool = False  # a name of the header is enclosed
    swallowed: int = 0  # line of a row that spans lines which are whole rows by themselves; 0 is none
    marks: bool = False  # there is a quotation mark
    commas: int = 0  # cells with a decimal comma, in the first rows
    points: int = 0


class _BadRow(Exception):
    """A row that the csv module refuses: "LINE: what"."""


@dataclass(frozen=True, slots=True)
class Header:
    """Where the header of a table stands."""

    names: tuple[str, ...] = ()  # without the empty ones at the end
    cells: int = 0  # with them
    line: int = 1
    titles: int = 0  # rows before it that are not empty
    hits: int = 0  # names that the caller understands
    waiting: list[tuple[int, list[str], list[str]]] = field(default_factory=list)  # rows read while it was looked for


def find_dialect(
    path: Path, encoding: str, is_name: IsName, *, delimiter: str | None = None, quoting: str | None = None
) -> Dialect:
    """The dialect of a table of text. delimiter, quoting: what the user says, which goes before all.

    is_name: tells a header from titles above it. All rows are read, and memory does not grow with them.
    Errors: UserError naming `file:line` for a row with another number of columns than the header, and for a table that
    can be read in two ways.
    """
    if quoting is not None and quoting not in QUOTINGS:
        raise unknown("quoting", quoting, QUOTINGS)
    quotings = QUOTINGS if quoting is None else (quoting,)
    if delimiter is None:
        delimiter = separator_line(path, encoding) or _best_delimiter(path, encoding, is_name, quotings)
    else:
        delimiter = _delimiter(delimiter)
    surveys = [_survey(_body(path, encoding), delimiter, way, is_name) for way in quotings]
    if not any(survey.marks for survey in surveys):
        surveys = surveys[:1]
    best = surveys[0] if len(surveys) == 1 else _choose(path, *surveys)
    if best.problem:
        ways = "; does '\"' enclose text? quoting=standard or quoting=none" if best.marks and quoting is None else ""
        raise UserError(f"{path}:{best.problem}{ways}")
    return Dialect(
        encoding,
        delimiter,
        best.quoting if best.marks else "",
        best.header,
        best.titles,
        best.commas > 0 and best.points == 0,
        len(best.names),
    )


def dialect_rows(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The rows from the header on, each with the number of its first line; rows of empty cells alone are left out.

    Errors: UserError as `text_lines`.
    """
    for line, cells, _ in _records(_body(path, dialect.encoding), dialect.delimiter, dialect.quoting or "none"):
        if line >= dialect.header and any(map(str.strip, cells)):
            yield line, [cell.strip() for cell in cells]


def separator_line(path: Path, encoding: str) -> str | None:
    """The delimiter that Excel's first line "sep=;" names, or None."""
    match = _SEPARATOR.fullmatch(next(text_lines(path, encoding), ""))
    return match[1].replace("\\t", "\t") if match else None


def _delimiter(name: str) -> str:
    delimiter = DELIMITERS.get(name.casefold(), name.replace("\\t", "\t"))
    if len(delimiter) != 1 or delimiter in "\r\n\"'" or delimiter.isalnum():
        raise unknown("delimiter", name, (*DELIMITERS, *DELIMITERS.values()))
    return delimiter


def _body(path: Path, encoding: str) -> Iterator[str]:
    """The lines; Excel's line "sep=;" becomes an empty one, so that all lines keep their numbers."""
    for number, line in enumerate(text_lines(path, encoding), 1):
        yield "\n" if number == 1 and _SEPARATOR.fullmatch(line) else line


def _best_delimiter(path: Path, encoding: str, is_name: IsName, quotings: Iterable[str]) -> str:
    """The delimiter whose header the caller understands best; then the one with the fewest rows of another width."""
    lines = list(itertools.islice(_body(path, encoding), SAMPLE))
    first = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    order = sorted(DELIMITERS.values(), key=lambda delimiter: delimiter != first)

    def rank(survey: Survey) -> tuple[float, ...]:
        return -survey.hits, len(survey.names) < 2, survey.bad, survey.loose, survey.titles, -len(survey.names)

    surveys = [_survey(iter(lines), delimiter, way, is_name) for delimiter in order for way in quotings]
    return min(surveys, key=rank).delimiter


def _choose(path: Path, standard: Survey, none: Survey) -> Survey:
    """The reading that fits all lines. Errors: UserError where both do and the rows differ in a way that no rule says.

    Where neither fits, the one with fewer bad rows comes back with its problem.
    """
    question = "does '\"' enclose text? quoting=standard or quoting=none"
    if standard.problem and none.problem:
        return none if none.bad <= standard.bad else standard
    if bool(standard.problem) != bool(none.problem) or standard.loose != none.loose:
        is_standard = not standard.problem and (bool(none.problem) or standard.loose < none.loose)
        if is_standard and standard.swallowed:
            raise UserError(
                f"{path}:{standard.swallowed}: a text in quotation marks spans lines that are rows by themselves: "
                + question
            )
        return standard if is_standard else none
    if standard.rows == none.rows:
        return standard if standard.encloses_names or not none.bare else none
    in_prose = none.delimiter in ",;" and len(none.names) < PROSE_COLUMNS
    if standard.encloses_names or len(none.names) < 2 or in_prose:
        raise UserError(f"{path}: {standard.rows} rows or {none.rows}: {question}")
    return none


def _records(lines: Iterable[str], delimiter: str, quoting: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """The number of a row's first line, its cells, and its lines, which are to be used before the next row.

    Errors: _BadRow.
    """
    taken: list[str] = []

    def lines_taken() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    if quoting == "none":
        reader = csv.reader(lines_taken(), delimiter=delimiter, quoting=csv.QUOTE_NONE, quotechar=None)
    else:
        reader = csv.reader(lines_taken(), delimiter=delimiter, strict=True)
    number = 1
    try:
        for cells in reader:
            yield number, cells, taken
            number += len(taken)
            taken.clear()
    except csv.Error as error:
        raise _BadRow(f"{number}: cannot be read as a row ({error})") from error


def _survey(lines: Iterator[str], delimiter: str, quoting: str, is_name: IsName) -> Survey:
    survey = Survey(delimiter, quoting)

    def marked_records() -> Iterator[tuple[int, list[str], list[str]]]:
        for line, cells, taken in _records(lines, delimiter, quoting):
            survey.marks = survey.marks or any('"' in text for text in taken)
            yield line, cells, list(taken)

    records = marked_records()
    try:
        header = find_header(records, is_name)
        survey.names, survey.cells, survey.header = header.names, header.cells, header.line
        survey.titles, survey.hits = header.titles, header.hits
        for line, cells, taken in itertools.chain(header.waiting, records):
            _count(survey, line, cells, taken)
    except _BadRow as error:
        survey.bad += 1
        survey.problem = survey.problem or str(error)
    return survey


def find_header(records: Iterator[tuple[int, list[str], list[str]]], is_name: IsName) -> Header:
    """The header: the first row with two names that the caller understands, else the first that is half full.

    Rows of a title above it have fewer cells, or, where a spreadsheet fills all rows up, fewer that are not empty.
    """
    first = list(itertools.islice((row for row in records if any(map(str.strip, row[1]))), HEADER_ROWS))
    if not first:
        return Header()
    hits = [sum(is_name(cell.strip()) for cell in cells) for _, cells, _ in first]
    sizes = [sum(bool(cell.strip()) for cell in cells) for _, cells, _ in first]
    row = next((row for row, count in enumerate(hits) if count > 1), None)
    if row is None:
        row = 0 if hits[0] else next(row for row, size in enumerate(sizes) if size >= max(sizes) / 2)
    line, cells, _ = first[row]
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    return Header(tuple(names), len(cells), line, row, hits[row], first[row:])


def _count(survey: Survey, line: int, cells: list[str], taken: list[str]) -> None:
    """Add one row, the header too, to what the survey shows."""
    is_header, width = line == survey.header, len(survey.names)
    if not any(map(str.strip, cells)):
        return
    if survey.quoting == "none" and '"' in taken[0]:
        survey.bare += sum('"' in cell and not _is_enclosed(cell) for cell in cells)
    if is_header:
        survey.encloses_names = '"' in taken[0] and any(cell.lstrip().startswith('"') for cell in _parts(survey, taken))
        return
    survey.rows += 1
    survey.loose += len(cells) != survey.cells
    if len(cells) < width or any(map(str.strip, cells[width:])):
        size = max(index for index, cell in enumerate(cells, 1) if index <= width or cell.strip())
        survey.bad += 1
        survey.problem = (
            survey.problem or f"{line}: expected {width} columns as in the header (line {survey.header}), not {size}"
        )
    if len(taken) > 1 and not survey.swallowed and _has_whole_rows(taken, survey.delimiter, width):
        survey.swallowed = line
    if survey.rows <= SAMPLE:
        comma = _COMMA_OR_THOUSANDS if survey.delimiter == ";" else _COMMA
        survey.commas += sum("," in cell and comma.fullmatch(cell.strip()) is not None for cell in cells)
        survey.points += sum("." in cell and _POINT.fullmatch(cell.strip()) is not None for cell in cells)


def _parts(survey: Survey, taken: list[str]) -> list[str]:
    return taken[0].split(survey.delimiter)


def _is_enclosed(cell: str) -> bool:
    cell = cell.strip()
    return len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1].replace('""', "")


def _has_whole_rows(lines: list[str], delimiter: str, width: int) -> bool:
    """Whether the lines of a row are rows by themselves: an inner one, or the first as well as the last.

    The first line of a text with line ends may have all columns where the text is in the last, and so the other way.
    """
    whole = [line.count(delimiter) + 1 >= width for line in lines]
    return any(whole[1:-1]) or (whole[0] and whole[-1])
