"""The data directories of Kaldi (https://kaldi-asr.org/doc/data_prep.html): text files that begin each line with an id.

    wav.scp      call-1 /data/call-1.wav                          recording, file
    segments     anna-1 call-1 0.5 2.0                            utterance, recording, start, end (s; -1: to the end)
    utt2spk      anna-1 anna            utt2emo   anna-1 anger    also utt2emotion
    text         anna-1 hello           utt2lang  anna-1 de       spk2gender  anna f

Without segments each recording is an utterance. A recording that a command makes ("sox ... |") is not read, as that
would run the command; nor is one inside an archive (file.ark:123). Kaldi needs a speaker for each utterance: where it
is not known, the utterance itself is named, and such speakers are read as not known. A line of segments may have the
channel as its fifth word.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emobridge.corpora import GENDERS
from emobridge.data.encodings import read_text
from emobridge.data.intake import Intake
from emobridge.data.tally import Tally
from emobridge.errors import UserError
from emobridge.formats._segments import check_end, length
from emobridge.formats._shared import split_named, write_text
from emobridge.types import Utterance

LOSES = (
    *("corpus", "arousal", "valence", "dominance", "split", "phones", "gender", "naturalness", "channel"),
    *("age", "extra"),
)
EMOTION_FILES = ("utt2emo", "utt2emotion")
COLUMN_FILES = {"speaker": "utt2spk", "emotion": "utt2emo", "text": "text", "language": "utt2lang"}
DATA_FILES = frozenset({"wav.scp", "segments", "spk2gender", *EMOTION_FILES, *COLUMN_FILES.values()})
DERIVED = frozenset({"spk2utt", "utt2dur", "reco2dur", "utt2num_frames"})  # from the others
ARCHIVE = re.compile(r".*\.(?:ark|scp):\d+")
UNDEFINED_END = -1.0


def read(path: Path, *, intake: Intake) -> Iterator[Utterance]:
    """The utterances of the data directory `path`, in the order of segments or wav.scp.

    Relative audio paths start from the option `root`, by default the directory. Further options: those of
    `data.intake.Intake`; the default corpus is the name of the directory.
    Errors: UserError naming `file:line` for a line that is too short, an id that is there twice, a recording that is
    missing, made by a command or in an archive, and times outside the recording.
    """
    tally = Tally()
    scp = path / "wav.scp"
    recordings = {name: (where, _audio(content, name, where)) for name, (where, content) in _lines(scp).items()}
    facts = {column: _lines(path / file) for column, file in COLUMN_FILES.items()}
    facts["emotion"] = next((table for name in EMOTION_FILES if (table := _lines(path / name))), {})
    genders = _lines(path / "spk2gender")
    folder = os.path.abspath(path)
    for name, where, stretch in _stretches(path, recordings, intake.root or folder):
        values: dict[str, Any] = {column: _word(table, name) for column, table in facts.items()} | stretch
        if values["speaker"] == name:
            tally.add("speakers named as their utterance, taken for not known", where)
            values["speaker"] = None
        values["id"], values["corpus"] = name, os.path.basename(folder)
        values["gender"] = GENDERS.get((_word(genders, values["speaker"]) or "").casefold())
        values["split"] = split_named(path.name)
        yield from intake.utterances(values, where, folder)
    if not intake.rows:
        raise UserError(f"{scp}: no recordings")
    names = _lines(path / "segments") or recordings
    for table in (facts["speaker"], facts["emotion"], facts["text"], facts["language"]):
        for where, _ in (table[name] for name in table if name not in names):
            tally.add(f"lines of {os.path.basename(where).partition(':')[0]} for no utterance, ignored", where)
    for file in sorted(path.iterdir()):
        if file.is_file() and file.name not in DATA_FILES | DERIVED:
            tally.add("files that are not read", str(file))
    intake.notes += tally.lines()


def write(path: Path, utterances: Sequence[Utterance]) -> Path:
    """Write the files of a data directory into the folder `path`, sorted as Kaldi wants them, and return it.

    Errors: UserError for an id, speaker or language with white space, a text of several lines, and a speaker that has
    the name of its utterance, which means in Kaldi that it is not known; and where a data directory is there.
    """
    if (path / "wav.scp").exists():
        raise UserError(f"{path}: holds a data directory already; expected another folder")
    rows = sorted(utterances, key=lambda row: row.id.encode(errors="surrogateescape"))
    for row in rows:
        _check(row)
    is_segmented = any(row.start or row.end is not None for row in rows)
    recordings = {row.id: row.path for row in rows}
    if is_segmented:
        names = _recording_names(rows)
        recordings = {name: audio for audio, name in names.items()}
        lines = [f"{row.id} {names[row.path]} {row.start!r} {_end(row)}" for row in rows]
        write_text(path / "segments", "".join(f"{line}\n" for line in lines))
    for column, file in COLUMN_FILES.items():
        values = {row.id: row.speaker or row.id if column == "speaker" else getattr(row, column) for row in rows}
        present = {name: value for name, value in values.items() if value is not None and value != "und"}
        if present:
            write_text(path / file, "".join(f"{name} {value}\n" for name, value in present.items()))
    in_order = sorted(recordings.items(), key=lambda item: item[0].encode(errors="surrogateescape"))
    write_text(path / "wav.scp", "".join(f"{name} {audio}\n" for name, audio in in_order))
    return path


def _lines(file: Path) -> dict[str, tuple[str, str]]:
    """The first word of each line -> (`file:line`, the content); empty where there is no such file but wav.scp."""
    table: dict[str, tuple[str, str]] = {}
    if file.name != "wav.scp" and not file.is_file():
        return table
    for number, line in enumerate(read_text(file).split("\n"), 1):
        if not line.strip():
            continue
        name, _, content = line.strip().replace("\t", " ").partition(" ")
        if name in table:
            raise UserError(f"{file}:{number}: the id {name!r} is there twice, before in {table[name][0]}")
        table[name] = f"{file}:{number}", content.strip()
    return table


def _word(table: Mapping[str, tuple[str, str]], name: str | None) -> str | None:
    return table[name][1] or None if name is not None and name in table else None


def _audio(content: str, name: str, where: str) -> str:
    """The audio file of a line of wav.scp. Errors: UserError for what is no file."""
    if content.startswith("|") or content.endswith("|") or content == "-":
        raise UserError(
            f"{where}: a command makes {name!r} ({content[:60]}), which is not run: save its audio as a file"
        )
    if not content or ARCHIVE.fullmatch(content):
        raise UserError(f"{where}: expected the audio file of {name!r}, not {content[:60]!r}")
    return content


def _stretches(
    path: Path, recordings: Mapping[str, tuple[str, str]], folder: str
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each utterance's name, its `file:line`, and its path, start, end and channel."""
    segments = path / "segments"
    if not segments.is_file():
        for name, (where, audio) in recordings.items():
            yield name, where, {"path": audio, "start": 0.0, "end": None}
        return
    for name, (where, content) in _lines(segments).items():
        cells = content.split()
        if not 3 <= len(cells) <= 4:
            raise UserError(f"{where}: expected an utterance, its recording, start and end")
        if cells[0] not in recordings:
            raise UserError(f"{where}: the recording {cells[0]!r} is not in wav.scp")
        audio = recordings[cells[0]][1]
        try:
            start, end = float(cells[1]), float(cells[2])
            channel = int(cells[3]) if len(cells) == 4 else None
        except ValueError:
            raise UserError(f"{where}: {content[:60]!r} has no times; expected start and end in seconds") from None
        stretch = {"path": audio, "start": start, "end": None if end == UNDEFINED_END else end, "channel": channel}
        check_end(end, audio, length(os.path.join(folder, audio)), where)
        yield name, where, stretch


