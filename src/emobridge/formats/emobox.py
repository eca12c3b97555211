"""The metadata of EmoBox (https://github.com/emo-box/EmoBox): a folder for each data set.

    data/emodb/emodb.jsonl, emodb.json, label_map.json, data.seg.wrd.stm
    data/emodb/fold_1/emodb_train_fold_1.jsonl, emodb_test_fold_1.jsonl (meld: also emodb_valid_...), and .json of each
    {"key": "emodb-03a01Wa", "dataset": "emodb", "wav": "downloads/emodb/wav/03a01Wa.wav", "type": "raw",
     "sample_rate": 16000, "num_frame": 30045.0, "task": "category", "length": 1.8778125, "emo": "anger", "channel": 1}

The .json files map keys to the same without key and type. Stretches of a file have `start_time` and `end_time` (s) too.
`emo` is the corpus's own label, of which label_map.json tells the common one ("a": "Angry"); that of IEMOCAP takes
"exc" for "Happy". Paths are relative to the checkout, the folder that holds `data`.

Speakers stand in data.seg.wrd.stm only; those of IEMOCAP there are not who speaks, so that they are read from the
files' names (see `_shared.iemocap_speaker`). That file says `lang=en` of all data sets, German ones too: a language is
never read from it, but known from emobridge's corpus of the name or given as an option.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emobridge.data.audio import header
from emobridge.data.labels import EMOTIONS
from emobridge.data.manifest import to_utterance, within
from emobridge.errors import UserError
from emobridge.formats._shared import (
    emotions_of,
    entry,
    iemocap_speaker,
    language_of,
    read_json,
    read_text,
    write_json,
    write_lines,
    write_text,
)
from emobridge.options import Pairs
from emobridge.types import Utterance

LOSES = ("language", "arousal", "valence", "dominance", "text", "phones", "gender", "naturalness")
SPLITS = {"train": "train", "validation": "valid", "test": "test"}
SPEAKERS = "data.seg.wrd.stm"
WORDS = {"anger": "Angry", "happiness": "Happy", "sadness": "Sad"}  # the others are ours with a capital


def read(
    path: Path,
    *,
    fold: int | None = None,
    root: str | None = None,
    labels: Pairs = None,
    language: str | None = None,
    corpus: str | None = None,
) -> Iterator[Utterance]:
    """The utterances at `path`: the folder of one data set, one that holds several, or one .jsonl or .json file.

    With `fold` they are those of its train, valid and test files, with their splits; else all, without. `root` is the
    checkout where the audio is elsewhere, `labels` (raw label -> emotion) goes before label_map.json, and `corpus`
    before the name of the data set.
    Errors: UserError naming `file:line` or `file:key` for what a manifest would refuse, and the folds that there are.
    """
    emotions, seen = emotions_of(labels), set[str]()
    for folder, files in _data_sets(path, fold):
        meant = _label_map(folder) | emotions
        speakers = _speakers(folder / SPEAKERS)
        home = os.path.abspath(root or _checkout(folder))
        for split, file in files:
            for where, row in _rows(file):
                dataset = corpus or row.get("dataset") or folder.name
                values = {
                    "id": row["key"],
                    "corpus": dataset,
                    "path": row["wav"],
                    "start": row.get("start_time"),
                    "end": row.get("end_time"),
                    "language": language or language_of(str(dataset)),
                    "speaker": iemocap_speaker(str(row["wav"])) or speakers.get(row["key"]),
                    "emotion": row["emo"],
                    "split": split,
                }
                yield to_utterance(values, where, home, seen, meant)
    if not seen:
        raise UserError(f"{path}: no utterances")


def write(path: Path, utterances: Sequence[Utterance], *, fold: int = 1) -> Path:
    """Write a folder for each corpus below `path`, EmoBox's `data`, and return `path`.

    Utterances with a split stand in the files of the fold too. Headers of the audio are read for the lengths; a stretch
    up to the end of its file ends at that time.
    Errors: UserError for an utterance without an emotion, a corpus that cannot be the name of a folder, a speaker or
    id with a space where there are speakers, and audio that cannot be opened.
    """
    corpora: dict[str, list[Utterance]] = {}
    for one in utterances:
        if one.emotion is None:
            raise UserError(f"{one.id!r} has no emotion; EmoBox needs one for each: leave it out")
        if os.path.basename(one.corpus) != one.corpus or one.corpus in (".", ".."):
            raise UserError(f"{one.id!r}: the corpus {one.corpus!r} cannot be the name of a folder")
        corpora.setdefault(one.corpus, []).append(one)
    for corpus, some in corpora.items():
        folder = path / corpus
        rows = {one.id: _row(one, os.path.abspath(_checkout(folder))) for one in some}
        stm = [_speaker_line(one, rows[one.id]) for one in some if one.speaker]
        _write_pair(folder / corpus, list(rows.values()))
        for split, name in SPLITS.items():
            held = [rows[one.id] for one in some if one.split == split]
            if held:
                _write_pair(folder / f"fold_{fold}" / f"{corpus}_{name}_fold_{fold}", held)
        used = [emotion for emotion in EMOTIONS if any(one.emotion == emotion for one in some)]
        write_json(folder / "label_map.json", {one: WORDS.get(one, one.capitalize()) for one in used}, indent=4)
        if stm:
            write_text(folder / SPEAKERS, "".join(stm))
    return path


def _data_sets(path: Path, fold: int | None) -> Iterator[tuple[Path, list[tuple[str | None, Path]]]]:
    """Each data set's folder, and its files with their splits."""
    if path.is_file():
        yield (path.parent.parent if path.parent.name.startswith("fold_") else path.parent), [(_split_of(path), path)]
        return
    folders = [path] if _is_one(path) else sorted(one for one in path.glob("*") if one.is_dir() and _is_one(one))
    if not folders:
        raise UserError(f"{path}: no data set of EmoBox; expected NAME/NAME.jsonl or NAME/fold_1 here or below")
    for folder in folders:
        places: list[tuple[str | None, Path]] = [(None, folder / folder.name)]
        if fold is not None:
            inside = folder / f"fold_{fold}"
            places = [(split, inside / f"{folder.name}_{name}_fold_{fold}") for split, name in SPLITS.items()]
        files = [(split, file) for split, place in places if (file := _either(place)) is not None]
        if not files:
            there = ", ".join(sorted(one.name for one in folder.glob("fold_*"))) or "none"
            raise UserError(f"{places[0][1]}.jsonl: no such file (folds that are there: {there})")
        yield folder, files


