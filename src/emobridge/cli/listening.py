"""The commands of a listening test: make a study, serve it, score the answers; `cli.main` adds them to the others."""

from __future__ import annotations

from typing import Any

import typer

from emobridge.cli.listening_results import results
from emobridge.cli.listening_serve import serve
from emobridge.cli.options import command_from
from emobridge.cli.requests import check_folder
from emobridge.cli.stopping import keep_work
from emobridge.listening.settings import NewStudy

app = typer.Typer(help="A listening test: make one from manifests, serve it to people, score people and models.")


def run_new(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Make a listening test: draw recordings of each emotion and language, and write the study and what is played.

    File names, order and format of the recordings tell nothing of the emotion. Prints what was drawn, how long a
    session takes, and the licences of the corpora.
    """
    from emobridge.listening.making import make_study, summary_lines
    from emobridge.progress import progress, report_note, report_skipped

    check_folder("--out", request.out)
    keep_work()
    skipped: list[tuple[str, str]] = []
    on_skip = None if strict else lambda name, reason: skipped.append((name, reason))
    try:
        with progress("languages") as report:
            study = make_study(request, on_skip=on_skip, on_note=report_note, on_progress=report)
    finally:
        report_skipped(skipped)
    print("\n".join(summary_lines(study, request.out)))


app.command("new")(command_from(NewStudy, "listening new", run_new))
app.command("serve")(serve)
app.command("results")(results)
