"""The JSON manifests of SpeechBrain's emotion recipes (https://github.com/speechbrain/speechbrain, `recipes/IEMOCAP`).

    {"psno1_ang_s084_orgn": {"wav": "{data_root}/session1/ang/psno1_ang_s084_orgn.wav", "length": 1.94, "emo": "ang"}}

Keys are ids; `length` is in seconds. SpeechBrain formats every text (`str.format_map`), so `{data_root}` is the folder
of the audio and other braces are doubled. A stretch of a file is {"file": ..., "start": ..., "stop": ...} in samples,
as `speechbrain.dataio.dataio.read_audio` takes it, and the entry has `start` and `end` in seconds. Recipes have
train.json, valid.json and test.json in one folder. An entry may have more keys than a recipe needs: other fields of
`Utterance` are written under their names. Every entry of a file has the same keys, null where the value is not known.

The speaker of a clip of IEMOCAP is in its name (see `_shared.iemocap_speaker`). The recipe for ZED has entries {"wav",
"duration", "emotion": [{"emo": "angry", "start": 1.0, "end": 2.0}], "transcription"}: each stretch becomes an
utterance, `key@start`; what is around them has no label there and is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emobridge.data.audio import header
from emobridge.data.intake import Intake
from emobridge.data.manifest import PATHS, within
from emobridge.data.tally import Tally
from emobridge.errors import UserError
from emobridge.formats._segments import segment_id
from emobridge.formats._shared import (
    by_split,
    entry,
    filled,
    further_fields,
    iemocap_speaker,
    json_object,
    label_in,
    list_in,
    load_json,
    number_in,
    split_named,
    text_in,
    value_of,
    write_texts,
)
from emobridge.options import Pairs
from emobridge.types import Utterance

LOSES: tuple[str, ...] = ()
SPLIT_NAMES = {"train": "train", "validation": "valid", "test": "test"}
ROOT = "{data_root}"
BRACES = {"{{": "{", "}}": "}", ROOT: ""}  # "" is the folder
KEY_FIELDS = ("id", "path", "emotion")  # written as the key, in "wav" and in "emo"
TOOL_KEYS = frozenset({"wav", "length", "duration", "emo", "transcription"})  # keys of recipes


def read(
    path: Path,
    *,
    intake: Intake,
) -> Iterator[Utterance]:
    """The utterances of one JSON file, or of the train.json, valid.json and test.json of a folder.

    Options: those of `data.intake.Intake`; `root`, by default the folder of the file, stands for {data_root}. The
    default corpus is in the entry, or the name of that folder.
    Errors: UserError naming `file:key` for what a manifest would refuse.
    """
    tally = Tally()
    for file in _files(path):
        folder = os.path.abspath(intake.root or file.parent)
        for key, item in entry(load_json(file), str(file)).items():
            where = f"{file}:{key}"
            values = _values(entry(item, where, "wav"), folder, where, tally)
            values["id"] = key
            values["corpus"] = values.get("corpus") or os.path.basename(os.path.abspath(file.parent))
            split = values.get("split")
            values["split"] = split_named(split or "") or split or split_named(file.stem)
            if not isinstance(item.get("emotion"), list):
                yield from intake.utterances(values, where, folder)
                continue
            tally.add("recordings of which only the stretches with an emotion are read", where)
            for number, stretch in enumerate(list_in(item, "emotion", where), 1):
                part = _stretch_values(stretch, f"{where}: emotion {number}")
                part["id"] = segment_id(key, part["start"])
                yield from intake.utterances(values | part, f"{where}: emotion {number}", folder)
    if not intake.rows:
        raise UserError(f"{path}: no utterances")
    intake.notes += tally.lines()


def write(path: Path, utterances: Sequence[Utterance], *, data_root: str | None = None, splits: Pairs = None) -> Path:
    """Write one file where `path` ends in .json, else the files of the splits into the folder `path`; return `path`.

    Paths inside `data_root` (by default the folder of the file) begin with {data_root}. splits: where in a folder the
    utterances without a split go, such as "none=train". Lengths are read from the headers of the audio files.
    Errors: UserError for audio that cannot be opened, and in a folder for an utterance without a split.
    """
    alone = path.suffix.lower() == ".json"
    files = {path: list(utterances)} if alone else {}
    if not alone:
        parts = by_split(utterances, SPLIT_NAMES, splits)
        files = {path / f"{name}.json": parts[name] for name in SPLIT_NAMES.values() if name in parts}
    fields = [field for field in filled(utterances) if field not in KEY_FIELDS and (alone or field != "split")]
    root = os.path.abspath(data_root or (path.parent if alone else path))
    contents = {}
    for file, rows in files.items():
        contents[file] = list(json_object((row.id, _entry(row, fields, root)) for row in rows))
    for file, texts in contents.items():  # after all audio could be opened
        write_texts(file, texts)
    return path


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [path / f"{name}.json" for name in SPLIT_NAMES.values()]
    present = [file for file in files if file.is_file()]
    if not present:
        raise UserError(f"{path}: none of {', '.join(file.name for file in files)} is there")
    return present


def _entry(utterance: Utterance, fields: Sequence[str], root: str) -> dict[str, Any]:
    frames, rate = header(utterance.path)
    start, end = utterance.start, frames / rate if utterance.end is None else utterance.end
    wav: str | dict[str, Any] = _text(utterance.path, root)
    if start or utterance.end is not None:
        wav = {"file": wav, "start": round(start * rate), "stop": round(end * rate)}
    more = {field: value_of(utterance, field) for field in fields}
    for key, value in more.items():
        if isinstance(value, str):
            more[key] = _text(value, root if key in PATHS else "")
    return {"wav": wav, "length": end - start, "emo": utterance.emotion} | more


def _values(item: Mapping[str, Any], folder: str, where: str, tally: Tally) -> dict[str, Any]:
    """The raw values of an entry, after SpeechBrain's formatting of braces."""
    stretches = {"emotion"} if isinstance(item.get("emotion"), list) else set()
    values = further_fields(item, TOOL_KEYS | stretches, where, tally)
    wav = entry(item["wav"] if isinstance(item["wav"], dict) else {"file": item["wav"]}, f"{where}: 'wav'", "file")
    values["path"] = text_in(wav, "file", f"{where}: 'wav'")
    values["emotion"] = label_in(item, "emo", where) or values.get("emotion")
    values["text"] = values.get("text") or text_in(item, "transcription", where)
    values["speaker"] = values.get("speaker") or iemocap_speaker(values["path"] or "")
    if "stop" in wav and "start" not in item and "end" not in item:
        first, stop = (number_in(wav, key, f"{where}: 'wav'") for key in ("start", "stop"))
        rate = header(_plain(values["path"] or "", folder, where))[1]
        values |= {"start": (first or 0) / rate, "end": None if stop is None else stop / rate}
    return {field: _plain(value, folder, where) if isinstance(value, str) else value for field, value in values.items()}


