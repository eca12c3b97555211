"""Tests between the systems of a budget: the paired one, and Welch's as Goncalves et al. 2024 compare theirs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from emobridge.errors import UserError
from emobridge.report.record import Contest
from emobridge.scores.base import DIFFERENCE, BaseEvaluation
from emobridge.scores.welch import Subsets, subsets, welch
from emobridge.study.facts import Scored
from emobridge.types import Utterance

MethodLabels = tuple[str, str]  # a method and its number of target labels


class _Group(NamedTuple):
    """Systems that are compared with each other."""

    side: str
    of: str  # what was predicted: classes or attributes
    normalise: str


def contests_of(
    scored: Sequence[Scored], utterances: Mapping[str, Sequence[Utterance]], count: int
) -> tuple[Contest, ...]:
    """Each pair of systems with the same normalisation, on each side, in the leading measure (of each attribute).

    Where some of them are aligned and some are not, the contests between them name the normalisation alone.
    utterances: the scored ones of each side, in the order of the evaluations. count: of subsets for Welch's test; 0
    makes no contest.
    """
    if not count:
        return ()
    drawn = {side: subsets(rows, count) for side, rows in utterances.items() if rows}
    groups: dict[_Group, dict[MethodLabels, BaseEvaluation]] = {}
    spellings: dict[str, set[str]] = {}
    for system in scored:
        condition = system.condition
        spellings.setdefault(system.normalise, set()).add(condition.normalisation)
        group = groups.setdefault(_Group(condition.side, system.evaluation.of, system.normalise), {})
        group[condition.method, condition.target_labels] = system.evaluation
    contests: list[Contest] = []
    for key, systems in groups.items():
        names = spellings[key.normalise]
        normalisation = min(names) if len(names) == 1 else key.normalise
        contests += _pairs(key.side, normalisation, systems, drawn[key.side])
    return tuple(contests)


def _pairs(
    side: str, normalisation: str, systems: Mapping[MethodLabels, BaseEvaluation], drawn: Subsets
) -> Iterator[Contest]:
    values = {system: evaluation.per_subset(drawn.parts) for system, evaluation in systems.items()}
    for first, second in itertools.combinations(systems, 2):
        for gap in systems[first].difference(systems[second]):
            measure = gap.measure.removesuffix(DIFFERENCE)
            if measure not in values[first]:  # a mean over others
                continue
            better, worse, sign = (first, second, 1) if gap.value >= 0 else (second, first, -1)
            yield Contest(
                side=side,
                measure=measure,
                normalisation=normalisation,
                better=better[0],
                better_labels=better[1],
                worse=worse[0],
                worse_labels=worse[1],
                difference=abs(gap.value),
                low=min(sign * gap.low, sign * gap.high),
                high=max(sign * gap.low, sign * gap.high),
                p=gap.p,
                welch_p=_welch_p(values[better][measure], values[worse][measure]),
                values=len(values[better][measure]),
                subsets=len(drawn.parts),
                drawn=f"by {drawn.by}",
            )


def _welch_p(better: Sequence[float], worse: Sequence[float]) -> float:
    """One-tailed; NaN where a subset lacks what the score needs."""
    try:
        return welch(better, worse).p
    except UserError:
        return np.nan
