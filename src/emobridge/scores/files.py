"""scores.json: a list of flat records, one for each score."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable
from dataclasses import MISSING, asdict, fields
from pathlib import Path

from emobridge.errors import UserError
from emobridge.files import read_json, whole_file, write_cells
from emobridge.types import Score

TYPES = {field.name: str(field.type) for field in fields(Score)}


def write_scores(path: str | Path, scores: Iterable[Score]) -> None:
    """A JSON list of flat records, one line each, whole or absent; NaN becomes null. A path that ends in .csv gets a
    table. Errors: UserError.
    """
    if Path(path).suffix.lower() == ".csv":
        write_cells(path, list(scores), Score)
        return
    records = ({key: None if value != value else value for key, value in asdict(row).items()} for row in scores)
    rows = ",\n".join(json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records)
    with whole_file(path) as temporary:
        temporary.write_text(f"[\n{rows}\n]\n", encoding="utf-8")


def read_scores(path: str | Path) -> tuple[Score, ...]:
    """The rows of a `scores.json`. Errors: UserError that names the file and the row."""
    rows = read_json(path)
    names = [field.name for field in fields(Score)]
    needed = {field.name for field in fields(Score) if field.default is MISSING}
    if not isinstance(rows, list):
        raise UserError(f"{path}: a list of scores is expected")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not needed <= set(row) <= set(names):
            raise UserError(f"{path}: row {number} is no score; its keys must be {', '.join(names)}")
        for key in ("value", "low", "high"):
            row[key] = float("nan") if row[key] is None else row[key]
        for key, value in row.items():
            kinds = {"float": (float, int), "int": (int,)}.get(TYPES[key], (str,))
            if type(value) not in kinds:
                expected = "a number" if kinds != (str,) else "text"
                raise UserError(f"{path}: row {number}: {key}: expected {expected}, got {reprlib.repr(value)}")
    return tuple(Score(**row) for row in rows)
