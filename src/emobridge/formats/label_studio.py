"""The exports of Label Studio (https://labelstud.io/guide/export): JSON, JSON-MIN and CSV.

    [{"id": 1, "data": {"audio": "/data/upload/1/ab12cd34-clip1.wav"}, "annotations": [{"completed_by": 7, "result":
      [{"id": "x", "from_name": "emotion", "type": "labels", "value": {"start": 0.5, "end": 2.0, "labels": ["Anger"]}},
       {"from_name": "mood", "type": "choices", "value": {"choices": ["Calm"]}}]}]}]                          JSON
    [{"audio": "/data/upload/1/ab12cd34-clip1.wav", "id": 1, "annotator": 7, "emotion": "Anger"}]             JSON-MIN
    audio,id,annotator,emotion                                                                                CSV

A choice holds for a whole clip, a label with start and end (s) for a region. The fields of a task's data that are named
as those of `Utterance` are read. Label Studio puts eight characters before the names of uploaded files, and names files
that it serves by `/data/local-files/?d=PATH`: both are looked for in the folder `root`, with and without those
characters. `write` makes tasks to be imported, with the labels as annotations; the fields are in each task's data.
"""

from __future__ import annotations

import bisect
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from emobridge.data.audio import duration
from emobridge.data.intake import Intake
from emobridge.data.manifest import PATHS, within
from emobridge.data.tally import Tally
from emobridge.errors import UserError, unknown
from emobridge.formats._label_studio import ClipTask, Region, Stretch, is_address, read_tasks
from emobridge.formats._segments import EMOTION, check_end, first_present, length, segment_id
from emobridge.formats._shared import (
    entry,
    filled,
    further_fields,
    json_list,
    split_named,
    text_in,
    value_of,
    write_texts,
)
from emobridge.types import Utterance

LOSES: tuple[str, ...] = ()
POLICIES = ("first", "majority")
UPLOAD = re.compile(r"[0-9a-f]{4,8}-(?=.)")  # what Label Studio puts before the name of an uploaded file
SERVED = "/data/local-files/?d="
OVERLAP = 0.5  # share of the time of two regions together that they must have in common to be the same


def read(
    path: Path, *, intake: Intake, annotators: str = "first", emotion: str | None = None, audio: str | None = None
) -> Iterator[Utterance]:
    """The utterances of an export: a clip that was chosen for, or each labelled region of one.

    annotators: whose label counts where several annotated a clip: "first" is the first of them, "majority" the label
    that most chose (none where that is a tie), any other text the annotator of that number or address. emotion: the
    control with the emotions; by default the one with "emo" in its name, or the only one. audio: the key of the data
    that names the recording. Further options: those of `data.intake.Intake`; the default corpus is the name of the
    file, the default `root` its folder.
    Errors: UserError naming `file: task` for what is no export, an unknown control or annotator, and regions outside
    the recording.
    """
    tally = Tally()
    tasks = list(read_tasks(path, tally))
    control = _control(tasks, emotion, path)
    people = dict.fromkeys(annotator for task in tasks for annotator, _ in task.regions if annotator)
    if annotators not in (*POLICIES, *people):
        raise unknown("choice of annotators", annotators, (*POLICIES, *people))
    folder = os.path.abspath(intake.root or path.parent)
    for task in tasks:
        common = _common(task, audio, control, folder, tally)
        common["corpus"] = common.get("corpus") or path.name.partition(".")[0]
        answers = _answers(task, control, annotators, tally)
        for region, label in answers:
            values = common | _region_values(region, common, len(answers) == 1, folder, task.where)
            yield from intake.utterances(values | {"emotion": label}, task.where, folder)
    if not intake.rows:
        raise UserError(f"{path}: no tasks")
    intake.notes += tally.lines()


