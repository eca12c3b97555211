"""Welch's test between the systems of a budget, over seeds x test subsets, as Goncalves et al. 2024 compare theirs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from emobridge.errors import UserError
from emobridge.report.record import Contest
from emobridge.scores.welch import Subsets, subsets, welch
from emobridge.study.facts import Scored
from emobridge.types import Utterance

MethodLabels = tuple[str, str]  # a method and its number of target labels


def contests_of(
    scored: Sequence[Scored], utterances: Mapping[str, Sequence[Utterance]], count: int
) -> tuple[Contest, ...]:
    """Each pair of systems with the same normalisation, on each side; none where a subset cannot be scored.

    Where some of them are aligned and some are not, the contests between them name the normalisation alone.
    utterances: the scored ones of each side, in the order of the evaluations. count: of subsets; 0 makes no test.
    """
    if not count:
        return ()
    drawn = {side: subsets(rows, count) for side, rows in utterances.items() if rows}
    values: dict[tuple[str, str, str], dict[MethodLabels, list[float]]] = {}
    spellings: dict[str, set[str]] = {}
    for system in scored:
        condition = system.condition
        spellings.setdefault(system.normalise, set()).add(condition.normalisation)
        for measure, numbers in system.evaluation.per_subset(drawn[condition.side].parts).items():
            group = values.setdefault((condition.side, measure, system.normalise), {})
            group[condition.method, condition.target_labels] = numbers
    contests: list[Contest] = []
    for (side, measure, normalise), systems in values.items():
        normalisation = min(spellings[normalise]) if len(spellings[normalise]) == 1 else normalise
        contests += _pairs((side, measure, normalisation), systems, drawn[side])
    return tuple(contests)


def _pairs(
    group: tuple[str, str, str], systems: Mapping[MethodLabels, Sequence[float]], drawn: Subsets
) -> Iterator[Contest]:
    side, measure, normalisation = group
    for pair in itertools.combinations(systems, 2):
        better, worse = pair
        try:
            test = welch(systems[better], systems[worse])
            if test.difference < 0:
                better, worse = worse, better
                test = welch(systems[better], systems[worse])
        except UserError:  # a subset without what the score needs
            continue
        yield Contest(
            side=side,
            measure=measure,
            normalisation=normalisation,
            better=better[0],
            better_labels=better[1],
            worse=worse[0],
            worse_labels=worse[1],
            difference=test.difference,
            p=test.p,
            values=test.counts[0],
            subsets=len(drawn.parts),
            drawn=f"by {drawn.by}",
        )
