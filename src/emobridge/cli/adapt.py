"""The commands that adapt: `adapt`, and `budget` over several methods and numbers of labels."""

from __future__ import annotations

from typing import Any

from emobridge.cli.options import command_from
from emobridge.cli.requests import check_folder
from emobridge.cli.stopping import keep_work
from emobridge.progress import report_skipped
from emobridge.settings import Adapt, Budget


def run_adapt(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Train on labelled speech, adapt to a new language, score both, and write a report and a recogniser."""
    from emobridge.study.adapt import adapt
    from emobridge.study.cases import check_useful

    keep_work()
    check_folder("--out", request.output.out)
    check_useful(request, names)  # an option that is spelled out counts even where it has its default
    adapted = adapt(request, strict=strict)
    report_skipped(adapted.prepared.skipped)
    print("\n".join(adapted.lines))


def run_budget(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Run several methods with several numbers of target labels, and show what labels are worth."""
    from emobridge.study.budget import budget
    from emobridge.study.cases import check_useful

    keep_work()
    check_folder("--out", request.output.out)
    check_useful(request, names)
    grid = budget(request, strict=strict)
    report_skipped(grid.prepared.skipped)
    print("\n".join(grid.lines))


adapt = command_from(Adapt, "adapt", run_adapt, file_flag="--settings")
# Not of `budget`.
VARIED = ("from_bundle", "method", "target_labels", "normalise", "bundle", "harm_sign", "clips")
budget = command_from(Budget, "budget", run_budget, without=VARIED, file_flag="--settings")
