"""Shared by the formats of annotation tools: files that mark stretches of one recording each, in tiers or tracks."""

from __future__ import annotations

import functools
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emobridge.corpora import AUDIO_SUFFIXES
from emobridge.data.audio import END_TOLERANCE, duration
from emobridge.data.intake import Intake
from emobridge.data.tally import Tally
from emobridge.errors import UserError, unknown
from emobridge.types import Utterance

EMOTION = "emo"  # tiers and fields with this in their name, in any language of the field, hold emotions
SPEAKER_CHOICES = ("tier", "file")
OVERLAP = 0.001  # s; what overlaps by less is rounding


@dataclass(frozen=True, slots=True)
class LabelledStretch:
    """A stretch of a recording with its label, as an annotation file has it."""

    where: str  # `file:line` or the like, for errors
    label: str
    start: float  # s
    end: float  # s
    tier: str = ""
    speaker: str | None = None


class Annotations:
    """Hands the segments of annotation files to an intake, and counts what is odd about them.

    path: what the user named, a file or a folder; ids begin with the file's name within it. audio: the recording of the
    only file, where it is not the audio file of the same name. speaker: "tier" or "file" where its name is the speaker.
    """

    def __init__(self, path: Path, intake: Intake, audio: str | None, speaker: str | None = None) -> None:
        if speaker not in (None, *SPEAKER_CHOICES):
            raise unknown("speaker", str(speaker), SPEAKER_CHOICES)
        if audio is not None and path.is_dir():
            raise UserError(f"{path}: 'audio' names the recording of one file; give that file, not a folder")
        self.tally = Tally()
        self._path, self._intake, self._audio, self._speaker = path, intake, audio, speaker
        self._ids: Counter[str] = Counter()

    def utterances(
        self, file: Path, segments: Sequence[LabelledStretch], audio: str | None = None, seconds: float | None = None
    ) -> Iterator[Utterance]:
        """An utterance for each segment with a label.

        audio: the recording that the file itself names. seconds: its length, where the file has it.
        Errors: UserError naming `file:line` for a segment that ends after its recording, and as `Intake.utterances`.
        """
        folder = os.path.abspath(self._intake.root or file.parent)
        recording = os.path.join(folder, self._audio or audio or audio_beside(file, self._intake.root))
        seconds = length(recording) if seconds is None else seconds
        base = (file.relative_to(self._path) if self._path.is_dir() else Path(file.name)).with_suffix("").as_posix()
        home = self._path if self._path.is_dir() else file.absolute().parent
        self._note_order(segments)
        for segment in segments:
            if not segment.label.strip():
                self.tally.add("segments without a label, left out", segment.where)
                continue
            check_end(segment.end, recording, seconds, segment.where)
            values: dict[str, Any] = {
                "id": self._id(segment_id(base, segment.start)),
                "corpus": os.path.basename(os.path.abspath(home)),
                "path": recording,
                "start": segment.start,
                "end": segment.end,
                "speaker": {"tier": segment.tier, "file": base}.get(self._speaker or "", segment.speaker),
                "emotion": segment.label,
            }
            yield from self._intake.utterances(values, segment.where, folder)

    def finish(self) -> None:
        """After the last file: the notes. Errors: UserError where there was no segment with a label."""
        if not self._intake.rows:
            raise UserError(f"{self._path}: no segments with a label")
        self._intake.notes += self.tally.lines()

    def _id(self, name: str) -> str:
        """The name, with a number from the second utterance of that name on."""
        self._ids[name] += 1
        return name if self._ids[name] == 1 else f"{name}#{self._ids[name]}"

    def _note_order(self, segments: Sequence[LabelledStretch]) -> None:
        """Count the segments that begin before the one in front of them, and those that overlap one, in each tier."""
        for before, segment in itertools.pairwise(segments):
            if segment.start < before.start and segment.tier == before.tier:
                self.tally.add("segments that are not in order of time", segment.where)
        latest: dict[str, float] = {}
        for segment in sorted(segments, key=lambda segment: segment.start):
            end = latest.get(segment.tier, segment.start)
            if segment.start < end - OVERLAP:
                self.tally.add("segments that overlap another of their tier", segment.where)
            latest[segment.tier] = max(end, segment.end)


