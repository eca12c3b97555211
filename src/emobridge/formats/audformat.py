"""Databases of audEERING's audformat (https://audeering.github.io/audformat): db.yaml and a file for each table.

A database has schemes (what a column means), tables whose index is a file (filewise) or a file with start and end
(segmented; an end that is NaT is the end of the file), tables of other things such as speakers, and splits.

`read` takes the rows of all tables with the scheme "emotion", or of the chosen tables. The values of speaker, language,
transcription (or text), arousal, valence, dominance, gender and age may stand in any table, for the same stretch or its
file; gender, age and language may also be those of the speaker, and language that of the database (ISO 639-3 there,
BCP 47 here). A table's split counts where its type is train, dev or test.

`write` makes a table "emotion" of the utterances without a split, and "emotion.train", "emotion.dev", "emotion.test",
which are segmented where one holds a stretch; the other fields have schemes of their name. The layout is that of
audformat 1.4 and its documented EMO-DB example. Tables that are stored as pickles are refused, because loading a pickle
runs its content. Needs the package audformat.
"""

from __future__ import annotations

import importlib
import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from emobridge.data.ages import years_of
from emobridge.data.cells import NANOSECONDS
from emobridge.data.columns import default_id
from emobridge.data.encodings import read_text
from emobridge.data.intake import Intake
from emobridge.data.labels import EMOTIONS
from emobridge.data.manifest import COLUMNS, NUMBERS, PATHS, within
from emobridge.errors import UserError, unknown
from emobridge.formats._shared import filled, split_named
from emobridge.options import joined_pairs
from emobridge.types import ATTRIBUTES, Range, Utterance

LOSES: tuple[str, ...] = ("extra",)
SCHEMES = {field: field for field in COLUMNS if field not in ("path", "start", "end", "split")} | {
    "text": "transcription"
}
TABLE_NAMES = {None: "emotion", "train": "emotion.train", "validation": "emotion.dev", "test": "emotion.test"}
NOUNS = {float: "number", str: "text"}
Stretch = tuple[str, int, int | None]  # file, start and end in nanoseconds


def read(
    path: Path,
    *,
    intake: Intake,
    tables: str | None = None,
) -> Iterator[Utterance]:
    """The utterances of the database in the folder `path`.

    tables: the names, joined by commas, of the tables to read; raters may disagree between tables.
    The default corpus is the name of the database. Further options: those of `data.intake.Intake`.
    Errors: UserError for no database, an unknown table, labels that contradict each other, and naming `folder:file`
    for what a manifest would refuse.
    """
    audformat = _package()
    db = _load(audformat, path)
    names = [name.strip() for name in tables.split(",")] if tables else _tables(db)
    for name in names:
        if name not in db.tables:
            raise unknown(f"table in {path}", name, db.tables)
    columns = {field: _column(db, field, names, path) for field in SCHEMES}
    common = db.languages[0] if len(db.languages) == 1 else "und"
    root = os.path.abspath(path)
    for stretch, split in _stretches(db, names).items():
        file, start, end = stretch
        values: dict[str, Any] = {field: _value_of(column, stretch) for field, column in columns.items()}
        values |= {"path": file, "start": start / NANOSECONDS, "split": split}
        values["end"] = None if end is None else end / NANOSECONDS
        values["corpus"] = values["corpus"] or db.name
        values["language"] = values["language"] or common
        values["id"] = values["id"] or default_id(values | {"start": values["start"] or None})
        yield from intake.utterances(values, f"{path}:{file}", root)
    if not intake.rows:
        raise UserError(f"{path}: a database without rows in {', '.join(names) or 'any table'}")
    intake.notes += _ranges(db, intake.corpus or db.name)


