"""The headline and the sections of a budget: scores of methods by the number of labelled target utterances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emobridge.report import plots
from emobridge.report.blocks import (
    Figure,
    Section,
    Table,
    bounds,
    count,
    figure,
    interval,
    number,
    signed_interval,
    unit,
)
from emobridge.report.calibration import error_beside
from emobridge.report.glossary import meaning_of
from emobridge.report.record import SIDES, Difference, StudyRecord
from emobridge.report.scores import class_measures
from emobridge.report.systems import labels_in_words, scored_methods, size_of
from emobridge.report.verdict import alarms
from emobridge.scores.measures.base import leading_measure, measure_of
from emobridge.types import Score

CURVES = (
    "Solid: the target, with 95 % intervals over {over} as bands. Dashed, same colour: the source, whose "
    "intervals stand in the table. Dotted: {dotted}. Budgets are evenly spaced, whatever their size."
)


@dataclass(frozen=True, slots=True)
class ScoreGrid:
    """The scores of a budget over all seeds, by the axes of its tables."""

    methods: tuple[str, ...]  # the baseline first
    amounts: tuple[str, ...]  # numbers of target labels in ascending order, "all" last
    normalisations: tuple[str, ...]
    cells: dict[tuple[str, str, str, str, str], Score]  # by measure, method, normalisation, amount and side

    def cell(self, measure: str, method: str, normalisation: str, amount: str, side: str) -> Score | None:
        """The score of one system; None where the method was not run so, or the side is not labelled."""
        return self.cells.get((measure, method, normalisation, amount, side))

    def text(self, measure: str, method: str, normalisation: str, amount: str, side: str) -> str:
        """The score as a table prints it, or why there is none."""
        score = self.cell(measure, method, normalisation, amount, side)
        if score is not None:
            return interval(measure, score.value, score.low, score.high)
        return "not scored" if amount in self.amounts_of(method, normalisation) else _absent(amount)

    def amounts_of(self, method: str, normalisation: str) -> tuple[str, ...]:
        """The numbers of target labels that a method was run with."""
        amounts = {key[3] for key in self.cells if key[1:3] == (method, normalisation)}
        return tuple(amount for amount in self.amounts if amount in amounts)


def grid_of(record: StudyRecord) -> ScoreGrid:
    """The scores of a record as a grid."""
    rows = [row for row in record.scores if row.seed == "all"]
    return ScoreGrid(
        scored_methods(record),
        tuple(sorted({row.target_labels for row in rows}, key=size_of)),
        tuple(dict.fromkeys(row.normalisation for row in rows)),
        {(row.measure, row.method, row.normalisation, row.target_labels, row.side): row for row in rows},
    )


def leading_measures(record: StudyRecord) -> tuple[str, ...]:
    """The measures that curves are drawn of: UA of the labels, and CCC of each attribute."""
    classes, attributes = leading_measure("classes").name, leading_measure("attributes").name
    return (*((classes,) if record.labels else ()), *(f"{attributes} {name}" for name in record.attributes))


def headline(record: StudyRecord) -> str:
    """The best systems with the fewest and the most target labels, and how often methods differ from the baseline."""
    grid, measure = grid_of(record), leading_measures(record)[0]
    ends = dict.fromkeys((*grid.amounts[:1], *grid.amounts[-1:]))
    best = [sentence for amount in ends if (sentence := _best(record, grid, measure, amount))]
    if not best:
        return "Nothing was scored on the target."
    first = [alarm for amount in ends for alarm in _alarms(record, grid, measure, amount)]
    text = f"By {measure} ({meaning_of(measure)}) on the target, the best system {' The best '.join(best)}"
    return " ".join(
        (*first, text, f"Brackets hold 95 % intervals over {record.intervals_over}.", *_comparisons(record, measure))
    )


def curve_section(record: StudyRecord) -> Section:
    """A figure a leading measure: its value by the number of target labels."""
    grid = grid_of(record)
    dotted = "chance"
    if any(_full_scores(record, grid, leading_measures(record)[0], norm) for norm in grid.normalisations):
        dotted += ", and the score of a method, named beside it, on all target labels"
    text = CURVES.format(over=record.intervals_over, dotted=dotted)
    figures = tuple(_curves(record, grid, measure) for measure in leading_measures(record))
    figures += tuple(filter(None, (_alone(record, grid, norm) for norm in grid.normalisations)))
    is_drawn = any(isinstance(block, Figure) for block in figures)
    return Section("Scores by label budget", (text,) if is_drawn else (), blocks=figures)


def difference_section(record: StudyRecord) -> Section | None:
    """A table a measure: each method minus the baseline with the same labels."""
    grid = grid_of(record)
    measures = dict.fromkeys(gap.measure for gap in record.differences if not gap.measure.endswith(" mean"))
    blocks = tuple(_differences(record, grid, measure) for measure in measures)
    return Section(f"Difference from {record.baseline}", blocks=blocks) if blocks else None


def measure_section(record: StudyRecord) -> Section | None:
    """The measures that no curve is drawn of, a row for each system and side."""
    measures = [name for name in class_measures(record) if name not in leading_measures(record)]
    shown = dict.fromkeys(row.measure for row in record.scores if measure_of(row.measure).of == "attributes")
    measures += [name for name in shown if name not in leading_measures(record) and not name.endswith(" mean")]
    if not measures:
        return None
    grid, rows, judged = grid_of(record), [], bool(record.calibrations)
    for norm in grid.normalisations:
        for method in grid.methods:
            for amount in grid.amounts_of(method, norm):
                for side in SIDES:
                    cells = (grid.text(measure, method, norm, amount, side) for measure in measures)
                    error = error_beside(record, method, norm, amount, side)
                    rows.append((method, norm, amount, side, *cells, *[error] * judged))
    caption = (
        f"Measured. Mean over seeds with 95 % interval over {record.intervals_over}; "
        f"{', '.join(name for name in measures if unit(name)) or 'none'} in per cent."
    )
    columns = ("method", "normalisation", "target labels", "scored on", *measures, *["ECE, %"] * judged)
    return Section("Other measures", blocks=(Table(caption, columns, tuple(rows)),))


def _scores_with(grid: ScoreGrid, measure: str, amount: str) -> dict[tuple[str, str], Score]:
    """The scores on the target with some number of target labels, by method and normalisation."""
    return {
        (method, norm): score
        for norm in grid.normalisations
        for method in grid.methods
        if (score := grid.cell(measure, method, norm, amount, "target")) is not None and score.value == score.value
    }


def _alarms(record: StudyRecord, grid: ScoreGrid, measure: str, amount: str) -> Iterator[str]:
    """What makes the score of the best system with some number of target labels meaningless."""
    scores = _scores_with(grid, measure, amount)
    if scores:
        best = max(scores, key=lambda system: scores[system].value)
        yield from alarms(record, f"{_system(grid, best)} with {_labels(amount)}", scores[best])


def _best(record: StudyRecord, grid: ScoreGrid, measure: str, amount: str) -> str:
    """The end of a sentence on the best system with some number of target labels; "" where none was scored."""
    scores = _scores_with(grid, measure, amount)
    if not scores:
        return ""
    best = max(scores, key=lambda system: scores[system].value)
    text = f"with {_labels(amount)} is {_system(grid, best)}: {_value(scores[best])}"
    baselines = [system for system in scores if system[0] == record.baseline]
    if baselines and best not in baselines:
        second = max(baselines, key=lambda system: scores[system].value)
        text += f"; {record.baseline} reaches {_value(scores[second])} at best"
    return f"{text}."


def _comparisons(record: StudyRecord, measure: str) -> list[str]:
    """How often each method lies above and below the baseline with the same labels and normalisation."""
    gaps: dict[str, list[Difference]] = {}
    for gap in record.differences:
        if (gap.measure, gap.side) == (measure, "target"):
            gaps.setdefault(gap.method, []).append(gap)
    return [
        f"{method} lies above {record.baseline} in {sum(gap.estimate.low > 0 for gap in rows)} of "
        f"{count(len(rows), 'comparison')}, below it in {sum(gap.estimate.high < 0 for gap in rows)}."
        for method, rows in gaps.items()
    ]


def _system(grid: ScoreGrid, system: tuple[str, str]) -> str:
    """A method, with its normalisation where several were run."""
    return f"{system[0]}, normalisation {system[1]}" if len(grid.normalisations) > 1 else system[0]


def _value(score: Score) -> str:
    value = number(score.measure, score.value)
    return f"{value}{unit(score.measure)} ({bounds(score.measure, score.low, score.high)})"


def _curves(record: StudyRecord, grid: ScoreGrid, measure: str) -> Figure | Table:
    panels = tuple(
        plots.Panel(
            f"normalisation {norm}",
            tuple(
                _line(grid, measure, method, norm, side)
                for side in SIDES
                for method in grid.methods
                if grid.amounts_of(method, norm)
            ),
            (*_chance(record, measure), *_full_scores(record, grid, measure, norm)),
        )
        for norm in grid.normalisations
    )
    title = f"{measure} by number of target labels"
    svg = plots.layer_curves(panels, title=title, measure=measure, along="labelled target utterances")
    several = len(leading_measures(record)) > 1
    file = f"budget-{measure.lower().replace(' ', '-')}" if several else "budget"
    return figure(svg, _table(record, grid, measure), file)


def _alone(record: StudyRecord, grid: ScoreGrid, norm: str) -> Figure | None:
    """The target's scores of the only method beside the baseline, by itself; those with all labels are dotted lines.

    None where there are several methods, and without scores with some labels and with all of them.
    """
    methods = [name for name in grid.methods if name != record.baseline]
    first = leading_measures(record)[0]
    measures = [name for name in leading_measures(record) if unit(name) == unit(first)]
    if len(methods) != 1 or not _full_scores(record, grid, measures[0], norm):
        return None
    (method,) = methods
    amounts = [amount for amount in grid.amounts_of(method, norm) if amount != "all"]
    panels, rows = [], []
    for measure in measures:
        scores = {amount: grid.cell(measure, method, norm, amount, "target") for amount in amounts}
        drawn = {amount: score for amount, score in scores.items() if score is not None}
        values, low, high = (tuple(getattr(score, key) for score in drawn.values()) for key in ("value", "low", "high"))
        line = plots.Line(method, tuple(drawn), values, low, high)
        panels.append(plots.Panel(measure, (line,), _full_scores(record, grid, measure, norm)))
        cells = (grid.text(measure, method, norm, amount, "target") for amount in (*amounts, "all"))
        rows.append((measure, *cells))
    title = f"{method} alone on the target, by number of its labels; the dotted line has all of them"
    svg = plots.layer_curves(panels, title=title, measure=measures[0].split()[0], along="labelled target utterances")
    table = Table(f"{title}. Normalisation {norm}.", ("measure", *amounts, "all"), tuple(rows))
    return Figure(svg, table, f"budget-alone-{norm}") if svg else None


def _chance(record: StudyRecord, measure: str) -> tuple[tuple[str, float], ...]:
    """The dotted level of guessing, where the measure has one."""
    chance = measure_of(measure).chance(len(record.labels))
    return () if chance is None else (("chance", chance),)


def _full_scores(record: StudyRecord, grid: ScoreGrid, measure: str, norm: str) -> tuple[tuple[str, float], ...]:
    """The score of each method on all target labels, where it was run with some of them too."""
    levels = []
    for method in grid.methods:
        partial = [amount for amount in grid.amounts_of(method, norm) if amount not in ("0", "all")]
        score = grid.cell(measure, method, norm, "all", "target")
        if method != record.baseline and partial and score is not None and score.value == score.value:
            levels.append((f"{method}, all labels", score.value))
    return tuple(levels)


def _line(grid: ScoreGrid, measure: str, method: str, norm: str, side: str) -> plots.Line:
    scores = {amount: grid.cell(measure, method, norm, amount, side) for amount in grid.amounts_of(method, norm)}
    drawn = [(amount, score) for amount, score in scores.items() if score is not None]
    values, low, high = (tuple(getattr(score, key) for _, score in drawn) for key in ("value", "low", "high"))
    return plots.Line(method, tuple(amount for amount, _ in drawn), values, low, high, side == "source")


def _table(record: StudyRecord, grid: ScoreGrid, measure: str) -> Table:
    """Rows methods and normalisations, columns budgets, target and source beside each other."""
    columns = [f"{amount}: {side}" for amount in grid.amounts for side in SIDES]
    rows = [
        (
            method,
            norm,
            *(grid.text(measure, method, norm, amount, side) for amount in grid.amounts for side in SIDES),
        )
        for norm in grid.normalisations
        for method in grid.methods
        if grid.amounts_of(method, norm)
    ]
    chance = measure_of(measure).chance(len(record.labels)) if record.labels else None
    is_class = measure_of(measure).of == "classes"
    labels = f"Label set: {', '.join(record.labels)}. " if is_class else ""
    guess = f"Chance {number(measure, chance)}. " if is_class and chance is not None else ""
    largest = "" if record.largest_budget is None else (
        f"Every fold has {record.largest_budget} target labels or more; all is each fold's own number."
    )  # fmt: skip
    caption = (
        f"Measured. {measure}{' in per cent' if unit(measure) else ''} by number of labelled target utterances, mean "
        f"over seeds with 95 % interval over {record.intervals_over}. {guess}{labels}{largest}"
    ).rstrip()
    return Table(caption, ("method", "normalisation", *columns), tuple(rows))


def _differences(record: StudyRecord, grid: ScoreGrid, measure: str) -> Table:
    gaps = {(*_key(gap)[1:], gap.target_labels): gap.estimate for gap in record.differences if gap.measure == measure}
    rows = []
    for method, norm, side in dict.fromkeys(key[:3] for key in gaps):
        estimates = {amount: gaps.get((method, norm, side, amount)) for amount in grid.amounts}
        cells = (signed_interval(gap) if gap else _absent(amount) for amount, gap in estimates.items())
        rows.append((method, norm, side, *cells))
    caption = (
        f"Measured. {measure} minus that of {record.baseline} with the same labels"
        f"{', in points' if unit(measure) else ''}, with 95 % intervals, paired by speaker. "
        "No interval is corrected for the number of intervals."
    )
    return Table(caption, ("method", "normalisation", "scored on", *grid.amounts), tuple(rows))


def _key(gap: Difference) -> tuple[str, str, str, str]:
    return gap.measure, gap.method, gap.normalisation, gap.side


def _absent(amount: str) -> str:
    """Why a method has no score with some number of target labels, when others have one."""
    return "needs labels" if amount == "0" else "cannot use labels"


def _labels(amount: str) -> str:
    return "no target label" if amount == "0" else labels_in_words(amount)
