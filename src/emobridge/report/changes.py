"""What the last stage of a method changed: whether the source is forgotten, and what the target gains."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from emobridge import registry
from emobridge.methods.base import BASELINE
from emobridge.report.blocks import Section, Table, number, points_of
from emobridge.scores.attributes import AttributeEvaluation, attribute_difference, score_attributes
from emobridge.scores.classes import Estimate, Evaluation, difference, ua

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


def changes_of(
    name: str,
    before: str,
    side: str,
    old: Evaluation | AttributeEvaluation,
    new: Evaluation | AttributeEvaluation,
) -> tuple[Change, ...]:
    """A change for each measure of two evaluations of the same utterances."""
    if isinstance(old, Evaluation):
        assert isinstance(new, Evaluation)
        values = (_ua(old), _ua(new))
        return (Change(name, before, side, "UA", values, difference(old, new)),)
    assert isinstance(new, AttributeEvaluation)
    pairs = zip(score_attributes(old), score_attributes(new), attribute_difference(old, new), strict=True)
    return tuple(
        Change(name, before, side, one.measure, (one.value, two.value), gap)
        for one, two, gap in pairs
        if one.measure != "CCC mean"
    )


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


def _ua(one: Evaluation) -> float:
    return float(np.mean([ua(one.truth, said, labels=one.labels) for said in one.predictions]))
