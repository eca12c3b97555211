"""Shared by several formats: text and JSON files, splits, languages, and the speakers of IEMOCAP."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from emobridge import registry
from emobridge.corpora.table import SPLIT_WORDS
from emobridge.data.manifest import SPLITS
from emobridge.errors import UserError
from emobridge.files import whole_file
from emobridge.options import Pairs, pairs
from emobridge.types import Utterance

DEFAULTS = {field.name: field.default for field in dataclasses.fields(Utterance)}
IEMOCAP_NAME = re.compile(r"(Ses0[1-5])[FM]_(?:impro|script)\w*_([FM])\d{3}")


def filled(utterances: Sequence[Utterance]) -> tuple[str, ...]:
    """The fields in which at least one utterance has a value, in the order of `Utterance`."""
    return tuple(field for field, empty in DEFAULTS.items() if any(getattr(row, field) != empty for row in utterances))


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


def read_text(path: Path) -> str:
    """The content of a text file. Errors: UserError for one that is missing or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason})") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


def load_json(path: Path) -> Any:
    """The content of a JSON file. Errors: UserError for one that is missing or no JSON."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({getattr(error, 'msg', error)})") from error


def entry(value: Any, where: str, *needed: str) -> dict[str, Any]:
    """`value`, which must be a JSON object with some keys. Errors: UserError that begins with `where`."""
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected a JSON object, not {type(value).__name__}")
    for key in needed:
        if key not in value:
            raise UserError(f"{where}: no {key!r} (there are {', '.join(value)})")
    return value


def save_json(path: Path, content: Any, indent: int | None = None) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=indent) + "\n")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a file of JSON lines, whole or not at all."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all. Errors: UserError for a name that is not UTF-8 text."""
    with whole_file(path) as temporary:
        try:
            temporary.write_text(text, encoding="utf-8", newline="\n")
        except UnicodeEncodeError as error:
            raise UserError(f"{path}: a name that is not UTF-8 text: {text[error.start : error.end]!a}") from error
