"""The metadata of s3prl's emotion task (https://github.com/s3prl/s3prl, `s3prl/downstream/emotion`).

    ROOT/meta_data/Session1/train_meta_data.json, test_meta_data.json; Session2 ...
    {"labels": {"neu": 0, "hap": 1}, "meta_data": [{"path": "Session1/...wav", "label": "neu", "speaker": "Ses01F"}]}

A folder Session<k> is the fold in which session k is the test set; paths are relative to ROOT, s3prl's `datarc.root`.
The published `speaker` of IEMOCAP is the first part of the file's name, which is not the speaker; `read` takes it from
the rest of the name (see `_shared.iemocap_speaker`). s3prl draws its validation set from the training file at random,
reads whole files only, and needs a label for each. The path makes the id.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from emobridge.data.columns import default_id
from emobridge.data.intake import Intake
from emobridge.data.labels import EMOTIONS
from emobridge.data.manifest import within
from emobridge.data.tally import Tally
from emobridge.errors import UserError
from emobridge.formats._shared import (
    by_split,
    entry,
    further_fields,
    iemocap_speaker,
    json_list,
    label_in,
    list_in,
    load_json,
    split_named,
    text_in,
    write_texts,
)
from emobridge.options import Pairs
from emobridge.types import Utterance

LOSES = (
    "id",
    "corpus",
    "start",
    "end",
    "language",
    "arousal",
    "valence",
    "dominance",
    "text",
    "phones",
    "gender",
    "age",
    "extra",
    "naturalness",
    "channel",
)
SUFFIX = "_meta_data.json"
SPLIT_NAMES = {"train": "train", "test": "test"}


def read(
    path: Path,
    *,
    intake: Intake,
    fold: int = 1,
) -> Iterator[Utterance]:
    """The utterances of one fold: `path` is ROOT, a folder Session<k>, or one JSON file.

    Options: those of `data.intake.Intake`; the default `root` is ROOT, and the default `corpus` its name.
    Errors: UserError naming `file:number` (of the entry, from 1) for what a manifest would refuse.
    """
    tally = Tally()
    files = _files(path, fold)
    home = _home(files[0])
    folder = os.path.abspath(home)
    for file in files:
        content = entry(load_json(file), str(file), "labels", "meta_data")
        for number, item in enumerate(list_in(content, "meta_data", str(file)), 1):
            where = f"{file}:{number}"
            row = entry(item, where, "path", "label")
            wav = text_in(row, "path", where)
            values = further_fields(row, ("path", "label"), where, tally)
            values |= {
                "id": default_id({"path": wav, "start": None}),
                "corpus": os.path.basename(os.path.abspath(home)),
                "path": wav,
                "speaker": iemocap_speaker(wav or "") or values.get("speaker"),
                "emotion": label_in(row, "label", where),
                "split": split_named(file.name.removesuffix(SUFFIX)),
            }
            yield from intake.utterances(values, where, folder)
    if not intake.rows:
        raise UserError(f"{files[0]}: no utterances")
    intake.notes += tally.lines()


def write(path: Path, utterances: Sequence[Utterance], *, fold: int = 1, splits: Pairs = None) -> Path:
    """Write the two files of one fold below ROOT, `path`, and return their folder.

    Errors: UserError for a stretch or a channel of a file, an utterance without an emotion, and one that is in neither
    train nor test: `splits` ("validation=train,none=train") says where those go.
    """
    for utterance in utterances:
        if utterance.start or utterance.end is not None:
            raise UserError(f"{utterance.id!r} is a stretch of {utterance.path}; s3prl reads whole files: cut it first")
        if utterance.channel is not None:
            file = f"channel {utterance.channel} of {utterance.path}"
            raise UserError(f"{utterance.id!r} is {file}; s3prl reads whole files: cut it first")
        if utterance.emotion is None:
            raise UserError(f"{utterance.id!r} has no emotion; s3prl needs one for each: leave it out")
    parts = by_split(utterances, SPLIT_NAMES, splits)
    used = {utterance.emotion for utterance in utterances}
    labels = [emotion for emotion in EMOTIONS if emotion in used]
    root = os.path.abspath(path)
    session = path / "meta_data" / f"Session{fold}"
    for split in SPLIT_NAMES.values():
        rows = (
            {"path": within(utterance.path, root), "label": utterance.emotion}
            | ({"speaker": utterance.speaker} if utterance.speaker else {})
            for utterance in parts.get(split, ())
        )
        numbers = json.dumps({label: number for number, label in enumerate(labels)})
        texts = [f'{{"labels": {numbers}, "meta_data": '], json_list(rows), ["}\n"]
        write_texts(session / f"{split}{SUFFIX}", itertools.chain(*texts))
    return session


def _files(path: Path, fold: int) -> list[Path]:
    if path.is_file():
        return [path]
    session = path / "meta_data" / f"Session{fold}" if (path / "meta_data").is_dir() else path
    files = [session / f"{split}{SUFFIX}" for split in SPLIT_NAMES.values()]
    for file in files:
        if not file.is_file():
            raise UserError(
                f"{file}: no such file; expected ROOT/meta_data/Session{fold}/train{SUFFIX} and test{SUFFIX}"
            )
    return files


def _home(file: Path) -> Path:
    """ROOT of a metadata file, or its own folder where it lies elsewhere."""
    parents = file.absolute().parents
    return parents[2] if len(parents) > 2 and parents[1].name == "meta_data" else parents[0]
