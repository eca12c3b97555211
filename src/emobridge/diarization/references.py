"""Reference timelines: what people marked in recordings, from the files that tools and corpora keep them in.

    RTTM          the emotion in the field of the speaker's name, as `diarize` writes it
    TextGrid, ELAN (.eaf), label tracks of Audacity (.txt)     of the recording that has the file's name
    ZED.json      of the Zaion Emotion Dataset
    Label Studio  an export, *.label-studio.json
    tables        CSV, TSV, Excel, JSON, JSON lines: rows of `diarize`, a manifest, or any with recording, start and end

A folder is all such files in it and below. The recordings need not be where the files name them: `find` matches them by
path, by as much of a path as the reference has, or by the bare name, and by channel.
"""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from emobridge.corpora import AUDIO_SUFFIXES
from emobridge.corpora.zed import marked_recordings
from emobridge.data.columns import TableOptions, table_values
from emobridge.data.encodings import read_text
from emobridge.data.intake import Intake
from emobridge.data.labels import UnknownLabel, to_emotion
from emobridge.data.tables import JSON_SUFFIXES, TABLE_SUFFIXES
from emobridge.data.tally import Tally
from emobridge.errors import UserError, nearest
from emobridge.formats import import_, read_stretches
from emobridge.scores.diarization import NEUTRAL
from emobridge.types import Segment, Utterance

WITHOUT_END = 1e9  # s: the end of a segment that lasts to the end of its recording, whichever that is
ANNOTATIONS = (".textgrid", ".eaf", ".txt")
FOLDER_SUFFIXES = (".rttm", *ANNOTATIONS)
CHANNEL_MARK = re.compile(r"(?:^|\s|\()channel (\d+)\)?$")  # as `diarize` writes it into tiers and labels
OVERLAP_ROUNDING = 0.001  # s; what overlaps by less is rounding


@dataclass(frozen=True, slots=True)
class Reference:
    """What a reference says of one channel of a recording, or of a recording of unknown channels."""

    recording: str  # a path, a part of one or a bare name, as the file has it
    segments: tuple[Segment, ...]  # in order of time; none where nothing is marked
    channel: int | None = None  # from 0; None where the file names none
    speaker: str | None = None
    where: str = ""  # the file that it is from


@dataclass(frozen=True, slots=True)
class References:
    """The references of a file or folder; `notes` says what was left out and what is odd about them."""

    path: str
    references: tuple[Reference, ...]
    notes: tuple[str, ...] = ()

    def find(self, recordings: Sequence[tuple[str, int | None]]) -> dict[tuple[str, int | None], Reference]:
        """The reference of each recording (path, channel) that has one.

        A reference without a channel is that of the only channel of its recording, and that of a channel is one of the
        recording's mix where the file marks no other channel of it.
        Errors: UserError where none has one, naming the nearest; where a reference may be of several recordings; and
        where a recording has several channels and its reference names none, or the other way round.
        """
        channels: defaultdict[str, list[int | None]] = defaultdict(list)
        for path, channel in dict.fromkeys(recordings):
            channels[path].append(channel)
        groups = self._by_recording()
        pairs: dict[tuple[str, int | None], Reference] = {}
        for path, name in self._names_of(list(channels), list(groups)).items():
            for reference, channel in _by_channel(groups[name], channels[path], self.path):
                pairs[path, channel] = reference
        if not pairs:
            raise self._no_match(list(channels))
        return pairs

    def _by_recording(self) -> dict[str, list[Reference]]:
        groups: dict[str, list[Reference]] = {}
        for reference in self.references:
            groups.setdefault(reference.recording, []).append(reference)
        return groups

    def _names_of(self, paths: Sequence[str], names: Sequence[str]) -> dict[str, str]:
        """The reference's name of each recording that has one: that with which it has the most folders in common."""
        by_parts: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)  # the last parts -> names that end so
        for name in names:
            parts = _parts(name)
            for depth in range(1, len(parts) + 1):
                by_parts[parts[:depth]].append(name)
        claims: defaultdict[str, dict[str, int]] = defaultdict(dict)  # name -> path -> what they have in common
        for path in paths:
            parts = _parts(path)
            depth = next((depth for depth in range(len(parts), 0, -1) if parts[:depth] in by_parts), 0)
            deepest = by_parts[parts[:depth]] if depth else []
            if len(deepest) > 1:
                raise UserError(f"{self.path}: {path} may be {deepest[0]} or {deepest[1]} of the reference")
            for name in deepest:
                claims[name][path] = depth
        pairs: dict[str, str] = {}
        for name, claimed in claims.items():
            first, *others = [path for path, depth in claimed.items() if depth == max(claimed.values())]
            if others:
                hint = "a reference that names folders tells them apart"
                raise UserError(f"{self.path}: {name} may be {first} or {others[0]}; {hint}")
            pairs[first] = name
        return pairs

    def _no_match(self, paths: Sequence[str]) -> UserError:
        names = sorted({_stem(reference.recording) for reference in self.references})
        stems = [_stem(path) for path in paths]
        guess = next((match for stem in stems if (match := nearest(stem, names, cutoff=0.6))), None)
        hint = f"; did you mean {guess}?" if guess else ""
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        given = ", ".join(stems[:3]) + (" ..." if len(stems) > 3 else "")
        return UserError(f"{self.path}: no reference for {given or 'any recording'}{hint} (it has {shown})")