def write(path: Path, utterances: Sequence[Utterance]) -> Path:
    """Write db.yaml and the tables into the folder `path`, which may hold the audio but no database, and return it.

    Errors: UserError where a database is there, and for two utterances of the same stretch, which is what audformat
    tells them apart by.
    """
    audformat = _package()
    if (path / "db.yaml").exists():
        raise UserError(f"{path}: holds a database already; expected another folder")
    corpora = {utterance.corpus for utterance in utterances}
    languages = dict.fromkeys(code for utterance in utterances if (code := _iso(audformat, utterance.language)))
    db = audformat.Database(corpora.pop() if len(corpora) == 1 else path.name, languages=list(languages))
    fields = [field for field in filled(utterances) if field in SCHEMES]
    for field in fields:
        kind = "float" if field in NUMBERS else "str"
        db.schemes[SCHEMES[field]] = audformat.Scheme(kind, labels=list(EMOTIONS) if field == "emotion" else None)
    _check_stretches(utterances)
    segmented = any(utterance.start or utterance.end is not None for utterance in utterances)
    for split, table in TABLE_NAMES.items():
        part = [utterance for utterance in utterances if utterance.split == split]
        if part:
            if split:
                kind = table.partition(".")[2]
                db.splits[kind] = audformat.Split(kind)
            _add_table(db, table, part, fields, os.path.abspath(path), segmented)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".db.", dir=path) as temporary:
            db.save(temporary)
            for file in sorted(Path(temporary).iterdir(), key=lambda file: file.name == "db.yaml"):  # the header last
                file.replace(path / file.name)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _package() -> ModuleType:
    try:
        package = importlib.import_module("audformat")
    except ModuleNotFoundError as error:
        raise UserError(
            "the format audformat needs the package 'audformat': pip install 'emobridge[audformat]'"
        ) from error
    return package


def _load(audformat: ModuleType, path: Path) -> Any:
    """The database with its tables. Database.load is not used: it would run code that a header or a pickle names."""
    import yaml

    header = path / "db.yaml"
    try:
        db = audformat.Database.load_header_from_yaml(yaml.safe_load(read_text(header)))
        for name in (*db.misc_tables, *db.tables):  # in this order: speakers may be the labels of a table
            if (path / f"db.{name}.pkl").exists():
                raise UserError(f"{path / f'db.{name}.pkl'}: a pickle, which can run code; store it as parquet or csv")
            db[name].load(str(path / f"db.{name}"))
        _check_header(db)
    except UserError:
        raise
    except Exception as error:  # whatever yaml, audformat, pandas and pyarrow make of values of wrong types
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"{header}: no database of audformat ({reason})") from error
    return db


def _check_header(db: Any) -> None:
    """Errors: TypeError for a name or a language that is no text."""
    for value in (db.name, *(db.languages or ())):
        if not isinstance(value, str):
            raise TypeError(f"expected text, not {value!r}")


def _ranges(db: Any, corpus: str) -> Iterator[str]:
    """A note of the scales that schemes of rated attributes declare, with the option that says so."""
    ranges = {}
    for field in ATTRIBUTES:
        scheme = dict(db.schemes).get(field)
        low, high = (getattr(scheme, bound, None) for bound in ("minimum", "maximum"))
        if isinstance(low, int | float) and isinstance(high, int | float) and low < high:
            ranges[field] = str(Range(low, high))
    if not ranges:
        return
    rated = "declared ranges: " + ", ".join(f"{field} {scale}" for field, scale in ranges.items())
    if len(set(ranges.values())) > 1:
        yield f"{rated}; emobridge takes one range for a corpus"
        return
    option = joined_pairs({corpus: next(iter(ranges.values()))})
    yield f"{rated}; where attributes are learnt or scored: {shlex.join(['--attribute-range', option])}"


def _tables(db: Any) -> list[str]:
    """The tables with the scheme emotion, or all tables where none has it."""
    names = [
        name
        for name in db.tables
        if any("emotion" in (key, column.scheme_id) for key, column in db[name].columns.items())
    ]
    return names or list(db.tables)


