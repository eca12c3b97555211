"""The rows of any table as the raw values of utterances: which column is which field, and what its cells mean.

Columns are understood by their names (`column_names`); what was applied, ignored and missing is told. Of two columns
for one field the closer name is taken and the other one told; two that are equally close are an error.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emobridge.data.ages import years_of
from emobridge.data.cells import UNITS, number_of, text_of, time_of
from emobridge.data.column_names import (
    EXACT_NAME,
    NAMES_SHOWN,
    TABLE_FIELDS,
    TIMES,
    ColumnName,
    exact_name,
    find_columns,
    is_column_name,
    no_column,
    shown_names,
    soft_columns,
)
from emobridge.data.manifest import COLUMNS, EXTRA, NUMBERS, SPLITS
from emobridge.data.tables import OpenedTable, open_table
from emobridge.errors import UserError, count_noun, nearest, unknown
from emobridge.options import Pairs, pairs

if TYPE_CHECKING:
    from emobridge.data.intake import Intake

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("validation", "validate", "valid", "val", "dev", "devel", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
_WOMEN = "f fem female female_feminine w woman weiblich frau femme féminin feminin mujer femenino donna"
_MEN = "m masc male male_masculine man männlich mann homme masculin hombre masculino uomo"
GENDER_WORDS = {**dict.fromkeys(_WOMEN.split(), "female"), **dict.fromkeys(_MEN.split(), "male")}
NO_SPEAKER = frozenset({"unknown", "unk", "nan", "none", "null", "n/a", "na", "-", "?"})
CHANNEL_WORDS = {"left": 0, "l": 0, "right": 1, "r": 1}
SOFT_CHOICES = ("ignore", "best")
TO_THE_END = -1  # an end or a duration in Kaldi's segments and in torchaudio
TOLERANCE = 0.05  # s that start + duration may differ from the end: labels are often rounded
LONG = 600.0  # s: milliseconds taken for seconds make longer utterances


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """How a table is to be read, where it is not to be found out.

    columns: field -> column, as a mapping or as text: "path=file,text=words"; the column "none" is none. `duration` is
    a field too. encoding: such as cp1252. delimiter: comma, semicolon, tab, pipe, or the character. quoting: "standard"
    ('"' encloses text) or "none". unit: "s" or "ms", of times whose column names none. splits: word -> train,
    validation, test or none. soft: what columns do that are named as emotions and hold numbers, where no column has the
    label: "best" takes the most probable, "ignore" none. keep: columns that are no field and are kept all the same, as
    "site,microphone"; a column that is named "extra.site" is kept without being named.
    Errors: UserError for an unknown field, unit, split or choice.
    """

    columns: Pairs = None
    encoding: str | None = None
    delimiter: str | None = None
    quoting: str | None = None
    unit: str = "s"
    splits: Pairs = None
    soft: str = "ignore"
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.column_of:
            if name not in TABLE_FIELDS:
                raise unknown("field", name, TABLE_FIELDS)
        if self.unit.casefold() not in UNITS:
            raise unknown("unit", self.unit, UNITS)
        for split in pairs(self.splits, "splits").values():
            if split not in (*SPLITS, "none"):
                raise unknown("split", split, (*SPLITS, "none"))
        if self.soft not in SOFT_CHOICES:
            raise unknown("choice of soft", self.soft, SOFT_CHOICES)

    @property
    def column_of(self) -> dict[str, str]:
        """Field -> column, as the user says it."""
        return pairs(self.columns, "columns")

    def open(self, path: Path) -> OpenedTable:
        """The table at `path`. Errors: as `tables.open_table`."""
        user_names = set(self.column_of.values())
        return open_table(
            path,
            is_name=lambda name: name in user_names or is_column_name(name),
            encoding=self.encoding,
            delimiter=self.delimiter,
            quoting=self.quoting,
        )


@dataclass(slots=True)
class Columns:
    """Which column holds which field, and what was read from them so far."""

    columns: dict[str, ColumnName]  # field -> column
    ignored: tuple[str, ...]  # columns that no field is read from
    extra: Mapping[str, str]  # "extra.NAME" -> column
    soft: Mapping[str, str]  # column -> emotion, where columns are named as emotions and none holds the label
    options: TableOptions
    decimal_comma: bool = False
    counts: Counter[str] = field(default_factory=Counter)  # of what is told after the last row
    unknown_splits: Counter[str] = field(default_factory=Counter)
    first_split: str = ""  # where the first of them stands
    has_splits: bool = False  # whether a word was a split

    def values(self, row: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The raw values of a row by field, each of its type, without a unit, None where there is none.

        Errors: UserError that begins with `where`.
        """
        values: dict[str, Any] = dict.fromkeys(TABLE_FIELDS)
        for name, column in self.columns.items():
            values[name] = self._value(name, column, row.get(column.name), where)
        for name, extra in self.extra.items():
            values[name] = _plain_text(row.get(extra), extra, where)
        self._set_end(values, where)
        if self.soft and self.options.soft == "best":
            values["emotion"] = self._most_probable(row, where)
        values["split"] = self._split(values["split"], where)
        gender = values["gender"]
        values["gender"] = GENDER_WORDS.get(str(gender).casefold(), gender)
        if str(values["speaker"]).casefold() in NO_SPEAKER and values["speaker"]:
            self.counts[f"the speaker {values['speaker']!r} was read as not known"] += 1
            values["speaker"] = None
        values["id"] = values.pop("id") or default_id(values)  # the last, so that a bad path is named before its id
        return values

    def notes(self) -> list[str]:
        """What the user should know of the columns, before the rows are read."""
        notes, applied = [], []
        for name, column in self.columns.items():
            unit = " (ms)" if name in TIMES and self._per_second(column) == 1000 else ""
            if name == "duration":
                applied.append(f"end from start and {column.name!r}{unit}")
            elif column.name != name or unit:
                applied.append(f"{name} from {column.name!r}{unit}")
        if applied:
            notes.append(f"read {', '.join(applied)}")
        if self.soft:
            read = self.options.soft == "best"
            what = "the most probable is the label" if read else "soft=best takes the most probable as the label"
            notes.append(f"columns named as emotions: {shown_names(self.soft)}: {what}")
        ignored = [name for name in self.ignored if name not in self.soft]
        if self.extra:
            notes.append(f"kept columns: {shown_names(list(self.extra.values()))}")
        if ignored:
            notes.append(f"ignored columns: {shown_names(ignored)} (--option keep=NAME,NAME keeps them)")
        return notes

    def last_notes(self) -> list[str]:
        """What the user should know once all rows are read.

        Errors: UserError for words in a column of splits that are none.
        """
        if self.unknown_splits:
            column, words = self.columns["split"], list(self.unknown_splits)
            counts = ", ".join(f"{word!r} ({count})" for word, count in self.unknown_splits.most_common(NAMES_SHOWN))
            if column.closeness == EXACT_NAME or self.has_splits:
                example = ",".join(f"{word}={nearest(word, SPLITS) or 'SPLIT'}" for word in words[:NAMES_SHOWN])
                raise UserError(
                    f"{self.first_split}: {unknown('split', words[0], SPLITS)}; unknown in {column.name!r} are "
                    f'{counts}: map them with splits="{example}" (a split or none), or leave the column out: '
                    'columns="split=none"'
                )
            self.counts[f"the column {column.name!r} names no splits ({counts}) and was ignored"] = 0
        return [f"{what} ({count_noun(count, 'row')})" if count else what for what, count in self.counts.items()]

    def _value(self, name: str, column: ColumnName, cell: Any, where: str) -> Any:
        if name in TIMES:
            per_second = self._per_second(column)
            return time_of(cell, column.name, where, per_second=per_second, decimal_comma=self.decimal_comma)
        if name == "channel" and str(cell).casefold() in CHANNEL_WORDS:
            return CHANNEL_WORDS[str(cell).casefold()]
        if name == "age":
            return self._age(cell)
        if name in NUMBERS:
            return number_of(cell, column.name, where, decimal_comma=self.decimal_comma)
        text = text_of(cell, column.name, where)
        if name == "path" and text and "\\" in text and "/" not in text and text[1:2] != ":" and os.sep == "/":
            self.counts["'\\' in paths was read as '/'"] += 1
            return text.replace("\\", "/")
        return text

    def _age(self, cell: Any) -> float | None:
        years = years_of(cell)
        if years is None and str(cell or "").strip():
            self.counts["an age that is none was read as not known"] += 1
        return years

    def _per_second(self, column: ColumnName) -> int:
        return column.per_second or UNITS[self.options.unit.casefold()]

    def _set_end(self, values: dict[str, Any], where: str) -> None:
        """Make the end of a row's start and duration. Errors: UserError where they and the end contradict."""
        for name in ("end", "duration"):
            if values[name] is not None and values[name] * self._per_second(self.columns[name]) == TO_THE_END:
                self.counts[f"the {name} -1 was read as the end of the file"] += 1
                values[name] = None
        duration = values.pop("duration")
        if duration is not None:
            start = values["start"] or 0.0
            if not (duration > 0 and math.isfinite(duration)):
                raise UserError(f"{where}: {self.columns['duration'].name!r} is {duration:g} s; expected more than 0 s")
            end = round(start + duration, 9)
            if values["end"] is not None and not abs(values["end"] - end) <= TOLERANCE:
                raise UserError(
                    f"{where}: the end is {values['end']:g} s, but start and duration make it {end:g} s: leave one out "
                    'with columns="duration=none" or columns="end=none"'
                )
            values["end"] = end if values["end"] is None else values["end"]
        if values["end"] is not None and values["end"] - (values["start"] or 0.0) > LONG:
            is_open = UNITS[self.options.unit.casefold()] == 1
            unit = ": if the times are milliseconds, say unit=ms" if is_open else ""
            self.counts[f"utterances longer than {LONG / 60:g} minutes{unit}"] += 1

    def _most_probable(self, row: Mapping[str, Any], where: str) -> str | None:
        shares = {
            column: number_of(row.get(column), column, where, decimal_comma=self.decimal_comma) or 0.0
            for column in self.soft
        }
        largest = max(shares.values())
        best = {self.soft[column] for column, share in shares.items() if share == largest}
        if len(best) > 1 or not largest > 0:
            self.counts["no emotion is the most probable one: unlabelled"] += 1
            return None
        return best.pop()

    def _split(self, word: str | None, where: str) -> str | None:
        if word is None:
            return None
        split = pairs(self.options.splits, "splits").get(word) or SPLIT_WORDS.get(word.casefold())
        if split is None:
            self.first_split = self.first_split or where
            self.unknown_splits[word] += 1
        self.has_splits = self.has_splits or split is not None
        return None if split == "none" else split


