"""The summary of a recipe of layer-wise studies: each corpus's scores in language, with published numbers beside them.

The page is recipe.html, .md and .json; its table is summary.csv. A study's own page has its curves and floors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from emobridge.corpora.demo import is_synthetic
from emobridge.files import write_cells
from emobridge.literature.published import corpus_key
from emobridge.literature.record import Published
from emobridge.probe.scoring import PROBE, SCRATCH, VALIDATION
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import read_corpus, shared_speakers
from emobridge.recipes.accounting import numbers_at, output_lines
from emobridge.recipes.comparison import (
    Comparison,
    compare_numbers,
    comparison_sections,
    figures_section,
    published_finding,
    write_comparison,
)
from emobridge.recipes.recipe import Recipe
from emobridge.recipes.replication import Run
from emobridge.recipes.rows import FROM_SCRATCH, PublishedRow, ScoreKey
from emobridge.report.blocks import Page, Section, Table, count, interval, stamped
from emobridge.report.write import write_page
from emobridge.scores.files import read_scores
from emobridge.types import Score

_EXPLANATION = (
    "Measured: mean over seeds with its 95 % interval (jackknife over speakers, Student's t). Published: the study's "
    'numbers for the same corpus, encoder and measure. A layer "validation" was chosen by the validation part.'
)
_NOTHING = "No published number is stored for this recipe: its own are measured alone."


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """One measure of one probe on one corpus. Values are in [0, 1], and printed in per cent."""

    study: str
    corpus: str
    encoder: str
    head: str
    layer: str
    normalisation: str
    split: str
    seeds: int
    labels: str  # joined by ","
    measure: str
    value: float
    low: float  # of the 95 % interval
    high: float
    n: int  # utterances
    published: str
    differs: str  # why the two cannot be compared, beside what the recipe says of all


def write_probe_summary(
    recipe: Recipe,
    runs: Sequence[Run],
    missing: Sequence[str],
    folder: Path,
    command: str,
    *,
    notes: Sequence[str] = (),
) -> Path:
    """Write summary.csv and the page of the studies among `runs` that are finished; returns the path of recipe.html.

    missing: what could not run, or differs. notes: how the corpora were read.
    """
    numbers = numbers_at(recipe)
    rows = [row for run in runs for row in _rows(recipe, run, numbers)]
    write_cells(folder / "summary.csv", rows, ProbeRow)
    comparison = compare_numbers(recipe, measured_cells(recipe, runs))
    write_comparison(folder, comparison)
    made, unmade = output_lines(recipe, folder)
    page = _page(recipe, rows, (*missing, *unmade), notes, command, comparison)
    page = replace(page, sections=(*page.sections, *figures_section(made)))
    return write_page(folder, "recipe", page, {"rows": [asdict(row) for row in rows], "command": command})


def _rows(recipe: Recipe, run: Run, numbers: Mapping[ScoreKey, Sequence[PublishedRow]]) -> Iterator[ProbeRow]:
    """The rows of a finished study: of the layer that validation chose, or where none was chosen of every layer."""
    settings = run.settings
    assert isinstance(settings, ProbeSettings)
    scores = _scores(recipe, run)
    shown = _shown_layers(scores)
    differs = _differences(settings, run.differs)
    for score in scores:
        layer = shown[_probe(score)]
        if layer == VALIDATION != score.layer:
            continue
        cell = _cell_of(recipe, run, score) if score.layer == layer else None
        yield ProbeRow(
            study=run.study.name,
            corpus=score.target,
            encoder=score.encoder,
            head=score.head,
            layer=score.layer,
            normalisation=score.normalisation,
            split=score.split,
            seeds=settings.seeds,
            labels=score.labels,
            measure=score.measure,
            value=score.value,
            low=score.low,
            high=score.high,
            n=score.n,
            published=_printed(numbers.get(cell, ()) if cell else ()),
            differs=differs.get(score.target, ""),
        )


def _scores(recipe: Recipe, run: Run) -> list[Score]:
    """The scores in language over all seeds of a study; none where it is not finished."""
    assert isinstance(run.settings, ProbeSettings)
    path = Path(run.settings.out) / "scores.json"
    return [
        score
        for score in (read_scores(path) if path.exists() else ())
        if score.seed == "all"
        and score.source == score.target
        and score.method in (PROBE, SCRATCH)
        and score.measure in recipe.measures
    ]


def _shown_layers(scores: Sequence[Score]) -> dict[tuple[str, ...], str]:
    """The layer of each probe whose score stands beside published numbers: the chosen one, else the last."""
    layers: dict[tuple[str, ...], str] = {}
    for score in scores:
        if layers.get(_probe(score)) != VALIDATION:
            layers[_probe(score)] = score.layer
    return layers


def measured_cells(recipe: Recipe, runs: Sequence[Run]) -> dict[ScoreKey, Score]:
    """The scores of finished studies by their cells, and the means over all corpora of a study where all are there."""
    cells: dict[ScoreKey, Score] = {}
    for run in runs:
        scores = _scores(recipe, run)
        shown = _shown_layers(scores)
        pairs = ((_cell_of(recipe, run, score), score) for score in scores if score.layer == shown[_probe(score)])
        scored = {cell: score for cell, score in pairs if cell}
        cells |= scored | _means(recipe, run, scored)
    return cells


def _means(recipe: Recipe, run: Run, scored: Mapping[ScoreKey, Score]) -> dict[ScoreKey, Score]:
    """The mean over the corpora of a study by its cell. Corpora have other speakers: errors are independent."""
    study = next(study for study in recipe.studies if study.name == run.study.name)
    names = study.settings.corpora
    together = "+".join(names)
    means = {}
    for cell in scored:
        scores = [scored.get(replace(cell, source=name, target=name)) for name in names]
        if len(names) > 1 and all(scores):
            present = [score for score in scores if score]
            value, n = sum(score.value for score in present) / len(present), sum(score.n for score in present)
            low, high = (
                math.sqrt(sum((bound - score.value) ** 2 for bound, score in zip(bounds, present))) / len(present)
                for bounds in zip(*((score.low, score.high) for score in present))
            )
            mean = replace(present[0], source=together, target=together, value=value, n=n)
            means[replace(cell, source=together, target=together)] = replace(mean, low=value - low, high=value + high)
    return means


def _probe(score: Score) -> tuple[str, ...]:
    """What the rows of one probe's layers share."""
    return score.method, score.encoder, score.head, score.normalisation, score.target, score.measure


