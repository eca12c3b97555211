"""A CSV file with the fields of `Utterance` as columns, for spreadsheets and for pandas.

Fields without any value get no column. Audio paths are relative to the file where the audio lies in its folder or
below. A text that a spreadsheet would run as a formula (it begins with = + - @, tab or a line's end) gets an apostrophe
before it, which reading takes away. It is read as the corpus `table` is: any table will do. Spaces around a value are
dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emobridge.corpora.table import scan
from emobridge.data.columns import TableOptions
from emobridge.data.intake import Intake
from emobridge.data.manifest import PATHS, within
from emobridge.files import write_csv
from emobridge.formats._shared import filled, value_of
from emobridge.types import Utterance

LOSES: tuple[str, ...] = ()


def read(path: Path, *, intake: Intake, table: TableOptions) -> Iterator[Utterance]:
    """The utterances of a table. Options and errors: as in corpora.table.scan."""
    return scan(path, intake=intake, table=table)


def write(path: Path, utterances: Sequence[Utterance]) -> Path:
    """Write `path`, which must end in .csv, and return it."""
    folder = os.path.abspath(path.parent)
    fields = filled(utterances)
    write_csv(path, (_row(utterance, fields, folder) for utterance in utterances))
    return path


def _row(utterance: Utterance, fields: Sequence[str], folder: str) -> dict[str, Any]:
    row = {field: value_of(utterance, field) for field in fields}
    return row | {key: within(row[key], folder) for key in PATHS if row.get(key)}
