"""A stranger's path, timed: from a fresh clone to answers on one's own folder of recordings, by README.md's commands.

    python benchmarks/strangers_path.py [--minutes 10] [--keep DIR]

It clones HEAD of this repository into an empty folder and puts a folder `calls` there as a stranger has one: recordings
of SYNTHETIC Italian speakers as WAV and MP3, mono and stereo, at several rates, in a folder for each speaker, with
files among them that are no recordings. Then it runs what README.md says, each command as it stands there: the block
"Install", the one that makes labelled speech, and "On your own data". No file is written by hand.

It prints the CPU seconds (user and system of all processes) and the time on the clock of each step. Exit code 1 where
a command fails, where a recording has no answer, or where all of it takes more CPU than --minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INSTALL, OWN_DATA = "## Install", "## On your own data"  # headings of README.md
LABELLED = "emobridge demo "  # begins the command that makes labelled speech; real speech may not be downloaded here
BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ACTIVATE = re.compile(r"(?:\.|source) (\S+/bin)/activate")
CALLS = "calls"  # as README.md names one's own folder
LANGUAGE, SEED, EACH = "it", 1, 30  # of the recordings, of their voices, and how many of each speaker
RECORDERS = ((44_100, 2, "wav"), (16_000, 1, "wav"), (8_000, 1, "wav"), (44_100, 1, "mp3"))  # Hz, channels, format
OTHERS = {"notes.txt": "Anna è più forte degli altri.\n", "desktop.ini": "[.ShellClassInfo]\n"}
ANSWERED = 0.9  # share of the recordings that has a label; in the others no speech may be found


@dataclass(frozen=True)
class Step:
    """One command and what it took."""

    command: str
    cpu: float  # s
    wall: float  # s
    output: str = ""
    installs: bool = False


class StepError(Exception):
    """A command of the path failed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Walk the path and print its table; 1 where it fails or takes too long."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="CPU that all of it may take")
    parser.add_argument("--keep", type=Path, help="walk in this folder, which is not there yet, and keep it")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="emobridge-path-") as temporary:
        home = options.keep or Path(temporary)
        steps: list[Step] = []
        try:
            recordings = walk(home, steps)
            problems = [*missing_answers(steps[-1].output, recordings), *too_long(steps, 60 * options.minutes)]
        except StepError as error:
            problems = [str(error)]
    print("\n".join(table(steps)), *(f"PROBLEM: {problem}" for problem in problems), sep="\n")
    return 1 if problems else 0


def walk(home: Path, steps: list[Step]) -> int:
    """Do all steps below `home` and note each in `steps`; how many recordings there are. Errors: StepError."""
    clone, environment = home / "emobridge", stranger_environment(home)
    take(steps, f"git clone -q {ROOT} {clone}", Path.cwd(), environment)
    recordings = make_calls(clone / CALLS)
    readme = (clone / "README.md").read_text(encoding="utf-8")
    for command in commands_of(readme, INSTALL):
        activated = ACTIVATE.fullmatch(command)
        if activated:
            environment["PATH"] = f"{clone / activated[1]}{os.pathsep}{environment['PATH']}"
        else:
            take(steps, command, clone, environment, installs=True)
    for command in (labelled_speech(readme), *commands_of(readme, OWN_DATA)):
        take(steps, command, clone, environment)
    return recordings


def labelled_speech(readme: str) -> str:
    """The first command of a block that makes labelled speech. Errors: StepError."""
    for block in BLOCK.findall(readme):
        for command in commands_in(block):
            if command.startswith(LABELLED):
                return command
    raise StepError(f"README.md: no block has a line that begins with {LABELLED!r}")


def commands_of(readme: str, heading: str) -> list[str]:
    """The commands of the first block after a heading. Errors: StepError where there is none."""
    block = BLOCK.search(readme.partition(f"\n{heading}\n")[2])
    if block is None:
        raise StepError(f"README.md: no block after {heading!r}")
    return commands_in(block[1])


