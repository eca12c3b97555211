"""Any corpus that comes with a table: CSV, TSV or JSON lines, one utterance a row.

Columns named as the fields of `Utterance` (path, emotion, speaker ...) are read as they are; the option `columns` names
others: `columns="path=file,emotion=label"` reads `path` from the column "file". Further columns are ignored. Words for
emotions are understood where data.labels.SYNONYMS has them; `labels="W=anger,exc=happiness"` explains others. In
`gender`, F and m are understood. Audio paths are relative to the table. Without an id column the path (and start) makes
the id.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emobridge.corpora import GENDERS
from emobridge.data.intake import Intake
from emobridge.data.labels import EMOTIONS
from emobridge.data.manifest import COLUMNS, NUMBERS
from emobridge.errors import UserError, unknown
from emobridge.options import Pairs, pairs
from emobridge.types import Utterance

LANGUAGES = ("und",)  # whatever the table says
LABELS = {emotion: emotion for emotion in EMOTIONS}
LICENCE = "that of your recordings"
CITATION = "that of your recordings"
OBTAIN = "Write a CSV with the columns path, emotion and speaker (and language, start, end, text ... where known)."

DELIMITERS = {".csv": ",;\t", ".tsv": "\t"}
SPLIT_WORDS = {"dev": "validation", "development": "validation", "val": "validation", "valid": "validation"}


def scan(
    root: Path,
    *,
    intake: Intake,
    columns: Pairs = None,
) -> Iterator[Utterance]:
    """The utterances of the table `root`, in its order.

    columns: field -> column, as a mapping or as text: "path=file,text=words". The default corpus is the name of the
    table. Further options: those of `data.intake.Intake`.
    Errors: UserError naming `file:row` for what a manifest would refuse, and for unknown fields and columns.
    """
    if not root.is_file():
        raise UserError(f"{root}: {'not a file' if root.exists() else 'no such file'}; expected a table. {OBTAIN}")
    column_of = column_mapping(columns)
    for number, row in table_rows(root, column_of):
        where = f"{root}:{number}"
        values = {field: cell_value(row.get(column_of.get(field, field)), field, where) for field in COLUMNS}
        values["corpus"] = values["corpus"] or root.stem
        values["split"] = SPLIT_WORDS.get(values["split"], values["split"])
        values["gender"] = GENDERS.get(str(values["gender"]).casefold(), values["gender"])
        values["id"] = values["id"] or default_id(values)
        yield from intake.utterances(values, where, os.path.abspath(root.parent))
    if not intake.rows:
        raise UserError(f"{root}: an empty table. {OBTAIN}")


def column_mapping(columns: Pairs, **defaults: str) -> dict[str, str]:
    """The option `columns` as field -> column, over the `defaults`. Errors: UserError for a field that is none."""
    mapping = defaults | pairs(columns, "columns")
    for field in mapping:
        if field not in COLUMNS:
            raise unknown("field", field, COLUMNS)
    return mapping


def table_rows(root: Path, column_of: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The raw rows of a table, each with its line number: CSV or TSV by the suffix, else JSON lines.

    column_of: field -> column. These columns must exist, and one for "path".
    Errors: UserError naming `file:row` for what is no table, and naming the nearest column for one that is missing.
    """
    return _delimited(root, column_of) if root.suffix.lower() in DELIMITERS else _json(root, column_of)


def cell_value(value: Any, field: str, where: str) -> Any:
    """The value of a cell, a number where the field is one: a CSV file holds text only.

    Errors: UserError that begins with `where`, for a field that needs a number.
    """
    if isinstance(value, str):
        value = value.strip()
        if field in NUMBERS and value:
            try:
                return float(value)
            except ValueError:
                raise UserError(f"{where}: {field!r} is {value!r}; expected a number") from None
    elif isinstance(value, int) and not isinstance(value, bool) and field not in NUMBERS:
        return str(value)  # speakers are often numbered
    return value


def default_id(values: Mapping[str, Any]) -> str:
    """An id made of the path and, where the row has one, of the start."""
    stem, start = os.path.splitext(str(values["path"] or ""))[0], values["start"]
    return f"{stem}@{start:g}" if stem and isinstance(start, int | float) else stem


def _delimited(root: Path, column_of: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a CSV or TSV file with the number of their last line; the delimiter is found in the header."""
    try:
        with root.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = max(DELIMITERS[root.suffix.lower()], key=header.count)
            file.seek(0)
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            names = reader.fieldnames or ()
            _check_columns(root, column_of, names)
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(f"{root}:{reader.line_num}: expected {len(names)} columns as in the header")
                yield reader.line_num, row
    except UnicodeDecodeError as error:
        raise UserError(f"{root}: not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except (csv.Error, OSError) as error:
        raise UserError(f"{root}: cannot be read as a table ({error})") from error


def _json(root: Path, column_of: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file of JSON lines. A row may lack a column of `column_of`, but not all rows may."""
    names: dict[str, None] = {}
    with root.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{root}:{number}: not valid JSON; expected .csv, .tsv or JSON lines") from error
            if not isinstance(row, dict):
                raise UserError(f"{root}:{number}: expected a JSON object, not {type(row).__name__}")
            names.update(dict.fromkeys(row))
            if "path" not in row and column_of.get("path") not in row:
                _check_columns(root, column_of, tuple(names))
            yield number, row
    if names:
        _check_columns(root, column_of, tuple(names))


def _check_columns(root: Path, column_of: Mapping[str, str], names: Sequence[str]) -> None:
    for column in column_of.values():
        if column not in names:
            raise UserError(f"{root}: {unknown('column', column, names)}")
    if "path" not in column_of and "path" not in names:
        raise UserError(f"{root}: no column 'path' (there are {', '.join(names)}); name it with columns=\"path=...\"")
