"""Rows of scores, grouped by the system that they score; and what systems are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from emobridge.report.record import StudyRecord
from emobridge.types import Score

_CONDITION = {  # fields of a score in which systems of one method may differ, in words
    "encoder": "encoder {}",
    "layer": "layer {}",
    "head": "head {}",
    "normalisation": "normalisation {}",
    "target_labels": "{} target labels",
    "split": "split {}",
}


class Fact(Protocol):
    """Anything in a record that is about one system."""

    @property
    def method(self) -> str: ...
    @property
    def target_labels(self) -> str: ...
    @property
    def normalisation(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ScoredSystem:
    """One method under one condition, scored on one side."""

    name: str  # the method, with its condition where the method was run under several
    side: str
    rows: tuple[Score, ...]

    @property
    def method(self) -> str:
        """The method alone."""
        return self.rows[0].method

    def mean(self, measure: str) -> Score | None:
        """The row over all seeds of a measure, or None."""
        return next((row for row in self.rows if row.measure == measure and row.seed == "all"), None)

    def seeds(self, measure: str) -> tuple[Score, ...]:
        """The rows of a measure, one a seed."""
        return tuple(row for row in self.rows if row.measure == measure and row.seed != "all")

    def starting(self, prefix: str) -> tuple[tuple[str, Score], ...]:
        """The rows over all seeds whose measure starts with `prefix`, each with the end of its measure."""
        rows = (row for row in self.rows if row.seed == "all" and row.measure.startswith(prefix))
        return tuple((row.measure.removeprefix(prefix), row) for row in rows)

    def classes(self) -> tuple[tuple[str, Score], ...]:
        """Recall by label."""
        return tuple(pair for pair in self.starting("recall ") if not pair[0].startswith("speaker "))

    def speakers(self) -> tuple[tuple[str, Score], ...]:
        """UA by speaker."""
        return self.starting("recall speaker ")


def scored_systems(record: StudyRecord) -> tuple[ScoredSystem, ...]:
    """The systems of a study: target side first, the baseline first of all, else in the order of the scores."""
    groups: dict[tuple[str, ...], list[Score]] = {}
    for row in record.scores:
        groups.setdefault((row.method, row.side, *(getattr(row, name) for name in _CONDITION)), []).append(row)
    systems = [ScoredSystem(_name(key, list(groups)), key[1], tuple(rows)) for key, rows in groups.items()]
    return tuple(sorted(systems, key=lambda s: (s.side != "target", s.method != record.baseline)))


def scored_methods(record: StudyRecord) -> tuple[str, ...]:
    """The methods that were scored, the baseline first."""
    methods = dict.fromkeys(row.method for row in record.scores)
    return tuple(sorted(methods, key=lambda method: method != record.baseline))


def shared(record: StudyRecord) -> str:
    """What all rows have in common, in words: "encoder whisper-base, layer 3, 0 target labels"."""
    values = {name: {getattr(row, name) for row in record.scores} for name in _CONDITION}
    common = {name: next(iter(options)) for name, options in values.items() if len(options) == 1}
    return ", ".join(_CONDITION[name].format(value) for name, value in common.items() if value)


def name_in(record: StudyRecord, fact: Fact) -> str:
    """The method of a fact, with its target labels and normalisation where the systems of the record differ in them.

    Alignment tells no two systems of a method apart: a method is aligned, or never is.
    """
    parts = [fact.method]
    if len({system.target_labels for system in record.systems}) > 1:
        parts.append(labels_in_words(fact.target_labels))
    if len({system.normalise for system in record.systems}) > 1:
        parts.append(f"normalisation {fact.normalisation}")
    return ", ".join(parts)


def labels_in_words(amount: str) -> str:
    """A number of target labels in words.

    >>> labels_in_words("0"), labels_in_words("1"), labels_in_words("all")
    ('no target labels', '1 target label', 'all target labels')
    """
    return {"0": "no target labels", "1": "1 target label"}.get(amount, f"{amount} target labels")


def size_of(amount: str) -> float:
    """A number of target labels as a number, "all" as infinity.

    >>> size_of("25"), size_of("all")
    (25.0, inf)
    """
    return float("inf") if amount == "all" else float(amount)


def _name(key: tuple[str, ...], keys: Sequence[tuple[str, ...]]) -> str:
    """The method, and the parts of its condition in which it differs from its namesakes on the same side."""
    peers = [other for other in keys if other[:2] == key[:2]]
    apart = [value for index, value in enumerate(key[2:], 2) if len({peer[index] for peer in peers}) > 1]
    return f"{key[0]} ({', '.join(apart)})" if apart else key[0]
