"""A measure: a number that says how well a system does, its range and chance level, and how it is printed.

A measure is one file of this folder, or a class that a plug-in names. It derives from `ClassMeasure`,
`AttributeMeasure` or `TimelineMeasure` and holds its name and its formula; tables, pages and scores.json then show it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emobridge import registry
from emobridge.errors import UserError, unknown
from emobridge.scores.confusion import confusion

Floats = NDArray[np.float64]
PER_CENT = "per cent"
KINDS = ("classes", "attributes", "timelines")  # what measures are of
GROUP, GAP = "group ", "gap "  # how rows begin that are of one group, and of the gap of two: see scores.groups
RECALL = "recall"  # a detail of every evaluation of classes, by class and by speaker: no measure of its own


class Measure:
    """One measure of classes, of attributes or of timelines."""

    name: str  # as rows of scores.json and columns of tables name it
    long_name: str = ""
    of: str  # of KINDS
    unit: str = ""  # "per cent", or "" for a number that is printed as it is
    range: tuple[float, float] = (0.0, 1.0)  # of `value`, before it is brought to its unit
    digits: int = 3  # after the decimal point, in its unit
    order: int = 100  # in tables: lower comes first, and the first of its kind leads; equal ones go by name

    def value(self, counts: Floats) -> Floats:
        """The measure from what is counted or summed; NaN where it is not defined."""
        raise NotImplementedError(f"measure {self.name} has no formula")

    def chance(self, classes: int) -> float | None:
        """What guessing reaches with so many classes; None where that depends on the data."""
        return None

    @property
    def scale(self) -> float:
        """What a value is multiplied by to be printed in its unit."""
        return 100.0 if self.unit == PER_CENT else 1.0

    def number(self, value: float) -> str:
        """A value as it is printed, without its unit."""
        return "undefined" if value != value else f"{self.scale * value:.{self.digits}f}"

    def signed(self, difference: float) -> str:
        """A difference of two values as it is printed, with its sign."""
        value = round(self.scale * difference, self.digits) + 0.0  # no "-0.0"
        return "undefined" if difference != difference else f"{value:+.{self.digits}f}"


class ClassMeasure(Measure):
    """A measure of predicted classes, from confusion counts (..., C, C), rows truth -> (...)."""

    of = "classes"
    unit = PER_CENT
    digits = 1

    def __call__(self, truth: Sequence[str], prediction: Sequence[str], *, labels: Sequence[str]) -> float:
        """The measure of N predictions over an explicit label set; NaN of none.

        Errors: UserError for unequal lengths and for a label outside the set.
        """
        counts = confusion(truth, prediction, labels=labels)
        return float(self.value(counts)) if len(truth) else float("nan")


class AttributeMeasure(Measure):
    """A measure of predicted attributes, from the sums (..., 6) of 1, x, y, x^2, y^2 and xy -> (...).

    x are true values and y predicted ones, BOTH less the mean of the true values: squares of small numbers lose fewer
    digits. So a measure of attributes must not change where both sides are shifted alike.
    """

    of = "attributes"
    range = (-1.0, 1.0)

    def __call__(self, truth: Sequence[float], prediction: Sequence[float]) -> float:
        """The measure of N predicted values; true values that are NaN are not known and left out.

        Errors: UserError for unequal lengths.
        """
        if len(truth) != len(prediction):
            raise UserError(f"{len(truth)} true values but {len(prediction)} predicted ones")
        x, y = np.asarray(truth, dtype=float), np.asarray(prediction, dtype=float)
        return float(self.value(power_sums(x, y).sum(0)))


class TimelineMeasure(Measure):
    """A measure of emotions over time, from sums (..., 2, 5) over utterances -> (...). Lower is better.

    The first row are seconds: missed, false alarm, overlap, confusion, and those that were scored. The second row are
    the same as shares of each utterance's scored seconds, and then the number of utterances.
    """

    of = "timelines"
    unit = PER_CENT
    digits = 1
    over_time = False  # whether a second weighs the same in every utterance, or an utterance the same as another

    def parts(self, sums: Floats) -> Floats:
        """(..., 2, 5) -> (..., 4): missed, false alarm, overlap and confusion; NaN where nothing is scored."""
        row = sums[..., 0 if self.over_time else 1, :]
        whole = row[..., 4:]
        parts: Floats = np.divide(row[..., :4], whole, out=np.full(row[..., :4].shape, np.nan), where=whole > 0)
        return parts

    def value(self, counts: Floats) -> Floats:
        """(..., 2, 5) -> (...): the sum of the parts."""
        total: Floats = self.parts(counts).sum(-1)
        return total


def power_sums(truth: Floats, prediction: Floats) -> Floats:
    """(N, ...) and (..., N, ...) -> (..., N, ..., 6): of each value 1, x, y, x^2, y^2 and xy; zeros where truth is NaN.

    x and y are `truth` and `prediction` less the mean over N of the known true values.
    """
    known_rows = ~np.isnan(truth)
    count = known_rows.sum(0)
    centre = np.where(known_rows, truth, 0.0).sum(0) / np.maximum(count, 1)
    y = np.where(known_rows, prediction - centre, 0.0)
    x = np.broadcast_to(np.where(known_rows, truth - centre, 0.0), y.shape)
    return np.stack([np.broadcast_to(known_rows, y.shape), x, y, x * x, y * y, x * y], -1)


def all_measures(of: str = "") -> tuple[Measure, ...]:
    """All measures, or those of one of KINDS, in the order in which tables show them."""
    return tuple(measure for measure in _loaded(registry.names("measures")) if of in ("", measure.of))


def leading_measure(of: str) -> Measure:
    """The measure of one of KINDS that headlines and differences are in: the first."""
    return all_measures(of)[0]


def measure_named(name: str, of: str = "") -> Measure:
    """The measure of that name, among all or those of one kind. Errors: UserError that names the nearest."""
    for measure in all_measures(of):
        if measure.name == name:
            return measure
    raise unknown("measure", name, [measure.name for measure in all_measures(of)])


def measure_of(row: str) -> Measure:
    """The measure that a row of scores is of: "CCC" of "CCC arousal"; of recalls and of what nobody knows a share.

    >>> measure_of("CCC arousal").name, measure_of("F1 macro difference").name, measure_of("recall anger").unit
    ('CCC', 'F1 macro', 'per cent')
    """
    row = row.removeprefix(GROUP).removeprefix(GAP)
    starts = [measure for measure in all_measures() if f"{row} ".startswith(f"{measure.name} ")]
    return max(starts, key=lambda measure: len(measure.name), default=_SHARE)


def detail_of(row: str) -> str:
    """What a row of scores.json details: "class", "class against the rest", "speaker", "group" or "gap" (of
    two groups); "" of a measure itself.

    >>> [detail_of(row) for row in ("UA", "recall anger", "UA anger", "recall speaker f1", "group UA gender=male")]
    ['', 'class', 'class against the rest', 'speaker', 'group']
    """
    if row.startswith((GROUP, GAP)):
        return GROUP.strip() if row.startswith(GROUP) else GAP.strip()
    if row.startswith(f"{RECALL} speaker "):
        return "speaker"
    if row.startswith(f"{RECALL} "):
        return "class"
    return "class against the rest" if row.startswith("UA ") else ""


class _Share(ClassMeasure):
    name = RECALL
    long_name = "share"


_SHARE = _Share()


@lru_cache(maxsize=8)
def _loaded(names: tuple[str, ...]) -> tuple[Measure, ...]:
    """An instance of each measure; loaded again when other plug-ins are there. Errors: UserError for equal names."""
    loaded: list[Measure] = [registry.load("measures", name)() for name in names]
    titles = Counter(measure.name for measure in (*loaded, _SHARE))
    for measure in loaded:
        if measure.of not in KINDS:
            raise unknown(f"`of` of measure {measure.name}:", str(measure.of), KINDS)
        if titles[measure.name] > 1:
            raise UserError(f"measure {type(measure).__name__}: the name {measure.name!r} is taken")
    return tuple(sorted(loaded, key=lambda measure: (measure.order, measure.name)))
