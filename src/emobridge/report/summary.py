"""A whole run: audit, adaptation, report and bundle, and a table for the terminal."""

from __future__ import annotations

from pathlib import Path

from emobridge.adaptation import adapt
from emobridge.data.audit import audit
from emobridge.data.manifest import read_manifest
from emobridge.progress import progress
from emobridge.report.model_card import model_card
from emobridge.report.record import RunRecord
from emobridge.report.run import record_of
from emobridge.report.verdict import warnings
from emobridge.report.write import write_report
from emobridge.settings import Settings, write_settings
from emobridge.stages import hardware_of


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
    manifests = {
        path: [one for one in read_manifest(path) if one.emotion in used]
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
    """UA of each system on each side, with its interval."""
    rows = [row for row in record.scores if row.measure == "UA" and row.seed == "all"]
    title = f"UA over {', '.join(record.labels)}; 95 % intervals; seeds averaged"
    lines = [f"SYNTHETIC. {title}" if record.synthetic else title]
    for row in rows:
        where = f"{row.source} -> {row.target}" if row.side == "target" else row.source
        value = f"{100 * row.value:5.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]"
        lines.append(f"  {row.method:16} {row.side:7} {where:32} {value}  n={row.n}")
    return "\n".join(lines)