@dataclass(slots=True)
class _Collected:
    """Marks on their way into references."""

    segments: dict[tuple[str, int | None], list[Segment]] = field(default_factory=dict)
    speakers: defaultdict[tuple[str, int | None], set[str | None]] = field(default_factory=lambda: defaultdict(set))
    unknown: Counter[str] = field(default_factory=Counter)
    unread: set[tuple[str, int | None]] = field(default_factory=set)  # those with a label that means no emotion
    tally: Tally = field(default_factory=Tally)
    where: dict[tuple[str, int | None], str] = field(default_factory=dict)

    def recording(self, name: str, channel: int | None, where: str, speaker: str | None = None) -> list[Segment]:
        """The segments of a recording so far, which begins to exist."""
        self.speakers[name, channel].add(speaker)
        self.where.setdefault((name, channel), where)
        return self.segments.setdefault((name, channel), [])

    def mark(self, name: str, channel: int | None, mark: tuple[float, float, str], where: str) -> None:
        """A stretch with a label, which is left out where no emotion is known for it. Errors: UserError for times."""
        start, end, label = mark
        segments = self.recording(name, channel, where)
        try:
            emotion = to_emotion(label)
        except UnknownLabel:
            self.unknown[label.strip()] += 1
            self.unread.add((name, channel))
            return
        if emotion is not None:
            segments.append(_segment(start, end, emotion, where))


def read_reference(path: str | Path, *, tier: str | None = None) -> References:
    """The references of a file, or of the files in a folder and below.

    tier: of TextGrids and .eaf files, those with the emotions, joined by commas; see `formats.read_stretches`.
    A row without an end lasts to the end of its recording. Labels that mean no emotion are left out, counted and named.
    Errors: UserError naming file and line for what cannot be read, and where there is no reference at all, or none of
    whose labels means an emotion, such as an RTTM of speakers.
    """
    path = Path(path)
    collected = _Collected()
    for file in _files(path):
        try:
            _read(file, file.relative_to(path).parent if path.is_dir() else Path(), collected, tier)
        except UserError:
            if not path.is_dir() or file.suffix.lower() != ".txt":  # of which a folder may hold any
                raise
            collected.tally.add("text files that are no label tracks, left out", str(file))
    if collected.unknown and not any(collected.segments.values()):  # otherwise all would be scored as neutral
        raise UserError(f"{path}: no label means an emotion ({_counted(collected.unknown)}); expected labels such as "
                        "anger, sadness or neutral")  # fmt: skip
    if not collected.segments:
        raise UserError(f"{path}: no references; expected stretches of recordings with an emotion each")
    references = []
    for (name, channel), segments in collected.segments.items():
        if not segments and (name, channel) in collected.unread:  # a table has no such recording either
            collected.tally.add("recordings of which no label means an emotion, left out", name)
            continue
        speakers = collected.speakers[name, channel] - {None}
        ordered = tuple(sorted(segments, key=lambda segment: (segment.start, segment.end, segment.emotion)))
        speaker = speakers.pop() if len(speakers) == 1 else None
        references.append(Reference(name, ordered, channel, speaker, collected.where[name, channel]))
    return References(str(path), tuple(references), tuple(_notes(collected, references)))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            raise UserError(f"{path}: no such file; expected a reference: RTTM, TextGrid, ZED.json, a table ...")
        return [path]
    if (path / "ZED.json").is_file():
        return [path / "ZED.json"]
    files = [file for file in path.rglob("*") if file.suffix.lower() in FOLDER_SUFFIXES and file.name[0] != "."]
    if not files:
        raise UserError(f"{path}: no references; expected files that end in {', '.join(FOLDER_SUFFIXES)}, or ZED.json")
    return sorted(files)


