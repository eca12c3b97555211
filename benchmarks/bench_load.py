"""What a part of `make demo` takes on the clock beside ten busy processes, over what it takes without them.

The busy processes belong to a session of their own, as those of another user do. The limit is what a loop of one thread
suffers beside the same processes: a program whose threads wait for each other suffers more. Nothing is corrected.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measuring import Amount, Resources, Row, child, cores, emobridge

NEEDS = ("espeakng_loader",)
BY_NAME = True
BUSY = 10
MOST = 3.0
LOOP = "sum(i * i for i in range(60_000_000))"  # some seconds
# Ends with its parent, whatever ends that.
SPIN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(1_000_000))"


def measure(resources: Resources) -> list[Row]:
    """Each part without and with the others, in turns; the machine itself must be idle."""
    del os.environ["OMP_NUM_THREADS"]  # run.py's: a user has not set it
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            child(emobridge("demo", folder / "demo", "--languages", "en,it"))
            clocks: dict[str, list[float]] = {"idle": [], "busy": [], "loop idle": [], "loop busy": []}
            for number in range(resources.repeats):
                clocks["idle"].append(_adapt(folder, f"idle{number}"))
                clocks["loop idle"].append(_loop())
                with busy(BUSY):
                    clocks["busy"].append(_adapt(folder, f"busy{number}"))
                    clocks["loop busy"].append(_loop())
    finally:
        os.environ["OMP_NUM_THREADS"] = "1"
    taken = {part: statistics.median(seconds) for part, seconds in clocks.items()}
    job = f"clock of adapt on the demonstration, beside {BUSY} busy processes / without, {cores()} cores"
    limit = Amount(taken["loop busy"] / taken["loop idle"], "a loop of one thread")
    return [
        Row(job, taken["busy"] / taken["idle"], "x", most=MOST, limit=limit),
        Row("... without them, on the clock", taken["idle"], "s"),
    ]


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """`count` processes that compute for as long as the block runs."""
    code = f"import subprocess, sys\nspin = {SPIN!r}\n"
    code += f"for p in [subprocess.Popen([sys.executable, '-c', spin]) for _ in range({count})]: p.wait()"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        time.sleep(1)  # all have started
        yield
    finally:
        process.kill()  # the others see that it is gone
        process.wait()


def _adapt(folder: Path, name: str) -> float:
    """Seconds on the clock of the whole command, features too."""
    began = time.perf_counter()
    manifests = ("--source", folder / "demo" / "en.jsonl", "--target", folder / "demo" / "it.jsonl")
    child(emobridge("adapt", *manifests, "--store", folder / name / "features", "--out", folder / name))
    return time.perf_counter() - began


def _loop() -> float:
    return child([sys.executable, "-c", LOOP]).wall