def annotation_files(path: Path, *suffixes: str) -> list[Path]:
    """The file `path`, or the visible files with a suffix in the folder `path` and below, sorted.

    Errors: UserError where there is none.
    """
    if not path.is_dir():
        return [path]
    files = [file for file in path.rglob("*") if file.suffix.lower() in suffixes and not file.name.startswith(".")]
    if not files:
        raise UserError(f"{path}: no files that end in {' or '.join(suffixes)} here or below")
    return sorted(files)


def find_audio(folder: Path, stem: str) -> list[Path]:
    """The audio files in a folder that are named `stem` and a suffix of audio."""
    names = [stem + suffix for suffix in sorted(AUDIO_SUFFIXES)]
    names += [stem + suffix.upper() for suffix in sorted(AUDIO_SUFFIXES)]
    present = {file.resolve(): file for name in names if (file := folder / name).is_file()}
    return list(present.values())


def first_present(folder: str, *names: str) -> str:
    """The first of the names that is a file, relative to a folder; the first name where none is."""
    return next((name for name in names if os.path.isfile(os.path.join(folder, name))), names[0])


def audio_beside(file: Path, root: str | None) -> str:
    """The audio file of the same name beside an annotation file, or in `root`.

    Errors: UserError where there is none, or several.
    """
    folder = Path(root) if root else file.parent
    matches = find_audio(folder, file.stem)
    if len(matches) == 1:
        return matches[0].name
    problem = f"{matches[0].name} and {matches[1].name} are" if matches else f"no audio file {file.stem}.* is"
    raise UserError(f"{file}: {problem} in {folder}; name the recording with audio=..., or its folder with root=...")


def choose_tiers(names: Sequence[str], tier: str | None, where: str) -> list[str]:
    """The tiers to read: those that the option names, joined by commas, or else those that are named after emotions.

    A file with one tier needs no name. Errors: UserError naming the tiers that there are.
    """
    if tier is not None:
        chosen = [name.strip() for name in tier.split(",")]
        for name in chosen:
            if name not in names:
                raise UserError(f"{where}: {unknown('tier', name, names)}")
        return chosen
    chosen = [name for name in names if EMOTION in name.casefold()]
    if not chosen and len(names) == 1:
        return list(names)
    if not chosen:
        raise UserError(f"{where}: which tier holds the emotions? Name it with tier=... (one of {', '.join(names)})")
    return chosen


def speaker_of_tier(name: str) -> str | None:
    """The speaker in the name of a tier such as "emotion@anna"; None where it names none."""
    return name.partition("@")[2].strip() or None


def segment_id(stem: str, start: float) -> str:
    """The id of the stretch of a recording that begins at `start` (s), to the millisecond.

    >>> segment_id("call", 0.5), segment_id("call", 12345.678), segment_id("call", 30)
    ('call@0.5', 'call@12345.678', 'call@30')
    """
    return f"{stem}@{f'{start:.3f}'.rstrip('0').rstrip('.')}"


def check_end(end: float | None, recording: str, seconds: float | None, where: str) -> None:
    """Errors: UserError that begins with `where`, for an end (s) after that of the recording."""
    if end is not None and seconds is not None and end > seconds + END_TOLERANCE:
        raise UserError(f"{where}: 'end' is {end:g} s, after the end of {recording} ({seconds:.3f} s)")


@functools.lru_cache(maxsize=1024)
def length(recording: str) -> float | None:
    """The length of a recording (s) from its header; None where it is not there or cannot be read."""
    try:
        return duration(recording) if os.path.isfile(recording) else None
    except UserError:
        return None
