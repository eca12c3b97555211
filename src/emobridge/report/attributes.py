"""The section on attributes: CCC and other measures of each, which are no shares and never per cent."""

from __future__ import annotations

from emobridge.report.blocks import Section, Table, number, score_text, signed_interval
from emobridge.report.record import StudyRecord
from emobridge.report.systems import scored_systems, shared
from emobridge.scores.measures.base import all_measures

CCC = (
    "CCC, the concordance correlation coefficient (Lin 1989), is 1 where prediction and rating are the same and 0 "
    "where they have nothing in common; unlike a correlation it falls with a wrong mean or spread. It is taken over "
    "all scored utterances together, on the scale [-1, 1]."
)


def attribute_section(record: StudyRecord) -> Section | None:
    """Each attribute by system and side, and what adaptation changed; None where none was scored."""
    lead, *others = all_measures("attributes")
    rows = []
    for system in scored_systems(record):
        for name, row in system.starting(f"{lead.name} "):
            if name == "mean" and len(record.attributes) == 1:
                continue
            seeds = ", ".join(number(seed.measure, seed.value) for seed in system.seeds(row.measure))
            scores = [row, *(system.mean(f"{measure.name} {name}") for measure in others)]
            cells = ["" if score is None else score_text(score) for score in scores]
            rows.append((system.name, system.side, name, *cells, str(row.n), seeds))
    if not rows:
        return None
    ranges = ", ".join(f"{measure.name} in [{measure.range[0]:g}, {measure.range[1]:g}]" for measure in (lead, *others))
    caption = (
        f"Measured. {ranges}, mean over seeds with 95 % interval over {record.intervals_over}. "
        f"All rows: {shared(record) or 'nothing in common'}."
    )
    names = [measure.name for measure in (lead, *others)]
    columns = ("system", "scored on", "attribute", *names, "n", f"{lead.name} of each seed")
    tables = (Table(caption, columns, tuple(rows)), *_differences(record, lead.name))
    return Section("Attributes", (CCC,), blocks=tables)


def _differences(record: StudyRecord, measure: str) -> list[Table]:
    rows = tuple(
        (
            f"{gap.method} minus {gap.before}",
            gap.side,
            gap.measure.removeprefix(f"{measure} "),
            signed_interval(gap.estimate),
            str(gap.estimate.n),
        )
        for gap in record.differences
        if gap.measure.startswith(f"{measure} ") and (len(record.attributes) > 1 or gap.measure != f"{measure} mean")
    )
    caption = f"Measured. Paired differences of {measure} with 95 % intervals, paired by speaker."
    return [Table(caption, ("difference", "scored on", "attribute", measure, "n"), rows)] if rows else []
