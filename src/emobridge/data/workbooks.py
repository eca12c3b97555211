"""The first sheet of an Excel file (.xlsx, ECMA-376 part 1, SpreadsheetML): zipped XML, read row by row.

Numbers come as Python writes them, dates as 2026-03-01, times as 0:01:02.5, of a formula the value that Excel stored.
"""

from __future__ import annotations

import contextlib
import datetime
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from emobridge.data.dialects import Dialect, IsName, find_header
from emobridge.errors import UserError
from emobridge.files import unreadable

WORKBOOK = "xl/workbook.xml"
MOST_COLUMNS = 16_384  # that Excel has
_LARGEST = 1 << 30  # bytes of one part when unpacked
_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))  # built-in formats
_ERRORS = (  # what damaged archives and parts raise
    zipfile.BadZipFile,
    zlib.error,
    ElementTree.ParseError,
    LookupError,
    ValueError,
    OverflowError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


def is_workbook(path: Path, start: bytes) -> bool:
    """Whether the file, which begins with `start`, is an Excel file of zipped XML."""
    if not start.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return WORKBOOK in archive.namelist()
    except (OSError, *_ERRORS):
        return False


def workbook_dialect(path: Path, is_name: IsName) -> Dialect:
    """Where the header stands; it is looked for as in a table of text. Errors: UserError for a damaged file."""
    header = find_header(((line, cells, []) for line, cells in _sheet_rows(path)), is_name)
    return Dialect("", header=header.line, titles=header.titles)


def other_sheets(path: Path) -> list[str]:
    """The names of the sheets that are not read. Errors: UserError for a damaged file."""
    with _opened(path) as archive:
        workbook = _part(archive, WORKBOOK)
        return [node.get("name", "") for node in _all(workbook, "sheet") if node is not _first_sheet(workbook)]


def workbook_rows(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The rows from the header on with their numbers, all as long as the header; those without content are left out.

    Errors: UserError for a damaged file.
    """
    width = 0
    for line, cells in _sheet_rows(path):
        if line >= dialect.header and any(map(str.strip, cells)):
            width = width or len(cells)
            yield line, [cell.strip() for cell in cells[:width]] + [""] * (width - len(cells))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The open archive. Errors: UserError for whatever is wrong with it."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise unreadable(path, error) from error
    except _ERRORS as error:
        raise UserError(f"{path}: a damaged Excel file ({' '.join(str(error).split())}); save it as CSV") from error


def _sheet_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    with _opened(path) as archive:
        workbook = _part(archive, WORKBOOK)
        part = _part_of(archive, _first_sheet(workbook))
        shared, dates = _shared_texts(archive), _date_styles(archive)
        year_1904 = any(node.get("date1904") in ("1", "true") for node in _all(workbook, "workbookPr"))
        number = 0
        for row in _elements(archive, part, "row"):
            number = int(row.get("r") or number + 1)
            yield number, _cells(row, shared, dates, year_1904)
            row.clear()


def _elements(archive: zipfile.ZipFile, part: str, name: str) -> Iterator[ElementTree.Element]:
    """The elements of one name in a part, each when it is complete. Errors: ValueError for a part that is too large."""
    if archive.getinfo(part).file_size > _LARGEST:
        raise ValueError(f"{part} is larger than {_LARGEST >> 20} MB")
    with archive.open(part) as file:
        if b"<!DOCTYPE" in file.read(4096):  # Excel writes none, and entities can be made to grow without end
            raise ValueError(f"{part} has a document type")
        file.seek(0)
        root = None
        for event, node in ElementTree.iterparse(file, events=("start", "end")):
            root = node if root is None else root
            if event == "end" and _name(node) == name:
                yield node
                if len(root) and _name(root[-1]) == "sheetData":
                    root[-1].clear()


def _part(archive: zipfile.ZipFile, part: str) -> ElementTree.Element:
    content = archive.read(part)
    if b"<!DOCTYPE" in content:
        raise ValueError(f"{part} has a document type")
    return ElementTree.fromstring(content)


def _name(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]


def _first_sheet(workbook: ElementTree.Element) -> ElementTree.Element:
    """The first sheet that is not hidden."""
    sheets = list(_all(workbook, "sheet"))
    return next((node for node in sheets if node.get("state", "visible") == "visible"), sheets[0])


def _part_of(archive: zipfile.ZipFile, sheet: ElementTree.Element) -> str:
    """The part that holds a sheet."""
    key = next((value for name, value in sheet.attrib.items() if name.endswith("}id")), None)
    for node in _part(archive, "xl/_rels/workbook.xml.rels"):
        if node.get("Id") == key:
            return posixpath.normpath(posixpath.join("/xl", node.attrib["Target"])).lstrip("/")
    raise KeyError(key)


def _shared_texts(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    return [_text(node) for node in _elements(archive, "xl/sharedStrings.xml", "si")]


def _text(node: ElementTree.Element) -> str:
    """The text of a cell, which may lie in pieces of several fonts; not how it is pronounced (rPh)."""
    pieces = [node] if _name(node) == "t" else [part for part in node if _name(part) != "rPh"]
    return "".join(text.text or "" for part in pieces for text in part.iter() if _name(text) == "t")


def _date_styles(archive: zipfile.ZipFile) -> frozenset[int]:
    """The numbers of the cell styles that show a number as a date or a time."""
    if "xl/styles.xml" not in archive.namelist():
        return frozenset()
    styles = _part(archive, "xl/styles.xml")
    formats = {int(node.attrib["numFmtId"]): node.get("formatCode", "") for node in _all(styles, "numFmt")}
    plain = {key: re.sub(r'"[^"]*"|\\.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', "", code) for key, code in formats.items()}
    dates = _DATES | {key for key, code in plain.items() if re.search("[dmyhs]", code.lower())}
    dates -= {key for key, code in plain.items() if not re.search("[dmyhs]", code.lower())}
    cells = next(_all(styles, "cellXfs"), ())
    return frozenset(index for index, node in enumerate(cells) if int(node.get("numFmtId", 0)) in dates)


def _all(root: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (node for node in root.iter() if _name(node) == name)


def _cells(row: ElementTree.Element, shared: list[str], dates: frozenset[int], year_1904: bool) -> list[str]:
    cells: list[str] = []
    for node in row:
        if _name(node) != "c":
            continue
        column = _column(node.get("r", "")) if node.get("r") else len(cells)
        if not len(cells) <= column < MOST_COLUMNS:
            raise ValueError(f"cell {node.get('r')} is out of order")
        cells += [""] * (column - len(cells))
        cells.append(_cell(node, shared, dates, year_1904))
    return cells


def _column(reference: str) -> int:
    """The column of a cell such as "AB12", from 0."""
    column = 0
    for letter in reference.rstrip("0123456789"):
        column = column * 26 + ord(letter) - 64
    return column - 1


def _cell(node: ElementTree.Element, shared: list[str], dates: frozenset[int], year_1904: bool) -> str:
    kind = node.get("t", "n")
    if kind == "inlineStr":
        return "".join(_text(part) for part in node if _name(part) == "is")
    value = next((part.text or "" for part in node if _name(part) == "v"), "")
    if kind == "s":
        return shared[int(value)]
    if kind == "b":
        return "TRUE" if value == "1" else "FALSE"
    if kind != "n" or not value:
        return value
    number = float(value)
    if int(node.get("s", 0)) in dates:
        return _date(number, year_1904)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _date(days: float, year_1904: bool) -> str:
    """A number of days as a date, a time of day, or both; Excel's day 60, 1900-02-29, never was."""
    start = datetime.datetime(1904, 1, 1) if year_1904 else datetime.datetime(1899, 12, 30 if days >= 60 else 31)
    if 0 <= days < 1:
        milliseconds = round(days * 86_400_000)
        minutes, rest_of_minute = divmod(milliseconds, 60_000)
        return f"{minutes // 60}:{minutes % 60:02}:{rest_of_minute / 1000:06.3f}"
    time = start + datetime.timedelta(milliseconds=round(days * 86_400_000))
    return time.date().isoformat() if days == int(days) else time.isoformat(sep=" ", timespec="milliseconds")