def _is_one(folder: Path) -> bool:
    return _either(folder / folder.name) is not None or any(folder.glob("fold_*"))


def _either(place: Path) -> Path | None:
    """The .jsonl or else the .json file of a name without suffix."""
    files = [place.with_name(place.name + suffix) for suffix in (".jsonl", ".json")]
    return next((file for file in files if file.is_file()), None)


def _split_of(file: Path) -> str | None:
    return next((split for split, name in SPLITS.items() if f"_{name}_fold_" in file.name), None)


def _checkout(folder: Path) -> Path:
    """The folder that holds `data`, or where there is none the data set's own."""
    parents = [folder.absolute(), *folder.absolute().parents]
    return next((one.parent for one in parents if one.name == "data"), parents[0])


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a .jsonl or .json file, each with the name of its place."""
    if file.suffix == ".json":
        for key, row in entry(read_json(file), str(file)).items():
            yield f"{file}:{key}", {"key": key} | entry(row, f"{file}:{key}", "wav", "emo")
        return
    for number, line in enumerate(read_text(file).split("\n"), 1):
        where = f"{file}:{number}"
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{where}: not valid JSON; expected one object a line") from error
            yield where, entry(row, where, "key", "wav", "emo")


def _label_map(folder: Path) -> dict[str, str]:
    file = folder / "label_map.json"
    content = entry(read_json(file), str(file)) if file.is_file() else {}
    return {raw: word for raw, word in content.items() if isinstance(word, str)}


def _speakers(file: Path) -> dict[str, str]:
    """Key -> speaker: the first and the third word of each line."""
    words = (line.split(" ") for line in (read_text(file).split("\n") if file.is_file() else ()))
    return {line[0]: line[2] for line in words if len(line) > 2}


def _row(one: Utterance, root: str) -> dict[str, Any]:
    frames, rate = header(one.path)
    end = frames / rate if one.end is None else one.end
    length = end - one.start
    row = {"key": one.id, "dataset": one.corpus, "wav": within(one.path, root), "type": "raw", "sample_rate": rate}
    row |= {"num_frame": length * rate, "task": "category", "length": length, "emo": one.emotion, "channel": 1}
    return row | ({"start_time": one.start, "end_time": end} if one.start or one.end is not None else {})


def _speaker_line(one: Utterance, row: Mapping[str, Any]) -> str:
    if len(f"{one.id} {one.speaker}".split()) != 2:
        raise UserError(f"{one.id!r}: the id or the speaker {one.speaker!r} has a space, which {SPEAKERS} cannot hold")
    start, end = one.start, one.start + row["length"]
    about = f"<id={one.id},lang={one.language},spk={one.speaker},emotion={one.emotion}>"
    return f"{one.id} 1 {one.speaker} {start:g} {end:g} {about} {one.emotion}\n"


def _write_pair(place: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """The same rows as .jsonl and as .json."""
    kept = ("wav", "length", "emo", "dataset", "channel", "start_time", "end_time")
    write_lines(place.with_name(place.name + ".jsonl"), rows)
    content = {row["key"]: {key: row[key] for key in kept if key in row} for row in rows}
    write_json(place.with_name(place.name + ".json"), content, indent=4)
