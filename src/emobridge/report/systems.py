"""Rows of scores, grouped by the system that they score."""

from __future__ import annotations

from dataclasses import dataclass

from emobridge.report.record import RunRecord
from emobridge.types import Score

_CONDITION = ("encoder", "layer", "normalisation", "target_labels", "split")


@dataclass(frozen=True, slots=True)
class System:
    """One method under one condition, scored on one side."""

    name: str  # the method, with what sets it apart where a method was run in several conditions
    side: str
    rows: tuple[Score, ...]

    def mean(self, measure: str) -> Score | None:
        """The row over all seeds of a measure, or None."""
        return next((row for row in self.rows if row.measure == measure and row.seed == "all"), None)

    def seeds(self, measure: str) -> tuple[Score, ...]:
        """The rows of a measure, one a seed."""
        return tuple(row for row in self.rows if row.measure == measure and row.seed != "all")

    def starting(self, prefix: str) -> tuple[tuple[str, Score], ...]:
        """The rows over all seeds whose measure starts with `prefix`, each with the rest of its measure."""
        found = (row for row in self.rows if row.seed == "all" and row.measure.startswith(prefix))
        return tuple((row.measure.removeprefix(prefix), row) for row in found)

    def classes(self) -> tuple[tuple[str, Score], ...]:
        """Recall by label."""
        return tuple(pair for pair in self.starting("recall ") if not pair[0].startswith("speaker "))

    def speakers(self) -> tuple[tuple[str, Score], ...]:
        """UA by speaker."""
        return self.starting("recall speaker ")


def systems(record: RunRecord) -> tuple[System, ...]:
    """The systems of a run: target side first, the baseline first of all, else in the order of the scores."""
    groups: dict[tuple[str, ...], list[Score]] = {}
    for row in record.scores:
        groups.setdefault((row.method, row.side, *(getattr(row, name) for name in _CONDITION)), []).append(row)
    found = [System(_name(key, list(groups)), key[1], tuple(rows)) for key, rows in groups.items()]
    return tuple(sorted(found, key=lambda s: (s.side != "target", s.rows[0].method != record.baseline)))


def shared(record: RunRecord) -> str:
    """What all rows have in common, in words: "encoder whisper-base, layer 3, 0 target labels"."""
    words = {
        "encoder": "encoder {}",
        "layer": "layer {}",
        "normalisation": "normalisation {}",
        "target_labels": "{} target labels",
        "split": "split {}",
    }
    same = {name: {getattr(row, name) for row in record.scores} for name in _CONDITION}
    alone = {name: next(iter(values)) for name, values in same.items() if len(values) == 1}
    return ", ".join(words[name].format(value) for name, value in alone.items() if value)


def _name(key: tuple[str, ...], keys: list[tuple[str, ...]]) -> str:
    """The method, and the parts of its condition in which it differs from its namesakes on the same side."""
    peers = [other for other in keys if other[:2] == key[:2]]
    apart = [value for place, value in enumerate(key[2:], 2) if len({peer[place] for peer in peers}) > 1]
    return f"{key[0]} ({', '.join(apart)})" if apart else key[0]
