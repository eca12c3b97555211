"""The grids of a recipe on one page: recipe.html, .md and .json, and summary.csv; published numbers stand beside."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from emobridge.analysis.cells import write_cells
from emobridge.analysis.label_budget import BudgetSettings
from emobridge.analysis.replication import Run
from emobridge.corpora.demo import is_synthetic
from emobridge.data.manifest import read_manifest
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.published import Published, beside
from emobridge.recipes.recipe import Recipe
from emobridge.report.blocks import Page, Section, Table, count, interval, stamped
from emobridge.report.budget_cells import MEASURE, SIDES
from emobridge.report.write import write_page

_WORDS = (
    "Measured: mean over seeds with its 95 % interval. Published: the paper's numbers for the same pair of languages, "
    "emotions, side, encoder and number of target labels, as far as it states them; in brackets its words. They are "
    "landmarks: its split of speakers and its training are not these.",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of one grid: both sides, and what is printed of them. Values are in [0, 1], printed ones per cent."""

    study: str
    source: str  # corpora, joined by "+"
    target: str
    encoder: str
    method: str
    target_labels: str  # a number or "all"
    normalisation: str
    seeds: int
    labels: str  # joined by ","
    target_ua: float
    target_low: float  # of the 95 % interval
    target_high: float
    target_n: int  # utterances
    target_published: str
    source_ua: float
    source_low: float
    source_high: float
    source_n: int
    source_published: str


def write_summary(recipe: Recipe, runs: Sequence[Run], missing: Sequence[str], folder: Path, command: str) -> Path:
    """Write the page of the grids among `runs` that are finished; returns the path of recipe.html."""
    rows = [row for run in runs for row in _rows(recipe, run)]
    write_cells(folder / "summary.csv", rows, Row)
    page = page_of(recipe, rows, missing, command)
    return write_page(folder, "recipe", page, {"rows": [asdict(row) for row in rows], "command": command})


def page_of(recipe: Recipe, rows: Sequence[Row], missing: Sequence[str], command: str) -> Page:
    """All that the three formats say."""
    sections = [Section("What is missing", items=tuple(missing))] if missing else []
    sections.append(Section("Measured and published", _WORDS, blocks=(_table(rows),)))
    ours = tuple(f"{choice}: {text}" for choice, text in recipe.ours)
    sections += [Section("What the paper leaves open, and was chosen here", items=ours), _how(recipe, command)]
    synthetic = any(is_synthetic(name) for row in rows for name in (row.target, *row.source.split("+")))
    grids = len({(row.study, row.target, row.encoder) for row in rows})
    seeds = max((row.seeds for row in rows), default=0)
    lead = f"{count(grids, 'grid')} of label budgets, {count(len(rows), 'cell')}, {count(seeds, 'seed')}."
    return Page(
        f"{recipe.name}: {recipe.paper}",
        f"{', '.join(recipe.tables)}; {recipe.measure}",
        ("SYNTHETIC speech. " if synthetic else "") + lead,
        (),
        stamped(sections) if synthetic else tuple(sections),
    )


def _rows(recipe: Recipe, run: Run) -> Iterator[Row]:
    """The cells of a grid, if it is finished: what its cells.csv has of all seeds together."""
    asked, study = run.settings, run.part.settings
    assert isinstance(asked, BudgetSettings) and isinstance(study, AdaptStudy)
    path = Path(asked.base.out) / "cells.csv"
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        known = list(csv.DictReader(file))
    cells: dict[tuple[str, str, str], dict[str, dict[str, str]]] = {}
    for cell in known:
        if cell["seed"] == "all":
            key = cell["method"], cell["target_labels"], cell["normalisation"]
            cells.setdefault(key, {})[cell["side"]] = cell
    languages = tuple(next(iter(read_manifest(path))).language for path in (asked.base.source[0], asked.base.target))
    for (method, amount, norm), sides in cells.items():
        target, source = (sides[side] for side in SIDES)
        yield Row(
            run.part.name, target["source"], run.target, run.encoder, method, amount, norm, asked.base.seeds,
            ",".join(asked.base.labels), *_numbers(target), _printed(recipe, run, study, languages, target),
            *_numbers(source), _printed(recipe, run, study, languages, source),
        )  # fmt: skip


def _numbers(cell: Mapping[str, str]) -> tuple[float, float, float, int]:
    return float(cell["value"]), float(cell["low"]), float(cell["high"]), int(cell["n"])


def _printed(recipe: Recipe, run: Run, study: AdaptStudy, languages: Sequence[str], cell: Mapping[str, str]) -> str:
    assert isinstance(run.settings, BudgetSettings)
    found = beside(
        recipe.paper,
        dict(study.beside).get(cell["method"], ()),
        run.encoder,
        languages=(languages[0], languages[1]),
        labels=run.settings.base.labels,
        target_labels=cell["target_labels"],
        side=cell["side"],
    )
    return "; ".join(map(_said, found))


def _said(row: Published) -> str:
    return f"{row.value:g} ({row.method})"


def _table(rows: Sequence[Row]) -> Table:
    lines = tuple(
        (
            row.study, row.target, row.encoder, row.method, row.target_labels,
            interval(MEASURE, row.target_ua, row.target_low, row.target_high), row.target_published or "-",
            interval(MEASURE, row.source_ua, row.source_low, row.source_high), row.source_published or "-",
        )
        for row in rows
    )  # fmt: skip
    sets = dict.fromkeys(f"{row.study}: {row.source}, {row.labels.replace(',', ', ')}" for row in rows)
    caption = f"{MEASURE} in per cent. Source and label set of each study: {'; '.join(sets)}."
    columns = ("study", "target", "encoder", "method", "target labels")
    return Table(caption, (*columns, "target", "published", "source", "published source"), lines)


def _how(recipe: Recipe, command: str) -> Section:
    return Section("How to run it again", (recipe.citation, "Each grid has a page in its own folder."), code=command)
