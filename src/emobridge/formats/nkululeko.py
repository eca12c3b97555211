"""The CSV files of nkululeko (https://github.com/felixbur/nkululeko): file, start, end, speaker, emotion, ...

    file,start,end,speaker,emotion
    wav/03a01Fa.wav,0 days,0 days 00:00:01.500000,3,happiness

`file` is a path; `start` and `end` (both or neither) are seconds or time deltas as pandas prints them; an empty `end`
is the end of the file. Further columns are understood as those of any table (nkululeko has `gender` and `age` too),
others are ignored and named; a field without a column of nkululeko's own is written under its name. In the column
`split`, which nkululeko reads with `split_strategy = column`, validation is "dev". Its own corpora name languages in
English ("polish"); names that emobridge knows become BCP 47 tags. Without a column `id` the file's name makes the id.

Written paths are relative to the file, so set `absolute_path = False` (with the default, nkululeko puts `./` before
them). Its loader is `nkululeko/data/dataset_csv.py`, which reads with audformat's `read_csv`, to the nanosecond.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emobridge.data.cells import NANOSECONDS
from emobridge.data.columns import TableOptions, table_values
from emobridge.data.intake import Intake
from emobridge.errors import UserError
from emobridge.files import write_csv
from emobridge.formats._shared import filled, value_of
from emobridge.types import Utterance

LOSES: tuple[str, ...] = ()
COLUMN_NAMES = {"path": "file", "start": "start", "end": "end", "speaker": "speaker", "emotion": "emotion"}


def read(path: Path, *, intake: Intake, table: TableOptions) -> Iterator[Utterance]:
    """The utterances of one CSV file, in its order.

    The default corpus is the name of the file. Options: those of `data.intake.Intake` and `data.columns.TableOptions`.
    Errors: UserError naming `file:row` for what a manifest would refuse and for a time that is none.
    """
    if path.suffix.lower() != ".csv" or not path.is_file():
        raise UserError(f"{path}: expected a file that is there and ends in .csv")
    folder = os.path.abspath(intake.root or path.parent)
    for where, values in table_values(path, table, intake, defaults=COLUMN_NAMES):
        values["corpus"] = values["corpus"] or path.stem
        if values["path"]:
            values["path"] = os.path.normpath(os.path.join(folder, values["path"]))
        yield from intake.utterances(values, where, folder)
    if not intake.rows:
        raise UserError(f"{path}: an empty table; expected the columns file, emotion, speaker ...")


def write(path: Path, utterances: Sequence[Utterance]) -> Path:
    """Write `path`, which must end in .csv, and return it."""
    folder = os.path.abspath(path.parent)
    fields = dict.fromkeys((*COLUMN_NAMES, *filled(utterances)))
    if not any(utterance.start or utterance.end is not None for utterance in utterances):
        fields = {field: None for field in fields if field not in ("start", "end")}
    write_csv(path, (_row(utterance, tuple(fields), folder) for utterance in utterances), escape=False)
    return path


def _row(utterance: Utterance, fields: Sequence[str], folder: str) -> dict[str, Any]:
    row = {COLUMN_NAMES.get(field, field): value_of(utterance, field) for field in fields}
    row["file"] = os.path.relpath(utterance.path, folder).replace(os.sep, "/")
    if "start" in fields:
        end = None if utterance.end is None else _delta(utterance.end)
        row |= {"start": _delta(utterance.start), "end": end}
    if utterance.split == "validation":
        row["split"] = "dev"
    return row


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
