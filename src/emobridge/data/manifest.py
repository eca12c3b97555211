"""A manifest: one utterance a line, as JSON, read and written as a stream.

    {"id": "f1-rab-b1", "path": "audio/rab-f1-b1.wav", "corpus": "emovo", "speaker": "f1", "emotion": "anger"}

The columns are the fields of `emobridge.types.Utterance`. Only id, path and corpus are required; an empty or null value
of another column counts as missing. A column of one's own is named "extra." and its name, as "extra.site", and holds
text. `channel` (from 0) picks one channel of a file; without it all are averaged.
Languages are read as tags or names and written as tags (`languages.language_tag`). Relative paths are relative to the
manifest's folder, so that the two can move together.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from emobridge.data.ages import OLDEST, is_age
from emobridge.data.labels import to_emotion
from emobridge.data.tables import TABLE_SUFFIXES
from emobridge.errors import UserError, unknown
from emobridge.files import whole_file
from emobridge.languages import language_tag
from emobridge.types import Utterance

REQUIRED = ("id", "path", "corpus")
EXTRA = "extra."  # how the names of further columns begin, which `Utterance.extra` holds
COLUMNS = tuple(field.name for field in dataclasses.fields(Utterance) if field.name != "extra")
NUMBERS = frozenset({"start", "end", "arousal", "valence", "dominance", "channel", "age"})
PATHS = ("path", "phones")
SPLITS = ("train", "validation", "test")
# Columns whose few values are the same in many rows: each is in memory once.
REPEATED = frozenset({"corpus", "language", "speaker", "emotion", "split", "gender", "naturalness"})
# No name holds a control character, half of a surrogate pair, a line separator or a code point that XML refuses.
_NO_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_NO_TEXT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]"
)  # a text may have lines


def read_manifest(path: str | Path) -> Iterator[Utterance]:
    """Read the utterances of a manifest in the file's order, with absolute audio and alignment paths.

    Memory does not grow with the manifest, but for the set of ids. Audio files are not opened.
    Errors: UserError `file:row: what` for a missing or empty file, a row that is no JSON object, a missing, unknown,
    duplicate or ill-typed value, text with control characters, a number that is not finite, and times that are negative
    or inverted; for a table (.csv ...) one that has the command which makes a manifest of it.
    """
    path = Path(path)
    folder = os.path.abspath(path.parent)
    seen: set[str] = set()
    number = 0
    if path.suffix.lower() in TABLE_SUFFIXES and path.exists():
        command = shlex.join(["emobridge", "scan", "table", str(path), "-o", str(path.with_suffix(".jsonl"))])
        raise UserError(f"{path}: a table, not a manifest; make one of it: {command}")
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield to_utterance(_parse(line, f"{path}:{number}"), f"{path}:{number}", folder, seen)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:{number + 1}: not UTF-8 text ({error.reason})") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); expected a JSONL manifest") from error
    if not seen:
        raise UserError(f"{path}: an empty manifest; expected one JSON object a line")


def write_manifest(path: str | Path, utterances: Iterable[Utterance]) -> int:
    """Write `utterances` as a manifest, whole or not at all, and return how many there were.

    Paths inside the manifest's folder are written relative to it, others absolute; values that are None are left out.
    Errors: UserError for no utterances, and for an utterance that `read_manifest` would refuse.
    """
    path = Path(path)
    folder, here = os.path.abspath(path.parent), os.getcwd()
    seen: set[str] = set()
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for number, utterance in enumerate(utterances, 1):
            where = f"{path}:{number}"
            utterance = to_utterance(raw_values(utterance), where, here, seen)
            row = {key: value for key, value in raw_values(utterance).items() if value is not None}
            row |= {key: within(row[key], folder) for key in PATHS if key in row}
            try:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            except UnicodeEncodeError as error:
                raise UserError(f"{where}: a name that is not UTF-8 text: {row['path']!a}") from error
        if not seen:  # raised inside the block, so that an existing manifest stays as it was
            raise UserError(f"{path}: no utterances to write")
    return len(seen)


def to_utterance(row: dict[str, Any], where: str, folder: str, seen: set[str]) -> Utterance:
    """Check one row of raw values and return it as an utterance; relative paths are relative to `folder`.

    The id is added to `seen`.
    Errors: UserError that begins with `where`, which is `file:row`.
    """
    values: dict[str, Any] = {}
    extra: list[tuple[str, str]] = []
    for key, value in row.items():
        if key not in COLUMNS:
            name = _extra_name(key, where)
            if value is not None and value != "":
                extra.append((name, _text(value, key, where)))
        elif value is not None and value != "":
            values[key] = _number(value, key, where) if key in NUMBERS else _text(value, key, where)
    for key in REQUIRED:
        if key not in values:
            raise UserError(f"{where}: the required column {key!r} is {'empty' if key in row else 'missing'}")
    if "channel" in values:
        values["channel"] = _channel(values["channel"], where)
    if "age" in values and not is_age(values["age"]):
        raise UserError(f"{where}: 'age' is {values['age']:g}; expected years, above 0 and up to {OLDEST:g}")
    try:
        if "language" in values:
            values["language"] = language_tag(values["language"])
        values["emotion"] = to_emotion(values.get("emotion"), language=values.get("language", "und"))
        if values.get("split", SPLITS[0]) not in SPLITS:
            raise unknown("split", values["split"], SPLITS)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    for key in PATHS:
        if key in values:
            values[key] = os.path.join(folder, values[key])
    for key in REPEATED & values.keys():
        if values[key] is not None:
            values[key] = sys.intern(values[key])
    utterance = Utterance(**values, extra=_shared(tuple(sorted(extra)))) if extra else Utterance(**values)
    _check_times(utterance, where)
    if utterance.id in seen:
        raise UserError(f"{where}: the id {utterance.id!r} is already taken; ids are unique within a manifest")
    seen.add(utterance.id)
    return utterance


def raw_values(utterance: Utterance) -> dict[str, Any]:
    """The columns of an utterance as `to_utterance` takes them: its fields, then further ones by "extra.NAME"."""
    row = {key: getattr(utterance, key) for key in COLUMNS}
    return row | {EXTRA + name: value for name, value in utterance.extra}


def within(path: str, folder: str) -> str:
    """`path` relative to `folder` where it lies inside, absolute where not."""
    absolute, inside = os.path.abspath(path), os.path.join(folder, "")
    return absolute[len(inside) :].replace(os.sep, "/") if absolute.startswith(inside) else absolute


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{where}: not valid JSON ({getattr(error, 'msg', error)}); expected one object a line"
        ) from error
    if not isinstance(row, dict):
        raise UserError(f"{where}: expected a JSON object with {', '.join(REQUIRED)}, not {type(row).__name__}")
    return row


def _extra_name(key: str, where: str) -> str:
    """The name of a further column. Errors: UserError for a key that is neither one nor a field."""
    name = key.removeprefix(EXTRA)
    if not isinstance(key, str) or name == key or name != name.strip() or not name or _NO_NAME.search(name):
        raise UserError(f"{where}: {unknown('column', key, COLUMNS)}; a column of your own begins with {EXTRA!r}")
    if name in COLUMNS:
        raise UserError(f"{where}: {key!r}: {name!r} is a field of every manifest: write it without {EXTRA!r}")
    return name


@functools.lru_cache(maxsize=1 << 16)
def _shared(extra: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The same object for equal values, which are the same in many rows."""
    return extra


