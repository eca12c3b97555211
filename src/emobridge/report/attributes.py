"""The section on attributes: CCC of each, which is no share and never per cent."""

from __future__ import annotations

from emobridge.report.blocks import Section, Table, interval, number, points_of
from emobridge.report.record import RunRecord
from emobridge.report.systems import shared, systems
from emobridge.scores.base import DIFFERENCE
from emobridge.scores.measures.base import all_measures, leading_measure

WHAT = (
    "CCC, the concordance correlation coefficient (Lin 1989), is 1 where prediction and rating are the same and 0 "
    "where they have nothing in common; unlike a correlation it falls with a wrong mean or spread. It is taken over "
    "all scored utterances together, on the scale [-1, 1]."
)


def attribute_section(record: RunRecord) -> Section | None:
    """CCC of each attribute by system and side, and what adaptation changed; None where none was scored."""
    lead, *others = all_measures("attributes")
    rows = []
    for system in systems(record):
        for name, row in system.starting(f"{lead.name} "):
            if name == "mean" and len(record.attributes) == 1:
                continue
            seeds = ", ".join(number(one.measure, one.value) for one in system.seeds(row.measure))
            scores = [row, *(system.mean(f"{measure.name} {name}") for measure in others)]
            cells = ["" if one is None else interval(one.measure, one.value, one.low, one.high) for one in scores]
            rows.append((system.name, system.side, name, *cells, str(row.n), seeds))
    if not rows or not record.attributes:
        return None
    ranges = ", ".join(f"{one.name} in [{one.range[0]:g}, {one.range[1]:g}]" for one in (lead, *others))
    caption = (
        f"Measured. {ranges}, mean over seeds with 95 % interval over {record.resampled}. "
        f"All rows: {shared(record) or 'nothing in common'}."
    )
    names = [measure.name for measure in (lead, *others)]
    columns = ("system", "scored on", "attribute", *names, "n", f"{lead.name} of each seed")
    blocks = [Table(caption, columns, tuple(rows))]
    if record.attribute_differences:
        blocks.append(_differences(record))
    return Section("Attributes", (WHAT,), blocks=tuple(blocks))


def _differences(record: RunRecord) -> Table:
    lead = leading_measure("attributes").name
    rows = tuple(
        (
            f"{gap.after} minus {gap.before}",
            gap.side,
            gap.estimate.measure.removeprefix(f"{lead} ").removesuffix(DIFFERENCE),
            points_of(gap.estimate.measure, gap.estimate),
            str(gap.estimate.n),
        )
        for gap in record.attribute_differences
        if len(record.attributes) > 1 or "mean" not in gap.estimate.measure
    )
    caption = f"Measured. Paired differences of {lead} with 95 % intervals: both systems see the same draw."
    return Table(caption, ("difference", "scored on", "attribute", lead, "n"), rows)
