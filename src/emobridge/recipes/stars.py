"""Stars beside measured scores, where a paper marks the methods that differ from one of its own.

In TOML a recipe then has

    [stars]
    against = "LAM-GL"                       the method, as printed, that the others are tested against
    levels = { "**" = 0.05, "*" = 0.1 }      a mark, and the p below which it stands

The test is ours where the paper names none: Welch's, two-sided, over the seeds. All seeds score the same speakers, so
that p is smaller than it ought to be (`scores.welch`); no p is corrected for the number of tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emobridge.errors import UserError, unknown
from emobridge.literature.published import numbers_of
from emobridge.literature.record import Published
from emobridge.scores.welch import welch

STAR_KEYS = ("against", "levels")


@dataclass(frozen=True, slots=True)
class StarRule:
    """Which method the others are tested against, and the p below which each mark stands, the least first."""

    against: str
    levels: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        marks = ", ".join(f"{mark} p < {level:g}" for mark, level in self.levels)
        return f"{marks} against {self.against}, by Welch's test over seeds, two-sided"


def read_stars(where: str, table: Any, paper: str) -> StarRule | None:
    """The [stars] of a recipe; None where it has none. Errors: UserError for a key, method or level that is not one."""
    if table is None:
        return None
    if not isinstance(table, dict):
        raise UserError(f"{where}: stars: expected a table, got {table!r}")
    for key in table:
        if key not in STAR_KEYS:
            raise UserError(f"{where}: stars: {unknown('key', key, STAR_KEYS)}")
    against, levels = table.get("against"), table.get("levels")
    methods = {row.method for row in numbers_of(paper) if isinstance(row, Published)}
    if not isinstance(against, str) or against not in methods:
        raise UserError(f"{where}: stars: {unknown('printed method', str(against), methods)}")
    numbers = levels.values() if isinstance(levels, dict) else [None]
    if not levels or not all(isinstance(level, float) and 0 < level < 1 for level in numbers):
        raise UserError(f'{where}: stars: levels: expected such as {{ "*" = 0.05 }}, got {levels!r}')
    return StarRule(against, tuple(sorted(levels.items(), key=lambda pair: pair[1])))


def star(rule: StarRule, values: Sequence[float], reference: Sequence[float]) -> str:
    """The mark of the scores of some seeds against those of the reference; "" without two seeds of each."""
    if min(len(values), len(reference)) < 2:
        return ""
    p = welch(values, reference, tail="two-sided").p
    return next((mark for mark, level in rule.levels if p < level), "")


def star_words(rule: StarRule | None, *, marked: bool) -> tuple[str, ...]:
    """What the stars of ours mean; () where the paper has none."""
    if rule is None:
        return ()
    return (f"Stars of ours: {rule}{'' if marked else '; none here'}.",)
