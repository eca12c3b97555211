"""One reader for all tables: CSV, TSV and other text with columns, JSON lines, a JSON list of objects, Excel's .xlsx.

What a file is shows in its content, not in its name. A row is a mapping from column to value: text without the spaces
around it, or of JSON whatever it holds. Nothing is dropped but rows without any content, titles above the header and a
repeated header, and these are told. A cell that `files.escape_cell` guarded is read as it was.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emobridge.data.dialects import Dialect, IsName, dialect_rows, find_dialect
from emobridge.data.encodings import find_encoding
from emobridge.data.json_rows import json_lines, json_list
from emobridge.data.workbooks import is_workbook, other_sheets, workbook_dialect, workbook_rows
from emobridge.errors import UserError
from emobridge.files import unescape_cell, unreadable

MOST_COLUMNS = 1000  # different keys in all rows of a JSON file
JSON_SUFFIXES = frozenset({".json", ".jsonl", ".ndjson"})
# What commands take for a table and not for a manifest, which ends in .jsonl. Old Excel files are refused with advice.
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".txt", ".xlsx", ".xls", ".ods", ".json", ".ndjson"})
_SIGNATURES = (  # the first bytes of what is often taken for a table
    (b"\xd0\xcf\x11\xe0", "an old Excel file (.xls): save it as .xlsx or CSV"),
    (b"PAR1", "a Parquet file: save it as CSV"),
    (b"\x1f\x8b", "compressed: unpack it first"),
    (b"BZh", "compressed: unpack it first"),
    (b"\xfd7zXZ", "compressed: unpack it first"),
    (b"PK", "neither text nor an Excel file (.xlsx): save it as CSV"),
    (b"%PDF", "a PDF file: save it as CSV"),
    (b"RIFF", "an audio file; expected a table"),
    (b"fLaC", "an audio file; expected a table"),
    (b"OggS", "an audio file; expected a table"),
    (b"ID3", "an audio file; expected a table"),
)


@dataclass(frozen=True, slots=True)
class OpenedTable:
    """A table that was looked through; `rows` reads it."""

    path: Path
    dialect: Dialect
    columns: tuple[str, ...]  # that have a name, each once, in their order
    repeated: frozenset[str]  # names of several columns, which no row has
    notes: list[str]  # what `rows` left out, once all are read
    make_rows: Callable[[], Iterator[tuple[int, dict[str, Any]]]]

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each row's line number (of JSON objects and Excel rows likewise) and its values by column.

        A row of JSON may lack columns; one of text has all. Errors: UserError naming `file:line`.
        """
        return self.make_rows()


def open_table(
    path: Path,
    *,
    is_name: IsName = lambda name: False,
    encoding: str | None = None,
    delimiter: str | None = None,
    quoting: str | None = None,
) -> OpenedTable:
    """Look through a table; memory does not grow with it.

    is_name: tells the names of columns that the caller understands, so that titles above a header are no header.
    encoding, delimiter ("comma", "tab", ";" ...), quoting ("standard", "none"): what is not to be found out.
    Errors: UserError for what is no table, naming `file:line` where it can.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise unreadable(path, error) from error
    if is_workbook(path, start):
        dialect = workbook_dialect(path, is_name)
        table = _of_cells(path, dialect, functools.partial(workbook_rows, path, dialect))
        table.notes.extend(f"the sheet {name!r} was left out" for name in other_sheets(path))
        return table
    for signature, what in _SIGNATURES:
        if start.startswith(signature):
            raise UserError(f"{path}: is {what}")
    encoding = find_encoding(path, encoding)
    form = _json_form(path, encoding)
    if form is None:
        dialect = find_dialect(path, encoding, is_name, delimiter=delimiter, quoting=quoting)
        return _of_cells(path, dialect, functools.partial(dialect_rows, path, dialect))
    rows = functools.partial(form, path, encoding)
    columns: dict[str, None] = {}
    for number, row in rows():
        columns.update(dict.fromkeys(row))
        if len(columns) > MOST_COLUMNS:
            raise UserError(f"{path}:{number}: more than {MOST_COLUMNS} different keys in all rows: no table")
    return OpenedTable(path, Dialect(encoding), tuple(columns), frozenset(), [], rows)


def _of_cells(path: Path, dialect: Dialect, cell_rows: Callable[[], Iterator[tuple[int, list[str]]]]) -> OpenedTable:
    """A table whose first row is its header."""
    names = next((cells for _, cells in cell_rows()), [])
    counts = Counter(filter(None, names))
    single = {index: name for index, name in enumerate(names) if counts[name] == 1}

    notes: list[str] = []

    def rows() -> Iterator[tuple[int, dict[str, Any]]]:
        headers = 0
        for line, cells in cell_rows():
            if cells == names:
                headers += 1
            else:
                yield line, {name: unescape_cell(cells[index]) for index, name in single.items()}
        if headers > 1:
            notes.append(f"the header stands {headers} times: the later ones were left out")

    repeated = frozenset(name for name, count in counts.items() if count > 1)
    return OpenedTable(path, dialect, tuple(single.values()), repeated, notes, rows)


def _json_form(path: Path, encoding: str) -> Callable[[Path, str], Iterator[tuple[int, dict[str, Any]]]] | None:
    """How the file is to be read where it is JSON: by its first characters, not by its name alone."""
    start = ""
    with path.open(encoding=encoding, errors="replace") as file:
        while not start.strip("\ufeff \t\r\n") and (chunk := file.read(4096)):
            start = chunk
    start = start.lstrip("\ufeff \t\r\n")
    is_json = path.suffix.lower() in JSON_SUFFIXES
    if re.match(r"\[\s*[\[{\]]", start) or (is_json and start.startswith("[")):
        return json_list
    return json_lines if is_json or re.match(r'\{\s*["}]', start) else None
