"""Counts of what a reader of many files or rows leaves out or finds odd."""

from __future__ import annotations

from collections import Counter


class Tally:
    """Counts what a reader leaves out or finds odd; `lines` are for `Intake.notes`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, what: str, where: str) -> None:
        """Count one case of `what`, at `where`."""
        self._counts[what] += 1
        self._first.setdefault(what, where)

    def lines(self) -> list[str]:
        """A line for each kind: what it is, how often it occurred, and where first."""
        return [f"{what}: {count:,} (the first: {self._first[what]})" for what, count in self._counts.items()]
