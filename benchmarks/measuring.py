"""What the benchmarks share: rows of the table, CPU time, child processes, the machine."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

# A child's peak memory begins with that of its parent (Linux keeps the mark over exec), so a small process starts it.
LAUNCHER = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
wall = time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, used.ru_utime + used.ru_stime, wall, used.ru_maxrss]))
"""
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes


@dataclass(frozen=True, slots=True)
class Resources:
    """What the benchmarks may use, and how much of it."""

    weights: Path | None  # folder of a Whisper model
    corpora: Path | None  # folder with ravdess/ and emodb/
    repeats: int = 3  # of each part; the median counts
    minutes: float = 60.0  # of audio in the long file


@dataclass(frozen=True, slots=True)
class Amount:
    """What another way takes for the same job, or what the machine allows, in the unit of the row."""

    value: float
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """One job of the table. Its bounds are those of the ratio to the opponent, of `ours` itself where there is none.

    opponent: what a competent user would pick today. limit: what this machine allows, see limits.py. skipped: why
    nothing was measured.
    """

    job: str
    ours: float
    unit: str
    least: float | None = None
    most: float | None = None
    opponent: Amount | None = None
    limit: Amount | None = None
    skipped: str = ""
    crashed: str = ""  # the kind of the error

    @property
    def ratio(self) -> float | None:
        """Ours over the opponent's; None without an opponent."""
        if self.opponent is None:
            return None
        return self.ours / self.opponent.value if self.opponent.value else float("inf")

    @property
    def holds(self) -> str:
        """Whether the bounds hold: yes, no (a crash too), or nothing where there are none or nothing was measured."""
        if self.crashed:
            return "no"
        if self.skipped or (self.least is None and self.most is None):
            return ""
        value = self.ours if self.ratio is None else self.ratio
        low = -float("inf") if self.least is None else self.least
        high = float("inf") if self.most is None else self.most
        return "yes" if low <= value <= high else "no"

    @property
    def cells(self) -> tuple[str, ...]:
        """As COLUMNS has them."""
        unit = self.unit if self.ratio is None else "x"
        signs = ((">=", self.least), ("<=", self.most))
        bound = " and ".join(f"{sign} {_with_unit(edge, unit)}" for sign, edge in signs if edge is not None)
        ours = f"skipped: {self.skipped}" if self.skipped else _with_unit(self.ours, self.unit)
        if self.crashed:
            ours, bound = f"crashed: {self.crashed}", ""
        others = [
            f"{_with_unit(amount.value, self.unit)}, {amount.name}" if amount else ""
            for amount in (self.opponent, self.limit)
        ]
        ratio = "" if self.ratio is None or self.skipped else _with_unit(self.ratio, "x")
        return (self.job, ours, *others, ratio, bound, self.holds)

    def _amount(self, amount: Amount | None) -> str:
        return "" if amount is None else f"{_with_unit(amount.value, self.unit)}, {amount.name}"


COLUMNS = ("job", "ours", "what one would pick", "limit", "ratio", "bound", "holds")


def skipped(job: str, reason: object) -> Row:
    """A row of what could not be measured here."""
    return Row(job, float("nan"), "", skipped=" ".join(str(reason).split()))


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown, under COLUMNS."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(row.cells for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |" for cells in lines)


@dataclass(frozen=True, slots=True)
class Used:
    """What a process and its own children took."""

    cpu: float  # s
    wall: float  # s
    peak: float  # bytes, of the largest of them


def cpu_seconds(call: Callable[[], object]) -> float:
    """CPU time of one call in this process."""
    began = time.process_time()
    call()
    return time.process_time() - began


def medians(repeats: int, **calls: Callable[[], object]) -> dict[str, float]:
    """CPU seconds of each call, the median of `repeats`; the calls take turns, so that all meet the same weather."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            taken[name].append(cpu_seconds(call))
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def child(command: Sequence[str | Path]) -> Used:
    """Run a command and measure what it took. Errors: RuntimeError with the end of what it printed, where it fails.

    Python keeps compiled modules, as it does for those of installed packages, whatever the environment says.
    """
    started = [sys.executable, "-c", LAUNCHER, *map(str, command)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(started, capture_output=True, text=True, check=False, env=environment)
    try:
        code, cpu, wall, peak = json.loads(done.stdout)
    except ValueError:
        code, cpu, wall, peak = done.returncode, 0.0, 0.0, 0
    if code:
        raise RuntimeError(f"{' '.join(started[3:])}: exit code {code}: {done.stderr[-2000:]}")
    return Used(cpu, wall, peak * RSS_UNIT)


def median_used(runs: Sequence[Used]) -> Used:
    """The median of each number on its own."""
    return Used(*(statistics.median(getattr(run, name) for run in runs) for name in Used.__slots__))


def emobridge(*arguments: str | Path) -> list[str]:
    """The command as a user gives it."""
    script = Path(sys.executable).with_name("emobridge")
    start = [str(script)] if script.exists() else [sys.executable, "-m", "emobridge.cli.main"]
    return start + list(map(str, arguments))


def cores() -> int:
    """Those that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """Processor, cores, how busy they are with other work, and versions, in one line."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    load = f"load {os.getloadavg()[0]:.1f} before the first" if hasattr(os, "getloadavg") else "load unknown"
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "numpy"))
    return f"{model}, {cores()} cores ({load}), Python {platform.python_version()}, {versions}"


def _with_unit(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{number} {unit}".strip()
