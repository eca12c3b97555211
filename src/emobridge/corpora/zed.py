"""ZED, the Zaion Emotion Dataset: unacted English with the times at which an emotion is heard, Zaion Lab 2023.

180 recordings made in real life, for the task of emotion diarization: in each, one stretch is happy, sad or angry, and
what is around it is neutral. `ZED.json` maps a recording's name to its `wav` ("datafolder/..." for a path within the
distribution), `duration` (s), `transcription` and `emotion`, a list of {"emo", "start", "end"} (s) with, in what was
published, one member. The recordings are in a folder a speaker, whose name is taken for the speaker.

Not verified against a copy: the members of ZED.json are those that its authors' recipe reads; that a folder is a
speaker, and the count, are told by others who converted the corpus. A speaker's gender is not in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from emobridge.corpora import files_like, unique_utterances
from emobridge.errors import UserError, unknown
from emobridge.types import Utterance

LANGUAGES = ("en",)
LABELS = {"happy": "happiness", "sad": "sadness", "angry": "anger"}
LICENCE = "CC BY-NC 4.0"
CITATION = (
    "Wang, Ravanelli & Yacoubi (2023). Speech Emotion Diarization: Which Emotion Appears When? ASRU 2023. "
    "arXiv:2306.12991"
)
OBTAIN = "Get it by the link at https://github.com/BenoitWang/Speech_Emotion_Diarization and unpack it."

DATA_FOLDER = "datafolder"
ZedStretch = tuple[str, float, float]  # label, start and end in s


def scan(root: Path, *, segments: bool = False) -> Iterator[Utterance]:
    """The recordings that ZED.json, in `root` or one folder below, lists and that exist.

    An utterance is a whole recording with its emotion; with `segments` it is the stretch in which the emotion is heard,
    with start and end, named `recording@start`.
    Errors: UserError naming file and recording for an unknown emotion, a missing or malformed member and, without
    `segments`, several emotions in one recording; and where no recording is found.
    """
    return unique_utterances(root, _utterances(root, segments), layout="ZED.json with its recordings", obtain=OBTAIN)


def marked_recordings(table: Path) -> Iterator[tuple[str, str | None, list[ZedStretch]]]:
    """What ZED.json says of each recording, which need not be there: its path in the distribution, speaker, stretches.

    Labels are those of LABELS. Errors: UserError naming file and recording, as `scan`.
    """
    for recording in _recordings(table):
        yield recording.inside.as_posix(), recording.speaker, recording.stretches


@dataclass(frozen=True, slots=True)
class _Recording:
    """An entry of ZED.json."""

    name: str
    inside: PurePosixPath  # the audio file, relative to the folder of ZED.json
    stretches: list[ZedStretch]
    text: str | None

    @property
    def speaker(self) -> str | None:
        return self.inside.parts[-2] if len(self.inside.parts) > 1 else None


def _recordings(table: Path) -> Iterator[_Recording]:
    for name, entry in _entries(table).items():
        where = f"{table}: {name}"
        if not isinstance(entry, dict) or not isinstance(entry.get("wav"), str):
            raise UserError(f"{where}: expected an object with 'wav' and 'emotion'")
        inside = PurePosixPath(entry["wav"])
        if inside.parts[:1] == (DATA_FOLDER,):
            inside = PurePosixPath(*inside.parts[1:])
        yield _Recording(name, inside, _segments(entry.get("emotion"), where), _text(entry.get("transcription"), where))


def _utterances(root: Path, segments: bool) -> Iterator[Utterance]:
    for table in files_like(root, "ZED.json", "*/ZED.json")[:1]:
        for recording in _recordings(table):
            path = table.parent / recording.inside
            if not path.is_file():
                continue
            stretches = recording.stretches
            emotions = {emotion for emotion, _, _ in stretches}
            if not segments and len(emotions) > 1:
                names = ", ".join(sorted(emotions))
                raise UserError(f"{table}: {recording.name}: several emotions ({names}); use segments=True")
            whole = [(stretches[0][0], 0.0, None)]
            for emotion, start, end in stretches if segments else whole:
                yield Utterance(
                    id=f"{recording.name}@{start:g}" if segments else recording.name,
                    corpus="zed",
                    path=str(path),
                    start=start,
                    end=end,
                    language="en",
                    speaker=recording.speaker,
                    emotion=LABELS[emotion],
                    text=recording.text,
                    naturalness="natural",
                )


def _entries(table: Path) -> dict[str, Any]:
    try:
        entries = json.loads(table.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{table}: not valid JSON ({error})") from error
    except OSError as error:
        raise UserError(f"{table}: cannot be read ({error.strerror or error})") from error
    if not isinstance(entries, dict):
        raise UserError(f"{table}: expected an object of recordings, not {type(entries).__name__}")
    return entries


def _text(value: Any, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise UserError(f"{where}: 'transcription' is {_short(value)}; expected text")
    return value or None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _segments(members: Any, where: str) -> list[ZedStretch]:
    """The emotional stretches of one recording, checked."""
    if not isinstance(members, list) or not members:
        raise UserError(f"{where}: expected 'emotion' to be a list of {{emo, start, end}}")
    stretches = []
    for member in members:
        try:
            label, start, end = member["emo"], float(member["start"]), float(member["end"])
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise UserError(f"{where}: expected emo, start and end (s), not {_short(member)}") from error
        if not isinstance(label, str) or label not in LABELS:
            raise UserError(f"{where}: {unknown('emotion', str(label), LABELS)}")
        if not 0 <= start < end:
            raise UserError(f"{where}: {label} from {start:g} to {end:g} s; expected a start before its end")
        stretches.append((label, start, end))
    return stretches