def _check_times(utterance: Utterance, where: str) -> None:
    if utterance.start < 0:
        raise UserError(f"{where}: 'start' is {utterance.start:g} s; expected 0 or more")
    if utterance.end is not None and utterance.end <= utterance.start:
        raise UserError(
            f"{where}: 'end' is {utterance.end:g} s; expected more than 'start', {utterance.start:g} s"
            " (leave it out where it is the end of the file)"
        )


def _text(value: Any, key: str, where: str) -> str:
    if not isinstance(value, str):
        raise UserError(f"{where}: {key!r} is {json.dumps(value)}; expected text in quotes")
    wrong = (_NO_TEXT if key == "text" else _NO_NAME).search(value)
    if wrong:
        what = "a line break" if wrong[0] in "\r\n" else f"the character U+{ord(wrong[0]):04X}, which no text has"
        raise UserError(f"{where}: {key!r} is {value[:60]!a} and holds {what}")
    return value


def _number(value: Any, key: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{where}: {key!r} is {json.dumps(value)}; expected a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UserError(f"{where}: {key!r} is {number}; expected a finite number (leave it out where it is not known)")
    return number


def _channel(number: float, where: str) -> int:
    if number < 0 or number != int(number):
        raise UserError(f"{where}: 'channel' is {number:g}; expected a whole number from 0, the file's first channel")
    return int(number)
