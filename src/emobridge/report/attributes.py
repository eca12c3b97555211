"""The section on attributes: CCC of each, which is no share and never per cent."""

from __future__ import annotations

from emobridge.report.blocks import Section, Table, interval, number
from emobridge.report.record import RunRecord
from emobridge.report.systems import shared, systems

WHAT = (
    "CCC, the concordance correlation coefficient (Lin 1989), is 1 where prediction and rating are the same and 0 "
    "where they have nothing in common; unlike a correlation it falls with a wrong mean or spread. It is taken over "
    "all scored utterances together, on the scale [-1, 1]."
)


def attribute_section(record: RunRecord) -> Section | None:
    """CCC of each attribute by system and side, and what adaptation changed; None where none was scored."""
    rows = []
    for system in systems(record):
        for name, row in system.starting("CCC "):
            if name == "mean" and len(record.attributes) == 1:
                continue
            seeds = ", ".join(number(one.measure, one.value) for one in system.seeds(row.measure))
            cell = interval(row.measure, row.value, row.low, row.high)
            rows.append((system.name, system.side, name, cell, str(row.n), seeds))
    if not rows or not record.attributes:
        return None
    caption = (
        f"Measured. CCC in [-1, 1], mean over seeds with 95 % interval over {record.resampled}. "
        f"All rows: {shared(record) or 'nothing in common'}."
    )
    columns = ("system", "scored on", "attribute", "CCC", "n", "CCC of each seed")
    blocks = [Table(caption, columns, tuple(rows))]
    if record.attribute_differences:
        blocks.append(_differences(record))
    return Section("Attributes", (WHAT,), blocks=tuple(blocks))


def _differences(record: RunRecord) -> Table:
    rows = tuple(
        (
            f"{gap.after} minus {gap.before}",
            gap.side,
            gap.estimate.measure.removeprefix("CCC ").removesuffix(" difference"),
            f"{gap.estimate.value:+.3f} ({gap.estimate.low:+.3f} to {gap.estimate.high:+.3f})",
            str(gap.estimate.n),
        )
        for gap in record.attribute_differences
        if len(record.attributes) > 1 or "mean" not in gap.estimate.measure
    )
    caption = "Measured. Paired differences of CCC with 95 % intervals: both systems see the same draw."
    return Table(caption, ("difference", "scored on", "attribute", "CCC", "n"), rows)
