"""Shared by several formats: text and JSON files, typed fields of JSON objects, splits, languages, notes."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import json
import math
import os
import re
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from emobridge import registry
from emobridge.data.ages import years_of
from emobridge.data.column_names import CLOSE_NAME, EXACT_NAME, TIMES, understand_name
from emobridge.data.columns import SPLIT_WORDS
from emobridge.data.encodings import LONGEST_TEXT_LINE, find_encoding, read_text
from emobridge.data.json_rows import json_line_rows
from emobridge.data.manifest import COLUMNS, EXTRA, NUMBERS, SPLITS
from emobridge.data.tally import Tally
from emobridge.errors import UserError
from emobridge.files import whole_file
from emobridge.options import Pairs, pairs
from emobridge.types import Utterance

DEFAULTS = {field.name: field.default for field in dataclasses.fields(Utterance) if field.name in COLUMNS}
T = TypeVar("T")
IEMOCAP_NAME = re.compile(r"(Ses0[1-5])[FM]_(?:impro|script)\w*_([FM])\d{3}")


def filled(utterances: Sequence[Utterance]) -> tuple[str, ...]:
    """The fields in which at least one utterance has a value, in the order of `Utterance`, then "extra.NAME" of all
    further columns; `value_of` has their values.
    """
    fields = [field for field, empty in DEFAULTS.items() if any(getattr(row, field) != empty for row in utterances)]
    extra = {EXTRA + name for row in utterances for name, _ in row.extra}
    return (*fields, *sorted(extra))


def value_of(utterance: Utterance, field: str) -> Any:
    """The value of a field, or of the further column "extra.NAME"; None where there is none."""
    if field.startswith(EXTRA):
        return dict(utterance.extra).get(field.removeprefix(EXTRA))
    return getattr(utterance, field)


@functools.cache
def corpus_language(corpus: str) -> str:
    """The language of a corpus that emobridge knows by this name, hyphens and case aside; else "und"."""
    plain = corpus.casefold().replace("-", "").replace("_", "")
    for name in registry.names("corpora"):
        if name.replace("-", "") == plain:
            languages = registry.load("corpora", name).LANGUAGES
            return languages[0] if len(languages) == 1 else "und"
    return "und"


def iemocap_speaker(path: str) -> str | None:
    """The speaker of a clip of IEMOCAP, such as "Ses01M"; None for any other file.

    In `Ses01F_impro01_M000` the man of session 1 speaks: the first letter tells who wore the markers. Tools that take
    the first part of the name for the speaker put each actor under two speakers.
    """
    match = IEMOCAP_NAME.fullmatch(os.path.splitext(os.path.basename(path))[0])
    return "".join(match.groups()) if match else None


def by_split(utterances: Sequence[Utterance], names: Mapping[str, str], splits: Pairs) -> dict[str, list[Utterance]]:
    """The utterances by the format's name of their split; `names` is the split of emobridge -> the format's name.

    splits: where utterances go whose split the format does not have, such as "validation=train,none=train".
    Errors: UserError naming the first utterance without a split of the format.
    """
    elsewhere = {
        SPLIT_WORDS.get(key, key): SPLIT_WORDS.get(value, value) for key, value in pairs(splits, "splits").items()
    }
    for key, value in elsewhere.items():
        if key not in (*SPLITS, "none") or value not in names:
            raise UserError(
                f"splits: expected pairs of {', '.join(SPLITS)} or none and {', '.join(names)}, not {key}={value}"
            )
    parts: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        split = elsewhere.get(utterance.split or "none", utterance.split)
        if split is None or split not in names:
            raise UserError(
                f"{utterance.id!r} is in {f'the split {split!r}' if split else 'no split'}, which has no place there; "
                f'name one with splits="{split or "none"}=train"'
            )
        parts.setdefault(names[split], []).append(utterance)
    return parts


def split_named(*names: str) -> str | None:
    """The split that the first of `names` which is a split means ("dev" and "valid" are validation), or None."""
    for name in names:
        split = SPLIT_WORDS.get(name.casefold(), name.casefold())
        if split in SPLITS:
            return split
    return None


def load_json(path: Path) -> Any:
    """The content of a JSON file. Errors: UserError for one that is missing or no JSON."""
    return _parse(read_text(path), str(path))


def json_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file of JSON lines, each with `file:line`; `.gz` is unpacked on the way.

    Errors: UserError naming `file:line` for what is no JSON object, and for a file that cannot be read.
    """
    if path.suffix != ".gz":
        for number, row in json_line_rows(path, find_encoding(path)):
            yield f"{path}:{number}", row
        return
    number = 0
    try:
        with gzip.open(path) as file:
            while line := file.readline(LONGEST_TEXT_LINE):
                number += 1
                if len(line) == LONGEST_TEXT_LINE:
                    raise UserError(
                        f"{path}:{number}: longer than {LONGEST_TEXT_LINE:,} bytes; expected one object a line"
                    )
                if line.strip():
                    yield f"{path}:{number}", entry(_parse(line.decode(), f"{path}:{number}"), f"{path}:{number}")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:{number}: not UTF-8 text ({error.reason})") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON ({getattr(error, 'msg', error)})") from error


