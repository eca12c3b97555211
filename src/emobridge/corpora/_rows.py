"""The rows of a corpus's own table of labels, checked, and those of them whose recording is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from emobridge.corpora._folder_names import listing
from emobridge.data.column_names import no_column
from emobridge.data.intake import Intake
from emobridge.data.tables import open_table

Row = dict[str, str]


def label_rows(table: Path, *columns: str, delimiter: str = ",") -> Iterator[tuple[str, Row]]:
    """The rows of a table with where they are, `file:row`; cells have no space around them.

    columns: must be there. Quotation marks enclose text. Text that is no UTF-8 is read as Windows-1252, as older
    programs write it.
    Errors: UserError for a missing column, a row with another number of columns, and what cannot be read as a table.
    """
    opened = open_table(table, is_name=columns.__contains__, delimiter=delimiter, quoting="standard")
    for column in columns:
        if column not in opened.columns:
            raise no_column(column, opened)
    for number, row in opened.rows():
        yield f"{table}:{number}", row


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
