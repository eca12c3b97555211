"""From a finished budget, a grid of methods, numbers of target labels and normalisations, to its record."""

from __future__ import annotations

from collections.abc import Sequence

from emobridge.corpora.demo import is_synthetic
from emobridge.data.attributes import is_constructed
from emobridge.data.speech import count_folds
from emobridge.literature.published import applicable
from emobridge.methods.base import BASELINE
from emobridge.report.record import SIDES, StudyRecord
from emobridge.study.calibration import calibrations_of
from emobridge.study.contests import contests_of
from emobridge.study.facts import (
    changes_of,
    collapsed_of,
    confusions_of,
    differences_of,
    intervals_over,
    item_confusions,
    scores_of,
)
from emobridge.study.grid import Grid
from emobridge.study.groups import group_facts, group_results, group_scores
from emobridge.study.protocol import held_out
from emobridge.study.record import (
    both_sides,
    corpora_of,
    cost_rows,
    layer_choice,
    now,
    scored_in,
    setting_rows,
    skipped_lines,
    study_warnings,
    system_row,
    traced_curves,
)
from emobridge.study.space import test_space
from emobridge.study.versions import versions
from emobridge.types import ATTRIBUTES, Utterance


def record_of_grid(
    grid: Grid, command: str, *, missing: Sequence[str] = (), choices: Sequence[str] = (), title: str = ""
) -> StudyRecord:
    """The record of a budget.

    command: the line that makes it again. missing: what a published study has and this one has not. choices: what such
    a study leaves open, and what was chosen here. title: of the page; "" names the corpora.
    """
    request, speech = grid.request, grid.speech
    labels, attributes = request.data.labels or (), request.data.attributes
    *sources, target = speech.corpora
    names = "+".join(corpus for corpus, _ in sources)
    scored = scored_in(grid)
    by_group = group_results(speech, scored, request.by_group)
    return StudyRecord(
        kind="budget",
        name=title or f"Label budgets: {names} to {target[0]}",
        command=command,
        created=now(),
        labels=labels,
        attributes=attributes,
        synthetic=any(is_synthetic(corpus) for corpus, _ in speech.corpora),
        constructed=bool(attributes) and any(is_constructed(corpus) for corpus, _ in speech.corpora),
        corpora=corpora_of(speech, None),
        held_out=held_out(request.split, count_folds(speech, request.split), True, bundle=False),
        scores=(*scores_of(scored), *group_scores(by_group)),
        intervals_over=intervals_over(scored),
        systems=tuple(system_row(grid, answers.case) for answers in grid.answers),
        baseline=BASELINE,
        differences=differences_of(scored),
        changes=changes_of(scored),
        by_group=group_facts(by_group),
        contests=contests_of(scored, _subset_rows(grid), request.subsets),
        confusions=confusions_of(scored),
        item_confusions=item_confusions(grid.speech, grid.answers, labels),
        collapsed=collapsed_of(scored),
        calibrations=calibrations_of(speech, request.split, grid.answers, grid.agreed),
        costs=tuple(row for answers in grid.answers for row in cost_rows(answers)),
        curves=traced_curves(grid.answers),
        test_space=test_space(speech, grid.answers),
        largest_budget=grid.largest,
        layer_choice=layer_choice(grid.decision.layer_scores, grid.answers[0].case),
        layer_normalisation=request.normalisations[0],
        warnings=tuple(study_warnings(grid)),
        published=applicable(
            *both_sides(speech),
            labels or ATTRIBUTES,
            "few",
            sides=SIDES,
            unstated=True,
        ),
        missing=tuple(missing),
        choices=tuple(choices),
        skipped=skipped_lines(grid),
        settings=_setting_rows(grid),
        versions=versions(),
    )


def _subset_rows(grid: Grid) -> dict[str, tuple[Utterance, ...]]:
    """The scored utterances of each side, in the order of the evaluations; all systems are scored on the same."""
    predicted = [part for part in grid.answers[0].predicted if part.seed == 0]
    return {
        side: tuple(grid.speech.utterances[row] for part in predicted if part.side == side for row in part.rows)
        for side in SIDES
    }


def _setting_rows(grid: Grid) -> tuple[tuple[str, str], ...]:
    """The settings that all cells share, and the head of each method."""
    rows = dict(setting_rows(grid, grid.answers[0].case))
    for name in ("head", "head_options", "method", "target_labels", "normalise"):
        del rows[name]
    heads = [(f"head of {answers.method}", str(answers.case.head)) for answers in grid.answers]
    return tuple(dict.fromkeys([*rows.items(), *heads]))
