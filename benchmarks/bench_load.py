"""What `make demo` and every twelfth file of the tests take beside ten busy processes, over what they take without.

The busy processes belong to a session of their own, as those of another user do; the machine itself must be idle. The
sample stands for `make test`: of the files of tests in the order of their paths the first of each twelve, in two
processes as there. The limit is what loops of one thread suffer, one beside `make demo`, two beside the tests: a
program whose threads wait for each other suffers more. Nothing is corrected. `LOAD=demo` or `LOAD=tests` measures one
of both.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from measuring import Amount, Resources, Row, child, cores

NEEDS = ("espeakng_loader", "pytest")
BY_NAME = True
BUSY = 10
MOST = 3.0
SAMPLED = 12  # one file of the tests in so many
ROOT = Path(__file__).resolve().parents[1]
LOOP = "sum(i * i for i in range(60_000_000))"  # some seconds
# Ends with its parent, whatever ends that.
SPIN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(1_000_000))"


def measure(resources: Resources) -> list[Row]:
    """Each job without and with the others, in turns."""
    jobs = {
        "demo": lambda: _rows("make demo", _demo, 1, resources.repeats),
        "tests": lambda: _rows(f"one of {SAMPLED} files of the tests", _sample, 2, resources.repeats),
    }
    chosen = os.environ.get("LOAD", "demo tests").split()
    threads = os.environ.pop("OMP_NUM_THREADS")  # run.py's: a user has not set it
    try:
        return [row for name in chosen for row in jobs[name]()]
    finally:
        os.environ["OMP_NUM_THREADS"] = threads


def _rows(name: str, run: Callable[[], float], loops: int, repeats: int) -> list[Row]:
    clocks: dict[str, list[float]] = {"idle": [], "busy": [], "loop idle": [], "loop busy": []}
    for _ in range(repeats):
        clocks["idle"].append(run())
        clocks["loop idle"].append(_loops(loops))
        with busy(BUSY):
            clocks["busy"].append(run())
            clocks["loop busy"].append(_loops(loops))
    taken = {part: statistics.median(seconds) for part, seconds in clocks.items()}
    limit = Amount(taken["loop busy"] / taken["loop idle"], f"{loops} loops of one thread")
    job = f"clock of {name}, beside {BUSY} busy processes / without, {cores()} cores"
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


def _demo() -> float:
    """Seconds on the clock of `make demo` in an empty folder, in the environment that this process runs in."""
    ready = f"{sys.prefix}/.ready"  # is not made anew, whatever is newer
    with tempfile.TemporaryDirectory() as folder:
        return child(["make", "-f", ROOT / "Makefile", "-C", folder, "-o", ready, f"VENV={sys.prefix}", "demo"]).wall


def _sample() -> float:
    files = sorted((ROOT / "tests").rglob("test_*.py"))[::SAMPLED]
    return child([sys.executable, "-m", "pytest", "-n", "2", f"--rootdir={ROOT}", *files]).wall


def _loops(count: int) -> float:
    """Seconds on the clock until all of some loops, which run at once, have ended."""
    began = time.perf_counter()
    for process in [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(count)]:
        process.wait()
    return time.perf_counter() - began
