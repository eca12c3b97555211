"""Scores of groups of speakers in a study: of each system on each side, and whether adaptation changes the gaps."""

from __future__ import annotations

from collections.abc import Sequence

from emobridge.data.groups import check_columns
from emobridge.data.speech import UNLABELLED, Speech
from emobridge.methods.base import BASELINE
from emobridge.report.record import GroupFact
from emobridge.scores.by_group import results_by_group
from emobridge.scores.groups import GroupResult
from emobridge.settings import Grouping
from emobridge.study.facts import Scored
from emobridge.types import Score

Results = Sequence[tuple[Scored, GroupResult]]


def check_groups(grouping: Grouping, speech: Speech) -> None:
    """Check that what is scored has the columns that were asked for, before anything long begins.

    That is the target's labelled utterances; where it has none the source's. Errors: UserError that names the column.
    """
    if grouping.groups:
        labelled = speech.label != UNLABELLED
        on_target = labelled & speech.is_target
        rows = (on_target if on_target.any() else labelled).nonzero()[0]
        check_columns(grouping.groups, [speech.utterances[row] for row in rows])


def group_results(speech: Speech, scored: Sequence[Scored], grouping: Grouping) -> Results:
    """The groups of each system on each side; those of a method beside the baseline's with the same labels."""
    baselines = {system.peers: system.evaluation for system in scored if system.condition.method == BASELINE}
    results = []
    for system in scored:
        before = baselines.get(system.peers) if system.condition.method != BASELINE else None
        if before is not None and not system.evaluation.is_paired_with(before):
            before = None
        for result in results_by_group(system.evaluation, speech.utterances, grouping, baseline=before):
            results.append((system, result))
    return results


def group_facts(results: Results) -> tuple[GroupFact, ...]:
    """The results for a record."""
    return tuple(
        GroupFact(
            method=system.condition.method,
            side=system.condition.side,
            target_labels=system.condition.target_labels,
            normalisation=system.condition.normalisation,
            result=result,
        )
        for system, result in results
    )


def group_scores(results: Results) -> tuple[Score, ...]:
    """The results as rows of scores.json."""
    return tuple(row for system, result in results for row in result.rows(system.condition))