def write(path: Path, utterances: Sequence[Utterance], *, document_root: str | None = None) -> Path:
    """Write tasks to import into Label Studio to `path`, which ends in .json, and return it.

    document_root: the folder that Label Studio serves (its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT), by default that of
    `path`. Labels are annotations of a control "emotion" of the object "audio": choices, or labels of regions where one
    utterance is a stretch; the lengths of whole files are then read from their headers.
    Errors: UserError for audio outside `document_root`.
    """
    if path.suffix.lower() != ".json":
        raise UserError(f"{path}: expected a file that ends in .json")
    folder, root = os.path.abspath(path.parent), os.path.abspath(document_root or path.parent)
    fields = [field for field in filled(utterances) if field not in ("path", "emotion")]
    in_regions = any(row.emotion and (row.start or row.end is not None) for row in utterances)
    tasks = (_written_task(row, fields, folder, root, in_regions) for row in utterances)
    write_texts(path, json_list(tasks))
    return path


def _control(tasks: Sequence[ClipTask], emotion: str | None, path: Path) -> str:
    """The control that holds the emotions. Errors: UserError naming the controls where that is not clear."""
    names: dict[str, None] = {}
    for task in tasks:
        for _, regions in task.regions:
            for region in regions:
                names.update(dict.fromkeys(name for name, texts in region.values.items() if not is_address(texts[0])))
    if emotion is not None:
        if emotion not in names:
            raise UserError(f"{path}: {unknown('control', emotion, names)}")
        return emotion
    if "emotion" in names or not names:
        return "emotion"
    likely = [name for name in names if EMOTION in name.casefold()] or list(names)
    if len(likely) > 1:
        raise UserError(f"{path}: which control holds the emotions? Name it with emotion=... ({', '.join(names)})")
    return likely[0]


def _answers(task: ClipTask, control: str, annotators: str, tally: Tally) -> list[tuple[Region, str | None]]:
    """The regions of a task that an annotator labelled, each with the label that counts.

    Regions of further annotators vote for those of the first that they have most in common with.
    """
    opinions: list[list[Region]] = []
    for annotator, regions in task.regions:
        if annotators in (*POLICIES, annotator):
            opinions.append([region for region in regions if control in region.values])
            for region in regions:
                if region.stretch and control not in region.values:
                    tally.add("regions without a label, left out", task.where)
    first, *further = sorted(opinions, key=lambda regions: not regions) or [[]]
    first = sorted(first, key=lambda region: region.stretch or (-1.0, -1.0))
    starts = [region.stretch[0] if region.stretch else -1.0 for region in first]
    votes = [[_label(region, control, tally, task.where)] for region in first]
    for regions in further:
        for region in regions:
            number = _twin(region, first, starts)
            if number is None:
                tally.add("regions of further annotators that are none of the first's, left out", task.where)
            else:
                votes[number].append(_label(region, control, tally, task.where))
    if not first:
        return [(Region(None), None)]
    return [
        (region, _decide(labels, annotators, tally, task.where)) for region, labels in zip(first, votes, strict=True)
    ]


def _twin(region: Region, regions: Sequence[Region], starts: Sequence[float]) -> int | None:
    """The number of the region that has most in common with another annotator's; None where that is less than half.

    starts: of the regions, in ascending order; -1 where one is the whole clip.
    """
    if region.stretch is None:
        return 0 if starts and starts[0] == -1.0 else None
    start, end = region.stretch
    near = range(bisect.bisect_left(starts, start - (end - start)), bisect.bisect_right(starts, end))
    shares = {number: _share(region.stretch, other) for number in near if (other := regions[number].stretch)}
    best = max(shares, key=shares.__getitem__, default=None)
    return best if best is not None and shares[best] >= OVERLAP else None


def _share(region: Stretch, other: Stretch) -> float:
    """The time that two stretches have in common, as a share of the time that they cover together."""
    common = min(region[1], other[1]) - max(region[0], other[0])
    together = max(region[1], other[1]) - min(region[0], other[0])
    return common / together if together > 0 else 0.0


def _label(region: Region, control: str, tally: Tally, where: str) -> str | None:
    """The label of a region; None where an annotator chose several at once."""
    labels = set(region.values[control])
    if len(labels) > 1:
        tally.add("several labels at once, taken for none", where)
        return None
    return str(labels.pop())


