"""Two-sided tests between cells of listeners, with effect sizes, and Holm's correction over all of them.

Between groups, Welch's test of cells that share the language or the setting. Within a group the same listeners hear
several languages: a paired test of those with a UA in both. Welch's test of the same listeners, which Han et al. 2025
print, takes them for different people: it stands beside, outside the family.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import stdtrit

from emobridge.report.listeners import ListenerCell, ListenerTest
from emobridge.scores.effect import cohens_dz, hedges_g
from emobridge.scores.holm import holm
from emobridge.scores.paired import OUTSIDE, paired_t
from emobridge.scores.welch import welch

FEWEST = 2  # values on a side


def tests_of(cells: Sequence[ListenerCell]) -> tuple[ListenerTest, ...]:
    """All tests between cells; the family of Holm's correction is those with `is_in_family` and a p."""
    tests = [test for first, second in itertools.combinations(cells, 2) for test in _tests(first, second)]
    corrected = holm([test.p if test.is_in_family else math.nan for test in tests])
    return tuple(replace(test, corrected=value) for test, value in zip(tests, corrected))


def _tests(first: ListenerCell, second: ListenerCell) -> Iterator[ListenerTest]:
    same_people = set(first.listeners) & set(second.listeners)
    if same_people:
        if len(same_people) >= FEWEST:
            yield _paired(first, second)
        is_comparable = True
    else:
        is_comparable = first.language == second.language or (first.setting == second.setting != "")
    if is_comparable and min(len(first.values), len(second.values)) >= FEWEST:
        yield _welch(first, second, is_in_family=not same_people)


def _paired(first: ListenerCell, second: ListenerCell) -> ListenerTest:
    x, y = dict(zip(first.listeners, first.values)), dict(zip(second.listeners, second.values))
    both = [number for number in x if number in y]
    result = paired_t([x[number] for number in both], [y[number] for number in both])
    gap = result.difference
    return ListenerTest(
        test="paired", first=first.name, second=second.name, difference=gap.value, low=gap.low, high=gap.high,
        t=result.t, freedom=result.freedom, p=result.p, corrected=math.nan,
        effect=cohens_dz([x[number] - y[number] for number in both]), counts=(len(both), len(both)),
    )  # fmt: skip


def _welch(first: ListenerCell, second: ListenerCell, *, is_in_family: bool) -> ListenerTest:
    result = welch(first.values, second.values, tail="two-sided")
    error = math.sqrt(sum(float(np.var(cell.values, ddof=1)) / len(cell.values) for cell in (first, second)))
    margin = float(stdtrit(result.freedom, 1 - OUTSIDE / 2)) * error
    return ListenerTest(
        test="Welch", first=first.name, second=second.name, difference=result.difference,
        low=result.difference - margin, high=result.difference + margin, t=result.t, freedom=result.freedom, p=result.p,
        corrected=math.nan, effect=hedges_g(first.values, second.values), counts=result.counts,
        is_in_family=is_in_family,
    )  # fmt: skip
