"""Sections of scores over labels: all measures of each system, recall by class and by speaker, confusions."""

from __future__ import annotations

from collections.abc import Sequence

from emobridge.report import plots
from emobridge.report.blocks import Figure, Section, Table, figure, number, score_text, signed_interval, unit
from emobridge.report.calibration import error_beside
from emobridge.report.record import SIDES, Confusion, StudyRecord
from emobridge.report.systems import ScoredSystem, name_in, scored_systems, shared
from emobridge.report.verdict import headline_measure
from emobridge.scores.measures.base import detail_of, measure_of
from emobridge.types import Score

MOST_SPEAKERS = 40  # in the plot; the table beside it has all


def class_measures(record: StudyRecord) -> tuple[str, ...]:
    """The measures over all labels that the record has, in the order of tables; those of one label are shown apart."""
    names = dict.fromkeys(row.measure for row in record.scores if not detail_of(row.measure))
    return tuple(sorted((name for name in names if measure_of(name).of == "classes"), key=_order))


def score_section(record: StudyRecord) -> Section | None:
    """Each system on each side by each measure over all labels, and what adaptation changed."""
    measures = class_measures(record)
    if not measures and record.attributes:
        return None
    leading = headline_measure(record)
    rows, judged = [], bool(record.calibrations)
    for system in scored_systems(record):
        scored = [row for row in system.rows if row.measure in measures]
        if not scored:
            continue
        cells = [_cell(system.mean(measure)) for measure in measures]
        seeds = ", ".join(number(row.measure, row.value) for row in system.seeds(leading))
        first = scored[0]
        error = error_beside(record, first.method, first.normalisation, first.target_labels, first.side)
        rows.append((system.name, system.side, *cells, *[error] * judged, str(max(row.n for row in scored)), seeds))
    caption = (
        f"Measured. Mean over seeds with 95 % interval over {record.intervals_over}{_units(measures)}. "
        f"Label set: {', '.join(record.labels)}.{' ECE: after the temperature.' * judged} "
        f"All rows: {shared(record) or 'nothing in common'}."
    )
    columns = ("system", "scored on", *measures, *["ECE, %"] * judged, "n", f"{leading} of each seed")
    title = "Scores" if record.is_scored else "Scores on the source"
    return Section(title, blocks=(Table(caption, columns, tuple(rows)), *_difference_tables(record)))


def recall_section(record: StudyRecord) -> Section | None:
    """Recall of each label by each system, a plot a side."""
    systems = [system for system in scored_systems(record) if system.classes()]
    blocks = []
    for side in SIDES:
        here = [system for system in systems if system.side == side]
        if here:
            names = [label for label in record.labels if any(label in dict(system.classes()) for system in here)]
            title = f"Recall by class on the {side}, per cent, with 95 % intervals"
            blocks.append(_dots(here, [dict(system.classes()) for system in here], names, title, record))
    return Section("Recall by class", blocks=tuple(blocks)) if blocks else None


def speaker_section(record: StudyRecord) -> Section | None:
    """UA of each target speaker, the hardest first."""
    here = [system for system in scored_systems(record) if system.side == "target" and system.speakers()]
    if not here:
        return None
    lead = next((system for system in here if system.method == record.method), here[0])
    order = [name for name, _ in sorted(lead.speakers(), key=lambda pair: pair[1].value)]
    note = f"the {MOST_SPEAKERS} hardest of {len(order)}, " if len(order) > MOST_SPEAKERS else ""
    title = f"UA by target speaker, {note}hardest for {lead.name} first, per cent, 95 % intervals over utterances"
    values = [dict(system.speakers()) for system in here]
    block = _dots(here, values, order, title, record, shown=order[:MOST_SPEAKERS])
    return Section("Recall by speaker", ("A mean can hide a speaker whom the system fails.",), blocks=(block,))


def confusion_section(record: StudyRecord) -> Section | None:
    """A matrix for each system and side, the target first."""
    order = sorted(record.confusions, key=lambda confusion: SIDES.index(confusion.side))
    blocks = tuple(_matrix(record, confusion) for confusion in order)
    return Section("Confusion", blocks=blocks) if blocks else None


def _difference_tables(record: StudyRecord) -> tuple[Table, ...]:
    gaps = [gap for gap in record.differences if measure_of(gap.measure).of == "classes"]
    if not gaps:
        return ()
    several = len({gap.measure for gap in gaps}) > 1
    rows = tuple(
        (
            f"{gap.method} minus {gap.before}",
            gap.side,
            *((gap.measure,) if several else ()),
            signed_interval(gap.estimate),
            str(gap.estimate.n),
        )
        for gap in gaps
    )
    columns = ("difference", "scored on", *(("measure",) if several else ()), "points", "n")
    caption = "Measured. Paired differences in points with 95 % intervals, paired by speaker."
    return (Table(caption, columns, rows),)


def _dots(
    systems: Sequence[ScoredSystem],
    values: Sequence[dict[str, Score]],
    names: Sequence[str],
    title: str,
    record: StudyRecord,
    shown: Sequence[str] | None = None,
) -> Figure | Table:
    """A row for each name, a colour for each system, whose `values` are by name. shown: of many names, those drawn."""
    series = [
        plots.Series(system.name, tuple(plots.Point(name, row.value, row.low, row.high) for name, row in rows.items()))
        for system, rows in zip(systems, values)
    ]
    n = {name: str(row.n) for rows in values for name, row in rows.items()}
    cells = tuple((name, n[name], *(_cell(rows.get(name)) for rows in values)) for name in names)
    table = Table(f"Measured. {title}", ("", "n", *(system.name for system in systems)), cells)
    return figure(plots.dots(series, shown or names, chance=1 / len(record.labels), title=title), table)


def _matrix(record: StudyRecord, confusion: Confusion) -> Figure | Table:
    title = (
        f"{name_in(record, confusion)} on the {confusion.side}: rows are the true label, per cent of the row, "
        "counts over all seeds"
    )
    rows = tuple((label, *map(str, counts)) for label, counts in zip(confusion.labels, confusion.counts))
    table = Table(f"Measured. {title}", ("true \\ predicted", *confusion.labels), rows)
    return figure(plots.matrix(confusion.labels, confusion.counts, title=title), table)


def _order(name: str) -> tuple[int, str]:
    return measure_of(name).order, name


def _units(measures: Sequence[str]) -> str:
    """ "; per cent" where all measures are shares; else those that are not are named."""
    others = [name for name in measures if not unit(name)]
    return f"; per cent, save {', '.join(others)}" if others else "; per cent"


def _cell(row: Score | None) -> str:
    return "" if row is None else score_text(row)
