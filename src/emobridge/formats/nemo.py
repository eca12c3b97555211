"""The manifests of NVIDIA NeMo (https://docs.nvidia.com/nemo-framework), one recording or stretch a line, as JSON.

    {"audio_filepath": "wav/r1.wav", "offset": 0.5, "duration": 1.5, "label": "anger", "text": "hello"}

`offset` and `duration` are in seconds; without an offset the recording begins at 0. NeMo then reads as much as
`duration` says: where that is the length of the audio file, the utterance is the whole file. The label is in "label" or
"command", as NeMo's classifiers have it, or in "emotion". `lang` is a language, `speaker` a speaker. Other fields of
`Utterance` are read and written under their own names. Paths are relative to the manifest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emobridge.data.audio import END_TOLERANCE, header
from emobridge.data.intake import Intake
from emobridge.data.manifest import PATHS, within
from emobridge.data.tally import Tally
from emobridge.errors import UserError
from emobridge.formats._segments import check_end, length, segment_id
from emobridge.formats._shared import (
    entry,
    filled,
    further_fields,
    json_objects,
    label_in,
    number_in,
    split_named,
    text_in,
    value_of,
    write_lines,
)
from emobridge.types import Utterance

LOSES: tuple[str, ...] = ()
LABELS = ("emotion", "label", "command")
LANGUAGES = ("language", "lang", "target_lang", "source_lang")
PATH = "audio_filepath"
DIGITS = 9  # of seconds


def read(path: Path, *, intake: Intake, emotion: str | None = None) -> Iterator[Utterance]:
    """The utterances of a manifest, in its order.

    emotion: the key that holds the emotion; by default the first of emotion, label and command. Further options: those
    of `data.intake.Intake`; the default corpus is the name of the file.
    Errors: UserError naming `file:line` for what a manifest would refuse, and for a stretch outside its recording.
    """
    tally = Tally()
    folder = os.path.abspath(intake.root or path.parent)
    for where, item in json_objects(path):
        values = _values(entry(item, where, PATH), emotion, folder, where, tally)
        values["corpus"] = values.get("corpus") or path.name.partition(".")[0]
        split = values.get("split")
        values["split"] = split_named(split or "") or split
        yield from intake.utterances(values, where, folder)
    if not intake.rows:
        raise UserError(f"{path}: no utterances")
    intake.notes += tally.lines()


def write(path: Path, utterances: Sequence[Utterance]) -> Path:
    """Write `path`, a file of JSON lines, and return it. Lengths are read from the headers of the audio files.

    Errors: UserError for audio that cannot be opened, and for a path that does not end in .json or .jsonl.
    """
    if path.suffix.lower() not in (".json", ".jsonl"):
        raise UserError(f"{path}: expected a file that ends in .json or .jsonl")
    folder = os.path.abspath(path.parent)
    fields = [field for field in filled(utterances) if field not in ("path", "start", "end", "emotion")]
    write_lines(path, (_row(utterance, fields, folder) for utterance in utterances))
    return path


def _values(item: Mapping[str, Any], emotion: str | None, folder: str, where: str, tally: Tally) -> dict[str, Any]:
    """The raw values of a line."""
    labels = LABELS if emotion is None else (emotion,)
    values = further_fields(item, {PATH, "offset", "start", "end", "duration", *labels, *LANGUAGES}, where, tally)
    values["path"] = audio = text_in(item, PATH, where)
    values["emotion"] = _first(item, labels, where)
    values["language"] = _first(item, LANGUAGES, where)
    start, duration = number_in(item, "offset", where) or 0.0, number_in(item, "duration", where)
    if "offset" not in item and "start" in item:
        start = number_in(item, "start", where) or 0.0
    end = number_in(item, "end", where) if duration is None else round(start + duration, DIGITS)
    seconds = length(os.path.join(folder, audio)) if audio and end is not None else None
    check_end(end, audio or "", seconds, where)
    if start == 0 and end is not None and seconds is not None and abs(end - seconds) < END_TOLERANCE:
        end = None
    stem = os.path.splitext(audio or "")[0]
    is_stretch = item.get("offset") is not None or item.get("start") is not None
    values["id"] = values.get("id") or (segment_id(stem, start) if stem and is_stretch else stem)
    return values | {"start": start, "end": end}


def _first(item: Mapping[str, Any], keys: Sequence[str], where: str) -> str | None:
    return next((text for key in keys if (text := label_in(item, key, where)) is not None), None)


def _row(utterance: Utterance, fields: Sequence[str], folder: str) -> dict[str, Any]:
    frames, rate = header(utterance.path)
    end = frames / rate if utterance.end is None else utterance.end
    row: dict[str, Any] = {PATH: within(utterance.path, folder), "offset": utterance.start}
    row["duration"] = round(end - utterance.start, DIGITS)
    if utterance.emotion is not None:
        row["label"] = utterance.emotion
    values = {field: value for field in fields if (value := value_of(utterance, field)) is not None}
    values |= {field: within(values[field], folder) for field in PATHS if field in values}
    return row | {"lang" if field == "language" else field: value for field, value in values.items()}
