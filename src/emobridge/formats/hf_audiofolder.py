"""The AudioFolder of Hugging Face's `datasets`: load_dataset("audiofolder", data_dir=FOLDER).

    FOLDER/train/metadata.jsonl, FOLDER/train/000001.wav; FOLDER/validation/..., FOLDER/test/...
    {"file_name": "000001.wav", "id": "03a01Wa", "emotion": "anger", "speaker": "03"}

`file_name` is relative to its metadata file, metadata.jsonl or metadata.csv, which may also lie in FOLDER itself; other
columns become features of the data set, and are understood as those of any table (`label` is the emotion). Without
metadata the name of a file's folder is its label. All metadata files must have the same columns, so that unknown text
is written as "" and an unknown number as null.

The audio must lie in FOLDER: `write` puts symbolic links there, or copies (for a folder to upload or move). Their names
are numbers, because `datasets` looks for words such as "test" in file names. `datasets` hands out whole files: of a
stretch it has the times, as features `start` and `end`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emobridge.corpora import audio_files
from emobridge.data.audio import header
from emobridge.data.columns import TableOptions, default_id, table_values
from emobridge.data.intake import Intake
from emobridge.data.manifest import NUMBERS
from emobridge.errors import UserError, unknown
from emobridge.formats._shared import by_split, filled, split_named, value_of, write_lines
from emobridge.options import Pairs
from emobridge.types import Utterance

LOSES = ("path",)  # the audio has a new name
METADATA = ("metadata.csv", "metadata.jsonl")
SPLIT_NAMES = {"train": "train", "validation": "validation", "test": "test"}
COPY_MODES = ("link", "copy")


def read(path: Path, *, intake: Intake, table: TableOptions) -> Iterator[Utterance]:
    """The utterances of the folder `path`, by metadata file in sorted order.

    Without a column for it, the split is that of the audio's folder in `path`, and the corpus the name of `path`.
    Options: those of `data.intake.Intake` and `data.columns.TableOptions`.
    Errors: UserError naming `file:row` for what a manifest would refuse, and for a folder without audio.
    """
    if not path.is_dir():
        raise UserError(f"{path}: {'not a folder' if path.exists() else 'no such folder'}; expected an AudioFolder")
    root = os.path.abspath(path)
    for where, values in _rows(path, intake, table):
        inside = os.path.relpath(values["path"], root)
        values["corpus"] = values.get("corpus") or os.path.basename(root)
        values["split"] = values.get("split") or split_named(*Path(inside).parts[:-1])
        values["id"] = values.get("id") or default_id({"path": inside, "start": values.get("start")})
        values["path"] = os.path.normpath(os.path.join(intake.root, inside)) if intake.root else values["path"]
        yield from intake.utterances(values, where, root)
    if not intake.rows:
        raise UserError(f"{path}: neither {' nor '.join(METADATA)} nor audio files here or below")


def write(path: Path, utterances: Sequence[Utterance], *, copy: str = "link", splits: Pairs = None) -> Path:
    """Write the folder `path`, whole or not at all, and return it; `copy` is "link" or "copy".

    Where no utterance has a split all lie in `path` itself; else `splits` ("none=train") says where those without go.
    Errors: UserError for a folder that holds something, for a file that is not there or no audio, because the folder
    is made to be uploaded, and for mixed splits.
    """
    if copy not in COPY_MODES:
        raise unknown("way to copy", str(copy), COPY_MODES)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path}: is there already; expected a new or empty folder")
    for audio, name in {utterance.path: utterance.id for utterance in reversed(utterances)}.items():
        _check_audio(audio, name)
    has_splits = any(utterance.split for utterance in utterances)
    parts = by_split(utterances, SPLIT_NAMES, splits) if has_splits or splits else {"": list(utterances)}
    numbers = {utterance.id: number for number, utterance in enumerate(utterances, 1)}
    fields = [field for field in filled(utterances) if field not in ("path", "split")]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as temporary:
            complete = Path(temporary) / "complete"
            for split, part in parts.items():
                folder = complete / split
                folder.mkdir(parents=True)
                lines = []
                for utterance in part:
                    name = f"{numbers[utterance.id]:06}{os.path.splitext(utterance.path)[1].lower()}"
                    _link_or_copy(utterance.path, folder / name, copy)
                    lines.append({"file_name": name} | {field: _value(utterance, field) for field in fields})
                write_lines(folder / "metadata.jsonl", lines)
            complete.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _rows(path: Path, intake: Intake, table: TableOptions) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row's `file:row` and its raw values, the path absolute."""
    files = sorted(file for name in METADATA for file in path.rglob(name))
    notes: dict[str, None] = {}  # of all metadata files, which are alike
    for file in files:
        folder, before = os.path.abspath(file.parent), len(intake.notes)
        for where, values in table_values(file, table, intake, defaults={"path": "file_name"}):
            if not values["path"]:
                raise UserError(f"{where}: expected the path of an audio file in 'file_name'")
            if values["id"] == default_id(values):  # of the path within the metadata's folder
                values["id"] = None
            yield where, values | {"path": os.path.normpath(os.path.join(folder, values["path"]))}
        notes.update(dict.fromkeys(intake.notes[before:]))
        del intake.notes[before:]
    intake.notes += notes
    if not files:
        for audio in audio_files(path):
            label = None if audio.parent == path or split_named(audio.parent.name) else audio.parent.name
            yield str(audio), {"path": os.path.abspath(audio), "emotion": label}


def _check_audio(audio: str, name: str) -> None:
    """Errors: UserError naming the utterance for what is not an audio file by its content, whatever its name."""
    if not os.path.isfile(audio):
        raise UserError(f"{name!r}: {audio}: no such file")
    try:
        header(audio)
    except UserError as error:
        raise UserError(f"{name!r}: {error}; only audio is put into the folder") from error


def _link_or_copy(audio: str, target: Path, copy: str) -> None:
    if copy == "copy":
        shutil.copyfile(audio, target)
    else:
        target.symlink_to(os.path.realpath(audio))


def _value(utterance: Utterance, field: str) -> Any:
    value = value_of(utterance, field)
    return "" if value is None and field not in NUMBERS else value
