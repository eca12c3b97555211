"""Groups of utterances by a column of their manifest: the speaker's gender, age group, or any further column."""

from __future__ import annotations

from collections.abc import Sequence

from emobridge.data.manifest import EXTRA
from emobridge.errors import UserError, unknown
from emobridge.settings import Grouping
from emobridge.types import Utterance

GROUP_FIELDS = ("gender", "age", "corpus", "language", "naturalness", "channel")  # further columns are groups too
DEFAULT_COLUMNS = ("gender", "age")
MOST_GROUPS = 20  # of a column: one of more values, such as a file's name, makes no groups


def group_of(utterance: Utterance, column: str, ages: Sequence[float] = Grouping().age_groups) -> str | None:
    """The group of an utterance by a column of GROUP_FIELDS or a further one; None where it is not known.

    ages: years, ascending, at which the next age group begins.

    >>> row = Utterance("a", "c", "a.wav", gender="female", age=31, extra=(("site", "Berlin"),))
    >>> group_of(row, "gender"), group_of(row, "age"), group_of(row, "site"), group_of(row, "channel")
    ('female', '30 to 59', 'Berlin', None)
    """
    if column == "age":
        return None if utterance.age is None else age_group(utterance.age, ages)
    value = getattr(utterance, column) if column in GROUP_FIELDS else dict(utterance.extra).get(column)
    return None if value is None or value == "und" else str(value)


def age_group(years: float, ages: Sequence[float] = Grouping().age_groups) -> str:
    """The name of an age group, in whole years.

    >>> age_group(29.5), age_group(30), age_group(60), age_group(31, (40,))
    ('under 30', '30 to 59', '60 and over', 'under 40')
    """
    above = [start for start in ages if years < start]
    if len(above) == len(ages):
        return f"under {ages[0]:g}"
    begin = ages[len(ages) - len(above) - 1]
    return f"{begin:g} to {above[0] - 1:g}" if above else f"{begin:g} and over"


def columns_in(utterances: Sequence[Utterance]) -> tuple[str, ...]:
    """The columns by which some of the utterances have a group, those of GROUP_FIELDS first."""
    fields = [column for column in GROUP_FIELDS if any(group_of(row, column) is not None for row in utterances)]
    extra = {name for row in utterances for name, _ in row.extra}
    return (*fields, *sorted(extra - set(GROUP_FIELDS)))


def check_columns(columns: Sequence[str], utterances: Sequence[Utterance]) -> None:
    """Check that each column makes groups of some of the utterances.

    Errors: UserError that names the column: one that no utterance has, or of more than MOST_GROUPS values.
    """
    known = columns_in(utterances)
    for column in columns:
        if column not in known:
            raise _missing(column, known)
        values = {group_of(row, column) for row in utterances} - {None}
        if len(values) > MOST_GROUPS:
            raise UserError(f"groups: {column} has {len(values):,} values; expected at most {MOST_GROUPS} groups")


def _missing(column: str, known: Sequence[str]) -> UserError:
    if column in GROUP_FIELDS:
        return UserError(f"groups: {column}: no scored utterance has it in its manifest (known: {_listed(known)})")
    error = unknown("column of groups", column, known or GROUP_FIELDS)
    return UserError(f"{error}; a column of your own is {EXTRA}NAME in a manifest, or kept by scan --option keep=NAME")


def _listed(known: Sequence[str]) -> str:
    return ", ".join(known) or "none"