def table_values(
    path: Path, options: TableOptions, intake: Intake, *, defaults: Mapping[str, str] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row's `file:line` and its raw values by field, for `intake.utterances`.

    What the user should know is added to the intake's notes, at first or after the last row. defaults: field -> column,
    of a tool that names it so, where the table has that column. A table without rows yields nothing.
    Errors: UserError for what is no table, for columns that are not there or not clear, and as `Columns.values`.
    """
    table = options.open(path)
    if not table.columns:
        return
    user = options.column_of
    column_of = find_columns(table, user, defaults or {})
    if "path" not in column_of:
        raise UserError(f'{no_column("path", table)}; name it with columns="path=..."')
    used = {column.name for column in column_of.values()}
    extra = _kept_columns(table, options.keep, used)
    ignored = tuple(
        name for name in (*table.columns, *sorted(table.repeated)) if name not in used and name not in extra.values()
    )
    soft = {} if "emotion" in column_of or "emotion" in user else soft_columns(ignored, intake.labels)
    columns = Columns(column_of, ignored, extra, soft, options, table.dialect.decimal_comma)
    if table.dialect.delimiter or table.dialect.encoding not in ("utf-8", "utf-8-sig"):
        intake.notes.append(f"read as {table.dialect}")
    intake.notes += columns.notes()
    missing = [name for name in ("emotion", "speaker", "language") if name not in column_of]
    missing = [name for name in missing if name != "language" or not intake.language]
    if missing:
        intake.notes.append(f"no column for {', '.join(missing)} (columns: {shown_names(table.columns)})")
    for number, row in table.rows():
        where = f"{path}:{number}"
        yield where, columns.values(row, where)
    intake.notes += table.notes + columns.last_notes()


def _kept_columns(table: OpenedTable, keep: tuple[str, ...], used: set[str]) -> dict[str, str]:
    """The name of each further column, after "extra.", and its column.

    Errors: UserError for a column that is not there, that a field is read from, or that is there twice.
    """
    names = [*table.columns, *sorted(table.repeated)]
    columns = [exact_name(name, names, table.path) for name in keep if name]
    columns += [name for name in names if name.startswith(EXTRA) and name not in columns]
    extra = {}
    for column in columns:
        name = column.removeprefix(EXTRA).strip()
        if column in used or name in COLUMNS:
            raise UserError(f"{table.path}: keep: the column {column!r} is read as a field already")
        if column in table.repeated:
            raise UserError(f"{table.path}: keep: two columns are named {column!r}: rename one")
        extra[EXTRA + name] = column
    return extra


def _plain_text(cell: Any, column: str, where: str) -> str | None:
    """What a cell of any type says, on one line."""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float) and math.isfinite(cell):
        return f"{cell:.12g}"
    text = text_of(cell, column, where)
    return re.sub(r"\s*[\r\n\t\u2028\u2029]\s*", " ", text) if text else None


def default_id(values: Mapping[str, Any]) -> str:
    """An id made of the path and, where the row has one, of the start."""
    stem, start = os.path.splitext(str(values["path"] or ""))[0], values["start"]
    return f"{stem}@{start:.12g}" if stem and isinstance(start, int | float) else stem