def _read(file: Path, folder: Path, collected: _Collected, tier: str | None) -> None:
    """Collect the marks of a file. folder: where it lies in what the user named, as its recording may elsewhere."""
    suffix = file.suffix.lower()
    if suffix == ".rttm":
        _read_rttm(file, collected)
    elif suffix in ANNOTATIONS:
        _read_annotations(file, folder, collected, tier)
    elif file.name.lower().endswith(".label-studio.json"):
        reading = import_("label-studio", file, others="drop")
        _read_rows(file, reading, reading.intake, collected)
    elif suffix == ".json" and _holds_object(file):
        for name, speaker, stretches in marked_recordings(file):
            collected.recording(name, None, str(file), speaker)
            for label, start, end in stretches:
                collected.mark(name, None, (start, end, label), f"{file}: {name}")
    elif suffix in TABLE_SUFFIXES | JSON_SUFFIXES:
        intake = Intake(others="drop")
        _read_rows(file, _table_rows(file, intake), intake, collected)
    else:
        known = sorted({*FOLDER_SUFFIXES, *TABLE_SUFFIXES, *JSON_SUFFIXES})
        guess = nearest(suffix, known)
        raise UserError(f"{file}: {suffix or 'no suffix'}: expected a reference that ends in {guess or '.rttm'}, or "
                        f"{', '.join(known)}")  # fmt: skip


def _read_rttm(file: Path, collected: _Collected) -> None:
    """Lines SPEAKER file channel start duration <NA> <NA> emotion ...; channels count from 1, others are left out."""
    lines = []
    for number, line in enumerate(read_text(file).split("\n"), 1):
        where, fields = f"{file}:{number}", line.split()
        if not fields or line.startswith(";;"):
            continue
        if fields[0] != "SPEAKER":
            collected.tally.add(f"lines of the type {fields[0][:40]}, left out", where)
            continue
        if len(fields) < 8:
            raise UserError(f"{where}: {len(fields)} fields; expected ten: SPEAKER file channel start duration ...")
        start, seconds = (_seconds(text, where) for text in fields[3:5])
        if not fields[2].isdecimal() or int(fields[2]) < 1:
            raise UserError(f"{where}: the channel is {fields[2][:40]!r}; expected a number from 1")
        lines.append((fields[1], int(fields[2]), (start, start + seconds, fields[7].replace("_", " ")), where))
    several = {name for name, channel, _, _ in lines if channel > 1}
    for name, channel, mark, where in lines:
        collected.mark(name, channel - 1 if name in several else None, mark, where)


def _read_annotations(file: Path, folder: Path, collected: _Collected, tier: str | None) -> None:
    recording, stretches = read_stretches(file, collected.tally, tier)
    recording = (folder / recording).as_posix()
    if not stretches:
        collected.recording(recording, None, str(file))
    for stretch in stretches:
        match = CHANNEL_MARK.search(stretch.tier.partition("@")[2]) or CHANNEL_MARK.search(stretch.label)
        channel = int(match[1]) if match else None
        label = CHANNEL_MARK.sub("", stretch.label).strip()
        collected.mark(recording, channel, (stretch.start, stretch.end, label), stretch.where)
        if stretch.speaker and not match:
            collected.speakers[recording, channel].add(stretch.speaker)


def _table_rows(file: Path, intake: Intake) -> Iterator[Utterance]:
    """The rows of a table; their ids may repeat, as those of `diarize` do, which are of the recording."""
    for where, values in table_values(file, TableOptions(), intake):
        yield from intake.utterances({**values, "id": where, "corpus": file.stem}, where, os.path.abspath(file.parent))


