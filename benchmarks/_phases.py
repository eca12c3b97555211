"""Run the command line as it is and write the CPU seconds of its parts: _phases.py FILE.json adapt --source ..."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections import defaultdict
from pathlib import Path

from emobridge.cli import main as cli
from emobridge.encoders import load_encoder  # noqa: F401  (torch is part of "start")
from emobridge.study import adapt as study
from emobridge.study import train as training

PARTS = (
    (training, "run", "training"),
    (training, "measure_harm", "the sign of harm"),
    (training, "train_recognizer", "the bundle's training"),
    (study, "train", "reading"),  # what of it is not training
    (study, "audit_manifests", "audit"),
    (study, "record_of", "intervals"),
    (study, "write_study", "report"),
)
taken: dict[str, float] = defaultdict(float)
inside: list[float] = [0.0]  # of each part that is running: what the parts within it took


def timed(call, name: str):
    """`call`, its own CPU seconds entered under `name`."""

    @functools.wraps(call)
    def run(*args, **options):
        began = time.process_time()
        inside.append(0.0)
        try:
            return call(*args, **options)
        finally:
            whole = time.process_time() - began
            taken[name] += whole - inside.pop()
            inside[-1] += whole

    return run


def main() -> None:
    """The parts are replaced by timed ones, then the command runs."""
    out = Path(sys.argv[1])
    for owner, attribute, name in PARTS:
        setattr(owner, attribute, timed(getattr(owner, attribute), name))
    taken["start"] = time.process_time()
    sys.argv = ["emobridge", *sys.argv[2:]]
    cli.main()
    out.write_text(json.dumps(taken))


if __name__ == "__main__":
    main()
