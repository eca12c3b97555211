"""A whole run: audit, adaptation, report and bundle, and a table for the terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from emobridge.audit.findings import audit
from emobridge.data.manifest import read_manifest
from emobridge.progress import progress
from emobridge.report.blocks import number
from emobridge.report.model_card import model_card
from emobridge.report.record import RunRecord
from emobridge.report.verdict import warnings
from emobridge.report.write import write_report
from emobridge.scores.measures.base import leading_measure
from emobridge.settings import Settings, write_settings
from emobridge.study.adapt import adapt
from emobridge.study.record import record_of
from emobridge.training.stages import hardware_of
from emobridge.types import Score


def run_and_report(
    settings: Settings, command: str, skipped: list[tuple[str, str]] | None = None, *, strict: bool = False
) -> str:
    """Adapt, and write `out`/scores.json, report.html, report.md, report.json, settings.toml and bundle/.

    The table for the terminal comes back; ids and reasons of utterances that could not be read join `skipped`;
    with `strict` the first one raises. Of several processes (accelerate launch) the first one writes.
    """
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)  # before hours of work that have nowhere to go
    adapted = adapt(settings, strict=strict)
    if hardware_of(settings).rank:
        return ""  # the first process writes what all have made
    if skipped is not None:
        skipped += adapted.skipped
    used = {None, *adapted.settings.labels}  # what other emotions would give away is not this run's concern
    alone = settings.alone  # nor what any would, where none is learnt
    manifests = {
        path: [
            replace(one, emotion=None) if alone else one for one in read_manifest(path) if alone or one.emotion in used
        ]
        for path in (*settings.source, settings.target)
    }
    with progress("audit") as report:
        found = audit(manifests, on_progress=report)
    record = record_of(adapted, found, command)
    write_settings(out / "settings.toml", settings)
    adapted.recognizer.save(out / "bundle", model_card(record))
    page = write_report(out, record)
    return "\n".join([table(record), *(f"warning: {one}" for one in warnings(record)), f"report: {page}"])


def table(record: RunRecord) -> str:
    """UA of each system on each side, and CCC of attributes, with intervals."""
    stamp = ("SYNTHETIC. " if record.synthetic else "") + ("CONSTRUCTED. " if record.constructed else "")
    lines = []
    if record.labels:
        lead = leading_measure("classes")
        lines.append(f"{stamp}{lead.name} over {', '.join(record.labels)}; 95 % intervals; seeds averaged")
        lines += [_line(row) for row in record.scores if row.measure == lead.name and row.seed == "all"]
    for name in record.attributes:
        lead = leading_measure("attributes")
        low, high = lead.range
        lines.append(f"{stamp}{lead.name} of {name}, in [{low:g}, {high:g}]; 95 % intervals; seeds averaged")
        lines += [_line(row) for row in record.scores if row.measure == f"{lead.name} {name}" and row.seed == "all"]
    return "\n".join(lines)


def _line(row: Score) -> str:
    where = f"{row.source} -> {row.target}" if row.side == "target" else row.source
    value, low, high = (number(row.measure, one) for one in (row.value, row.low, row.high))
    return f"  {row.method:16} {row.side:7} {where:32} {value:>5} [{low}, {high}]  n={row.n}"
