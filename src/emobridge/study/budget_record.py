"""From a finished budget, a grid of methods, numbers of target labels and normalisations, to its record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from emobridge.corpora.demo import is_synthetic
from emobridge.data.attributes import is_constructed
from emobridge.literature.published import applicable
from emobridge.methods.base import BASELINE
from emobridge.report.record import SIDES, CostRow, StudyRecord, normalisation_of
from emobridge.scores.base import Condition
from emobridge.settings import Settings
from emobridge.study.budget import Grid, Outcome
from emobridge.study.contests import contests_of
from emobridge.study.facts import (
    Scored,
    changes_of,
    collapsed_of,
    confusions_of,
    differences_of,
    resampled_in,
    scores_of,
)
from emobridge.study.protocol import folds, held_out, speech_warnings, split_of
from emobridge.study.record import corpora_of, cost_rows, layer_choice, setting_text, system_row, versions
from emobridge.study.run import attribute_evaluation_of, evaluation_of
from emobridge.types import ATTRIBUTES, Utterance

OF_A_CELL = ("method", "target_labels", "normalise", "head", "head_options", "method_options")  # settings of a cell


def record_of_grid(
    grid: Grid, command: str, *, missing: Sequence[str] = (), choices: Sequence[str] = (), title: str = ""
) -> StudyRecord:
    """The record of a budget.

    command: the line that makes it again. missing: what a published study has and this one has not. choices: what such
    a study leaves open, and what was chosen here. title: of the page; "" names the corpora.
    """
    settings, speech = grid.ready.settings, grid.speech
    *sources, target = speech.corpora
    names = "+".join(corpus for corpus, _ in sources)
    scored = scored_in(grid)
    return StudyRecord(
        kind="budget",
        name=title or f"Label budgets: {names} to {target[0]}",
        command=command,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        labels=settings.labels,
        attributes=settings.attributes,
        synthetic=any(is_synthetic(corpus) for corpus, _ in speech.corpora),
        constructed=bool(settings.attributes) and any(is_constructed(corpus) for corpus, _ in speech.corpora),
        corpora=corpora_of(speech, None),
        held_out=held_out(settings, folds(speech, settings), True, bundle=False),
        scores=scores_of(scored),
        resampled=resampled_in(scored),
        systems=tuple(system_row(outcome.settings) for outcome in grid.outcomes),
        baseline=BASELINE,
        differences=differences_of(scored),
        changes=changes_of(scored),
        contests=contests_of(scored, _subset_rows(grid), grid.asked.subsets),
        confusions=confusions_of(scored),
        collapsed=collapsed_of(scored),
        costs=tuple(row for outcome in grid.outcomes for row in _cost_rows(outcome)),
        largest_budget=grid.largest,
        layer_choice=layer_choice(grid.ready.layer_scores, settings),
        layer_normalisation=grid.asked.normalise[0],
        warnings=_warnings(grid),
        published=applicable(
            [language for _, language in sources],
            target[1],
            settings.labels or ATTRIBUTES,
            "few",
            sides=SIDES,
            unstated=True,
        ),
        missing=tuple(missing),
        choices=tuple(choices),
        skipped=tuple(f"{name}: {reason}" for name, reason in grid.ready.skipped),
        settings=_setting_rows(grid),
        versions=versions(),
    )


def scored_in(grid: Grid) -> list[Scored]:
    """The evaluations of each cell: of emotions and of attributes, on each side."""
    settings, scored = grid.ready.settings, []
    for outcome in grid.outcomes:
        for side in SIDES:
            answers = [answer for answer in outcome.predicted if answer.side == side]
            for evaluation in (
                evaluation_of(grid.speech, settings.labels, answers),
                attribute_evaluation_of(grid.speech, settings.attributes, answers),
            ):
                if evaluation is not None:
                    scored.append(Scored(_condition(grid, outcome.settings, side), evaluation))
    return scored


def _condition(grid: Grid, settings: Settings, side: str) -> Condition:
    *sources, target = (corpus for corpus, _ in grid.speech.corpora)
    return Condition(
        run=Path(settings.out).name,
        method=settings.method,
        encoder=Path(settings.encoder).name,
        layer=settings.layer,
        normalisation=normalisation_of(settings.normalise, settings.align),
        source="+".join(sources),
        target=target,
        target_labels=settings.target_labels,
        split=split_of(grid.speech, grid.ready.settings),
        side=side,
        head=settings.head,
    )


def _subset_rows(grid: Grid) -> dict[str, tuple[Utterance, ...]]:
    """The scored utterances of each side, in the order of the evaluations; all systems are scored on the same."""
    answers = [answer for answer in grid.outcomes[0].predicted if answer.seed == 0]
    return {
        side: tuple(grid.speech.utterances[row] for answer in answers if answer.side == side for row in answer.rows)
        for side in SIDES
    }


def _cost_rows(outcome: Outcome) -> tuple[CostRow, ...]:
    settings = outcome.settings
    return cost_rows(outcome.costs, settings.target_labels, normalisation_of(settings.normalise, settings.align))


def _warnings(grid: Grid) -> tuple[str, ...]:
    """Of the baseline's cells: they differ in the normalisation and the labels alone."""
    ready = grid.ready
    cells = [outcome.settings for outcome in grid.outcomes if outcome.settings.method == BASELINE]
    lines = [
        line
        for settings in cells
        for line in speech_warnings(settings, grid.speech, ready.left_out, len(ready.skipped), grid.told)
    ]
    return tuple(dict.fromkeys(lines))


def _setting_rows(grid: Grid) -> tuple[tuple[str, str], ...]:
    """The settings that all cells share, and those that vary as lists."""
    budget, shared = grid.asked, grid.ready.settings
    varied = {"methods": budget.systems, "budgets": budget.amounts, "normalise": budget.normalise}
    rows = [(key, setting_text(values)) for key, values in varied.items()]
    for cell in (outcome.settings for outcome in grid.outcomes):
        rows.append((f"head of {cell.method}", f"{cell.head} {' '.join(cell.head_options)}"))
    rows += [(key, setting_text(getattr(shared, key))) for key in Settings.__slots__ if key not in OF_A_CELL]
    rows.append(("method_options", setting_text(budget.base.method_options)))
    return tuple(dict.fromkeys(rows))