def _stretch_values(stretch: Any, where: str) -> dict[str, Any]:
    """The raw values of a stretch of a recording of ZED."""
    item = entry(stretch, where, "emo", "start", "end")
    start, end = number_in(item, "start", where), number_in(item, "end", where)
    if start is None or end is None:
        raise UserError(f"{where}: expected numbers in 'start' and 'end'")
    return {"emotion": text_in(item, "emo", where), "start": start, "end": end}


def _text(value: str, root: str) -> str:
    """A text as SpeechBrain's formatting expects it; a path inside `root` begins with {data_root}."""
    inside = within(value, root) if root else value
    text = inside.replace("{", "{{").replace("}", "}}")
    return f"{ROOT}/{text}" if root and not os.path.isabs(inside) else text


def _plain(value: str, folder: str, where: str) -> str:
    """A text after SpeechBrain's formatting: {data_root} is replaced and double braces are single.

    Errors: UserError for other braces.
    """

    def replacement(match: re.Match[str]) -> str:
        if match[0] not in BRACES:
            raise UserError(f"{where}: {value!r} has {match[0]}; expected no braces but {ROOT}, '{{{{' and '}}}}'")
        return BRACES[match[0]] or folder

    return re.sub(r"\{\{|\}\}|\{[^{}]*\}|[{}]", replacement, value)
