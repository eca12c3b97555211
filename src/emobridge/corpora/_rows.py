"""The rows of a corpus's own table of labels, checked, and those of them whose recording is there."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from emobridge.corpora._folder_names import listing
from emobridge.data.intake import Intake
from emobridge.errors import UserError

Row = dict[str, str]


def label_rows(table: Path, *columns: str, delimiter: str = ",") -> Iterator[tuple[str, Row]]:
    """The rows of a table with where they are, `file:row`; cells have no space around them.

    columns: must be there. Text that is no UTF-8 is read as Windows-1252, as older programs write it.
    Errors: UserError for a missing column, a row with another number of columns, and what cannot be read as a table.
    """
    try:
        with table.open(encoding=_encoding(table), newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            names = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            for column in columns:
                if column not in names:
                    raise UserError(f"{table}: no column {column!r}; there are {', '.join(names) or 'none'}")
            for row in reader:
                where = f"{table}:{reader.line_num}"
                if None in row or None in row.values():
                    raise UserError(f"{where}: expected {len(names)} columns as in the header")
                yield where, {name: value.strip() for name, value in row.items()}
    except (csv.Error, OSError, UnicodeError) as error:
        raise UserError(f"{table}: cannot be read as a table ({error})") from error


def recorded_rows(
    table: Path, rows: Iterable[tuple[str, Row, Path]], intake: Intake
) -> Iterator[tuple[str, Row, Path]]:
    """The rows (where, values, path) whose recording is there, with its absolute path; a note tells of the others."""
    absent: list[str] = []
    for where, row, path in rows:
        if path.is_file():
            yield where, row, path.absolute()
        else:
            absent.append(path.name)
    if absent:
        intake.notes.append(f"left out rows of {table.name} without a recording: {listing(absent)}")


def _encoding(table: Path) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with table.open("rb") as file:
        start = file.read(2)
        if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        file.seek(0)
        try:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8-sig"
