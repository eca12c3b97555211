"""The grids of a recipe on one page: recipe.html, .md and .json, and summary.csv; published numbers stand beside."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from emobridge.corpora.demo import is_synthetic
from emobridge.data.attributes import is_constructed
from emobridge.data.manifest import read_manifest
from emobridge.encoders import languages_of
from emobridge.files import write_cells
from emobridge.languages import primary_language
from emobridge.literature.published import ATTRIBUTES, Published, beside, published_confusions
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.recipe import Recipe
from emobridge.recipes.replication import Run
from emobridge.report.blocks import Page, Section, Table, count, interval, stamp_of, stamped
from emobridge.report.write import write_page
from emobridge.study.budget import BudgetSettings
from emobridge.study.budget_cells import SIDES
from emobridge.study.matrices import matrix_table, printed_table, read_counts

_WORDS = (
    "Measured: mean over seeds with its 95 % interval. Published: the paper's numbers for the same pair of languages, "
    "emotions, side, encoder and number of target labels, as far as it states them; in brackets its words. They are "
    "landmarks: its split of speakers and its training are not these.",
)

_MATRICES = (
    "Per cent of each true emotion's utterances, summed over seeds and folds; in brackets the published matrix of the "
    "same encoder, training and test language, which stands beside every strategy: which one it shows is not known. "
    "Published matrices of listeners stand below: the paper compares natives with mono, others with cross, "
    "second-language listeners with trans."
)


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of one grid: both sides, and what is printed of them.

    UA is in [0, 1], and printed in per cent; CCC in [-1, 1].
    """

    study: str
    source: str  # corpora, joined by "+"
    target: str
    encoder: str
    method: str
    target_labels: str  # a number or "all"
    normalisation: str
    seeds: int
    labels: str  # joined by ","; none where attributes alone are learnt
    measure: str
    target_value: float
    target_low: float  # of the 95 % interval
    target_high: float
    target_n: int  # utterances
    target_published: str
    source_value: float
    source_low: float
    source_high: float
    source_n: int
    source_published: str


def write_summary(recipe: Recipe, runs: Sequence[Run], missing: Sequence[str], folder: Path, command: str) -> Path:
    """Write the page of the grids among `runs` that are finished; returns the path of recipe.html."""
    rows = [row for run in runs for row in _rows(recipe, run)]
    write_cells(folder / "summary.csv", rows, Row)
    page = page_of(recipe, rows, missing, command, _matrices(recipe, runs))
    return write_page(folder, "recipe", page, {"rows": [asdict(row) for row in rows], "command": command})


def page_of(
    recipe: Recipe, rows: Sequence[Row], missing: Sequence[str], command: str, matrices: Section | None = None
) -> Page:
    """All that the three formats say."""
    sections = [Section("What is missing", items=tuple(missing))] if missing else []
    sections.append(Section("Measured and published", _WORDS, blocks=(_table(rows),)))
    sections += [matrices] if matrices else []
    ours = tuple(f"{choice}: {text}" for choice, text in recipe.ours)
    sections += [Section("What the paper leaves open, and was chosen here", items=ours), _how(recipe, command)]
    names = {name for row in rows for name in (row.target, *row.source.split("+"))}
    synthetic = any(map(is_synthetic, names))
    stamp = stamp_of(synthetic, any(map(is_constructed, names)) and any(row.measure != "UA" for row in rows))
    grids = len({(row.study, row.target, row.encoder) for row in rows})
    seeds = max((row.seeds for row in rows), default=0)
    lead = f"{count(grids, 'grid')} of label budgets, {count(len(rows), 'cell')}, {count(seeds, 'seed')}."
    return Page(
        f"{recipe.name}: {recipe.paper}",
        f"{', '.join(recipe.tables)}; {recipe.measure}",
        ("SYNTHETIC speech. " if synthetic else "") + lead,
        (),
        stamped(sections, stamp) if stamp else tuple(sections),
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
    cells: dict[tuple[str, str, str, str], dict[str, dict[str, str]]] = {}
    for cell in known:
        if cell["seed"] == "all":
            key = cell["measure"], cell["method"], cell["target_labels"], cell["normalisation"]
            cells.setdefault(key, {})[cell["side"]] = cell
    languages = tuple(next(iter(read_manifest(path))).language for path in (asked.base.source[0], asked.base.target))
    for (measure, method, amount, norm), sides in cells.items():
        target, source = (sides[side] for side in SIDES)
        yield Row(
            run.part.name, target["source"], run.target, run.encoder, method, amount, norm, asked.base.seeds,
            ",".join(asked.base.labels), measure, *_numbers(target), _printed(recipe, run, study, languages, target),
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
        labels=run.settings.base.labels or ATTRIBUTES,
        target_labels=cell["target_labels"],
        side=cell["side"],
    )
    return "; ".join(_said(row) for row in found if row.measure == cell["measure"])


def _said(row: Published) -> str:
    return f"{row.value:g} ({row.method})"


def _table(rows: Sequence[Row]) -> Table:
    lines = tuple(
        (
            row.study, row.target, row.encoder, row.method, row.target_labels,
            row.measure,
            interval(row.measure, row.target_value, row.target_low, row.target_high), row.target_published or "-",
            interval(row.measure, row.source_value, row.source_low, row.source_high), row.source_published or "-",
        )
        for row in rows
    )  # fmt: skip
    sets = dict.fromkeys(f"{row.study}: {row.source}{_labels(row)}" for row in rows)
    caption = f"UA in per cent. Source and label set of each study: {'; '.join(sets)}."
    columns = ("study", "target", "encoder", "method", "target labels", "measure")
    return Table(caption, (*columns, "target", "published", "source", "published source"), lines)


def _labels(row: Row) -> str:
    return f", {row.labels.replace(',', ', ')}" if row.labels else ""


def _matrices(recipe: Recipe, runs: Sequence[Run]) -> Section | None:
    """The confusion matrices of finished grids where the paper prints one of the same encoder and languages."""
    tables = [table for run in runs for table in _matrix_tables(recipe, run)]
    people = tuple(
        printed_table(f"Published: listeners, native {one.native}, on {one.test_language} ({one.setting}).", one)
        for one in published_confusions()
        if one.study == recipe.paper and one.who == "human"
    )
    return Section("Confusion matrices", (_MATRICES,), blocks=(*tables, *people)) if tables else None


def _matrix_tables(recipe: Recipe, run: Run) -> Iterator[Table]:
    assert isinstance(run.settings, BudgetSettings)
    base = run.settings.base
    counts = read_counts(Path(base.out) / "confusions.csv")
    if not counts:
        return
    source, target = (
        primary_language(next(iter(read_manifest(path))).language) for path in (base.source[0], base.target)
    )
    own = tuple(map(primary_language, languages_of(run.encoder)))
    for (method, amount, _, side), mine in counts.items():
        if side == "source" and amount != "0":
            continue  # it has learnt the target since
        tested = target if side == "target" else source
        trained = target if amount != "0" else source
        for one in published_confusions():
            if one.study != recipe.paper or one.who != "model" or one.native not in own:
                continue
            if set(one.labels) == set(base.labels) and (one.train_language, one.test_language) == (trained, tested):
                where = f"{run.part.name}, {run.encoder}, {method} with {amount} target labels, scored on the {side}"
                yield matrix_table(f"{where} [published: model {one.native} {one.setting}].", mine, one)


def _how(recipe: Recipe, command: str) -> Section:
    return Section("How to run it again", (recipe.citation, "Each grid has a page in its own folder."), code=command)
