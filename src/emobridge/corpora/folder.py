"""A folder of recordings of your own: all audio below it, an utterance a file, in the order of the paths.

Labels: nothing is labelled by accident. The name of the folder that holds a file is its label where every such name is
an emotion word, they mean two emotions or more beside "other", and at least one is no person's name (as Joy and Ira
are). Else all is unlabelled. `labels_from=folder` takes folder names for labels all the same: of the folders that hold
the files or, where all of those above them are emotion words, of these. `labels_from=none` never does.
Folders named train, dev, test and the like are splits where all audio lies in them, and not all in the same.

Speakers are not known unless `speaker` tells:

    file         each file is a speaker of its own, as in a folder of calls
    folder       the folder of the file is its speaker; one that names the emotion or the split does not count
    channel      each channel of a file is an utterance and a speaker of its own, as in stereo calls
    a pattern    such as "{speaker}_{}" or "{speaker}/{}/{}", laid over the end of the path without its suffix.
                 {speaker} is the speaker, {} anything without "/"; both are as short as they can be. The first reads
                 S01 of calls/S01_003.wav, the second anna of anna/may/003.wav.

The header of each file is read. What is no audio, or cannot be read, is left out, counted and named. A long recording
stays one utterance. `scan` prints what was made of the names.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from emobridge.corpora import is_audio, visible_files
from emobridge.corpora._folder_names import (
    Recording,
    folder_emotion,
    label_distance,
    listing,
    with_splits,
)
from emobridge.corpora._folder_names import (
    speaker_rule as speaker_rule,
)
from emobridge.data.audio import AudioError, channel_count
from emobridge.data.intake import Intake
from emobridge.data.labels import EMOTIONS
from emobridge.errors import UserError, unknown
from emobridge.types import Utterance

LANGUAGES = ("und",)  # whatever the option `language` says
LABELS = {emotion: emotion for emotion in EMOTIONS}
LICENCE = "that of your recordings"
CITATION = "that of your recordings"
OBTAIN = "Put your recordings into a folder; folders within it may name emotions, speakers or splits."

LABEL_SOURCES = ("auto", "folder", "none")


def scan(root: Path, *, intake: Intake, speaker: str = "unknown", labels_from: str = "auto") -> Iterator[Utterance]:
    """The recordings below `root`; the corpus is the name of `root`, and an id is the corpus and the path.

    speaker: unknown, file, folder, channel or a pattern. labels_from: auto, folder or none. Both are explained above.
    Further options: those of `data.intake.Intake`; with `labels`, folder names are taken for labels.
    Errors: UserError for another choice, a rule that finds no speaker at all (it shows three paths), and a folder
    without audio that can be read.
    """
    if labels_from not in LABEL_SOURCES:
        raise unknown("choice of labels_from", labels_from, LABEL_SOURCES)
    speaker_rule(speaker)  # a mistake in it is told before a large folder is read
    folder = _Folder(root, intake, speaker, labels_from)
    yield from folder.utterances()
    intake.notes += folder.notes()


def plain_utterances(
    path: Path, *, corpus: str, speaker: str = "unknown", on_note: Callable[[str], None] | None = None
) -> Iterator[Utterance]:
    """The utterance of an audio file, of a `corpus`, or those of a folder as `scan` names them; without labels.

    No file is opened, and what cannot be read is among them. speaker: as of `scan`; "channel" is "file" here, and
    "one" is the same speaker in all. on_note: gets a line about subfolders that cannot be read.
    Errors: UserError for another rule, one that finds no speaker at all, and a folder without audio.
    """
    rule = "unknown" if speaker == "one" else speaker
    if path.is_dir():
        folder = _Folder(path, Intake(), rule, "auto")
        corpus, pairs = folder.corpus, list(zip(folder.recordings, folder.speakers))
        if folder.unreadable and on_note is not None:
            on_note(f"{path}: {_note('left out as unreadable:', folder.unreadable)}")
    else:
        inside = path.as_posix()
        recording = Recording(inside, tuple(inside.split("/")[:-1]))
        pairs = [(recording, speaker_rule(rule)(recording, 0))]
        if rule != "unknown" and not pairs[0][1]:
            raise UserError(f"{path}: speaker={speaker} finds no speaker in its path")
    for recording, name in pairs:
        name = "one" if speaker == "one" else name
        file = path / recording.inside if path.is_dir() else path
        yield Utterance(f"{corpus}/{recording.inside}" if path.is_dir() else str(path), corpus, str(file), speaker=name)


class _Folder:
    """One reading of a folder: what its names tell, and what comes up when its files are opened."""

    def __init__(self, root: Path, intake: Intake, speaker: str, labels_from: str) -> None:
        self.root, self.intake, self.speaker = root, intake, speaker
        self.unreadable: list[str] = []  # names with reasons
        files = [path.relative_to(root).as_posix() for path in visible_files(root, self._leave_out)]
        self.names = [name for name in files if is_audio(Path(name))]
        if not self.names:
            raise UserError(f"{root}: no audio file here or below. {OBTAIN}")
        self.others = [name for name in files if not is_audio(Path(name))]
        self.corpus = os.path.basename(os.path.abspath(root)) or "folder"
        self.recordings, self.split_note = with_splits(self.names)
        self.distance, self.label_note = label_distance(
            self.recordings,
            lambda name: folder_emotion(name, intake.labels, intake.language),
            "folder" if intake.labels and labels_from == "auto" else labels_from,
        )
        find_speaker = speaker_rule(speaker)
        self.speakers = [find_speaker(recording, self.distance) for recording in self.recordings]
        if speaker != "unknown" and not any(self.speakers):
            hint = "; a folder that names an emotion is no speaker" if self.distance and speaker == "folder" else ""
            raise UserError(f"{root}: speaker={speaker} finds no speaker in {listing(self.names)}{hint}")
        self.emotions: Counter[str] = Counter()
        self.stereo: list[str] = []

    def utterances(self) -> Iterator[Utterance]:
        """The utterances of all files that can be read."""
        for recording, speaker in zip(self.recordings, self.speakers):
            channels = self._channels(recording.inside)
            if not channels:
                continue
            if channels > 1:
                self.stereo.append(recording.inside)
            apart = channels > 1 and self.speaker == "channel"
            for channel in range(channels) if apart else (None,):
                for utterance in self._read(recording, speaker, channel):
                    self.emotions[utterance.emotion or "unlabelled"] += 1
                    yield utterance
        if not self.intake.rows:
            raise UserError(f"{self.root}: no audio file can be read; the first: {self.unreadable[0]}")

    def _leave_out(self, error: OSError) -> None:
        """Note a folder that cannot be read."""
        self.unreadable.append(f"{os.path.relpath(error.filename, self.root)}: {error.strerror}")

    def _channels(self, inside: str) -> int:
        """How many channels a file has; 0, with a note of the reason, for one that cannot be read."""
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in inside):  # no manifest can name it
            self.unreadable.append(f"{inside!a}: the name is no UTF-8 text, or holds control characters")
            return 0
        path = self.root / inside
        try:
            return channel_count(path)
        except AudioError as error:
            self.unreadable.append(str(error).replace(str(path), inside))
            return 0

    def _read(self, recording: Recording, speaker: str | None, channel: int | None) -> Iterator[Utterance]:
        mark = "" if channel is None else f"#{channel}"
        values = {
            "id": f"{self.corpus}/{recording.inside}{mark}",
            "path": recording.inside,
            "corpus": self.corpus,
            "speaker": speaker and speaker + mark,
            "emotion": recording.folder(self.distance),
            "split": recording.split,
            "channel": channel,
        }
        return self.intake.utterances(values, str(self.root / recording.inside), os.path.abspath(self.root))

    def notes(self) -> list[str]:
        """What was made of the names and the files, for a terminal."""
        emotions = ", ".join(f"{emotion} {number:,}" for emotion, number in sorted(self.emotions.items()))
        notes = [self.label_note or f"labels from folder names: {emotions}", self.split_note]
        if self.speaker != "unknown":
            nameless = [name for name, speaker in zip(self.names, self.speakers) if speaker is None]
            notes.append(_note(f"speaker={self.speaker} finds no speaker in", nameless))
        if self.speaker == "folder" and not self.distance:
            notes.append(_nested_note([speaker for speaker in self.speakers if speaker]))
        if self.speaker != "channel":
            notes.append(_note("channels mixed into one (--speaker channel keeps them apart):", self.stereo))
        notes.append(_note("left out as no audio:", self.others))
        notes.append(_note("left out as unreadable:", self.unreadable))
        return [note for note in notes if note]


def _note(text: str, names: Sequence[str]) -> str:
    return f"{text} {listing(names)}" if names else ""


def _nested_note(speakers: Sequence[str]) -> str:
    """A line where several folders of speakers lie in one folder, which may be the speaker; "" where none do."""
    inside: dict[str, str] = {}
    for speaker in speakers:
        above = speaker.rpartition("/")[0]
        if above and inside.setdefault(above, speaker) != speaker:
            return (
                f"each folder with recordings is a speaker, such as {inside[above]!r} and {speaker!r}; if both are "
                f"{above!r}: --speaker '{{speaker}}/{{}}/{{}}'"
            )
    return ""
