"""The tables of a budget as CSV: its scores with what each system saw, its confusion counts, its tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emobridge.files import write_cells
from emobridge.report.record import Confusion, Contest, StudyRecord
from emobridge.report.scores import class_measures
from emobridge.scores.measures.base import detail_of, measure_of


@dataclass(frozen=True, slots=True)
class Cell:
    """One score of a budget. Values are in [0, 1], CCC in [-1, 1]."""

    method: str
    target_labels: str  # a number or "all"
    normalisation: str
    align: str
    source: str  # corpora, joined by "+"
    target: str
    side: str  # which was scored
    seed: str  # a number, or "all" for the mean over seeds
    measure: str
    value: float
    low: float  # of the 95 % interval
    high: float
    n: int  # utterances
    saw: str  # sentences, joined by "; "


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


def write_tables(folder: Path, record: StudyRecord) -> None:
    """Write cells.csv and confusions.csv, items.csv where some are kept apart, and welch.csv where there are tests.

    Errors: UserError.
    """
    write_cells(folder / "cells.csv", score_cells(record), Cell)
    write_cells(folder / "confusions.csv", counts_of(record, record.confusions), Count)
    if record.item_confusions:
        write_cells(folder / "items.csv", counts_of(record, record.item_confusions), Count)
    if record.contests:
        write_cells(folder / "welch.csv", record.contests, Contest)


def score_cells(record: StudyRecord) -> list[Cell]:
    """The scores by every measure, without recall by class and speaker, each with what its system saw."""
    systems = {(system.method, system.target_labels, system.normalisation): system for system in record.systems}
    classes, cells = class_measures(record), []
    for row in record.scores:
        if row.measure in classes or (measure_of(row.measure).of == "attributes" and not detail_of(row.measure)):
            system = systems[row.method, row.target_labels, row.normalisation]
            cell = Cell(
                row.method, row.target_labels, system.normalise, system.align, row.source, row.target, row.side,
                row.seed, row.measure, row.value, row.low, row.high, row.n, "; ".join(system.saw),
            )  # fmt: skip
            cells.append(cell)
    return cells


def counts_of(record: StudyRecord, confusions: Sequence[Confusion]) -> list[Count]:
    """The rows of confusions.csv, or of items.csv."""
    normalise = {system.normalisation: system.normalise for system in record.systems}
    return [
        Count(
            confusion.method, confusion.target_labels, normalise[confusion.normalisation], confusion.side, true,
            predicted, count,
        )
        for confusion in confusions
        for true, counts in zip(confusion.labels, confusion.counts)
        for predicted, count in zip(confusion.labels, counts)
    ]  # fmt: skip
