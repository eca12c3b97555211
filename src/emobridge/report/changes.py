"""What the last stage of a method changed: whether the source is forgotten, and what the target gains."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from emobridge import registry
from emobridge.methods.base import BASELINE
from emobridge.report.blocks import Section, Table, number, points_of
from emobridge.scores.base import DIFFERENCE, BaseEvaluation, Estimate

_WORDS = (
    "Before the last stage: the scores of the method that ends where it begins (fine-tuned of ft-lora, lora of "
    "two-stage), where that was run too; else of the baseline, which shares no stage with it. A loss on the source is "
    "what was forgotten of it. Differences are paired, with 95 % intervals."
)


@dataclass(frozen=True, slots=True)
class Change:
    """One measure on one side, before and after."""

    method: str  # and what else tells it from others, such as its budget
    before: str  # a method
    side: str
    measure: str
    values: tuple[float, float]  # before, after; means over seeds
    estimate: Estimate  # of the difference


def is_staged(method: str) -> bool:
    """Whether a method has a stage before its last."""
    return len(registry.load("methods", method).stages) > 1


def begins_as(method: str, others: Collection[str]) -> str:
    """Of the methods that were run the one that ends where the last stage of `method` begins, or the baseline."""
    stages = registry.load("methods", method).stages[:-1]
    return next((one for one in others if registry.load("methods", one).stages == stages), BASELINE)


def changes_of(name: str, before: str, side: str, old: BaseEvaluation, new: BaseEvaluation) -> tuple[Change, ...]:
    """A change in the leading measure (of attributes: of each) of two evaluations of the same utterances."""
    values_before, values_after = old.values(), new.values()
    changes = []
    for gap in new.difference(old):
        measure = gap.measure.removesuffix(DIFFERENCE)
        if not measure.endswith(" mean"):
            changes.append(Change(name, before, side, measure, (values_before[measure], values_after[measure]), gap))
    return tuple(changes)


def changes_section(changes: Sequence[Change]) -> Section | None:
    """A row for each method, side and measure."""
    if not changes:
        return None
    rows = tuple(
        (
            one.method, one.before, one.side, one.measure,
            *(number(one.measure, value) for value in one.values), points_of(one.measure, one.estimate),
        )
        for one in changes
    )  # fmt: skip
    columns = ("method", "before", "scored on", "measure", "before", "after", "difference")
    table = Table("Measured. UA in per cent, its differences in points.", columns, rows)
    return Section("What the last stage changed", (_WORDS,), blocks=(table,))
