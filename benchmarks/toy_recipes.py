"""Every recipe from end to end as a toy: `make toy`. It says what each made and fails where something is missing.

    python benchmarks/toy_recipes.py [--out DIR] [--only NAME ...] [--processes 2] [--minutes 15] [--twice] [--short]

Recipes run in processes of one thread each. The shortest is killed once it has finished a fit, and goes on; when it is
through, it runs again, as with --twice all do, and must make no fit anew. What an earlier call left in --out is read.
--short, which CI has time for, runs every recipe and study too, but the longest recipes with some of their corpora or
encoders, of which it is then not asked that all published numbers and figures are there.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from emobridge.literature.published import numbers_of
from emobridge.literature.record import Published
from emobridge.recipes.accounting import account, output_lines, table_lines
from emobridge.recipes.recipe import read_recipe, recipe_names

COMMAND = (sys.executable, "-m", "emobridge", "recipe", "run")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
SHORTEST = "cameo"
ORDER = ("agarla2024", "goncalves2024", "agarla2024-frozen", "upadhyay2024", "emobox", "dasaro2024")


SHORT = {  # what --only names, of the longest
    "agarla2024": "corpora=ravdess,savee,tess,emodb",
    "agarla2024-frozen": "corpora=ravdess,savee,tess,emodb",
    "goncalves2024": "encoders=hubert-large",
    "emobox": "corpora=emodb,pavoque,ravdess",
    "dasaro2024": "corpora=emodb,emovo",
}


@dataclass(frozen=True)
class ToyRun:
    """What became of one recipe."""

    name: str
    seconds: float  # on the clock
    again: float  # of the second run, NaN where there was none
    scores: int  # rows of its table
    beside: int  # published numbers that stand beside them
    expected: int  # those that the recipe says stand there
    not_run: int  # published numbers that it lists as not run
    problems: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the recipes and print a line for each; 1 where one failed, or all took longer than they may."""
    options = _options(arguments)
    names = sorted(options.only or recipe_names(), key=_rank)
    begin = time.monotonic()
    problems = _kill_one(names[-1], options.out)

    def run(name: str) -> ToyRun:
        only = SHORT.get(name, "") if options.short else ""
        return _run(name, options.out, twice=options.twice or name == names[-1], only=only)

    with ThreadPoolExecutor(options.processes) as pool:
        runs = list(pool.map(run, names))
    minutes = (time.monotonic() - begin) / 60
    print(f"{'recipe':<22}{'seconds':>8}{'again':>7}{'scores':>8}{'beside':>8}{'expected':>10}{'not run':>9}")
    for result in runs:
        times = f"{result.seconds:>8.0f}{result.again:>7.0f}"
        print(f"{result.name:<22}{times}{result.scores:>8}{result.beside:>8}{result.expected:>10}{result.not_run:>9}")
        problems += result.problems
    papers = dict.fromkeys(read_recipe(name).paper for name in names)
    for paper in papers:
        print("", *table_lines([recipe for recipe in map(read_recipe, names) if recipe.paper == paper]), sep="\n")
    if minutes > options.minutes:
        problems += (f"all took {minutes:.1f} minutes, expected {options.minutes:g} at most",)
    print(f"{len(runs)} recipes in {minutes:.1f} minutes", *(f"PROBLEM: {problem}" for problem in problems), sep="\n")
    return 1 if problems else 0


def _rank(name: str) -> tuple[int, str]:
    """Long recipes first, and last the shortest, which is killed and runs twice."""
    return (ORDER.index(name) if name in ORDER else len(ORDER) + (name == SHORTEST), name)


def _words(name: str, out: Path, only: str = "") -> tuple[str, ...]:
    words = (*COMMAND, name, "--toy", "--out", str(out / name), "--store", str(out / "features"))
    return (*words, "--only", only) if only else words


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


def _run(name: str, out: Path, *, twice: bool, only: str) -> ToyRun:
    """Run a recipe, or what `only` names of it, once or twice, and look at what it left."""
    seconds, problems = _call(name, out, only)
    finished = _fits(out / name)
    again = float("nan")
    if twice:
        again, more = _call(name, out, only)
        problems += more
    recipe = read_recipe(name)
    if _fits(out / name) != finished or not (finished or recipe.listening):
        problems += (f"{name}: the second run made fits anew, or there is none",)
    numbers = account(recipe)
    confusions = {row.id for row in numbers_of(recipe.paper) if not isinstance(row, Published)}
    expected, beside = numbers.cells.keys() - confusions, _rows_of(out / name / "published.csv")
    absent = sorted(expected - {row["id"] for row in beside})
    if absent and not only:
        problems += (f"{name}: {len(absent)} published numbers have no score beside them, such as {absent[0]}",)
    problems += tuple(f"{name}: {path} does not say SYNTHETIC" for path in _unmarked(out / name))
    problems += () if only else tuple(f"{name}: {line}" for line in output_lines(recipe, out / name)[1])
    print(f"{name}: {seconds:.0f} s", file=sys.stderr, flush=True)
    scores = len(_rows_of(out / name / "summary.csv"))
    return ToyRun(name, seconds, again, scores, len(beside), len(expected), len(numbers.reasons), problems)


def _rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; none where it is not there."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []


def _call(name: str, out: Path, only: str) -> tuple[float, tuple[str, ...]]:
    """The seconds that a run took, and a line where it failed or something was missing."""
    begin = time.monotonic()
    ran = subprocess.run(_words(name, out, only), env=ENVIRONMENT, capture_output=True, text=True)
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
    parser.add_argument("--twice", action="store_true")
    parser.add_argument("--short", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
