"""The results of a recipe: scores.json of all its runs, and of grids a page with published numbers beside the scores.

The page is recipe.html, .md and .json; its table is summary.csv.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from emobridge.corpora.demo import is_synthetic
from emobridge.data.attributes import is_constructed
from emobridge.files import write_cells
from emobridge.literature.published import corpus_key, published_confusions
from emobridge.literature.record import Published, PublishedConfusion
from emobridge.recipes.accounting import numbers_at, output_lines
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.comparison import (
    NOTHING_COMPARED,
    Comparison,
    compare_numbers,
    comparison_sections,
    figures_section,
    published_finding,
    setting_words,
    write_comparison,
)
from emobridge.recipes.figures import figure_section
from emobridge.recipes.recipe import Recipe, RecipeCorpus
from emobridge.recipes.replication import Run
from emobridge.recipes.rows import CONFUSION, PublishedRow, ScoreKey
from emobridge.report.blocks import Page, Section, Table, count, interval, stamp_of, stamped
from emobridge.report.record import SIDES
from emobridge.report.write import write_page
from emobridge.scores.files import read_scores, write_scores
from emobridge.scores.measures.base import measure_of
from emobridge.settings import Budget
from emobridge.study.matrices import matrix_table, printed_table, read_counts
from emobridge.types import TOY_PREFIX, Score

_EXPLANATION = (
    "Measured: mean over seeds with its 95 % interval (jackknife over speakers, Student's t). Published: the paper's "
    "numbers for the same corpora, labels, side, encoder and number of target labels, as far as it states them; in "
    "brackets the method as the paper names it.",
)

_MATRICES = (
    "Of the utterances that are kept apart, as the paper's are of its listening test: per cent of each true emotion's "
    "answers, summed over the models of all folds and seeds; in brackets the published matrix, of other utterances. "
    "The paper has 14 matrices, of which nine are stored: three of models, and six of listeners, which stand below. It "
    "compares natives with mono, others with cross, second-language listeners with trans."
)


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One cell of one grid: the scores on both sides, and what is published beside them.

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


def join_scores(runs: Sequence[Run], folder: Path) -> Path:
    """Write the scores of all finished runs as one scores.json into `folder`; returns its path.

    A run is finished when its own folder has a scores.json. In the joined rows `run` is that folder, relative to
    `folder`. A single study that has `folder` for itself has written the file already.
    """
    path = folder / "scores.json"
    scores: list[Score] = []
    for run in runs:
        name = _folder(run).relative_to(folder).as_posix()
        if name == ".":
            return path
        scores += [replace(score, run=name) for score in _scores(run)]
    write_scores(path, scores)
    return path


def write_summary(
    recipe: Recipe,
    runs: Sequence[Run],
    missing: Sequence[str],
    folder: Path,
    command: str,
    *,
    notes: Sequence[str] = (),
) -> Path:
    """Write summary.csv and the page of the grids among `runs` that are finished; returns the path of recipe.html.

    missing: what could not run, or differs. notes: how the corpora were read.
    """
    numbers = numbers_at(recipe)
    rows = [row for run in runs for row in _rows(recipe, run, numbers)]
    write_cells(folder / "summary.csv", rows, SummaryRow)
    comparison = compare_numbers(recipe, measured_cells(recipe, runs), seed_values(recipe, runs))
    write_comparison(folder, comparison)
    made, unmade = output_lines(recipe, folder)
    missing = (*missing, *unmade)
    page = summary_page(recipe, rows, missing, command, _matrices(recipe, runs, numbers), notes, comparison)
    page = replace(page, sections=(*page.sections, *figures_section(made)))
    return write_page(folder, "recipe", page, {"rows": [asdict(row) for row in rows], "command": command})


def summary_page(
    recipe: Recipe,
    rows: Sequence[SummaryRow],
    missing: Sequence[str],
    command: str,
    matrices: Section | None = None,
    notes: Sequence[str] = (),
    comparison: Comparison = NOTHING_COMPARED,
) -> Page:
    """The content of the page, for all its formats."""
    sections = comparison_sections(comparison)
    sections += [Section("What is missing", items=tuple(missing))] if missing else []
    sections.append(Section("Measured and published", _EXPLANATION, blocks=(_table(rows),)))
    drawn = figure_section(recipe.figures, rows)
    sections += [drawn] if drawn else []
    sections += [matrices] if matrices else []
    sections += [Section("How the corpora were read", items=tuple(notes))] if notes else []
    ours = tuple(f"{choice}: {text}" for choice, text in recipe.ours)
    sections += [Section("What the paper leaves open, and was chosen here", items=ours), _how(recipe, command)]
    names = {name for row in rows for name in (row.target, *row.source.split("+"))}
    synthetic = any(map(is_synthetic, names))
    stamp = stamp_of(synthetic, any(map(is_constructed, names)) and any(row.measure != "UA" for row in rows))
    grids = len({(row.study, row.target, row.encoder) for row in rows})
    cells = len(
        {(row.study, row.target, row.encoder, row.method, row.target_labels, row.normalisation) for row in rows}
    )
    seeds = max((row.seeds for row in rows), default=0)
    lead = f"{count(grids, 'grid')} of label budgets, {count(cells, 'cell')}, {count(seeds, 'seed')}."
    return Page(
        f"{recipe.name}: {recipe.paper}",
        "; ".join(filter(None, (", ".join(recipe.tables), recipe.measure))),
        " ".join(filter(None, ("SYNTHETIC speech." if synthetic else "", published_finding(comparison), lead))),
        (),
        stamped(sections, stamp) if stamp else tuple(sections),
    )


def _folder(run: Run) -> Path:
    """The folder that a run writes its results into."""
    return Path(run.settings.output.out if isinstance(run.settings, Budget) else run.settings.out)


def _scores(run: Run) -> tuple[Score, ...]:
    """The scores of a run; none where it is not finished."""
    path = _folder(run) / "scores.json"
    return read_scores(path) if path.exists() else ()


def _rows(recipe: Recipe, run: Run, numbers: Mapping[ScoreKey, Sequence[PublishedRow]]) -> Iterator[SummaryRow]:
    """The cells of a finished grid: its UA and CCC over all seeds."""
    settings, study = run.settings, run.study.settings
    assert isinstance(settings, Budget) and isinstance(study, AdaptStudy)
    scores = [score for score in _scores(run) if score.measure in recipe.measures or score.measure.startswith("CCC ")]
    if not scores:
        return
    cells: dict[tuple[str, str, str, str], dict[str, Score]] = {}
    for score in scores:
        if score.seed == "all":
            key = score.measure, score.method, score.target_labels, score.normalisation
            cells.setdefault(key, {})[score.side] = score
    data = settings.data
    for (measure, method, amount, normalisation), sides in cells.items():
        target, source = (sides[side] for side in SIDES)
        yield SummaryRow(
            study=run.study.name,
            source=target.source,
            target=run.target,
            encoder=run.encoder,
            method=method,
            target_labels=amount,
            normalisation=normalisation.removesuffix(f"+{settings.features.align}"),
            seeds=settings.split.seeds,
            labels=",".join(data.labels or ()),
            measure=measure,
            target_value=target.value,
            target_low=target.low,
            target_high=target.high,
            target_n=target.n,
            target_published=_published(recipe, run, target, numbers),
            source_value=source.value,
            source_low=source.low,
            source_high=source.high,
            source_n=source.n,
            source_published=_published(recipe, run, source, numbers),
        )


def _published(recipe: Recipe, run: Run, score: Score, numbers: Mapping[ScoreKey, Sequence[PublishedRow]]) -> str:
    """The published numbers that stand beside a score, each with its method; "" where there are none."""
    cell = cell_of(recipe, run, score)
    rows = numbers.get(cell, ()) if cell else ()
    return "; ".join(_number_with_method(row) for row in rows if isinstance(row, Published))


def measured_cells(recipe: Recipe, runs: Sequence[Run]) -> dict[ScoreKey, Score]:
    """The scores over all seeds of finished grids by their cells."""
    pairs = ((cell_of(recipe, run, score), score) for run in runs for score in _scores(run) if score.seed == "all")
    return {cell: score for cell, score in pairs if cell}


def seed_values(recipe: Recipe, runs: Sequence[Run]) -> dict[ScoreKey, list[float]]:
    """The scores of each seed by their cells, for the stars of a recipe that has them."""
    values: dict[ScoreKey, list[float]] = {}
    for run in runs if recipe.stars else ():
        for score in _scores(run):
            cell = cell_of(recipe, run, score) if score.seed != "all" else None
            if cell:
                values.setdefault(cell, []).append(score.value)
    return values


def cell_of(recipe: Recipe, run: Run, score: Score) -> ScoreKey | None:
    """The cell of a score of a grid; None where its normalisation is not the first, or of other corpora or encoders."""
    study = run.study.settings
    assert isinstance(run.settings, Budget) and isinstance(study, AdaptStudy)
    if run.encoder in run.other_encoders:
        return None
    meant = {material.corpus: material for material in recipe.corpora}
    sources = [meant[name] for name in study.source]
    first = study.request.normalisations[0]
    if score.normalisation.removesuffix(f"+{run.settings.features.align}") != first:
        return None
    if not all(_is_of([meant[run.target]], name) for name in score.target.split("+")):
        return None
    if not all(_is_of(sources, name) for name in score.source.split("+")):
        return None
    source = "+".join(study.source)
    return ScoreKey(
        run.study.name, score.method, run.encoder, source, run.target, score.target_labels, score.side, score.measure
    )


def _is_of(corpora: Sequence[RecipeCorpus], name: str) -> bool:
    """Whether utterances of the corpus `name` are from some corpora; a collection puts its name before theirs."""
    return any(
        name.removeprefix(TOY_PREFIX).startswith(f"{material.plugin}-")
        if material.plugin
        else corpus_key(name) == corpus_key(material.corpus)
        for material in corpora
    )


def _number_with_method(number: Published) -> str:
    return f"{number.printed}{number.stars} ({number.method})"


def _table(rows: Sequence[SummaryRow]) -> Table:
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
    shares = list(dict.fromkeys(row.measure for row in rows if measure_of(row.measure).unit))
    unit = f"{', '.join(shares)} in per cent. " if shares else ""
    caption = f"{unit}Source and label set of each study: {'; '.join(sets)}."
    columns = ("study", "target", "encoder", "method", "target labels", "measure")
    return Table(caption, (*columns, "target", "published", "source", "published source"), lines)


def _labels(row: SummaryRow) -> str:
    return f", {row.labels.replace(',', ', ')}" if row.labels else ""


def _matrices(
    recipe: Recipe, runs: Sequence[Run], numbers: Mapping[ScoreKey, Sequence[PublishedRow]]
) -> Section | None:
    """The confusion matrices of what is kept apart, in finished grids beside which a published one stands."""
    tables = [table for run in runs for table in _matrix_tables(run, numbers)]
    listeners = tuple(
        printed_table(
            f"Published: listeners, native {matrix.native}, on {matrix.test_language} ({matrix.setting}).", matrix
        )
        for matrix in published_confusions()
        if matrix.study == recipe.paper and matrix.who == "human"
    )
    words = (_MATRICES, *setting_words([_MATRICES]))
    return Section("Confusion matrices", words, blocks=(*tables, *listeners)) if tables else None


def _matrix_tables(run: Run, numbers: Mapping[ScoreKey, Sequence[PublishedRow]]) -> Iterator[Table]:
    assert isinstance(run.settings, Budget) and isinstance(run.study.settings, AdaptStudy)
    if run.encoder in run.other_encoders:
        return
    source = "+".join(run.study.settings.source)
    for (method, amount, _, side), counts in read_counts(Path(run.settings.output.out) / "items.csv").items():
        cell = ScoreKey(run.study.name, method, run.encoder, source, run.target, amount, side, CONFUSION)
        for matrix in numbers.get(cell, ()):
            if isinstance(matrix, PublishedConfusion):
                each = sum(counts.values()) // len(matrix.labels)
                where = f"{run.study.name}, {run.encoder}, {method} with {amount} target labels, items of the {side}"
                printed = f"published: model {matrix.native} {matrix.setting} on {matrix.test_language}"
                yield matrix_table(f"{where}, {each} answers an emotion [{printed}].", counts, matrix)


def _how(recipe: Recipe, command: str) -> Section:
    return Section("How to run it again", (recipe.citation, "Each grid has a page in its own folder."), code=command)