def _differences(settings: ProbeSettings, known: Mapping[str, str]) -> dict[str, str]:
    """By corpus, as its utterances name it: other counts than the published ones, and speakers on both sides."""
    differences = {}
    for path in settings.corpora:
        corpus = read_corpus(path, settings)
        lines = [known[path]] if path in known else []
        shared = shared_speakers(corpus)
        if shared:
            lines.append(f"speakers on both sides in {shared} of {len(corpus.folds)} folds")
        if not corpus.people:
            lines.append("speakers not known")
        differences[corpus.name] = "; ".join(lines)
    return differences


def _cell_of(recipe: Recipe, run: Run, score: Score) -> ScoreKey | None:
    """The cell of a score in language; None of another corpus, encoder or normalisation than the first of the study."""
    settings = run.study.settings
    assert isinstance(settings, ProbeSettings)
    names = {corpus_key(material.corpus): material.corpus for material in recipe.corpora}
    corpus = names.get(corpus_key(score.target), "")
    scratch = score.method == SCRATCH
    if not corpus or score.encoder in run.other_encoders:
        return None
    if not scratch and score.normalisation != settings.normalise[0]:
        return None
    system = FROM_SCRATCH if scratch else score.head
    return ScoreKey(run.study.name, system, score.encoder, corpus, corpus, "all", "target", score.measure)


def _printed(numbers: Sequence[PublishedRow]) -> str:
    """Published numbers, each with its method."""
    return "; ".join(f"{row.printed}{row.stars} ({row.method})" for row in numbers if isinstance(row, Published))


def _page(
    recipe: Recipe,
    rows: Sequence[ProbeRow],
    missing: Sequence[str],
    notes: Sequence[str],
    command: str,
    comparison: Comparison,
) -> Page:
    """The content of the page, for all its formats."""
    sections = comparison_sections(comparison)
    words = (_EXPLANATION,) if sections else (_EXPLANATION, _NOTHING)
    sections += [Section("What is missing or differs", items=tuple(missing))] if missing else []
    sections.append(Section("Measured and published", words, blocks=(_table(rows),)))
    sections += [Section("How the corpora were read", items=tuple(notes))] if notes else []
    ours = tuple(f"{choice}: {text}" for choice, text in recipe.ours)
    sections.append(Section("What the paper leaves open, and was chosen here", items=ours))
    how = (recipe.citation, "Each study has a page of its own, with curves and floors.")
    sections.append(Section("How to run it again", how, code=command))
    synthetic = any(is_synthetic(row.corpus) for row in rows)
    corpora = len({row.corpus for row in rows})
    lead = f"{corpora} {'corpus' if corpora == 1 else 'corpora'}, {count(len(rows), 'score')}."
    return Page(
        f"{recipe.name}: {recipe.paper}",
        "; ".join(filter(None, (", ".join(recipe.tables), recipe.measure))),
        " ".join(filter(None, ("SYNTHETIC speech." if synthetic else "", published_finding(comparison), lead))),
        (),
        stamped(sections) if synthetic else tuple(sections),
    )


def _table(rows: Sequence[ProbeRow]) -> Table:
    lines = tuple(
        (
            row.corpus, row.labels.replace(",", ", "), row.encoder, row.head, row.layer, row.normalisation, row.split,
            row.measure, interval(row.measure, row.value, row.low, row.high), str(row.n), row.published or "-",
            row.differs or "-",
        )
        for row in rows
    )  # fmt: skip
    columns = ("corpus", "labels", "encoder", "head", "layer", "normalisation", "split", "measure", "measured", "n")
    return Table("In per cent, with 95 % intervals over speakers.", (*columns, "published", "differs"), lines)
