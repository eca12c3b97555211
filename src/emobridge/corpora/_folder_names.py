"""What the names in a folder of recordings tell: splits, labels and speakers. `folder.py` states the rules."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

from emobridge.data.columns import SPLIT_WORDS
from emobridge.data.labels import UnknownLabel, to_emotion
from emobridge.data.manifest import SPLITS
from emobridge.errors import UserError, nearest

SPEAKER_RULES = ("unknown", "file", "folder", "channel")
# Emotion words that are names of people too.
NAMES_OF_PEOPLE = frozenset({"joy", "ira", "gioia", "felice", "alegria", "alegría", "felicidad"})
SPLIT_NAMES = {**{split: split for split in SPLITS}, **SPLIT_WORDS, "training": "train", "testing": "test"}
EVALUATION = frozenset({"eval", "evaluation"})  # validation beside a folder of tests, else the tests
SHOWN = 3  # names in a note

Known = Callable[[str], bool]  # whether the name of a folder is a label


@dataclass(frozen=True, slots=True)
class Recording:
    """An audio file, and the folders that it lies in."""

    inside: str  # the path within the folder of all, with "/"
    folders: tuple[str, ...]  # of `inside`, without a folder that is a split
    split: str | None = None

    @property
    def stem(self) -> str:
        """The path without its suffix."""
        return os.path.splitext(self.inside)[0]

    def folder(self, distance: int) -> str | None:
        """The folder at a distance from the file: 1 holds it, 2 holds that; None where there is none."""
        return self.folders[-distance] if 0 < distance <= len(self.folders) else None


SpeakerOf = Callable[[Recording, int], "str | None"]  # of a recording, and the distance of the folder of its label


def listing(names: Sequence[str]) -> str:
    """The number of files and their names, the first few of many.

    >>> listing(["a.wav"]), listing(["a", "b", "c", "d"])
    ('1 file (a.wav)', '4 files (a, b, c and 1 more)')
    """
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    shown = (name if name.isprintable() else ascii(name) for name in names[:SHOWN])
    return f"{len(names):,} file{'s' * (len(names) != 1)} ({', '.join(shown)}{more})"


def with_splits(names: Sequence[str]) -> tuple[list[Recording], str]:
    """The recordings of paths with their splits, and a note on these.

    Folders are splits where each path lies in one, and not all in the same.
    """
    recordings = [Recording(name, tuple(name.split("/")[:-1])) for name in names]
    folded = {folder.casefold() for recording in recordings for folder in recording.folders}
    splits = SPLIT_NAMES | dict.fromkeys(EVALUATION, "validation" if folded & {"test", "testing"} else "test")
    split_of = {recording.inside: _split(recording, splits) for recording in recordings}
    counts = Counter(split for split in split_of.values() if split)
    if not counts:
        return recordings, ""
    if counts.total() < len(recordings) or len(counts) < 2:
        outside = next((name for name, split in split_of.items() if not split), None)
        why = f"{outside} lies in none" if outside else "all audio lies in the same"
        return recordings, f"no splits: folders are named like {_counted(counts)}, but {why}"
    parted = [_parted(recording, splits) for recording in recordings]
    return parted, f"splits from folder names: {_counted(counts)}"


def label_distance(recordings: Sequence[Recording], known: Known, labels_from: str) -> tuple[int, str]:
    """At which distance from the files the folders are that name their emotions, 0 for none; and a note if it is 0.

    known: whether a word is an emotion word, or one that the user explained.
    """
    if labels_from == "none":
        return 0, "unlabelled, as labels_from=none asks"
    at = next((distance for distance in count(1) if _ends(recordings, known, distance)), 1)
    all_known = _all_known(recordings, known, at)
    if labels_from == "folder":
        return (at if all_known else 1), ""
    if all_known and at == 1 and _is_plain({recording.folder(1) or "" for recording in recordings}):
        return 1, ""
    return 0, _why_unlabelled(recordings, known, at if all_known else 1)


def speaker_rule(text: str) -> SpeakerOf:
    """The function that finds the speaker of a recording as the option `speaker` says, None where it finds none.

    Errors: UserError for what is neither a rule nor a pattern with {speaker}.
    """
    if text in SPEAKER_RULES:
        return {"folder": _speaker_folder, "unknown": lambda *_: None}.get(text, lambda recording, _: recording.stem)
    parts = re.split(r"(\{[^{}]*\})", text.strip("/"))
    for part in parts:
        if part.startswith("{") and part not in ("{speaker}", "{}"):
            raise UserError(f"speaker: {text!r} has {part}; expected {{speaker}} once, and {{}} for anything else")
    if parts.count("{speaker}") != 1:
        guess = nearest(text, SPEAKER_RULES) or "folder"
        raise UserError(
            f"speaker: {text!r} is no rule: did you mean {guess!r}? (one of {', '.join(SPEAKER_RULES)}, or a pattern "
            "with {speaker} once, such as '{speaker}_{}')"
        )
    fields = {"{speaker}": "(?P<speaker>[^/]+?)", "{}": "[^/]*?"}
    pattern = re.compile("(?:.*/)?" + "".join(fields.get(part, re.escape(part)) for part in parts), re.DOTALL)

    def find(recording: Recording, _: int) -> str | None:
        match = pattern.fullmatch(recording.stem)
        return match["speaker"] if match else None

    return find


def is_label(word: str, labels: dict[str, str]) -> bool:
    """Whether a word is an emotion word, "unlabelled" or the like, or a key of `labels`."""
    try:
        to_emotion(word, labels)
    except UnknownLabel:
        return False
    return True


def _speaker_folder(recording: Recording, distance: int) -> str | None:
    """The folders of a recording without that of its label; None where none is left."""
    folders = list(recording.folders)
    if distance:
        del folders[-distance : len(folders) - distance + 1]
    return "/".join(folders) or None


def _split(recording: Recording, splits: dict[str, str]) -> str | None:
    return next((splits[name.casefold()] for name in recording.folders if name.casefold() in splits), None)


def _parted(recording: Recording, splits: dict[str, str]) -> Recording:
    """The recording with its split, whose folder is none of its folders any more."""
    first = next(index for index, name in enumerate(recording.folders) if name.casefold() in splits)
    folders = recording.folders[:first] + recording.folders[first + 1 :]
    return replace(recording, folders=folders, split=_split(recording, splits))


def _ends(recordings: Sequence[Recording], known: Known, distance: int) -> bool:
    """Whether the search for a distance ends: all folders there are labels, or some file has no folder there."""
    return _all_known(recordings, known, distance) or any(len(row.folders) < distance for row in recordings)


def _all_known(recordings: Sequence[Recording], known: Known, distance: int) -> bool:
    names = {recording.folder(distance) for recording in recordings}
    return all(name is not None and known(name) for name in names)


def _is_plain(names: set[str]) -> bool:
    """Whether names are surely meant for emotions: two or more beside "other", not by names of people alone."""
    emotions = {to_emotion(name) for name in names} - {None, "other"}
    return len(emotions) > 1 and any(
        to_emotion(name) in emotions and name.casefold() not in NAMES_OF_PEOPLE for name in names
    )


def _why_unlabelled(recordings: Sequence[Recording], known: Known, distance: int) -> str:
    """Why folder names are not taken for labels, and how to have it; short where none is like a label."""
    names = Counter(recording.folder(distance) for recording in recordings)
    alike = Counter({name: number for name, number in names.items() if name is not None and known(name)})
    if not alike:
        return "unlabelled: no folder is named like an emotion"
    others = [f"{name!r}" if name else "files in no folder" for name in names if name not in alike]
    if others:
        why = f"but not {', '.join(others[:SHOWN])}{' and others' if len(others) > SHOWN else ''}"
    elif distance > 1:
        why = "but it is not they that hold the files"
    else:
        why = "but that may be by chance, with so few emotions or with names of people"
    return (
        f"unlabelled: folders are named like emotions ({_counted(alike)}), {why}; "
        "--option labels_from=folder takes folder names for labels"
    )


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items()))
