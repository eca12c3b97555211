"""The command of layer-wise studies; `cli.main` registers it."""

from __future__ import annotations

import shlex
import sys
from typing import Any

from emobridge.cli.options import command_from
from emobridge.probe.settings import ProbeSettings


def run_probe(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Probe every layer of frozen encoders on labelled corpora: which encoder, layer and head for which language."""
    if request.dry_run:
        from emobridge.probe.estimate import estimate

        print("\n".join(estimate(request)))
        return
    from emobridge.probe.report import run_and_report

    print(run_and_report(request, shlex.join(["emobridge", *sys.argv[1:]]), strict=strict))


probe = command_from(ProbeSettings, "probe", run_probe, file_flag="--settings-file")
