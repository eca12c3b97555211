"""All that a listening test knows, as CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from emobridge.files import escape_cell
from emobridge.listening.records import Listener, ListeningStudy, Response

EXPORT_COLUMNS = (
    "listener", "state", "group", "native", "interface", "item", "kind", "language", "intended", "emotion", "start",
    "end", "confidence", "plays", "seconds", "position",
)  # fmt: skip


def as_csv(study: ListeningStudy, listeners: Sequence[Listener], responses: Sequence[Response]) -> str:
    """A row a response, with what is known of its listener and item; no cell is a formula to a spreadsheet.

    intended: the emotion that the item was meant as. start, end: of the marked segment, s. What is not known is empty.
    The answers to the questionnaire stand in columns `question.NAME`, several of them with spaces between.
    """
    by_id = {listener.id: listener for listener in listeners}
    items = {item.id: item for item in study.items}
    names = sorted({question.name for question in study.questions}.union(*(row.answers for row in listeners)))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(escape_cell, (*EXPORT_COLUMNS, *(f"question.{name}" for name in names))))
    for row in responses:
        listener, item = by_id.get(row.listener), items.get(row.item)
        if listener is None:  # deleted a moment ago
            continue
        facts = (item.kind, item.language, item.emotion) if item else ("", "", "")
        person = (listener.id, listener.state, listener.group, listener.native, listener.interface)
        numbers = (*(row.segment or ("", "")), row.confidence, row.plays, f"{row.seconds:.1f}", row.position)
        answers = [listener.answers.get(name, "") for name in names]
        cells = (*person, row.item, *facts, row.emotion, *numbers)
        texts = (answer if isinstance(answer, str) else " ".join(answer) for answer in answers)
        writer.writerow("" if cell is None else escape_cell(cell) for cell in (*cells, *texts))
    return text.getvalue()


def as_json(study: ListeningStudy, listeners: Sequence[Listener], responses: Sequence[Response]) -> str:
    """The listeners with their answers to the questionnaire and their responses."""
    of_listener: dict[str, list[dict[str, Any]]] = {listener.id: [] for listener in listeners}
    for row in responses:
        if row.listener in of_listener:
            of_listener[row.listener].append({key: value for key, value in asdict(row).items() if key != "listener"})
    rows = [{**asdict(listener), "responses": of_listener[listener.id]} for listener in listeners]
    return json.dumps({"study": study.name, "listeners": rows}, ensure_ascii=False, indent=1) + "\n"
