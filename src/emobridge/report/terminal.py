"""A study in a few lines for the terminal."""

from __future__ import annotations

from emobridge.report.blocks import bracketed
from emobridge.report.calibration import error_beside
from emobridge.report.harm import harm_warning
from emobridge.report.page import headline, made_up
from emobridge.report.record import StudyRecord
from emobridge.report.target_section import lines_of_target
from emobridge.report.verdict import conclusion, warnings_of
from emobridge.scores.measures.base import leading_measure
from emobridge.types import Score


def lines_of(record: StudyRecord) -> list[str]:
    """A study for the terminal: its verdict, or the headline of a budget, its scores, then what a reader must know.

    It begins with what foretells harm; of a target without labels follows what was heard in it.
    """
    lines = [headline(record)]
    if record.kind == "adapt":
        target = lines_of_target(record)
        warning = harm_warning(record)
        lines = [*target, conclusion(record), *["Scores on the SOURCE:"] * bool(target), table(record)]
        lines = [warning, *lines] if warning else lines
        lines[0] = made_up(record) + lines[0]
    lines += [f"warning: {warning}" for warning in warnings_of(record) if all(warning not in line for line in lines)]
    return [*lines, *(f"missing: {line}" for line in record.missing)]


def _stamp(record: StudyRecord) -> str:
    return ("SYNTHETIC. " if record.synthetic else "") + ("CONSTRUCTED. " if record.constructed else "")


def table(record: StudyRecord) -> str:
    """The leading measures of each system on each side, UA and CCC of each attribute, with intervals."""
    stamp, lines = _stamp(record), []
    if record.labels:
        lead = leading_measure("classes")
        beside = "; ECE in per cent, after the temperature" if record.calibrations else ""
        lines.append(f"{stamp}{lead.name} over {', '.join(record.labels)}; 95 % intervals; seeds averaged{beside}")
        lines += [_line(row, record) for row in record.scores if row.measure == lead.name and row.seed == "all"]
    for name in record.attributes:
        lead = leading_measure("attributes")
        low, high = lead.range
        lines.append(f"{stamp}{lead.name} of {name}, in [{low:g}, {high:g}]; 95 % intervals; seeds averaged")
        lines += [_line(row) for row in record.scores if row.measure == f"{lead.name} {name}" and row.seed == "all"]
    return "\n".join(lines)


def _line(row: Score, record: StudyRecord | None = None) -> str:
    """A score; of the record whose confidences were judged with its ECE beside it."""
    where = f"{row.source} -> {row.target}" if row.side == "target" else row.source
    error = "-" if record is None else error_beside(
        record, row.method, row.normalisation, row.target_labels, row.side
    )  # fmt: skip
    beside = "" if error == "-" else f"  ECE {error}"
    return f"  {row.method:16} {row.side:7} {where:32} {bracketed(row)}{beside}  n={row.n}"
