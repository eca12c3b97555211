"""Databases of audEERING's audformat (https://audeering.github.io/audformat): db.yaml and a file for each table.

A database has schemes (what a column means), tables whose index is a file (filewise) or a file with start and end
(segmented; an end that is NaT is the end of the file), tables of other things such as speakers, and splits. Read are
the rows of all tables with the scheme "emotion" (or of those asked for), and of the schemes speaker, language,
transcription (or text), arousal, valence, dominance, gender what any table says of the same stretch or its file; gender
and language may also be those of the speaker, and the language that of the database. Languages are ISO 639-3 there, BCP
47 here. A table's split counts where its type is train, dev or test.

Written are a table "emotion" of those without a split and "emotion.train", "emotion.dev", "emotion.test", segmented
where a stretch is among them; the other fields have schemes of their name. The layout is that of audformat
1.4 and its documented EMO-DB example. Tables that are stored as pickles are refused, because loading one runs what is
in it. Needs the package audformat.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from emobridge.corpora.table import name_of
from emobridge.data.labels import EMOTIONS
from emobridge.data.manifest import COLUMNS, NUMBERS, PATHS, to_utterance, within
from emobridge.errors import UserError, unknown
from emobridge.formats._shared import emotions_of, filled, known_split, read_text
from emobridge.options import Pairs
from emobridge.types import Utterance

LOSES: tuple[str, ...] = ()
SCHEMES = {field: field for field in COLUMNS if field not in ("path", "start", "end", "split")} | {
    "text": "transcription"
}
SPLITS = {None: "emotion", "train": "emotion.train", "validation": "emotion.dev", "test": "emotion.test"}
NANOSECONDS = 1_000_000_000
Stretch = tuple[str, int, int | None]  # file, start and end in nanoseconds


def read(
    path: Path,
    *,
    tables: str | None = None,
    labels: Pairs = None,
    language: str | None = None,
    corpus: str | None = None,
) -> Iterator[Utterance]:
    """The utterances of the database in the folder `path`.

    `tables` (names, by comma) says whose rows are read: raters may disagree between tables. `corpus` is else in the
    database or its name.
    Errors: UserError for no database, an unknown table, labels that contradict each other, and naming `folder:file`
    for what a manifest would refuse.
    """
    audformat = _package()
    db = _load(audformat, path)
    wanted = [name.strip() for name in tables.split(",")] if tables else _tables(db)
    for name in wanted:
        if name not in db.tables:
            raise unknown(f"table in {path}", name, db.tables)
    known = {field: _column(db, field, wanted, path) for field in SCHEMES}
    common = db.languages[0] if len(db.languages) == 1 else "und"
    emotions, seen, root = emotions_of(labels), set[str](), os.path.abspath(path)
    for stretch, split in _stretches(db, wanted).items():
        file, start, end = stretch
        values: dict[str, Any] = {field: _of(column, stretch) for field, column in known.items()}
        values |= {"path": file, "start": start / NANOSECONDS, "split": split}
        values["end"] = None if end is None else end / NANOSECONDS
        values["corpus"] = corpus or values["corpus"] or db.name
        values["language"] = language or values["language"] or common
        values["id"] = values["id"] or name_of(values | {"start": values["start"] or None})
        yield to_utterance(values, f"{path}:{file}", root, seen, emotions)
    if not seen:
        raise UserError(f"{path}: a database without rows in {', '.join(wanted) or 'any table'}")


def write(path: Path, utterances: Sequence[Utterance]) -> Path:
    """Write db.yaml and the tables into the folder `path`, which may hold the audio but no database, and return it.

    Errors: UserError where a database is there, and for two utterances of the same stretch: it is what audformat
    knows them by.
    """
    audformat = _package()
    if (path / "db.yaml").exists():
        raise UserError(f"{path}: holds a database already; expected another folder")
    names = {one.corpus for one in utterances}
    spoken = dict.fromkeys(code for one in utterances if (code := _iso(audformat, one.language)))
    db = audformat.Database(names.pop() if len(names) == 1 else path.name, languages=list(spoken))
    fields = [field for field in filled(utterances) if field in SCHEMES]
    for field in fields:
        kind = "float" if field in NUMBERS else "str"
        db.schemes[SCHEMES[field]] = audformat.Scheme(kind, labels=list(EMOTIONS) if field == "emotion" else None)
    _check_stretches(utterances)
    segmented = any(one.start or one.end is not None for one in utterances)
    for split, table in SPLITS.items():
        held = [one for one in utterances if one.split == split]
        if held:
            if split:
                kind = table.partition(".")[2]
                db.splits[kind] = audformat.Split(kind)
            _add(audformat, db, table, held, fields, os.path.abspath(path), segmented)
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
    """The database with its tables. Not by Database.load: that would run what a header or a pickle asks for."""
    import yaml

    header = path / "db.yaml"
    try:
        db = audformat.Database.load_header_from_yaml(yaml.safe_load(read_text(header)))
        for name in (*db.misc_tables, *db.tables):  # in this order: speakers may be the labels of a table
            if (path / f"db.{name}.pkl").exists():
                raise UserError(f"{path / f'db.{name}.pkl'}: a pickle, which can run code; store it as parquet or csv")
            db[name].load(str(path / f"db.{name}"))
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError, RuntimeError, OSError) as error:
        raise UserError(f"{header}: no database of audformat ({' '.join(str(error).split())})") from error
    return db


def _tables(db: Any) -> list[str]:
    """The tables with the scheme emotion, or where there is none all."""
    found = [
        name for name in db.tables if any("emotion" in (id, one.scheme_id) for id, one in db[name].columns.items())
    ]
    return found or list(db.tables)


def _stretches(db: Any, tables: Sequence[str]) -> dict[Stretch, str | None]:
    """The stretches of some tables in their order, with the split of the table."""
    found: dict[Stretch, str | None] = {}
    for name in tables:
        kind = db.splits[db[name].split_id].type if db[name].split_id else ""
        for stretch in map(_stretch, db[name].index):
            found[stretch] = found.get(stretch) or known_split(kind)
    return found


def _column(db: Any, field: str, tables: Sequence[str], path: Path) -> dict[Stretch, Any]:
    """What the database says of a field: of emotions in some tables, of all else in any."""
    for scheme in dict.fromkeys((SCHEMES[field], field)):
        try:
            frame = db.get(scheme, tables=list(tables) if field == "emotion" else None)
        except (ValueError, TypeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"{path}: {scheme}: {reason} choose among {', '.join(db.tables)} with tables=..."
            ) from error
        if len(frame) and scheme in frame:
            values = frame[scheme].dropna()
            kind = float if field in NUMBERS else str
            return {_stretch(key): kind(value) for key, value in values.items()}
    return {}


def _stretch(key: Any) -> Stretch:
    """The stretch that an entry of an index means; a whole file begins at 0 and has no end."""
    if isinstance(key, str):
        return key, 0, None
    file, start, end = key
    return file, _nanoseconds(start) or 0, _nanoseconds(end)


def _nanoseconds(delta: Any) -> int | None:
    return None if delta != delta else int(delta.as_unit("ns").value)  # NaT is not itself


def _of(column: dict[Stretch, Any], stretch: Stretch) -> Any:
    """What is known of a stretch, or of its file."""
    return column.get(stretch, column.get((stretch[0], 0, None)))


def _iso(audformat: ModuleType, language: str) -> str | None:
    """BCP 47 as the header's ISO 639-3, which has no regions; None for "und" and what is no language."""
    try:
        return None if language == "und" else str(audformat.utils.map_language(language.partition("-")[0]))
    except ValueError:
        return None


