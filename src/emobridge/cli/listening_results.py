"""The command that scores a listening test; the group `listening` registers it."""

from __future__ import annotations

from typing import Any

from emobridge.cli.options import command_from
from emobridge.cli.requests import check_folder
from emobridge.listening.settings import ResultsRequest


def run_results(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Score a listening test: listeners by native language and language heard, models on the same items, tests."""
    from emobridge.listening.results import listening_results

    check_folder("--out", request.out)
    print("\n".join(listening_results(request, strict=strict).lines))


results = command_from(ResultsRequest, "results", run_results)
