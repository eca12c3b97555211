"""The metadata of EmoBox (https://github.com/emo-box/EmoBox): a folder for each data set.

    data/emodb/emodb.jsonl, emodb.json, label_map.json (of emovo: label_dict.json), data.seg.wrd.stm
    data/emodb/fold_1/emodb_train_fold_1.jsonl, emodb_test_fold_1.jsonl (meld: also emodb_valid_...), and .json of each
    {"key": "emodb-03a01Wa", "dataset": "emodb", "wav": "downloads/emodb/wav/03a01Wa.wav", "type": "raw",
     "sample_rate": 16000, "num_frame": 30045.0, "task": "category", "length": 1.8778125, "emo": "anger", "channel": 1}

The .json files map keys to the same rows without key and type. Stretches of a file have `start_time` and `end_time` (s)
too. `emo` is the corpus's own label, which label_map.json maps to a common one ("a": "Angry"); that of IEMOCAP maps
"exc" to "Happy". Paths are relative to the checkout, the folder that holds `data`.

Only data.seg.wrd.stm has speakers; msppodcast has no such file. Those of IEMOCAP are wrong there, and are read from the
files' names instead (see `_shared.iemocap_speaker`). That of mer2023 has a speaker for each clip, named as the clip:
its speakers are not known. That file says `lang=en` of all data sets, German ones too, so that the language is taken
from emobridge's corpus of that name, from corpus.cfg ("language = polish"), or from the option.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emobridge.data.audio import header
from emobridge.data.encodings import read_text
from emobridge.data.intake import Intake
from emobridge.data.labels import EMOTIONS
from emobridge.data.manifest import within
from emobridge.data.tally import Tally
from emobridge.errors import UserError
from emobridge.formats._shared import (
    corpus_language,
    entry,
    further_fields,
    iemocap_speaker,
    json_object,
    json_objects,
    label_in,
    load_json,
    number_in,
    save_json,
    text_in,
    write_lines,
    write_text,
    write_texts,
)
from emobridge.languages import language_tag
from emobridge.types import Utterance

LOSES = (
    *("language", "arousal", "valence", "dominance", "text", "phones", "gender", "naturalness", "channel"),
    *("age", "extra"),
)
SPLIT_NAMES = {"train": "train", "validation": "valid", "test": "test"}
SPEAKERS = "data.seg.wrd.stm"
CONFIG = "corpus.cfg"
MIXED = "mix"  # which is also the code of a language of Mexico
LANGUAGE = re.compile(r"^language *= *(.*?) *(?:#.*)?$", re.MULTILINE)
TOOL_KEYS = frozenset({"key", "dataset", "wav", "type", "sample_rate", "num_frame", "task", "length", "emo", "channel"})
TOOL_KEYS |= {"start_time", "end_time"}
LABEL_MAPS = ("label_map.json", "label_dict.json")
LABEL_WORDS = {"anger": "Angry", "happiness": "Happy", "sadness": "Sad"}  # of others: emobridge's with a capital


def read(
    path: Path,
    *,
    intake: Intake,
    fold: int | None = None,
) -> Iterator[Utterance]:
    """The utterances at `path`: the folder of a data set, a folder of several, or a .jsonl or .json file.

    fold: read the train, valid and test files of this fold, with their splits; without it all utterances, without.
    Further options: those of `data.intake.Intake`; the default `root` is the checkout, and the user's `labels` go
    before label_map.json.
    Errors: UserError naming `file:line` or `file:key` for what a manifest would refuse, and the folds that there are.
    """
    tally = Tally()
    for folder, files in _data_sets(path, fold, tally):
        label_map = _label_map(folder)
        speakers, language = _speakers(folder / SPEAKERS, tally), _language(folder / CONFIG)
        home = os.path.abspath(_checkout(folder))
        for split, file in files:
            for where, row in _rows(file):
                values = _values(row, where, intake.corpus or folder.name, language, speakers)
                values = further_fields(row, TOOL_KEYS, where, tally) | values
                yield from intake.utterances(values | {"split": split}, where, home, label_map)
    if not intake.rows:
        raise UserError(f"{path}: no utterances")
    intake.notes += tally.lines()


def write(path: Path, utterances: Sequence[Utterance], *, fold: int = 1) -> Path:
    """Write a folder for each corpus below `path`, EmoBox's `data`, and return `path`.

    Utterances with a split are written to the files of the fold too. Lengths are read from the headers of the audio
    files, and so is the end of a stretch that goes on to the end of its file.
    Errors: UserError for an utterance without an emotion, a corpus that cannot be the name of a folder, a speaker or
    id with a space where there are speakers, and audio that cannot be opened.
    """
    corpora: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        corpus = utterance.corpus
        if utterance.emotion is None:
            raise UserError(f"{utterance.id!r} has no emotion; EmoBox needs one for each: leave it out")
        if os.path.basename(corpus) != corpus or corpus in (".", ".."):
            raise UserError(f"{utterance.id!r}: the corpus {corpus!r} cannot be the name of a folder")
        corpora.setdefault(corpus, []).append(utterance)
    for corpus, members in corpora.items():
        _write_data_set(path / corpus, members, fold)
    return path


def _values(
    row: Mapping[str, Any], where: str, corpus: str, language: str, speakers: Mapping[str, str]
) -> dict[str, Any]:
    """The raw values of a row. corpus: of rows that name none. language: of rows of no corpus that emobridge knows."""
    key, wav = label_in(row, "key", where), text_in(row, "wav", where)
    corpus = text_in(row, "dataset", where) or corpus
    speaker = iemocap_speaker(wav or "") or speakers.get(key or "")
    speaker = None if key == f"{corpus}-{speaker}" else speaker
    return {
        "id": key,
        "corpus": corpus,
        "path": wav,
        "start": number_in(row, "start_time", where),
        "end": number_in(row, "end_time", where),
        "language": language if corpus_language(corpus) == "und" else corpus_language(corpus),
        **({"speaker": speaker} if speaker else {}),
        "emotion": label_in(row, "emo", where),
    }


def _write_data_set(folder: Path, utterances: Sequence[Utterance], fold: int) -> None:
    """Write the files of one corpus into `folder`, which has its name."""
    root = os.path.abspath(_checkout(folder))
    rows = {utterance.id: _row(utterance, root) for utterance in utterances}
    speaker_lines = [_speaker_line(row, rows[row.id]) for row in utterances if row.speaker]
    _write_pair(folder / folder.name, list(rows.values()))
    for split, name in SPLIT_NAMES.items():
        part = [rows[utterance.id] for utterance in utterances if utterance.split == split]
        if part:
            _write_pair(folder / f"fold_{fold}" / f"{folder.name}_{name}_fold_{fold}", part)
    used = {utterance.emotion for utterance in utterances}
    label_map = {emotion: LABEL_WORDS.get(emotion, emotion.capitalize()) for emotion in EMOTIONS if emotion in used}
    save_json(folder / "label_map.json", label_map, indent=4)
    if speaker_lines:
        write_text(folder / SPEAKERS, "".join(speaker_lines))


def _data_sets(path: Path, fold: int | None, tally: Tally) -> Iterator[tuple[Path, list[tuple[str | None, Path]]]]:
    """Each data set's folder, and its files with their splits."""
    if path.is_file():
        yield (path.parent.parent if path.parent.name.startswith("fold_") else path.parent), [(_split_of(path), path)]
        return
    folders = [path] if _is_data_set(path) else sorted(filter(_is_data_set, path.glob("*")))
    if not folders:
        raise UserError(f"{path}: no data set of EmoBox; expected NAME/NAME.jsonl or NAME/fold_1 here or below")
    for folder in folders:
        stems: dict[str | None, Path] = {None: folder / folder.name}
        if fold is not None:
            inside = folder / f"fold_{fold}"
            stems = {split: inside / f"{folder.name}_{name}_fold_{fold}" for split, name in SPLIT_NAMES.items()}
        files = {split: file for split, stem in stems.items() if (file := _existing(stem)) is not None}
        if not files:
            folds = ", ".join(sorted(entry.name for entry in folder.glob("fold_*"))) or "none"
            hint = "" if fold is not None else ", which fold=1 reads"
            raise UserError(f"{next(iter(stems.values()))}.jsonl: no such file (folds that are there: {folds}{hint})")
        if fold is not None:
            _note_fold(inside, stems, files, tally)
        yield folder, list(files.items())


