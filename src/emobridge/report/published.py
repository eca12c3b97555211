"""The section of printed numbers beside which a study may be read."""

from __future__ import annotations

from emobridge.literature.record import Published
from emobridge.report.blocks import Section, Table, unit
from emobridge.report.record import StudyRecord

NOTHING = (
    "No published number that we know of is of these corpora, with this label set and this label budget. Numbers of "
    "other corpora of the same languages say nothing about these."
)
LANDMARKS = (
    "Others' numbers. Their corpora, splits and training differ from this run's: read them as landmarks and never "
    "as a ranking. The corpora of this run are named under Data."
)


def published_section(record: StudyRecord) -> Section:
    """A table a study and label set."""
    if not record.published:
        return Section("Published numbers", (NOTHING,))
    groups: dict[tuple[str, str, tuple[str, ...]], list[Published]] = {}
    for row in record.published:
        groups.setdefault((row.kind, row.study, row.labels), []).append(row)
    return Section("Published numbers", (LANDMARKS,), blocks=tuple(map(_table, groups.values())))


def _table(rows: list[Published]) -> Table:
    """One study and label set; what its rows have in common goes into the caption."""
    columns = {
        "method": [row.method for row in rows],
        "encoder": [row.encoder for row in rows],
        "trained on": [row.source for row in rows],
        "scored on": [row.source if row.side == "source" else row.target for row in rows],
        "target labels": [row.target_labels for row in rows],
        "measure": [row.measure for row in rows],
        "value": [printed_value(row) for row in rows],
        "notes": [row.note for row in rows],
    }
    same = {
        name: cells[0] for name, cells in columns.items() if len(set(cells)) == 1 and name not in ("method", "value")
    }
    shown = [name for name in columns if name not in same]
    origin = "as published, not measured here" if rows[0].kind == "published" else "a public tool's, not from print"
    labels = ", ".join(rows[0].labels) or "not stated"
    common = "; ".join(f"{name}: {cell}" for name, cell in (("label set", labels), *same.items()) if cell)
    caption = f"{rows[0].study}: {origin}. {common[0].upper()}{common[1:]}."
    return Table(caption, tuple(shown), tuple(zip(*(columns[name] for name in shown))))


def printed_value(row: Published) -> str:
    """As the paper prints it, with its decimals, its stars and its unit."""
    return f"{row.printed}{row.stars}{unit(row.measure)}"
