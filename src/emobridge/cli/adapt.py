"""The commands that adapt: `adapt`, and `budget` over several methods and numbers of labels."""

from __future__ import annotations

from typing import Any

from emobridge.cli.options import command_from
from emobridge.progress import report_skipped
from emobridge.settings import Adapt, Budget


def run_adapt(request: Any, strict: bool) -> None:
    """Train on labelled speech, adapt to a new language, score both, and write a report and a recogniser."""
    from emobridge.study.adapt import adapt

    adapted = adapt(request, strict=strict)
    report_skipped(adapted.prepared.skipped)
    print("\n".join(adapted.lines))


def run_budget(request: Any, strict: bool) -> None:
    """Run methods with several numbers of target labels, and show what each label is worth."""
    from emobridge.study.budget import budget

    grid = budget(request, strict=strict)
    report_skipped(grid.prepared.skipped)
    print("\n".join(grid.lines))


adapt = command_from(Adapt, "adapt", run_adapt)
budget = command_from(Budget, "budget", run_budget, ("method", "target_labels", "normalise", "candidates", "validator"))
