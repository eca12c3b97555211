"""Every recipe from end to end as a toy: `make toy`. It says what each made and fails where something is missing.

    python benchmarks/toys.py [--out toy-runs] [--only NAME ...] [--processes 2] [--minutes 15]

Recipes run in processes of one thread each. The first of them is killed once it has finished a fit, and goes on. When a
recipe is through, it runs again, and must make no fit anew. Whatever is in --out from an earlier call is read too.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from emobridge.recipes.recipe import recipe_names

COMMAND = (sys.executable, "-m", "emobridge", "recipe", "run")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
# Long recipes first, so that no process is left with one at the end.
ORDER = ("agarla2024", "emobox", "goncalves2024", "dasaro2024")


@dataclass(frozen=True)
class ToyRun:
    """What became of one recipe."""

    name: str
    seconds: float  # on the clock
    again: float  # of the second run
    studies: int  # whose scores are there
    rows: int  # of its table
    printed: int  # of these rows with published numbers beside
    problems: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the recipes and print a line for each; 1 where one failed, or all took longer than they may."""
    options = _options(arguments)
    names = sorted(options.only or recipe_names(), key=lambda name: (ORDER.index(name) if name in ORDER else 99, name))
    begin = time.monotonic()
    problems = _kill_one(names[-1], options.out)
    with ThreadPoolExecutor(options.processes) as pool:
        runs = list(pool.map(lambda name: _run(name, options.out), names))
    minutes = (time.monotonic() - begin) / 60
    print(f"{'recipe':<22}{'seconds':>8}{'again':>7}{'studies':>9}{'scores':>8}{'beside published':>18}")
    for run in runs:
        print(f"{run.name:<22}{run.seconds:>8.0f}{run.again:>7.0f}{run.studies:>9}{run.rows:>8}{run.printed:>18}")
        problems += run.problems
    if minutes > options.minutes:
        problems += (f"all took {minutes:.1f} minutes, expected {options.minutes:g} at most",)
    print(f"{len(runs)} recipes in {minutes:.1f} minutes", *(f"PROBLEM: {problem}" for problem in problems), sep="\n")
    return 1 if problems else 0


def _words(name: str, out: Path) -> tuple[str, ...]:
    return (*COMMAND, name, "--toy", "--out", str(out / name), "--store", str(out / "features"))


def _kill_one(name: str, out: Path) -> tuple[str, ...]:
    """Start a recipe and kill it after its first finished fit; a line where there was no time to."""
    before = set(_fits(out / name))
    process = subprocess.Popen(_words(name, out), env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not set(_fits(out / name)) - before:
        time.sleep(0.05)
    if process.poll() is not None:
        return () if before else (f"{name}: ended before it could be killed",)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return ()


def _run(name: str, out: Path) -> ToyRun:
    """Run a recipe twice and look at what it left."""
    seconds, problems = _call(name, out)
    finished = _fits(out / name)
    again, more = _call(name, out)
    problems += more
    if _fits(out / name) != finished or not finished:
        problems += (f"{name}: the second run made fits anew, or there is none",)
    page = out / name / "recipe.json"
    rows = json.loads(page.read_text(encoding="utf-8")).get("rows", []) if page.exists() else []
    printed = sum(any("published" in key and value for key, value in row.items()) for row in rows)
    problems += tuple(f"{name}: {path} does not say SYNTHETIC" for path in _unmarked(out / name))
    studies = sum(1 for path in (out / name).rglob("scores.json") if path.parent != out / name)
    print(f"{name}: {seconds:.0f} s", file=sys.stderr, flush=True)
    return ToyRun(name, seconds, again, studies or bool(rows), len(rows), printed, problems)


def _call(name: str, out: Path) -> tuple[float, tuple[str, ...]]:
    """The seconds that a run took, and a line where it failed or something was missing."""
    begin = time.monotonic()
    ran = subprocess.run(_words(name, out), env=ENVIRONMENT, capture_output=True, text=True)
    seconds = time.monotonic() - begin
    lines = [line.removeprefix("missing: ") for line in ran.stderr.splitlines() if line.startswith("missing: ")]
    if ran.returncode:
        lines.append(f"exit {ran.returncode}: {' '.join(ran.stderr.splitlines()[-1:])}")
    return seconds, tuple(f"{name}: {line}" for line in lines)


def _fits(folder: Path) -> dict[Path, int]:
    """The finished fits of a recipe, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors") if "work" in path.parts}


def _unmarked(folder: Path) -> list[Path]:
    """Pages that do not say SYNTHETIC."""
    return [path for path in folder.rglob("*.md") if "SYNTHETIC" not in path.read_text(encoding="utf-8")]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("toy-runs"))
    parser.add_argument("--only", nargs="+", choices=recipe_names())
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=15.0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