def _decide(labels: Sequence[str | None], annotators: str, tally: Tally, where: str) -> str | None:
    """The label that counts among those of the annotators of one region."""
    counts = Counter(label for label in labels if label is not None).most_common()
    if len(counts) > 1:
        tally.add(f"labels on which annotators disagree ({annotators} counts)", where)
    if annotators != "majority":
        return labels[0]
    if len(counts) > 1 and counts[0][1] == counts[1][1]:
        tally.add("ties between labels, taken for none", where)
        return None
    return counts[0][0] if counts else None


def _common(task: ClipTask, audio: str | None, control: str, folder: str, tally: Tally) -> dict[str, Any]:
    """What holds for the whole task: the recording, and the fields of its data."""
    key = audio or _audio_key(task.data, task.where)
    address = text_in(entry(task.data, task.where, key), key, task.where) or ""
    values = further_fields(task.data, (key, control, "path"), task.where, tally)
    values["split"] = split_named(values.get("split") or "") or values.get("split")
    path = text_in(task.data, "path", task.where) if audio is None else None
    return values | {"path": path or _recording(address, folder)}


def _audio_key(data: Mapping[str, Any], where: str) -> str:
    """The key of the recording among a task's data."""
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    if "audio" in texts:
        return "audio"
    for key, value in texts.items():
        if is_address(value):
            return key
    raise UserError(f"{where}: no recording in its data ({', '.join(data)}); name the key with audio=...")


def _recording(address: str, folder: str) -> str:
    """The file that an address of Label Studio means: the first of its forms that is in `folder`, or the likeliest."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    served = parse_qs(parts.query).get("d")
    if served:
        return first_present(folder, served[0], os.path.basename(served[0]))
    path = unquote(parts.path)
    name = os.path.basename(path)
    bare = UPLOAD.sub("", name, count=1) if UPLOAD.match(name) else name
    if not parts.scheme and not path.startswith("/data/"):
        return first_present(folder, path, name, bare)
    likely = bare if len(name) - len(bare) == 9 else name  # eight characters and a hyphen
    present = first_present(folder, path.removeprefix("/data/").lstrip("/"), name, bare)
    return present if os.path.isfile(os.path.join(folder, present)) else likely


def _region_values(region: Region, common: Mapping[str, Any], is_only: bool, folder: str, where: str) -> dict[str, Any]:
    """The id and the times of a region, and what its controls say beside the emotion."""
    values: dict[str, Any] = {}
    for column in ("speaker", "text", "language", "gender"):
        texts = region.values.get(column)
        if texts and not common.get(column):
            values[column] = " ".join(texts)
    start, end = region.stretch or (common.get("start") or 0.0, common.get("end"))
    seconds = length(os.path.join(folder, common["path"]))
    check_end(end, common["path"], seconds, where)
    if start == 0 and end is not None and seconds is not None and abs(end - seconds) < 1e-6:
        end = None
    stem = common.get("id") or os.path.splitext(common["path"])[0]
    is_stretch = region.stretch is not None and not (common.get("id") and is_only)
    return values | {"start": start, "end": end, "id": segment_id(stem, start) if is_stretch else stem}


def _written_task(
    utterance: Utterance, fields: Sequence[str], folder: str, root: str, in_regions: bool
) -> dict[str, Any]:
    inside = within(utterance.path, root)
    if os.path.isabs(inside):
        raise UserError(
            f"{utterance.id!r}: {utterance.path} is outside {root}; name the folder that Label Studio serves with "
            "document_root=..."
        )
    values = {field: value for field in fields if (value := value_of(utterance, field)) is not None}
    values |= {field: within(values[field], folder) for field in PATHS if field in values}
    data = {"audio": SERVED + quote(inside), "path": within(utterance.path, folder)} | values
    if utterance.emotion is None:
        return {"data": data, "annotations": []}
    result: dict[str, Any] = {"id": "emotion", "from_name": "emotion", "to_name": "audio", "type": "choices"}
    result["value"] = {"choices": [utterance.emotion]}
    if in_regions:
        end = duration(utterance.path) if utterance.end is None else utterance.end
        result |= {"type": "labels", "value": {"start": utterance.start, "end": end, "labels": [utterance.emotion]}}
    return {"data": data, "annotations": [{"result": [result]}]}
