"""The CSV files of nkululeko (https://github.com/felixbur/nkululeko): file, start, end, speaker, emotion, ...

    file,start,end,speaker,emotion
    wav/03a01Fa.wav,0 days,0 days 00:00:01.500000,3,happiness

`file` is a path; `start` and `end` (both or neither) are seconds or time deltas as pandas prints them; an empty `end`
is the end of the file. Further columns that are named as fields of `Utterance` are read (nkululeko has `gender` too),
others (age ...) are ignored; a field without a column of nkululeko's own is written under its name. In the column
`split`, which nkululeko reads with `split_strategy = column`, validation is "dev". Its own corpora name languages in
English ("polish"); names that emobridge knows become BCP 47 tags. Without a column `id` the file's name makes the id.

Written paths are relative to the file, so set `absolute_path = False` (with the default, nkululeko puts `./` before
them). Its loader is `nkululeko/data/dataset_csv.py`, which reads with audformat's `read_csv`, to the nanosecond.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emobridge.corpora.table import SPLIT_WORDS, cell_value, column_mapping, default_id, table_rows
from emobridge.data.intake import Intake
from emobridge.data.manifest import COLUMNS
from emobridge.errors import UserError
from emobridge.files import write_csv
from emobridge.formats._shared import filled
from emobridge.options import Pairs
from emobridge.types import Utterance

LOSES: tuple[str, ...] = ()
COLUMN_NAMES = {"path": "file", "start": "start", "end": "end", "speaker": "speaker", "emotion": "emotion"}
NANOSECONDS = 1_000_000_000
DELTA = re.compile(r"(?:(\d+) days?)?(?: ?(?:(\d+):)?(\d+):(\d+)(?:\.(\d{1,9}))?)?")


def read(
    path: Path,
    *,
    intake: Intake,
    columns: Pairs = None,
) -> Iterator[Utterance]:
    """The utterances of one CSV file, in its order.

    columns (field -> column, such as "emotion=mood"): as in corpora.table. The default corpus is the name of the file.
    Further options: those of `data.intake.Intake`.
    Errors: UserError naming `file:row` for what a manifest would refuse and for a time that is none.
    """
    if path.suffix.lower() != ".csv" or not path.is_file():
        raise UserError(f"{path}: expected a file that is there and ends in .csv")
    column_of = column_mapping(columns, path="file")
    folder = os.path.abspath(path.parent)
    for number, row in table_rows(path, column_of):
        where = f"{path}:{number}"
        raw = {field: row.get(column_of.get(field, field)) for field in COLUMNS}
        times = {field: _seconds(raw.pop(field), field, where) for field in ("start", "end")}
        values: dict[str, Any] = {field: cell_value(value, field, where) for field, value in raw.items()} | times
        values["corpus"] = values["corpus"] or path.stem
        values["split"] = SPLIT_WORDS.get(values["split"], values["split"])
        values["id"] = values["id"] or default_id(values)
        if values["path"]:
            values["path"] = os.path.normpath(os.path.join(intake.root or folder, values["path"]))
        yield from intake.utterances(values, where, folder)
    if not intake.rows:
        raise UserError(f"{path}: an empty table; expected the columns file, emotion, speaker ...")


def write(path: Path, utterances: Sequence[Utterance]) -> Path:
    """Write `path`, which must end in .csv, and return it."""
    folder = os.path.abspath(path.parent)
    fields = dict.fromkeys((*COLUMN_NAMES, *filled(utterances)))
    if not any(utterance.start or utterance.end is not None for utterance in utterances):
        fields = {field: None for field in fields if field not in ("start", "end")}
    table = []
    for utterance in utterances:
        row = {COLUMN_NAMES.get(field, field): getattr(utterance, field) for field in fields}
        row["file"] = os.path.relpath(utterance.path, folder).replace(os.sep, "/")
        if "start" in fields:
            end = None if utterance.end is None else _delta(utterance.end)
            row |= {"start": _delta(utterance.start), "end": end}
        if utterance.split == "validation":
            row["split"] = "dev"
        table.append(row)
    write_csv(path, table, escape=False)
    return path


def _seconds(text: str | None, field: str, where: str) -> float | None:
    """Seconds of "1.5" or "0 days 00:00:01.5"; None of an empty cell and of pandas's NaT."""
    text = (text or "").strip()
    if text in ("", "NaT", "nan"):
        return None
    try:
        return float(text)
    except ValueError:
        pass
    match = DELTA.fullmatch(text)
    if match is None:
        raise UserError(f"{where}: {field!r} is {text!r}; expected seconds or a time such as '0 days 00:00:01.5'")
    days, hours, minutes, seconds, fraction = match.groups()
    whole = ((int(days or 0) * 24 + int(hours or 0)) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    return (whole * NANOSECONDS + int((fraction or "").ljust(9, "0"))) / NANOSECONDS


def _delta(seconds: float) -> str:
    """A time as pandas prints it: 1.5 is "0 days 00:00:01.500000"."""
    whole, fraction = divmod(round(seconds * NANOSECONDS), NANOSECONDS)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    digits = f"{fraction:09}"
    digits = digits.removesuffix("000") if fraction % 1000 == 0 else digits
    return (
        f"{days} days" + (f" {hour:02}:{minute:02}:{second:02}" if seconds else "") + (f".{digits}" if fraction else "")
    )