def _check_stretches(utterances: Sequence[Utterance]) -> None:
    seen: dict[tuple[str, float, float | None], str] = {}
    for one in utterances:
        first = seen.setdefault((one.path, one.start, one.end), one.id)
        if first != one.id:
            raise UserError(
                f"{first!r} and {one.id!r} are the same stretch of {one.path}, by which audformat knows them"
            )


def _add(
    audformat: ModuleType,
    db: Any,
    name: str,
    held: Sequence[Utterance],
    fields: Sequence[str],
    root: str,
    segmented: bool,
) -> None:
    """Add a table of some utterances to the database; files inside `root` are relative to it."""
    import pandas

    files = [within(one.path, root) for one in held]
    index = audformat.filewise_index(files)
    if segmented:
        times = [
            [pandas.NaT if time is None else pandas.Timedelta(round(time * NANOSECONDS), "ns") for time in some]
            for some in ([one.start for one in held], [one.end for one in held])
        ]
        index = audformat.segmented_index(files, *times)
    db[name] = audformat.Table(index, split_id=name.partition(".")[2] or None)
    for field in fields:
        db[name][SCHEMES[field]] = audformat.Column(scheme_id=SCHEMES[field])
        values = [getattr(one, field) for one in held]
        db[name][SCHEMES[field]].set([within(one, root) if one and field in PATHS else one for one in values])
