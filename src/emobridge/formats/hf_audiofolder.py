"""The AudioFolder of Hugging Face's `datasets`: load_dataset("audiofolder", data_dir=FOLDER).

    FOLDER/train/metadata.jsonl, FOLDER/train/000001.wav; FOLDER/validation/..., FOLDER/test/...
    {"file_name": "000001.wav", "id": "03a01Wa", "emotion": "anger", "speaker": "03"}

`file_name` is relative to its metadata file, metadata.jsonl or metadata.csv, which may also lie in FOLDER itself; other
columns become features of the data set. Without metadata the name of a file's folder is its label. All metadata files
must have the same columns, so that unknown text is written as "" and an unknown number as null.

The audio must lie in FOLDER: `write` puts symbolic links there, or copies (to be uploaded or moved), under numbers,
because `datasets` looks for words such as "test" in file names. `datasets` hands out whole files: of a stretch it has
the times as features `start` and `end`, and cuts nothing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emobridge.corpora import audio_files
from emobridge.corpora.table import name_of, plain, rows
from emobridge.data.manifest import COLUMNS, NUMBERS, to_utterance
from emobridge.errors import UserError, unknown
from emobridge.formats._shared import by_split, emotions_of, filled, known_split, write_lines
from emobridge.options import Pairs, pairs
from emobridge.types import Utterance

LOSES = ("path",)  # the audio has a new name
METADATA = ("metadata.csv", "metadata.jsonl")
SPLITS = {"train": "train", "validation": "validation", "test": "test"}
COPIES = ("link", "copy")


def read(
    path: Path,
    *,
    columns: Pairs = None,
    labels: Pairs = None,
    language: str | None = None,
    corpus: str | None = None,
) -> Iterator[Utterance]:
    """The utterances of the folder `path`, by metadata file in sorted order.

    `columns` (field -> column, such as "emotion=label") and `labels` (raw label -> emotion) as for corpora.table;
    the split is else that of the folder in `path` that the audio lies in, and the corpus the name of `path`.
    Errors: UserError naming `file:row` for what a manifest would refuse, and for a folder without audio.
    """
    if not path.is_dir():
        raise UserError(f"{path}: {'not a folder' if path.exists() else 'no such folder'}; expected an AudioFolder")
    wanted = {"path": "file_name"} | pairs(columns, "columns")
    for field in wanted:
        if field not in COLUMNS:
            raise unknown("field", field, COLUMNS)
    emotions, seen, root = emotions_of(labels), set[str](), os.path.abspath(path)
    for where, values in _rows(path, wanted):
        inside = os.path.relpath(values["path"], root)
        values["corpus"] = corpus or values.get("corpus") or os.path.basename(root)
        values["language"] = language or values.get("language")
        values["split"] = known_split(values.get("split") or "", *Path(inside).parts[:-1]) or values.get("split")
        values["id"] = values.get("id") or name_of({"path": inside, "start": values.get("start")})
        yield to_utterance(values, where, root, seen, emotions)
    if not seen:
        raise UserError(f"{path}: neither {' nor '.join(METADATA)} nor audio files here or below")


def write(path: Path, utterances: Sequence[Utterance], *, copy: str = "link", splits: Pairs = None) -> Path:
    """Make the folder `path`, whole or not at all, and return it; `copy` is "link" or "copy".

    Where no utterance has a split all lie in `path` itself; else `splits` ("none=train") says where those without go.
    Errors: UserError for a folder that holds something, audio that is not there, and mixed splits.
    """
    if copy not in COPIES:
        raise unknown("way to copy", str(copy), COPIES)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path}: is there already; expected a new or empty folder")
    for one in utterances:
        if not os.path.isfile(one.path):
            raise UserError(f"{one.id!r}: {one.path}: no such file")
    parted = any(one.split for one in utterances)
    found = by_split(utterances, SPLITS, splits) if parted or splits else {"": list(utterances)}
    numbers = {one.id: number for number, one in enumerate(utterances, 1)}
    fields = [field for field in filled(utterances) if field not in ("path", "split")]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as temporary:
            made = Path(temporary) / "made"
            for split, some in found.items():
                folder = made / split
                folder.mkdir(parents=True)
                lines = []
                for one in some:
                    name = f"{numbers[one.id]:06}{os.path.splitext(one.path)[1].lower()}"
                    _place(one.path, folder / name, copy)
                    lines.append({"file_name": name} | {field: _value(one, field) for field in fields})
                write_lines(folder / "metadata.jsonl", lines)
            made.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _rows(path: Path, wanted: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The raw values of each row with an absolute path, and the name of its place."""
    files = sorted(file for name in METADATA for file in path.rglob(name))
    for file in files:
        folder = os.path.abspath(file.parent)
        for number, row in rows(file, wanted):
            where = f"{file}:{number}"
            values = {field: plain(row.get(wanted.get(field, field)), field, where) for field in COLUMNS}
            if not isinstance(values["path"], str) or not values["path"]:
                raise UserError(f"{where}: expected the path of an audio file in {wanted['path']!r}")
            yield where, values | {"path": os.path.normpath(os.path.join(folder, values["path"]))}
    if not files:
        for audio in audio_files(path):
            label = None if audio.parent == path or known_split(audio.parent.name) else audio.parent.name
            yield str(audio), {"path": os.path.abspath(audio), "emotion": label}


def _place(audio: str, place: Path, copy: str) -> None:
    if copy == "copy":
        shutil.copyfile(audio, place)
    else:
        place.symlink_to(os.path.realpath(audio))


def _value(one: Utterance, field: str) -> Any:
    value = getattr(one, field)
    return "" if value is None and field not in NUMBERS else value
