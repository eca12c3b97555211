"""A whole run: adaptation, audit, report and bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from emobridge.audit.findings import Audit, audit
from emobridge.data.manifest import read_manifest
from emobridge.progress import progress
from emobridge.report.model_card import model_card
from emobridge.report.record import StudyRecord
from emobridge.report.terminal import lines_of
from emobridge.report.write import write_study
from emobridge.settings import Settings, write_settings
from emobridge.study.adapt import Adapted, adapt
from emobridge.study.record import record_of
from emobridge.training.stages import hardware_of


def run_and_report(
    settings: Settings, command: str, skipped: list[tuple[str, str]] | None = None, *, strict: bool = False
) -> str:
    """Adapt, and write the folder of the run (see `write_run`). Returns a summary for the terminal.

    Ids and reasons of utterances that could not be read join `skipped`; with `strict` the first one raises. Of several
    processes (accelerate launch) the first one writes.
    """
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)  # before hours of work that have nowhere to go
    adapted = adapt(settings, strict=strict)
    if hardware_of(settings).rank:
        return ""  # the first process writes the results, which all of them have
    if skipped is not None:
        skipped += adapted.skipped
    record = write_run(out, adapted, settings, command)
    return "\n".join([*lines_of(record), f"report: {out / 'report.html'}"])


def write_run(out: Path, adapted: Adapted, settings: Settings, command: str) -> StudyRecord:
    """Audit the manifests of a finished run and write its folder: settings.toml, bundle/, scores.json and report.*.

    settings: as the user gave them. command: the line that makes the run again. Errors: UserError where the folder
    cannot be written.
    """
    record = record_of(adapted, audited(adapted.settings), command)
    write_settings(out / "settings.toml", settings)
    adapted.recognizer.save(out / "bundle", model_card(record))
    write_study(out, record)
    return record


def audited(settings: Settings) -> Audit:
    """The audit of a run's manifests, of the emotions that it learns: those of others are not its concern."""
    labels = {None, *settings.labels}
    manifests = {}
    for path in (*settings.source, settings.target):
        rows = list(read_manifest(path))
        if settings.alone:  # no emotion is learnt
            manifests[path] = [replace(row, emotion=None) for row in rows]
        else:
            manifests[path] = [row for row in rows if row.emotion in labels]
    with progress("audit") as report:
        return audit(manifests, on_progress=report)
