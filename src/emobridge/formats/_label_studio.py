"""The tasks in an export of Label Studio, whichever of its forms it has."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emobridge.corpora import AUDIO_SUFFIXES
from emobridge.data.manifest import NUMBERS
from emobridge.data.tables import open_table
from emobridge.data.tally import Tally
from emobridge.formats._shared import entry, label_in, list_in, number_in, object_in, text_in

ANNOTATION_KEYS = ("annotator", "annotation_id", "created_at", "updated_at", "lead_time", "id")  # JSON-MIN and CSV
Stretch = tuple[float, float]  # start and end, s


@dataclass(slots=True)
class Region:
    """What an annotator says of a stretch of a clip, or of the clip."""

    stretch: Stretch | None  # None of the clip
    values: dict[str, list[str]] = field(default_factory=dict)  # name of the control -> labels, choices or texts


@dataclass(slots=True)
class ClipTask:
    """A clip with the regions of each annotator, in their order."""

    where: str
    data: dict[str, Any]
    regions: list[tuple[str, list[Region]]]  # annotator, regions


def read_tasks(path: Path, tally: Tally) -> Iterator[ClipTask]:
    """The tasks of an export. In JSON-MIN and CSV each annotation has a row; those of one task stand together here."""
    tasks: dict[str, ClipTask] = {}  # by id and recording
    for where, row in _rows(path):
        if "data" in row:
            yield _task(row, where, tally)
            continue
        data = {key: value for key, value in row.items() if key not in ANNOTATION_KEYS and key is not None}
        annotator = _person(row.get("annotator"), where)
        texts = {key: value for key, value in data.items() if isinstance(value, str) and key not in NUMBERS}
        name = "\0".join((where, *filter(is_address, texts.values())))  # tasks of two projects may have one number
        task = tasks.setdefault(name, ClipTask(where, texts, []))
        task.regions.append((annotator, _flat_regions(data, where)))
    yield from tasks.values()


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects or rows of an export, each with where it stands."""
    for number, (_, row) in enumerate(open_table(path).rows(), 1):
        name = label_in(row, "id", f"{path}: task {number}")
        yield f"{path}: task {name or number}", row


def _task(row: Mapping[str, Any], where: str, tally: Tally) -> ClipTask:
    """A task of a JSON export."""
    task = ClipTask(where, object_in(row, "data", where), [])
    for item in list_in(row, "annotations", where) or list_in(row, "completions", where):
        annotation = entry(item, where)
        if annotation.get("was_cancelled") or annotation.get("skipped"):
            tally.add("annotations that were skipped", where)
            continue
        regions: dict[Stretch | None, Region] = {}
        for result in list_in(annotation, "result", where):
            part = entry(result, where)
            value = object_in(part, "value", where)
            _add(regions, text_in(part, "from_name", where) or "", value, where)
        task.regions.append((_person(annotation.get("completed_by"), where), list(regions.values())))
    return task


def _flat_regions(data: Mapping[str, Any], where: str) -> list[Region]:
    """The regions of a row of JSON-MIN or CSV, where a cell may hold JSON."""
    regions: dict[Stretch | None, Region] = {}
    for name, value in data.items():
        if isinstance(value, str) and value[:1] in ("[", "{"):
            with contextlib.suppress(ValueError, RecursionError):  # a text that begins so
                value = json.loads(value)
        items = value if isinstance(value, list) and all(isinstance(item, dict) for item in value) else [value]
        for item in items:
            _add(regions, name, item if isinstance(item, dict) else {"choices": item}, where)
    return list(regions.values())


def _add(regions: dict[Stretch | None, Region], name: str, value: Mapping[str, Any], where: str) -> None:
    """Add what a control says of a stretch, or of the clip, to the region of that stretch."""
    texts = [text for key in ("labels", "choices", "text") for text in _texts(value.get(key), f"{where}: {name}")]
    start, end = number_in(value, "start", where), number_in(value, "end", where)
    stretch = None if start is None or end is None else (start, end)
    region = regions.setdefault(stretch, Region(stretch))
    if texts:
        region.values.setdefault(name, []).extend(texts)


def _texts(value: Any, where: str) -> list[str]:
    texts = value if isinstance(value, list) else [] if value in (None, "") else [value]
    return [name for text in texts if (name := label_in({"label": text}, "label", where))]


def _person(value: Any, where: str) -> str:
    """An annotator's address or number, as text; "" where it is not known."""
    if isinstance(value, dict):
        return text_in(value, "email", where) or label_in(value, "id", where) or ""
    return label_in({"annotator": value}, "annotator", where) or ""


def is_address(text: str) -> bool:
    """Whether a text is the address of a recording, as Label Studio has them."""
    return text.startswith("/data/") or os.path.splitext(text)[1].lower() in AUDIO_SUFFIXES
