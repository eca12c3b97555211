"""The command of layer-wise studies; `cli.main` adds it to the others."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, fields
from typing import Any

from emobridge.cli.options import command_from
from emobridge.cli.requests import check_folder
from emobridge.cli.stopping import keep_work
from emobridge.probe.settings import ProbeSettings
from emobridge.settings import OUTPUT, option


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest(ProbeSettings):
    """Options of `probe`."""

    dry_run: bool = option(
        False, help="Show what would run: scores, hours of audio, disk and time, and stop.", panel=OUTPUT, first=True
    )


def run_probe(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Probe every layer of frozen encoders on labelled corpora: which encoder, layer and head for which language."""
    from emobridge.probe.estimate import estimate
    from emobridge.probe.plan import check_effects
    from emobridge.probe.report import run_and_report

    settings = ProbeSettings(**{item.name: getattr(request, item.name) for item in fields(ProbeSettings)})
    check_effects(settings, names)
    if request.dry_run:
        print("\n".join(estimate(settings)))
    else:
        keep_work()
        check_folder("--out", settings.out)
        print(run_and_report(settings, shlex.join(["emobridge", *sys.argv[1:]]), strict=strict))


probe = command_from(ProbeRequest, "probe", run_probe, file_flag="--settings-file")