def _check(row: Utterance) -> None:
    """Errors: UserError for what a line cannot hold."""
    for field in ("id", "speaker", "language"):
        value = getattr(row, field)
        if value is not None and (len(value.split()) != 1 or value != value.strip()):
            raise UserError(f"{row.id!r}: the {field} {value!r} has white space, which a file of Kaldi cannot hold")
    if row.speaker == row.id:
        raise UserError(f"{row.id!r}: the speaker has the name of the utterance, which means that it is not known")
    for field in ("text", "path"):
        value = getattr(row, field) or ""
        if value != value.strip() or "\n" in value or "\t" in value:
            raise UserError(f"{row.id!r}: the {field} {value[:60]!r} does not fit in a line of Kaldi")


def _recording_names(rows: Sequence[Utterance]) -> dict[str, str]:
    """A name for each audio file: that of the file, with a number where several are named so."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    last: dict[str, int] = {}  # the number behind the last name of each stem
    for path in dict.fromkeys(row.path for row in rows):
        stem = re.sub(r"\s", "_", os.path.splitext(os.path.basename(path))[0])
        number = last.get(stem, 1)  # all below are taken
        name = stem if number == 1 else f"{stem}-{number}"
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        last[stem] = number
        names[path] = name
    return names


def _end(row: Utterance) -> str:
    return "-1" if row.end is None else repr(row.end)
