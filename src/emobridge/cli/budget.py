"""The command of label budgets. It has the options of `adapt`, less those that it varies."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from emobridge.cli.adapt import adapt, listed, refuse_vain, settings_of

VARIED = ("method", "target_labels", "normalise", "candidates", "validator")  # options of `adapt` not taken here
LISTS = ("methods", "budgets", "normalise")


def command() -> Callable[..., None]:
    """`budget`, with the options of the command `adapt`."""

    def budget(**given: Any) -> None:
        lists: dict[str, Any] = {key: tuple(listed(words)) for key in LISTS if (words := given.pop(key)) is not None}
        jobs, strict = given.pop("jobs"), given.pop("strict")
        from emobridge.progress import report_skipped
        from emobridge.study.budget import BudgetSettings
        from emobridge.study.budget_report import run_and_report

        base = settings_of(given | dict.fromkeys(VARIED), "budget")
        if given["out"] is None and given["settings"] is None:
            base = replace(base, out="budget")
        alone: dict[str, Any] = {
            "methods": (base.method,),
            "normalise": (base.normalise,),
        }  # of the file, or as adapt has it
        asked = BudgetSettings(base=base, jobs=jobs, **{**alone, **lists})
        refuse_vain(given, base, asked.methods)
        skipped: list[tuple[str, str]] = []
        text = run_and_report(asked, shlex.join(["emobridge", *sys.argv[1:]]), skipped, strict=strict)
        report_skipped(skipped)
        print(text)

    own = inspect.signature(_own, eval_str=True).parameters
    shared = inspect.signature(adapt, eval_str=True).parameters
    rest = {name: one for name, one in shared.items() if name not in own and name not in VARIED}
    budget.__signature__ = inspect.Signature([*own.values(), *rest.values()])  # type: ignore[attr-defined]
    budget.__doc__ = "Run methods with several numbers of target labels, and draw what each label is worth."
    return budget


def _own(
    methods: Annotated[
        str | None, typer.Option(help="By comma (default soft-pseudo-labels); source-only is run in any case.")
    ] = None,
    budgets: Annotated[
        str | None, typer.Option(help="Labelled target utterances, by comma (default 0,25,50,100,all).")
    ] = None,
    normalise: Annotated[
        str | None, typer.Option(help="By comma: none, corpus, speaker (default), speaker+text.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes that train, each with one thread.")] = 1,
    out: Annotated[str | None, typer.Option(help="Folder for report, table and scores (default budget).")] = None,
    settings: Annotated[Path | None, typer.Option(help="TOML file as of adapt; options here override it.")] = None,
) -> None:
    """The options that `budget` has for itself."""
