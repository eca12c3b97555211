"""A whole budget: its grid of systems, its record and its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from emobridge.data.threads import one_thread
from emobridge.report.terminal import lines_of
from emobridge.report.write import write_study
from emobridge.settings import Budget, command_of, write_settings
from emobridge.study.budget_record import record_of_grid
from emobridge.study.cases import check_useful
from emobridge.study.grid import Grid, run_grid
from emobridge.study.redact import pseudonyms_of, redacted_study


@one_thread()
def budget(request: Budget | None = None, *, strict: bool = False, **options: Any) -> Grid:
    """Run methods with several numbers of target labels and write tables, scores and a page.

    request: a record, or its options by name, as `adapt` takes them. The folder `out` then holds scores.json,
    budget.html, budget.md, budget.json, cells.csv, confusions.csv and settings.toml. An interrupted grid goes on.
    Errors: UserError for whatever is wrong with the request or the speech.
    """
    request = request or Budget.of(**options)
    check_useful(request)
    return write_grid(request, command_of(request, "budget"), strict=strict)


def write_grid(
    request: Budget,
    command: str,
    *,
    strict: bool = False,
    missing: Sequence[str] = (),
    choices: Sequence[str] = (),
    title: str = "",
) -> Grid:
    """Run a grid and write its folder; see `record_of_grid` for what a recipe adds. Errors: UserError."""
    folder = Path(request.output.out)
    folder.mkdir(parents=True, exist_ok=True)  # before hours of work that have nowhere to go
    grid = run_grid(request, strict=strict)
    shown = grid
    if request.output.redact:
        names = pseudonyms_of(request, (*request.data.source, request.data.target))
        shown = redacted_study(grid, names)
    record = record_of_grid(shown, command, missing=missing, choices=choices, title=title)
    if request.output.redact:
        record, request = names.clean((record, request))
    write_settings(folder / "settings.toml", request)
    page = write_study(folder, record)
    return replace(grid, lines=(*lines_of(record), f"table: {folder / 'cells.csv'}", f"report: {page}"))
