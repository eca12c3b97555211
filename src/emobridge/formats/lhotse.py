"""The manifests of Lhotse (https://lhotse.readthedocs.io): cuts, or supervisions with their recordings, as JSON lines.

    {"id": "c1", "start": 0.5, "duration": 1.5, "channel": 0, "type": "MonoCut", "recording": {"id": "r1", "sources":
     [{"type": "file", "channels": [0], "source": "wav/r1.wav"}], "sampling_rate": 16000, "num_samples": 64000,
     "duration": 4.0}, "supervisions": [{"id": "c1", "recording_id": "r1", "start": 0, "duration": 1.5, "channel": 0,
     "speaker": "s1", "language": "English", "text": "hello", "custom": {"emotion": "anger"}}]}

Files may end in .gz. Times are in seconds, those of a supervision within a cut from the start of the cut. A supervision
is an utterance; a cut without any is one without a label. The emotion and the fields that Lhotse does not know are in
`custom`. A recording that a command makes is not read, as that would run the command; nor is one with transforms, whose
audio is not that of the file, nor a mixture of cuts.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emobridge.data.audio import END_TOLERANCE, channel_count, header
from emobridge.data.intake import Intake
from emobridge.data.manifest import PATHS, within
from emobridge.data.tally import Tally
from emobridge.errors import UserError
from emobridge.files import whole_file
from emobridge.formats._segments import check_end
from emobridge.formats._shared import (
    entry,
    filled,
    further_fields,
    json_objects,
    label_in,
    list_in,
    number_in,
    object_in,
    shown,
    split_named,
    text_in,
    value_of,
)
from emobridge.types import Utterance

LOSES: tuple[str, ...] = ()
CUT_SUFFIXES = (".jsonl", ".jsonl.gz")
OWN_FIELDS = ("text", "language", "speaker", "gender")  # of a supervision; others are in its custom
DIGITS = 9  # of seconds, as Lhotse rounds sums of times


def read(path: Path, *, intake: Intake, recordings: str | None = None, emotion: str = "emotion") -> Iterator[Utterance]:
    """The utterances of a file of cuts or of supervisions, or of all such files in a folder.

    recordings: the file of the recordings of supervisions; by default the one whose name has "recordings" where theirs
    has "supervisions". emotion: the key of `custom` that holds the emotion, or "text". Further options: those of
    `data.intake.Intake`; the default corpus is the name of the folder.
    Errors: UserError naming `file:line` for what is no cut and no supervision, for one whose recording is not known or
    is made by a command, and for times outside the recording.
    """
    tally = Tally()
    for file in _files(path):
        sources = _Recordings(file, recordings)
        folder = os.path.abspath(file.parent)
        for where, item in json_objects(file):
            for supervision, recording in _supervisions(item, sources, where, tally):
                values = _values(supervision, recording, emotion, where, tally)
                values["corpus"] = values.get("corpus") or os.path.basename(folder)
                values["split"] = values.get("split") or split_named(*reversed(_name_parts(file)))
                yield from intake.utterances(values, where, folder)
    if not intake.rows:
        raise UserError(f"{path}: no cuts or supervisions")
    intake.notes += tally.lines()


def write(path: Path, utterances: Sequence[Utterance]) -> Path:
    """Write cuts to `path`, which ends in .jsonl or .jsonl.gz, and return it.

    Lengths are read from the headers of the audio files. Paths are relative to the folder of `path`.
    Errors: UserError for audio that cannot be opened, and for a channel that it does not have.
    """
    if not path.name.endswith(CUT_SUFFIXES):
        raise UserError(f"{path}: expected a file that ends in {' or '.join(CUT_SUFFIXES)}")
    fields = [field for field in filled(utterances) if field not in ("id", "path", "start", "end", "channel")]
    folder = os.path.abspath(path.parent)
    lines = (json.dumps(_cut(utterance, fields, folder), ensure_ascii=False) + "\n" for utterance in utterances)
    with whole_file(path) as temporary:
        is_packed = path.suffix == ".gz"
        with gzip.open(temporary, "wb") if is_packed else temporary.open("wb") as file:
            for line in lines:
                try:
                    file.write(line.encode())
                except UnicodeEncodeError as error:
                    raise UserError(f"{path}: a name that is not UTF-8 text: {line[:80]!a}") from error
    return path


def _name_parts(file: Path) -> list[str]:
    """The parts of a file's name, such as those of "cuts_train.jsonl.gz"."""
    return file.name.replace("-", "_").replace(".", "_").split("_")


def _files(path: Path) -> list[Path]:
    """The manifest `path`, or those of the folder `path`: cuts where there are any, else supervisions."""
    if not path.is_dir():
        return [path]
    for kind in ("cuts", "supervisions"):
        files = sorted(
            file for file in path.iterdir() if file.name.endswith(CUT_SUFFIXES) and kind in _name_parts(file)
        )
        if files:
            return files
    raise UserError(f"{path}: neither cuts nor supervisions, such as cuts_train.jsonl.gz")


class _Recordings:
    """The recordings of a file of supervisions, read when the first is asked for."""

    def __init__(self, file: Path, recordings: str | None) -> None:
        self._file = Path(recordings) if recordings else file.with_name(file.name.replace("supervisions", "recordings"))
        self._supervisions = file
        self._items: dict[str, dict[str, Any]] | None = None

    def find(self, name: str, where: str) -> dict[str, Any]:
        """The recording of that name. Errors: UserError where it or the file is missing."""
        if self._items is None:
            if self._file == self._supervisions or not self._file.is_file():
                raise UserError(f"{where}: the recording {name!r} is in another file; name it with recordings=...")
            self._items = {label_in(item, "id", at) or "": item for at, item in json_objects(self._file)}
        if name not in self._items:
            raise UserError(f"{where}: {self._file} has no recording {name!r}")
        return self._items[name]