def commands_in(block: str) -> list[str]:
    r"""The commands of a block, without comments.

    >>> commands_in("x -o \\\n  y  # why\n\nz\n")
    ['x -o   y', 'z']
    """
    lines = block.replace("\\\n", "").splitlines()
    return [command for line in lines if (command := re.sub(r"(^|\s)#.*", "", line).strip())]


def take(
    steps: list[Step], command: str, folder: Path, environment: Mapping[str, str], *, installs: bool = False
) -> None:
    """Run a command and note what it took. Errors: StepError where it fails."""
    print(f"$ {command}", flush=True)
    before, began = cpu_seconds(), time.monotonic()
    ran = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    steps.append(Step(command, cpu_seconds() - before, time.monotonic() - began, ran.stdout, installs))
    print(ran.stdout, end="", flush=True)
    if ran.returncode:
        raise StepError(f"{command}: exit code {ran.returncode}")


def cpu_seconds() -> float:
    """User and system seconds of all processes that ended so far and were waited for, with their own children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def stranger_environment(home: Path) -> dict[str, str]:
    """Nothing of the environment that this script runs in, and no cache but pip's."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS")}
    own = str(Path(sys.prefix) / "bin")
    path = os.pathsep.join(part for part in kept["PATH"].split(os.pathsep) if part != own)
    return {**kept, "PATH": path, "EMOBRIDGE_CACHE": str(home / "cache")}


def make_calls(folder: Path) -> int:
    """Make the folder that a stranger has; how many recordings are in it."""
    import soundfile
    import soxr

    from emobridge.corpora.demo import make_recordings
    from emobridge.data.audio import read_audio
    from emobridge.data.manifest import read_manifest
    from emobridge.types import SAMPLE_RATE

    names = ("Anna Bianchi", "Luca", "Sofia Müller", "+39 06 555 0104")
    with tempfile.TemporaryDirectory() as made:
        emotions = ("anger", "happiness", "neutral", "sadness")
        make_recordings(Path(made), LANGUAGE, speakers=4, emotions=emotions, seed=SEED)
        rows = list(read_manifest(Path(made) / "recordings.jsonl"))
        speakers = list(dict.fromkeys(row.speaker for row in rows))
        count = 0
        for speaker, name, (rate, channels, suffix) in zip(speakers, names, RECORDERS):
            for number, row in enumerate([row for row in rows if row.speaker == speaker][:EACH]):
                wave = soxr.resample(read_audio(row.path), SAMPLE_RATE, rate)
                path = folder / name / f"2026-11-{number + 1:02} Call.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, wave if channels == 1 else wave[:, None].repeat(channels, 1), rate)
                count += 1
    for other, text in OTHERS.items():
        (folder / other).write_text(text, encoding="utf-8")
    return count


def missing_answers(output: str, recordings: int) -> list[str]:
    """A line where too few recordings have a label in the JSON lines that `predict` printed."""
    rows = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    labelled = {row["path"] for row in rows if row["label"]}
    if len(labelled) >= ANSWERED * recordings:
        return []
    return [f"{len(labelled)} of {recordings} recordings have an answer"]


def too_long(steps: Sequence[Step], bound: float) -> list[str]:
    """A line where all steps together took more CPU than `bound` seconds."""
    total = sum(step.cpu for step in steps)
    return [f"all took {total:.0f} s of CPU, expected {bound:.0f} at most"] if total > bound else []


def table(steps: Sequence[Step]) -> list[str]:
    """A line for each step, for the installation, and for all."""
    installed = [step for step in steps if step.installs]
    others = [step for step in steps if not step.installs]
    totals = [("installation", installed), ("all but the installation", others), ("all", steps)]
    lines = [f"{'CPU s':>8}{'wall s':>9}  step"]
    lines += [f"{step.cpu:>8.1f}{step.wall:>9.1f}  {step.command}" for step in steps]
    lines += [f"{sum(s.cpu for s in part):>8.1f}{sum(s.wall for s in part):>9.1f}  {name}" for name, part in totals]
    return lines


if __name__ == "__main__":
    sys.exit(main())