def _stretches(db: Any, tables: Sequence[str]) -> dict[Stretch, str | None]:
    """The stretches of some tables in their order, with the split of the table."""
    splits: dict[Stretch, str | None] = {}
    for name in tables:
        kind = db.splits[db[name].split_id].type if db[name].split_id else ""
        for stretch in map(_stretch, db[name].index):
            splits[stretch] = splits.get(stretch) or split_named(kind)
    return splits


def _column(db: Any, field: str, tables: Sequence[str], path: Path) -> dict[Stretch, Any]:
    """The values of a field: emotions from the chosen `tables`, all else from any table."""
    for scheme in dict.fromkeys((SCHEMES[field], field)):
        try:
            frame = db.get(scheme, tables=list(tables) if field == "emotion" else None)
        except Exception as error:  # of audformat and pandas, for tables that contradict each other or wrong types
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"{path}: {scheme}: {reason} choose among {', '.join(db.tables)} with tables=..."
            ) from error
        if len(frame) and scheme in frame:
            values = frame[scheme].dropna()
            kind = float if field in NUMBERS else str
            read = years_of if field == "age" else kind
            try:
                return {_stretch(key): read(value) for key, value in values.items()}
            except (TypeError, ValueError, AttributeError, OverflowError) as error:
                reason = " ".join(str(error).split())[:200]
                raise UserError(f"{path}: {scheme}: a value that is no {NOUNS[kind]} ({reason})") from error
    return {}


def _stretch(key: Any) -> Stretch:
    """The stretch that an entry of an index means; a whole file begins at 0 and has no end."""
    if isinstance(key, str):
        return key, 0, None
    if not isinstance(key, tuple) or not isinstance(key[0], str):
        raise UserError(f"an index entry is {key!r}; expected a file, or file, start and end")
    file, start, end = key
    return file, _nanoseconds(start) or 0, _nanoseconds(end)


def _nanoseconds(delta: Any) -> int | None:
    return None if delta != delta else int(delta.as_unit("ns").value)  # NaT is not itself


def _value_of(column: dict[Stretch, Any], stretch: Stretch) -> Any:
    """The value of a stretch, else of its file, else None."""
    return column.get(stretch, column.get((stretch[0], 0, None)))


def _iso(audformat: ModuleType, language: str) -> str | None:
    """The ISO 639-3 code for the header, which has no regions; None for "und" and codes that audformat lacks."""
    try:
        return None if language == "und" else str(audformat.utils.map_language(language.partition("-")[0]))
    except ValueError:
        return None


def _check_stretches(utterances: Sequence[Utterance]) -> None:
    seen: dict[tuple[str, float, float | None], str] = {}
    for utterance in utterances:
        first = seen.setdefault((utterance.path, utterance.start, utterance.end), utterance.id)
        if first != utterance.id:
            both = f"{first!r} and {utterance.id!r}"
            raise UserError(f"{both} are the same stretch of {utterance.path}, by which audformat knows them")


def _add_table(
    db: Any, name: str, utterances: Sequence[Utterance], fields: Sequence[str], root: str, segmented: bool
) -> None:
    """Add a table of some utterances to the database; files inside `root` are relative to it."""
    audformat = _package()
    files = [within(utterance.path, root) for utterance in utterances]
    index = audformat.filewise_index(files)
    if segmented:
        starts = [_timedelta(utterance.start) for utterance in utterances]
        ends = [_timedelta(utterance.end) for utterance in utterances]
        index = audformat.segmented_index(files, starts, ends)
    db[name] = audformat.Table(index, split_id=name.partition(".")[2] or None)
    for field in fields:
        db[name][SCHEMES[field]] = audformat.Column(scheme_id=SCHEMES[field])
        values = [getattr(utterance, field) for utterance in utterances]
        db[name][SCHEMES[field]].set([within(value, root) if value and field in PATHS else value for value in values])


def _timedelta(seconds: float | None) -> Any:
    """A time as pandas has it; NaT of None."""
    import pandas

    return pandas.NaT if seconds is None else pandas.Timedelta(round(seconds * NANOSECONDS), "ns")