def _read_rows(file: Path, rows: Iterable[Utterance], intake: Intake, collected: _Collected) -> None:
    for row in rows:
        segments = collected.recording(row.path, row.channel, str(file), row.speaker)
        if row.emotion is not None:
            end = WITHOUT_END if row.end is None else row.end
            segments.append(_segment(row.start, end, row.emotion, row.id))
    for label, count in intake.unknown_labels.items():
        collected.unknown[label] += count


def _holds_object(file: Path) -> bool:
    """Whether a JSON file holds an object, as ZED.json, and not a list of rows."""
    return read_text(file).lstrip("\ufeff \t\r\n").startswith("{")


def _seconds(text: str, where: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise UserError(f"{where}: {text[:40]!r} is no time; expected seconds")
    return seconds


def _segment(start: float, end: float, emotion: str, where: str) -> Segment:
    try:
        return Segment(start, end, emotion)
    except ValueError:
        raise UserError(
            f"{where}: {emotion} from {start:g} to {end:g} s; expected a start before its end, from 0"
        ) from None


def _notes(collected: _Collected, references: Sequence[Reference]) -> Iterator[str]:
    yield from collected.tally.lines()
    if collected.unknown:
        names = _counted(collected.unknown)
        yield f"segments of the reference with labels that mean no emotion, left out: {names}"
    overlapping = [reference for reference in references if _overlaps(reference.segments)]
    if overlapping:
        yield (
            f"the reference overlaps in {len(overlapping):,} of {len(references):,} recordings (the first: "
            f"{overlapping[0].recording}): several emotions at once"
        )


def _counted(labels: Counter[str]) -> str:
    """The most frequent labels with their counts."""
    names = ", ".join(f"{label!r} ({count:,})" for label, count in labels.most_common(10))
    return names + (f" and {len(labels) - 10:,} more" if len(labels) > 10 else "")


def _overlaps(segments: Sequence[Segment]) -> bool:
    """Whether two emotions, of which neutral is none, are marked at once; segments are in order of their start."""
    ends: dict[str, float] = {}
    for segment in segments:
        if segment.emotion == NEUTRAL:
            continue
        if any(end > segment.start + OVERLAP_ROUNDING for emotion, end in ends.items() if emotion != segment.emotion):
            return True
        ends[segment.emotion] = max(segment.end, ends.get(segment.emotion, 0.0))
    return False


def _by_channel(
    group: Sequence[Reference], channels: Sequence[int | None], path: str
) -> Iterator[tuple[Reference, int | None]]:
    """The references of a recording with the channels that they are of."""
    by_channel = {reference.channel: reference for reference in group}
    for channel in channels:
        if channel in by_channel:
            yield by_channel[channel], channel
        elif len(channels) == 1 and len(group) == 1 and (channel is None or group[0].channel is None):
            yield group[0], channel
    if len(channels) > 1 and None in by_channel and None not in channels:
        names = ", ".join(map(str, sorted(channel for channel in channels if channel is not None)))
        raise UserError(
            f"{path}: {group[0].recording} has the channels {names}, and its reference names none: answer the one that "
            f"it is of alone (such as --channels {channels[0]}), or their mean (--channels mix)"
        )
    if list(channels) == [None] and len(group) > 1:
        raise UserError(f"{path}: {group[0].recording} is marked by channel; answer each channel by itself")


def _stem(path: str) -> str:
    """The name of a recording without folders and the suffix of audio; other suffixes are part of the name."""
    name = PurePath(path.replace("\\", "/"))
    return _plain(name.stem if name.suffix.lower() in AUDIO_SUFFIXES else name.name)


def _parts(path: str) -> tuple[str, ...]:
    """The bare name and the folders of a path, the last first."""
    return (_stem(path), *map(_plain, reversed(PurePath(path.replace("\\", "/")).parts[:-1])))


def _plain(name: str) -> str:
    """A name as it is compared: RTTM has _ for spaces, and systems differ in how they write an accent."""
    return re.sub(r"\s+", "_", unicodedata.normalize("NFC", name))
