"""Welch's test between the systems of a grid, over seeds x test subsets, as Goncalves et al. 2024 compare theirs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emobridge.errors import UserError
from emobridge.report.blocks import Section, Table
from emobridge.scores.welch import SIGNIFICANCE, Subsets, subsets, welch
from emobridge.study.budget import Grid, Outcome
from emobridge.study.budget_cells import Found

_WORDS = (
    "One-tailed Welch tests (Welch 1947) of each system against each other, over {count} values of each: a score for "
    "every seed and every one of {subsets} disjoint subsets of the test utterances ({by}). What the paper resamples is "
    "not known; seeds share the utterances, so that p is smaller than it ought to be, and no p is corrected for how "
    "many there are. The paired intervals above are the better answer. All tests are in welch.csv."
)


@dataclass(frozen=True, slots=True)
class Contest:
    """Whether one system is better than another."""

    side: str
    measure: str
    better: str  # the system with the higher mean
    worse: str
    difference: float  # of their means over seeds x subsets
    p: float  # one-tailed; NaN where neither varies
    values: int  # of each: seeds x subsets
    subsets: int
    drawn: str  # "by speakers" or "by utterances"

    @property
    def significant(self) -> bool:
        """p <= 0.05, as the paper has it."""
        return self.p <= SIGNIFICANCE


def contests_of(grid: Grid, found: Sequence[Found]) -> list[Contest]:
    """Each pair of systems on each side; none where the grid asks for no subsets, or a subset cannot be scored."""
    if not grid.asked.subsets:
        return []
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    drawn: dict[str, Subsets] = {}
    for outcome, side, said in found:
        parts = drawn[side] = _subsets(grid, outcome, side)
        for measure, mine in said.per_subset(parts.parts).items():
            values.setdefault((side, measure), {})[system_of(outcome)] = mine
    contests: list[Contest] = []
    for (side, measure), systems in values.items():
        contests += _pairs(side, measure, systems, drawn[side])
    return contests


def system_of(outcome: Outcome) -> str:
    """A method and what it saw, as the tests call it."""
    settings = outcome.settings
    words = {"0": "no target labels", "all": "all target labels"}
    return f"{settings.method}, {words.get(settings.target_labels, f'{settings.target_labels} target labels')}"


def welch_section(contests: Sequence[Contest]) -> Section | None:
    """Of each system those that it is better than."""
    if not contests:
        return None
    rows = []
    for side, measure in dict.fromkeys((one.side, one.measure) for one in contests):
        mine = [one for one in contests if (one.side, one.measure) == (side, measure)]
        for system in dict.fromkeys(name for one in mine for name in (one.better, one.worse)):
            won = [f"{one.worse} (p {one.p:.3f})" for one in mine if one.better == system and one.significant]
            rows.append((measure, side, system, "; ".join(won) or "-"))
    first = contests[0]
    words = _WORDS.format(count=first.values, subsets=first.subsets, by=first.drawn)
    caption = f"Measured. Systems that another is better than, one-tailed p <= {SIGNIFICANCE}."
    table = Table(caption, ("measure", "scored on", "system", "better than"), tuple(rows))
    return Section("Welch tests between systems", (words,), blocks=(table,))


def _subsets(grid: Grid, outcome: Outcome, side: str) -> Subsets:
    """The same of every system: all are scored on the same utterances."""
    rows = [row for one in outcome.predicted if one.side == side and one.seed == 0 for row in one.rows]
    return subsets([grid.speech.utterances[row] for row in rows], grid.asked.subsets)


def _pairs(side: str, measure: str, systems: Mapping[str, Sequence[float]], drawn: Subsets) -> list[Contest]:
    found = []
    for one, two in itertools.combinations(systems, 2):
        try:
            said = welch(systems[one], systems[two])
            if said.difference < 0:
                one, two, said = two, one, welch(systems[two], systems[one])
        except UserError:  # a subset without what the score needs
            continue
        found.append(
            Contest(
                side, measure, one, two, said.difference, said.p, said.counts[0], len(drawn.parts), f"by {drawn.by}"
            )
        )
    return found
