"""Run the tutorials as CI does, each in an empty folder: `make tutorials`.

    python tutorials/run.py [NAME ...] [--record] [--keep DIR]

A tutorial is a script whose sections the documentation shows, `# --8<-- [start:name]` to `# --8<-- [end:name]`, and a
file in `output/` with what each section printed, which the page shows beneath it. A run fails where the script does,
or where it prints anything else than the file has: other words, or numbers that differ by more than machines do.
--record writes the file instead. At the end stands a table of the CPU seconds (user and system, all children).
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "output"
NAMES = ("new_language", "hundred_labels", "own_method", "published_table", "listening_test")
MARK = re.compile(r"^\s*# --8<-- \[(start|end):([\w-]+)\]\s*$")
PROGRESS = re.compile(r".*: \d+ of \d+")  # a line of a command that is still at work
NUMBER = re.compile(r"(?<![\w./-])[-+]?\d+(?:\.\d+)?(?![\w/-]|\.\w)")  # that is no part of a name
AT_AN_EDGE = "warning: it does not work equally well"  # begins a line that is there if an interval does not hold 0
POINTS, SHARE = 5.0, 0.1  # by which a number may differ on another machine: the larger of both


@dataclass(frozen=True)
class Ran:
    """What became of one tutorial."""

    name: str
    cpu: float  # s
    wall: float  # s
    problems: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tutorials and print a line for each; 1 where one failed."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="emobridge-tutorials-") as temporary:
        home = options.keep or Path(temporary)
        results = [run(name, home, record=options.record) for name in options.names or NAMES]
    print(f"\n{'tutorial':<18}{'CPU s':>7}{'wall s':>8}")
    for result in results:
        print(f"{result.name:<18}{result.cpu:>7.1f}{result.wall:>8.1f}")
    print(f"{'all':<18}{sum(result.cpu for result in results):>7.1f}{sum(result.wall for result in results):>8.1f}")
    problems = [f"PROBLEM: {result.name}: {problem}" for result in results for problem in result.problems]
    print(*problems, sep="\n")
    return 1 if problems else 0


def run(name: str, home: Path, *, record: bool = False) -> Ran:
    """Run one tutorial in a folder of its own below `home`, and compare or record what it printed."""
    folder = home / name
    folder.mkdir(parents=True)
    before, began = _cpu_seconds(), time.monotonic()
    ran = subprocess.run(
        ["bash", "-c", instrumented((HERE / f"{name}.sh").read_text(encoding="utf-8"))],
        cwd=folder,
        env=_environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    cpu, wall = _cpu_seconds() - before, time.monotonic() - began
    print(f"--- {name}", ran.stdout, sep="\n", flush=True)
    printed = "\n".join(shown(ran.stdout, folder))
    path = OUTPUT / f"{name}.txt"
    if ran.returncode:
        return Ran(name, cpu, wall, (f"exit {ran.returncode}: {' '.join(ran.stdout.splitlines()[-1:])}",))
    if record:
        path.write_text(printed + "\n", encoding="utf-8")
        return Ran(name, cpu, wall, ())
    recorded = path.read_text(encoding="utf-8").splitlines()
    return Ran(name, cpu, wall, tuple(differences(recorded, printed.splitlines())))


def instrumented(script: str) -> str:
    """The script, which also prints the lines that begin and end a section."""
    return "\n".join(f"echo '{line.strip()}'" if MARK.match(line) else line for line in script.splitlines())


def shown(printed: str, folder: Path) -> list[str]:
    """What a page shows of the output: the lines inside sections and their marks, without progress and `folder`."""
    lines, is_inside = [], False
    for line in printed.replace(f"{folder}{os.sep}", "").splitlines():
        mark = MARK.match(line)
        if mark:
            is_inside = mark[1] == "start"
        if mark or (is_inside and not PROGRESS.fullmatch(line)):
            lines.append(line.rstrip())
    return lines


def differences(recorded: Sequence[str], printed: Sequence[str]) -> list[str]:
    """A line for each line that is another one, but for numbers that are nearly the same."""
    steady = ([line for line in lines if not line.startswith(AT_AN_EDGE)] for lines in (recorded, printed))
    pairs = zip_longest(*steady, fillvalue="")
    return [f"expected {old!r}, printed {new!r}" for old, new in pairs if not is_alike(old, new)]


def is_alike(old: str, new: str) -> bool:
    """Whether two lines have the same words, and numbers that differ by no more than machines do.

    >>> is_alike("UA 81.4 [73.0, 87.6] n=320", "UA 81.1 [72.8, 87.0] n=320"), is_alike("UA 81.4", "UA 25.0")
    (True, False)
    """
    numbers = zip(map(float, NUMBER.findall(old)), map(float, NUMBER.findall(new)))
    return NUMBER.sub("#", old) == NUMBER.sub("#", new) and all(
        abs(a - b) <= max(POINTS if abs(a) > 1 else SHARE, SHARE * abs(a)) for a, b in numbers
    )


def _environment(home: Path) -> dict[str, str]:
    """One thread, so that CPU seconds are those of the work; a cache that is all tutorials' own."""
    here = {"OMP_NUM_THREADS": "1", "EMOBRIDGE_CACHE": str(home / "cache"), "TUTORIALS": str(HERE)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, **here, "PATH": path, "PYTHONUNBUFFERED": "1", "COLUMNS": "100"}


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--record", action="store_true", help="write output/NAME.txt")
    parser.add_argument("--keep", type=Path, help="run in this folder, and keep it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
