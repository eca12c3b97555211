"""Confusion counts of a grid, a row a cell, and published matrices beside those of a recipe."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emobridge.literature.published import PublishedConfusion
from emobridge.report.blocks import Table, percent
from emobridge.study.budget_cells import Found


@dataclass(frozen=True, slots=True)
class Count:
    """How often one emotion was taken for another, summed over seeds."""

    method: str
    target_labels: str
    normalisation: str
    side: str
    true: str
    predicted: str
    count: int


def counts_of(found: Sequence[Found]) -> list[Count]:
    """The rows of confusions.csv."""
    rows = []
    for outcome, side, said in found:
        if (total := said.confusion()) is not None:
            settings = outcome.settings
            rows += [
                Count(settings.method, settings.target_labels, settings.normalise, side, true, predicted, int(count))
                for true, counts in zip(said.label_set, total)
                for predicted, count in zip(said.label_set, counts)
            ]
    return rows


def read_counts(path: Path) -> dict[tuple[str, str, str, str], dict[tuple[str, str], int]]:
    """By method, target labels, normalisation and side: counts by true and predicted emotion; nothing of no file."""
    found: dict[tuple[str, str, str, str], dict[tuple[str, str], int]] = {}
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                key = row["method"], row["target_labels"], row["normalisation"], row["side"]
                found.setdefault(key, {})[row["true"], row["predicted"]] = int(row["count"])
    return found


def matrix_table(caption: str, counts: Mapping[tuple[str, str], int], printed: PublishedConfusion) -> Table:
    """Per cent of each true emotion's utterances, and in brackets what is printed."""
    rows = []
    for true, shares in zip(printed.labels, printed.shares):
        mine = [counts[true, said] for said in printed.labels]
        cells = (percent(n / sum(mine)) if sum(mine) else "-" for n in mine)
        rows.append((true, *(f"{cell} [{percent(share)}]" for cell, share in zip(cells, shares))))
    return Table(caption, ("true", *printed.labels), tuple(rows))


def printed_table(caption: str, printed: PublishedConfusion) -> Table:
    """Per cent as printed."""
    rows = tuple((true, *map(percent, shares)) for true, shares in zip(printed.labels, printed.shares))
    return Table(caption, ("true", *printed.labels), rows)
