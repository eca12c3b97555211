"""A whole budget: its grid of systems, its record and its folder, and a few lines for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emobridge.report.terminal import lines_of
from emobridge.report.write import write_study
from emobridge.study.budget import BudgetSettings, run_grid
from emobridge.study.budget_record import record_of_grid


def run_and_report(
    settings: BudgetSettings,
    command: str,
    skipped: list[tuple[str, str]] | None = None,
    *,
    strict: bool = False,
    missing: Sequence[str] = (),
    ours: Sequence[str] = (),
    title: str = "",
) -> str:
    """Run a grid, write its folder, and return a summary for the terminal.

    Ids and reasons of utterances that could not be read join `skipped`. missing: what a published study has and this
    grid has not. ours: what such a study leaves open, and what was chosen here. title: of the page.
    Errors: UserError as `run_grid` has them.
    """
    folder = Path(settings.base.out)
    folder.mkdir(parents=True, exist_ok=True)  # before hours of work that have nowhere to go
    grid = run_grid(settings, strict=strict)
    if skipped is not None:
        skipped += grid.ready.skipped
    record = record_of_grid(grid, command, missing=missing, choices=ours, title=title)
    page = write_study(folder, record)
    return "\n".join([*lines_of(record), f"table: {folder / 'cells.csv'}", f"report: {page}"])
