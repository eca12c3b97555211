"""Any corpus that comes with a table: CSV, TSV or JSON lines, one utterance a row.

Columns named as the fields of `Utterance` (path, emotion, speaker ...) are found by themselves, and `columns` names the
others: `columns="path=file,emotion=label"` reads `path` from the column "file". Further columns are passed over. The
table's own words for emotions are understood where data.labels.SYNONYMS knows them; `labels="W=anger,exc=happiness"`
tells the others. In `gender`, F and m are understood. Audio paths are relative to the table. Without an id column the
path (and start) makes the id.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emobridge.corpora import GENDERS
from emobridge.data.labels import EMOTIONS, to_emotion
from emobridge.data.manifest import COLUMNS, NUMBERS, to_utterance
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
    columns: Pairs = None,
    labels: Pairs = None,
    language: str | None = None,
    corpus: str | None = None,
) -> Iterator[Utterance]:
    """The utterances of the table `root`, in its order.

    `columns` (field -> column) and `labels` (raw label -> emotion) are mappings, or text such as "path=file,text=said";
    `language` and `corpus` go before the columns of that name, and `corpus` is else the name of the table.
    Errors: UserError naming `file:row` for what a manifest would refuse, and for unknown fields and columns.
    """
    if not root.is_file():
        raise UserError(f"{root}: {'not a file' if root.exists() else 'no such file'}; expected a table. {OBTAIN}")
    wanted = pairs(columns, "columns")
    for field in wanted:
        if field not in COLUMNS:
            raise unknown("field", field, COLUMNS)
    emotions = pairs(labels, "labels")
    for emotion in emotions.values():
        to_emotion(emotion)
    seen: set[str] = set()
    for number, row in rows(root, wanted):
        where = f"{root}:{number}"
        values = {field: plain(row.get(wanted.get(field, field)), field, where) for field in COLUMNS}
        values["corpus"] = corpus or values["corpus"] or root.stem
        values["language"] = language or values["language"]
        values["split"] = SPLIT_WORDS.get(values["split"], values["split"])
        values["gender"] = GENDERS.get(str(values["gender"]).casefold(), values["gender"])
        values["id"] = values["id"] or name_of(values)
        yield to_utterance(values, where, os.path.abspath(root.parent), seen, emotions)
    if not seen:
        raise UserError(f"{root}: an empty table. {OBTAIN}")


def rows(root: Path, wanted: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The raw rows of a table with the line that each is on: CSV or TSV by its suffix, else JSON lines.

    `wanted` (field -> column) are columns that must be there, and "path" one way or the other.
    Errors: UserError naming `file:row` for what is no table, and the nearest column for one that is not there.
    """
    return _delimited(root, wanted) if root.suffix.lower() in DELIMITERS else _json(root, wanted)


def plain(value: Any, field: str, where: str) -> Any:
    """Text as it is, and a number where a field is one: everything in a CSV file is text."""
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


def name_of(values: Mapping[str, Any]) -> str:
    """An id from the path and, where a file holds several utterances, from the time they begin."""
    stem, start = os.path.splitext(str(values["path"] or ""))[0], values["start"]
    return f"{stem}@{start:g}" if stem and isinstance(start, int | float) else stem


def _delimited(root: Path, wanted: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a CSV or TSV file with the line that each ends on; the header tells the delimiter."""
    try:
        with root.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = max(DELIMITERS[root.suffix.lower()], key=header.count)
            file.seek(0)
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            names = reader.fieldnames or ()
            _check(root, wanted, names)
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(f"{root}:{reader.line_num}: expected {len(names)} columns as in the header")
                yield reader.line_num, row
    except UnicodeDecodeError as error:
        raise UserError(f"{root}: not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except (csv.Error, OSError) as error:
        raise UserError(f"{root}: cannot be read as a table ({error})") from error


def _json(root: Path, wanted: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file of JSON lines; a row may leave out what it does not know, but not all rows the same column."""
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
            if "path" not in row and wanted.get("path") not in row:
                _check(root, wanted, tuple(names))
            yield number, row
    if names:
        _check(root, wanted, tuple(names))


def _check(root: Path, wanted: Mapping[str, str], names: Sequence[str]) -> None:
    for column in wanted.values():
        if column not in names:
            raise UserError(f"{root}: {unknown('column', column, names)}")
    if "path" not in wanted and "path" not in names:
        raise UserError(f"{root}: no column 'path' (there are {', '.join(names)}); name it with columns=\"path=...\"")
