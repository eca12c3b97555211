"""The JSON lines of FunASR (https://github.com/modelscope/FunASR) for SenseVoice and emotion2vec.

    {"key": "a", "source": "wav/a.wav", "source_len": 90, "target": "hello", "target_len": 1,
     "text_language": "<|en|>", "emo_target": "<|HAPPY|>", "event_target": "<|Speech|>"}

A line is a whole file. Marks such as <|HAPPY|> are read without their brackets; <|EMO_UNKNOWN|> is no label. The
lengths are counts of frames and of words, and are ignored.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emobridge.data.intake import Intake
from emobridge.data.tally import Tally
from emobridge.errors import UserError
from emobridge.formats._shared import entry, further_fields, json_objects, label_in, split_named, text_in
from emobridge.types import Utterance

BRACKETS = re.compile(r"<\|(.*?)\|>")
UNLABELLED_MARKS = frozenset({"EMO_UNKNOWN", "EMO_UNK", "unk", "<unk>"})
TOOL_KEYS = frozenset({"key", "source", "source_len", "target", "target_len", "text_language", "emo_target"})
TOOL_KEYS |= {"event_target", "with_or_wo_itn"}


def read(path: Path, *, intake: Intake) -> Iterator[Utterance]:
    """The utterances of a file of JSON lines, in its order.

    Options: those of `data.intake.Intake`; the default corpus is the name of the file. Relative paths start from its
    folder.
    Errors: UserError naming `file:line` for what a manifest would refuse.
    """
    tally = Tally()
    folder = os.path.abspath(path.parent)
    for where, item in json_objects(path):
        values = _values(entry(item, where, "source"), where, tally)
        values["corpus"], values["split"] = path.name.partition(".")[0], split_named(path.name.partition(".")[0])
        yield from intake.utterances(values, where, folder)
    if not intake.rows:
        raise UserError(f"{path}: no utterances")
    intake.notes += tally.lines()


def _values(item: Mapping[str, Any], where: str, tally: Tally) -> dict[str, Any]:
    audio, emotion = text_in(item, "source", where), _mark(item, "emo_target", where)
    target = text_in(item, "target", where) or ""
    if emotion is None and BRACKETS.fullmatch(target):  # files for emotion alone have the mark there
        emotion = _mark(item, "target", where)
    language = _mark(item, "text_language", where)
    return further_fields(item, TOOL_KEYS, where, tally) | {
        "id": label_in(item, "key", where) or os.path.splitext(audio or "")[0],
        "path": audio,
        "emotion": None if emotion in UNLABELLED_MARKS else emotion,
        "language": language,
        "text": BRACKETS.sub("", target).strip() or None,
    }


def _mark(item: Mapping[str, Any], key: str, where: str) -> str | None:
    """A text without the brackets of a mark."""
    text = (text_in(item, key, where) or "").strip()
    match = BRACKETS.fullmatch(text)
    return (match[1] if match else text) or None