def _supervisions(
    item: dict[str, Any], sources: _Recordings, where: str, tally: Tally
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each supervision of a line, its times those of the recording, and that recording."""
    kind = text_in(item, "type", where)
    if kind in ("MixedCut", "PaddingCut") or "tracks" in item:
        tally.add("mixtures of cuts and padding, left out", where)
        return
    is_cut = "supervisions" in item or "recording" in item
    name = label_in(item, "recording_id", where)
    if not is_cut and name is None:
        raise UserError(f"{where}: neither a cut nor a supervision (there are {', '.join(item)})")
    recording = object_in(item, "recording", where) if is_cut else sources.find(name or "", where)
    if is_cut and not recording:
        raise UserError(f"{where}: a cut without its recording; expected one that refers to audio")
    if list_in(recording, "transforms", where):
        tally.add("recordings with transforms, whose audio is not that of their file, left out", where)
        return
    if not is_cut:
        yield item, recording
        return
    cut = {key: item.get(key) for key in ("id", "start", "duration", "channel", "custom")}
    parts = [entry(part, where) for part in list_in(item, "supervisions", where)]
    if not parts:
        yield cut, recording
    for part in parts:
        start = (number_in(item, "start", where) or 0.0) + (number_in(part, "start", where) or 0.0)
        custom = object_in(item, "custom", where) | object_in(part, "custom", where)
        yield cut | part | {"start": round(start, DIGITS), "custom": custom}, recording


def _values(
    item: Mapping[str, Any], recording: Mapping[str, Any], emotion: str, where: str, tally: Tally
) -> dict[str, Any]:
    """The raw values of a supervision or cut whose times are those of its recording."""
    custom = object_in(item, "custom", where)
    values = further_fields(custom, ("start", "end", "channel", emotion), where, tally)
    values |= {field: text for field in OWN_FIELDS if (text := label_in(item, field, where)) is not None}
    values["id"] = label_in(item, "id", where)
    values["emotion"] = values.pop("text", None) if emotion == "text" else label_in(custom, emotion, where)
    start, duration = number_in(item, "start", where) or 0.0, number_in(item, "duration", where)
    seconds = number_in(recording, "duration", where)
    end = None if duration is None else round(start + duration, DIGITS)
    is_whole = start == 0 and end is not None and seconds is not None and abs(end - seconds) < END_TOLERANCE
    values |= _source(recording, item.get("channel"), where)
    check_end(end, str(values["path"]), seconds, where)
    return values | {"start": start, "end": None if is_whole else end}


def _source(recording: Mapping[str, Any], channel: Any, where: str) -> dict[str, Any]:
    """The file of a recording and the channel in it; None where all channels of the file are meant."""
    sources = [entry(source, where, "source") for source in list_in(recording, "sources", where)]
    numbers = _channels(channel if isinstance(channel, list) else [] if channel is None else [channel], where)
    of_source = [_channels(list_in(source, "channels", where), where) for source in sources]
    number = next((number for number, members in enumerate(of_source) if set(members) & set(numbers)), 0)
    if not sources:
        raise UserError(f"{where}: a recording without sources; expected the file of its audio")
    source, members = sources[number], of_source[number]
    kind = text_in(source, "type", where)
    if kind != "file":
        hint = ", which is not run" if kind == "command" else ""
        raise UserError(f"{where}: a recording of the type {kind!r}{hint}; expected 'file': save the audio as files")
    whole = not members or (set(numbers or members) == set(members) and (numbers or len(sources) == 1))
    if not whole and (len(numbers) != 1 or numbers[0] not in members):
        raise UserError(f"{where}: 'channel' is {channel}; expected one channel, or all those of one file")
    return {"path": text_in(source, "source", where), "channel": None if whole else members.index(numbers[0])}


def _channels(values: list[Any], where: str) -> list[int]:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int):
            raise UserError(f"{where}: a channel is {shown(value)}; expected a whole number")
    return values


def _cut(utterance: Utterance, fields: Sequence[str], folder: str) -> dict[str, Any]:
    """An utterance as a cut with one supervision."""
    frames, rate = header(utterance.path)
    seconds, channels = frames / rate, list(range(channel_count(utterance.path)))
    end = seconds if utterance.end is None else utterance.end
    channel: int | list[int] = channels if utterance.channel is None else utterance.channel
    if utterance.channel not in (None, *channels):
        raise UserError(f"{utterance.id!r}: {utterance.path} has no channel {channel} (it has {len(channels)})")
    if channels == [0]:
        channel = 0
    stretch = {"duration": round(end - utterance.start, DIGITS), "channel": channel}
    values = {field: value for field in fields if (value := value_of(utterance, field)) is not None}
    values |= {field: within(values[field], folder) for field in PATHS if field in values}
    path = within(utterance.path, folder)
    supervision = {"id": utterance.id, "recording_id": path, "start": 0.0} | stretch
    supervision |= {field: values.pop(field) for field in OWN_FIELDS if field in values}
    recording = {
        "id": path,
        "sources": [{"type": "file", "channels": channels, "source": path}],
        "sampling_rate": rate,
        "num_samples": frames,
        "duration": seconds,
        "channel_ids": channels,
    }
    cut = {"id": utterance.id, "start": utterance.start} | stretch
    cut |= {"supervisions": [supervision | {"custom": values}], "recording": recording}
    return cut | {"type": "MultiCut" if isinstance(channel, list) else "MonoCut"}
