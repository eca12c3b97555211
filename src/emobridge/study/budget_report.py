"""A grid of label budgets as a page: budget.html, .md and .json, cells.csv and scores.json."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from emobridge.corpora.demo import is_synthetic
from emobridge.data.attributes import is_constructed
from emobridge.files import write_cells
from emobridge.literature.published import applicable
from emobridge.methods.base import BASELINE
from emobridge.report import plots
from emobridge.report.blocks import (
    CONSTRUCTED,
    FEW_SPEAKERS,
    Figure,
    Page,
    Section,
    Table,
    count,
    interval,
    percent,
    points_of,
    stamp_of,
    stamped,
)
from emobridge.report.changes import Change, begins_as, changes_of, changes_section, is_staged
from emobridge.report.costs import cost_section
from emobridge.report.record import LayerScore
from emobridge.report.sections import LIMITS, data_section, layer_section, published_section
from emobridge.report.write import write_page
from emobridge.scores.files import write_scores
from emobridge.scores.measures.base import measure_of
from emobridge.settings import Settings, layers_of
from emobridge.study.budget import BudgetSettings, Grid, run_grid, size_of, suits
from emobridge.study.budget_cells import (
    SIDES,
    Cell,
    Found,
    Gap,
    cells_of,
    evaluations_of,
    gaps_of,
    measures_of,
    normalisation_of,
    scores_of,
)
from emobridge.study.contests import Contest, contests_of, system_of, welch_section
from emobridge.study.matrices import Count, counts_of
from emobridge.study.record import corpora_of, folds, held_out, saw, speech_warnings, versions
from emobridge.training.cost import Cost
from emobridge.types import ATTRIBUTES

_CURVES = (
    "Solid: the target, with 95 % intervals over {resampled} as bands. Dashed, same colour: the source, whose "
    "intervals stand in the table. Dotted: chance. Budgets are evenly spaced, whatever their size."
)


def run_and_report(
    asked: BudgetSettings,
    command: str,
    skipped: list[tuple[str, str]] | None = None,
    *,
    strict: bool = False,
    missing: Sequence[str] = (),
    ours: Sequence[str] = (),
    title: str = "",
) -> str:
    """Run a grid, write its folder, and say the most of it in a few lines.

    Ids and reasons of utterances that could not be read join `skipped`. missing: what a published study had beside.
    ours: choices that it leaves open. Errors: UserError as `run_grid` has them.
    """
    folder = Path(asked.base.out)
    folder.mkdir(parents=True, exist_ok=True)  # before hours of work that have nowhere to go
    grid = run_grid(asked, strict=strict)
    if skipped is not None:
        skipped += grid.ready.skipped
    found = evaluations_of(grid)
    scores = scores_of(grid, found)
    cells, gaps, contests = cells_of(grid, scores), gaps_of(found), contests_of(grid, found)
    write_scores(folder / "scores.json", scores)
    write_cells(folder / "cells.csv", cells, Cell)
    write_cells(folder / "confusions.csv", counts_of(found), Count)
    if contests:
        write_cells(folder / "welch.csv", contests, Contest)
    told: dict[str, Any] = {"contests": contests, "changes": _changes(grid, found)}
    told |= {"missing": missing, "ours": ours, "title": title}
    page = page_of(grid, cells, gaps, command, found[0][2].resampled, **told)
    path = write_page(folder, "budget", page, {"cells": [asdict(cell) for cell in cells], "command": command})
    said = [*(f"warning: {one}" for one in page.warnings), *(f"missing: {one}" for one in missing)]
    return "\n".join([page.lead, *said, f"table: {folder / 'cells.csv'}", f"report: {path}"])


def page_of(
    grid: Grid,
    cells: Sequence[Cell],
    gaps: Sequence[Gap],
    command: str,
    resampled: str,
    *,
    contests: Sequence[Contest] = (),
    changes: Sequence[Change] = (),
    missing: Sequence[str] = (),
    ours: Sequence[str] = (),
    title: str = "",
) -> Page:
    """All that the three formats say."""
    settings = grid.ready.settings
    *sources, target = grid.speech.corpora
    languages = [language for _, language in sources]
    published = applicable(languages, target[1], settings.labels or ATTRIBUTES, "few", sides=SIDES, unstated=True)
    choice = [LayerScore(name, value, name in layers_of(settings.layer)) for name, value in grid.ready.layer_scores]
    sections = [
        Section("What is missing", items=tuple(missing)) if missing else None,
        *(_curves(grid, cells, resampled, measure) for measure in measures_of(settings)),
        *(_differences(grid, gaps, measure) for measure in measures_of(settings)),
        welch_section(contests),
        changes_section(changes),
        cost_section(_costs(grid)),
        published_section(published),
        Section("What the paper leaves open, and was chosen here", items=tuple(ours)) if ours else None,
        data_section(
            corpora_of(grid.speech, None),
            held_out(settings, folds(grid.speech, settings), True, bundle=False),
            _saw(grid),
        ),
        layer_section(choice),
        Section("Left out", items=tuple(f"{name}: {reason}" for name, reason in grid.ready.skipped))
        if grid.ready.skipped
        else None,
        Section("Limits and responsible use", LIMITS),
        _how(grid, command),
    ]
    kept = tuple(section for section in sections if section is not None)
    synthetic = any(is_synthetic(corpus) for corpus, _ in grid.speech.corpora)
    made = bool(settings.attributes) and any(is_constructed(corpus) for corpus, _ in grid.speech.corpora)
    names = "+".join(corpus for corpus, _ in sources)
    return Page(
        title or f"Label budgets: {names} to {target[0]}",
        f"{', '.join(grid.asked.systems)}; {count(settings.seeds, 'seed')}",
        ("SYNTHETIC speech. " if synthetic else "") + (CONSTRUCTED if made else "") + lead(grid, cells, gaps),
        _warnings(grid, resampled),
        stamped(kept, stamp) if (stamp := stamp_of(synthetic, made)) else kept,
    )


def lead(grid: Grid, cells: Sequence[Cell], gaps: Sequence[Gap]) -> str:
    """The first and the last target score of each curve, and how often a method is told from the baseline."""
    said = []
    measure = measures_of(grid.ready.settings)[0]
    for norm in grid.asked.normalise:
        for method in grid.asked.systems:
            amounts = _amounts(grid, method, norm)
            points = ", ".join(
                f"{_value(cells, measure, method, norm, amount, 'target')} with {_labels(amount)}"
                for amount in dict.fromkeys((amounts[0], amounts[-1]))
            )
            wanted = (method, norm, "target", measure)
            mine = [g.estimate for g in gaps if (g.method, g.normalisation, g.side, g.measure) == wanted]
            above, below = sum(one.low > 0 for one in mine), sum(one.high < 0 for one in mine)
            told = f"; above {BASELINE} at {above} of {count(len(mine), 'budget')}, below at {below}" if mine else ""
            said.append(f"{method} ({normalisation_of(norm, grid.asked.base.align)}) {points}{told}.")
    return f"{measure} on the target, with 95 % intervals: " + " ".join(said)


def _curves(grid: Grid, cells: Sequence[Cell], resampled: str, measure: str) -> Section:
    align = grid.asked.base.align
    panels = tuple(
        plots.Panel(
            f"normalisation {normalisation_of(norm, align)}",
            tuple(
                _line(grid, cells, measure, method, norm, side)
                for side in ("target", "source")
                for method in grid.asked.systems
            ),
            (*_chance(grid, measure), *_whole(grid, cells, measure, norm)),
        )
        for norm in grid.asked.normalise
    )
    title = f"{measure} by number of target labels"
    svg = plots.layer_curves(panels, title=title, measure=measure, along="labelled target utterances")
    table = _table(grid, cells, resampled, measure)
    several = len(measures_of(grid.ready.settings)) > 1
    name = f"budget-{measure.lower().replace(' ', '-')}" if several else "budget"
    words = _CURVES.format(resampled=resampled)
    words += " The dotted levels named by a method are its scores on all target labels." if panels[0].levels[1:] else ""
    heading = f"Scores by label budget: {measure}" if several else "Scores by label budget"
    return Section(heading, (words,), (), (Figure(svg, table, name),))


def _chance(grid: Grid, measure: str) -> tuple[tuple[str, float], ...]:
    """What guessing reaches, where that is known."""
    chance = measure_of(measure).chance(len(grid.ready.settings.labels))
    return () if chance is None else (("chance" if chance else "nothing", chance),)


def _whole(grid: Grid, cells: Sequence[Cell], measure: str, norm: str) -> Iterator[tuple[str, float]]:
    """The score of each method on all target labels, where it was run with some of them too."""
    for method in grid.asked.methods:
        some = [amount for amount in _amounts(grid, method, norm) if amount not in ("0", "all")]
        cell = _find(cells, measure, method, norm, "all", "target")
        if some and cell is not None and cell.value == cell.value:
            yield f"{method}, all labels", cell.value


def _line(grid: Grid, cells: Sequence[Cell], measure: str, method: str, norm: str, side: str) -> plots.Line:
    found = [(amount, _find(cells, measure, method, norm, amount, side)) for amount in _amounts(grid, method, norm)]
    mine = [(amount, cell) for amount, cell in found if cell is not None]
    values, low, high = (tuple(getattr(cell, key) for _, cell in mine) for key in ("value", "low", "high"))
    return plots.Line(method, tuple(amount for amount, _ in mine), values, low, high, side == "source")


def _table(grid: Grid, cells: Sequence[Cell], resampled: str, measure: str) -> Table:
    """Rows methods and normalisations, columns budgets, target and source beside each other."""
    asked, settings = grid.asked, grid.ready.settings
    columns = [f"{amount}: {side}" for amount in asked.amounts for side in SIDES]
    rows = [
        (
            method,
            normalisation_of(norm, asked.base.align),
            *(_value(cells, measure, method, norm, amount, side) for amount in asked.amounts for side in SIDES),
        )
        for norm in asked.normalise
        for method in asked.systems
    ]
    scale = measure_of(measure)
    of_classes = scale.of == "classes"
    chance = f"Chance {percent(1 / len(settings.labels))}. " if of_classes else ""
    known = f"{chance}Label set: {', '.join(settings.labels)}. " if of_classes else ""
    caption = (
        f"Measured. {measure}{f' in {scale.unit}' if scale.unit else ''} by number of labelled target utterances, "
        f"mean over seeds with 95 % interval over {resampled}. {known}Every fold has {grid.largest} target labels "
        "or more; all is each fold's own number."
    )
    return Table(caption, ("method", "normalisation", *columns), tuple(rows))


def _differences(grid: Grid, gaps: Sequence[Gap], measure: str) -> Section | None:
    gaps = [gap for gap in gaps if gap.measure == measure]
    if not gaps:
        return None
    found = {(gap.method, gap.normalisation, gap.side, gap.target_labels): gap.estimate for gap in gaps}
    rows = []
    for method, norm, side in dict.fromkeys(key[:3] for key in found):
        mine = (found.get((method, norm, side, amount)) for amount in grid.asked.amounts)
        points = (points_of(measure, one) if one else _why(method) for one in mine)
        rows.append((method, normalisation_of(norm, grid.asked.base.align), side, *points))
    caption = (
        f"Measured. {measure} minus that of {BASELINE} with the same labels"
        f"{', in points' if measure_of(measure).unit else ''}, with paired 95 % intervals: both see the same draw. "
        "No interval is corrected for how many there are."
    )
    table = Table(caption, ("method", "normalisation", "scored on", *grid.asked.amounts), tuple(rows))
    several = len(measures_of(grid.ready.settings)) > 1
    return Section(f"Difference from {BASELINE}{f': {measure}' if several else ''}", blocks=(table,))


def _changes(grid: Grid, found: Sequence[Found]) -> list[Change]:
    """Of methods with several stages: each budget against the method that it begins as, which saw no target label."""
    known = {(one.settings.method, one.settings.target_labels, one.settings.normalise, side, said.of): said
             for one, side, said in found}  # fmt: skip
    changes: list[Change] = []
    for outcome, side, said in found:
        mine = outcome.settings
        if is_staged(mine.method):
            before = begins_as(mine.method, grid.asked.systems)
            old = known.get((before, "0", mine.normalise, side, said.of))
            if old is None and before != BASELINE:  # it saw labels of the target, as it must
                old = known.get((before, mine.target_labels, mine.normalise, side, said.of))
            if old is None:
                before, old = BASELINE, known[BASELINE, mine.target_labels, mine.normalise, side, said.of]
            changes += changes_of(system_of(outcome), before, side, old, said)
    return changes


def _costs(grid: Grid) -> list[Cost]:
    """Told apart by what each method saw."""
    return [
        replace(one, run=one.run.replace(outcome.settings.method, system_of(outcome), 1))
        for outcome in grid.outcomes
        for one in outcome.costs
    ]


def _saw(grid: Grid) -> tuple[str, ...]:
    """One sentence a method and normalisation: what it was handed at every budget, and what the budget changed."""
    said = []
    for norm in grid.asked.normalise:
        for method in grid.asked.systems:
            mine = [s for s in _settings(grid) if (s.method, s.normalise) == (method, norm)]
            each = [saw(one) for one in mine]
            common = [words for words in each[0] if all(words in some for some in each)]
            rest = dict.fromkeys(words for some in each for words in some if words not in common)
            budgets = f"; by budget {', or '.join(rest)}" if rest else ""
            said.append(f"{method} (head {mine[0].head}), normalisation {norm}: {'; '.join(common)}{budgets}.")
    return tuple(said)


def _warnings(grid: Grid, resampled: str) -> tuple[str, ...]:
    ready = grid.ready
    settings = [one for one in _settings(grid) if one.method == BASELINE]
    said = [
        words
        for one in settings
        for words in speech_warnings(one, grid.speech, ready.left_out, len(ready.skipped), grid.told)
    ]
    for row in corpora_of(grid.speech, None):
        if row.speakers is not None and row.speakers < FEW_SPEAKERS:
            said.append(f"{row.corpus} has {count(row.speakers, 'speaker')}: its intervals are too narrow")
    if resampled == "utterances":
        said.append("the intervals draw utterances, not speakers: they are too narrow")
    return tuple(dict.fromkeys(said))


def _how(grid: Grid, command: str) -> Section:
    asked, settings = grid.asked, grid.ready.settings
    varied = {"methods": asked.systems, "budgets": asked.amounts, "normalise": asked.normalise}
    rows = [(key, ", ".join(words)) for key, words in varied.items()]
    rows += [(f"head of {one.method}", f"{one.head} {' '.join(one.head_options)}") for one in _settings(grid)]
    for key in Settings.__slots__:
        if key not in ("method", "target_labels", "normalise", "head", "head_options", "method_options"):
            value = getattr(settings, key)
            rows.append((key, ", ".join(value) if isinstance(value, tuple) else str(value)))
    rows.append(("method_options", ", ".join(asked.base.method_options)))
    blocks = (
        Table("Settings", ("setting", "value"), tuple(dict.fromkeys(rows))),
        Table("Versions", ("package", "version"), versions()),
    )
    chosen = f"The layer was chosen once, with {BASELINE} and normalisation {asked.normalise[0]}."
    text = (chosen,) if grid.ready.layer_scores else ()
    return Section("How to run it again", text, blocks=blocks, code=command)


def _settings(grid: Grid) -> list[Settings]:
    return [outcome.settings for outcome in grid.outcomes]


def _amounts(grid: Grid, method: str, norm: str) -> tuple[str, ...]:
    """The budgets that a method was run with, in ascending order."""
    mine = [one.target_labels for one in _settings(grid) if (one.method, one.normalise) == (method, norm)]
    return tuple(sorted(mine, key=size_of))


def _find(cells: Sequence[Cell], measure: str, method: str, norm: str, amount: str, side: str) -> Cell | None:
    """The row of all seeds; None where the method was not run so, or that side is not known."""
    wanted = (measure, method, norm, amount, side, "all")
    found = (c for c in cells if (c.measure, c.method, c.normalisation, c.target_labels, c.side, c.seed) == wanted)
    return next(found, None)


def _value(cells: Sequence[Cell], measure: str, method: str, norm: str, amount: str, side: str) -> str:
    cell = _find(cells, measure, method, norm, amount, side)
    return _why(method) if cell is None else interval(measure, cell.value, cell.low, cell.high)


def _why(method: str) -> str:
    """Why a method was not run with some budget."""
    return "cannot use labels" if suits(method, "0") else "needs labels"


def _labels(amount: str) -> str:
    words = {"0": "no target label", "1": "1 target label", "all": "all target labels"}
    return words.get(amount, f"{amount} target labels")