def entry(value: Any, where: str, *needed: str) -> dict[str, Any]:
    """`value`, which must be a JSON object with some keys. Errors: UserError that begins with `where`."""
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected a JSON object, not {type(value).__name__}")
    for key in needed:
        if key not in value:
            raise UserError(f"{where}: no {key!r} (there are {', '.join(value)})")
    return value


def text_in(item: Mapping[str, Any], key: str, where: str) -> str | None:
    """The text under a key of a JSON object; None where it is absent or null.

    Errors: UserError that begins with `where` and names the key, for a value of another type; so do those below.
    """
    return _of_type(item, key, str, "text", where)


def object_in(item: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    """The object under a key of a JSON object; an empty one where it is absent or null."""
    return _of_type(item, key, dict, "an object", where) or {}


def list_in(item: Mapping[str, Any], key: str, where: str) -> list[Any]:
    """The list under a key of a JSON object; an empty one where it is absent or null."""
    return _of_type(item, key, list, "a list", where) or []


def label_in(item: Mapping[str, Any], key: str, where: str) -> str | None:
    """The text or whole number under a key of a JSON object, as text: speakers and ids are often numbered."""
    value = item.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**18 else _of_type(item, key, str, "text or a whole number", where)
    return _of_type(item, key, str, "text or a whole number", where)


def number_in(item: Mapping[str, Any], key: str, where: str) -> float | None:
    """The finite number under a key of a JSON object; None where it is absent or null."""
    value = item.get(key)
    if value is None:
        return None
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{where}: {key!r} is {shown(value)}; expected a finite number")
    return number


def further_fields(item: Mapping[str, Any], tool_keys: Container[str], where: str, tally: Tally) -> dict[str, Any]:
    """The raw values of the fields of an utterance under the keys of a JSON object that a tool does not define.

    tool_keys: the keys that the tool defines, which are left alone. A key is understood as a column of a table is
    (`spk_id` is the speaker), times by their own names only. What is read under another name or ignored is counted.
    Errors: UserError that begins with `where` and names the key.
    """
    values: dict[str, Any] = {}
    keys = [(*_field_named(key), key) for key in item if key not in tool_keys]
    for closeness, field, key in sorted(keys):
        if not field or field in values:
            tally.add(f"key {key[:40]!r}, ignored", where)
            continue
        if field == "age":
            values[field] = years_of(item[key])
        else:
            values[field] = number_in(item, key, where) if field in NUMBERS else label_in(item, key, where)
        if closeness != EXACT_NAME:
            tally.add(f"{field} read from {key[:40]!r}", where)
    return values


@functools.lru_cache(maxsize=4096)
def _field_named(key: str) -> tuple[int, str]:
    """How close the name of a key is to that of a field, and the field; "" where it means none."""
    if key.startswith(EXTRA):
        return EXACT_NAME, key
    if key in COLUMNS:
        return EXACT_NAME, key if key != "path" else ""
    column = understand_name(key[:100])
    is_clear = column.field in COLUMNS and column.closeness <= CLOSE_NAME
    return column.closeness, column.field if is_clear and column.field not in ("path", "id", *TIMES) else ""


def shown(value: Any) -> str:
    """A JSON value in an error: short, whatever its size."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and abs(value) > 10**18:
        return "a huge number"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 60 else f"{text[:57]}..."


def _of_type(item: Mapping[str, Any], key: str, kind: type[T], noun: str, where: str) -> T | None:
    value = item.get(key)
    if value is None or isinstance(value, kind):
        return value
    raise UserError(f"{where}: {key!r} is {shown(value)}; expected {noun}")


def save_json(path: Path, content: Any, indent: int | None = None) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=indent) + "\n")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a file of JSON lines, whole or not at all."""
    write_texts(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def json_list(items: Iterable[Any]) -> Iterator[str]:
    """The text of a JSON list in parts, for `write_texts`: an item a line, one at a time in memory."""
    yield "["
    for number, item in enumerate(items):
        yield f"{',' if number else ''}\n{json.dumps(item, ensure_ascii=False)}"
    yield "\n]\n"


def json_object(items: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """The text of a JSON object in parts, as `json_list` has it: a key a line."""
    yield "{"
    for number, (key, item) in enumerate(items):
        comma = "," if number else ""
        yield f"{comma}\n{json.dumps(key, ensure_ascii=False)}: {json.dumps(item, ensure_ascii=False)}"
    yield "\n}\n"


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all. Errors: UserError for a name that is not UTF-8 text."""
    write_texts(path, [text])


def write_texts(path: Path, texts: Iterable[str]) -> None:
    """Write a text file of many parts, whole or not at all. Errors: UserError for a name that is not UTF-8 text."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for text in texts:
            try:
                file.write(text)
            except UnicodeEncodeError as error:
                raise UserError(f"{path}: a name that is not UTF-8 text: {text[error.start : error.end]!a}") from error
