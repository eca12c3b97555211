"""An evaluation by the groups of its utterances: which columns count, and what a reader must know of the gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emobridge.data.groups import DEFAULT_COLUMNS, group_of
from emobridge.scores.groups import LEAST_SPEAKERS, GroupGap, GroupResult, Scorable, groups_of, score_groups
from emobridge.scores.measures.base import measure_of
from emobridge.settings import Grouping
from emobridge.types import Utterance


def results_by_group(
    evaluation: Scorable, utterances: Sequence[Utterance], grouping: Grouping, *, baseline: Scorable | None = None
) -> tuple[GroupResult, ...]:
    """The scores of the groups of each column.

    utterances: what `evaluation.utterances` are indices in. grouping: its columns; by default gender and age, where two
    groups have two speakers each or more. baseline: as `score_groups` takes it.
    """
    columns = DEFAULT_COLUMNS if grouping.groups is None else grouping.groups
    results = []
    for column in columns:
        rows = [utterances[row] for row in evaluation.utterances]
        groups = groups_of([group_of(row, column, grouping.age_groups) for row in rows])
        result = score_groups(evaluation, column, groups, baseline=baseline)
        if grouping.groups is not None or _can_be_compared(result):
            results.append(result)
    return tuple(results)


def gap_in_words(gap: GroupGap) -> str:
    """The two groups, the gap in the unit of its measure, its interval and its p: for sentences."""
    row = gap.estimate
    signed = measure_of(row.measure).signed
    ends = "no interval" if row.low != row.low else f"{signed(row.low)} to {signed(row.high)}"
    p = f", p {gap.p:.3f} after Holm" if gap.p == gap.p else ""
    name = row.measure.split()[1]
    return f"{gap.first} minus {gap.second}: {name} {signed(row.value)} ({ends}{p})"


def _can_be_compared(result: GroupResult) -> bool:
    return sum(score.speakers >= LEAST_SPEAKERS for score in result.scores) > 1


def gap_warnings(results: Sequence[GroupResult]) -> Iterator[str]:
    """A line for each gap whose interval excludes 0, and for each column with groups that are too small to tell."""
    for result in results:
        for gap in result.gaps:
            if gap.is_shown:
                better, worse = (gap.first, gap.second) if gap.estimate.value > 0 else (gap.second, gap.first)
                yield (
                    f"it does not work equally well for everyone: {result.column} {better} is recognised better than "
                    f"{worse} ({gap_in_words(gap)})"
                )
        small = [score.group for score in result.scores if score.speakers < LEAST_SPEAKERS]
        if small:
            verb = "has" if len(small) == 1 else "have"
            names = ", ".join(small)
            yield f"too few to tell by {result.column}: {names} {verb} a single speaker, and no interval"