def _note_fold(folder: Path, stems: Mapping[str | None, Path], files: Mapping[Any, Path], tally: Tally) -> None:
    """Name the files that a fold lacks, and those that are none of its splits. Most folds have no validation set."""
    for split, stem in stems.items():
        if split not in files and split != "validation":
            tally.add(f"no file of the split {split}", f"{stem}.jsonl")
    for file in sorted({file.with_suffix("") for file in folder.glob("*.json*")} - set(stems.values())):
        tally.add("files of other splits, not read", str(file))


def _is_data_set(path: Path) -> bool:
    return path.is_dir() and (_existing(path / path.name) is not None or any(path.glob("fold_*")))


def _existing(stem: Path) -> Path | None:
    """The .jsonl or else the .json file of a path without suffix; None where neither exists."""
    files = [stem.with_name(stem.name + suffix) for suffix in (".jsonl", ".json")]
    return next((file for file in files if file.is_file()), None)


def _split_of(file: Path) -> str | None:
    return next((split for split, name in SPLIT_NAMES.items() if f"_{name}_fold_" in file.name), None)


def _checkout(folder: Path) -> Path:
    """The folder that holds `data`, or where there is none the data set's own."""
    parents = [folder.absolute(), *folder.absolute().parents]
    return next((parent.parent for parent in parents if parent.name == "data"), parents[0])


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a .jsonl or .json file, each with `file:line` or `file:key`."""
    if file.suffix == ".json":
        for key, row in entry(load_json(file), str(file)).items():
            yield f"{file}:{key}", {"key": key} | entry(row, f"{file}:{key}", "wav", "emo")
        return
    for where, row in json_objects(file):
        yield where, entry(row, where, "key", "wav", "emo")


def _label_map(folder: Path) -> dict[str, str]:
    """What the data set says that its labels mean."""
    file = next((folder / name for name in LABEL_MAPS if (folder / name).is_file()), None)
    content = entry(load_json(file), str(file)) if file else {}
    return {raw: word for raw, word in content.items() if isinstance(word, str)}


def _language(file: Path) -> str:
    """The language that corpus.cfg names; "und" where it names none or several ("mix")."""
    match = LANGUAGE.search(read_text(file)) if file.is_file() else None
    try:
        return language_tag(match[1]) if match and match[1] != MIXED else "und"
    except UserError:
        return "und"


def _speakers(file: Path, tally: Tally) -> dict[str, str]:
    """Key -> speaker: the first and the third word of each line."""
    if not file.is_file():
        tally.add(f"data sets without {SPEAKERS}, so that their speakers are not known", str(file.parent))
        return {}
    lines = (line.split(" ") for line in read_text(file).split("\n"))
    return {line[0]: line[2] for line in lines if len(line) > 2}


def _row(utterance: Utterance, root: str) -> dict[str, Any]:
    frames, rate = header(utterance.path)
    start, end = utterance.start, frames / rate if utterance.end is None else utterance.end
    length = end - start
    row: dict[str, Any] = {
        "key": utterance.id,
        "dataset": utterance.corpus,
        "wav": within(utterance.path, root),
        "type": "raw",
    }
    row |= {"sample_rate": rate, "num_frame": length * rate, "task": "category", "length": length}
    row |= {"emo": utterance.emotion, "channel": 1}
    return row | ({"start_time": start, "end_time": end} if start or utterance.end is not None else {})


def _speaker_line(utterance: Utterance, row: Mapping[str, Any]) -> str:
    key, speaker, emotion = utterance.id, utterance.speaker, utterance.emotion
    if len(f"{key} {speaker}".split()) != 2:
        raise UserError(f"{key!r}: the id or the speaker {speaker!r} has a space, which {SPEAKERS} cannot hold")
    start, end = utterance.start, utterance.start + row["length"]
    about = f"<id={key},lang={utterance.language},spk={speaker},emotion={emotion}>"
    return f"{key} 1 {speaker} {start:g} {end:g} {about} {emotion}\n"


def _write_pair(stem: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the same rows as .jsonl and as .json."""
    columns = ("wav", "length", "emo", "dataset", "channel", "start_time", "end_time")
    write_lines(stem.with_name(stem.name + ".jsonl"), rows)
    content = ((row["key"], {key: row[key] for key in columns if key in row}) for row in rows)
    write_texts(stem.with_name(stem.name + ".json"), json_object(content))
