"""Confusion counts of finished budgets, and published matrices beside them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from emobridge.literature.record import PublishedConfusion
from emobridge.report.blocks import Table, percent

CellKey = tuple[str, str, str, str]  # method, target labels, normalisation and side


def read_counts(path: Path) -> dict[CellKey, dict[tuple[str, str], int]]:
    """The counts of a confusions.csv, or items.csv, by true and predicted emotion, for each cell; {} without a file."""
    counts: dict[CellKey, dict[tuple[str, str], int]] = {}
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                cell = row["method"], row["target_labels"], row["normalisation"], row["side"]
                counts.setdefault(cell, {})[row["true"], row["predicted"]] = int(row["count"])
    return counts


def matrix_table(caption: str, counts: Mapping[tuple[str, str], int], printed: PublishedConfusion) -> Table:
    """Per cent of each true emotion's utterances, and in brackets what is printed."""
    rows = []
    for true, shares in zip(printed.labels, printed.shares):
        row = [counts[true, predicted] for predicted in printed.labels]
        cells = (percent(n / sum(row)) if sum(row) else "-" for n in row)
        rows.append((true, *(f"{cell} [{percent(share)}]" for cell, share in zip(cells, shares))))
    return Table(caption, ("true", *printed.labels), tuple(rows))


def printed_table(caption: str, printed: PublishedConfusion) -> Table:
    """Per cent as printed."""
    rows = tuple((true, *map(percent, shares)) for true, shares in zip(printed.labels, printed.shares))
    return Table(caption, ("true", *printed.labels), rows)
