"""Damaged and strange files at every door of the package: none may end in a traceback, a hang or a flood of memory.

    python benchmarks/mutations.py --count 20000 --seed 0 [--only tables,audio,bundles,configs,checkpoints,settings]
    python benchmarks/mutations.py --replay 0:tables:17

A case is a small valid input with one to three changes, drawn by the case's name, which is SEED:KIND:NUMBER; it is read
by the package's own function in a process that is watched. Each case ends as one of

    ok         something was read; where the input has a checksum, it is what was written
    refused    UserError: one printable line that names the file
    unclear    UserError, but no such line
    wrong      a changed file with a checksum was read as something else
    traceback  any other error
    hang       more than 5 s of CPU, or 30 s on the clock
    memory     more than 1 GB was asked for, or a library said that memory does not suffice
    crash      the process died

The folder --out gets failures.jsonl, a line for each case that is neither ok nor refused, with its changed input under
inputs/; and sample.txt, what was read of 200 changed inputs without a checksum, for a person to look at: is anything
silently wrong? The exit code is 1 where any case failed. It needs a system that forks processes, such as Linux.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from multiprocessing.connection import Connection, wait
from pathlib import Path

os.environ.update({"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"})

from _doors import KINDS, Door, doors, silent
from _mutators import mutated

OUTCOMES = ("ok", "refused", "unclear", "wrong", "traceback", "hang", "memory", "crash")
GOOD = OUTCOMES[:2]
CPU, CLOCK = 5.0, 30.0  # s that a case may take
MEMORY = 1 << 30  # bytes that a case may ask for
LENGTH = 1500  # characters of a message
FOLDER = b"@folder@"  # stands in an input for the folder where it lies
SAMPLE = 200  # cases in sample.txt
CASES_A_PROCESS = 400  # after which a fresh one takes over
OUT_OF_MEMORY = re.compile(r"not enough memory|can'?t allocate|cannot allocate|bad_alloc|out of memory", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Result:
    """How one case ended."""

    case: str
    door: str
    outcome: str
    file: str = ""
    mutation: str = ""
    detail: str = ""  # the message, or where the error arose
    trace: str = ""
    snippet: str = ""
    reading: str = ""
    cpu: float = 0.0  # s
    proven: bool = False  # what was read is what was written, by a checksum: nobody need look


class Hang(BaseException):
    """A case took too long."""


@dataclass(frozen=True)
class Input:
    """A valid input: the bytes of its files by their name, and what is read of it."""

    door: Door
    files: Mapping[str, bytes]
    reading: tuple[str, ...]

    @cached_property
    def names(self) -> list[str]:
        """The files that are changed."""
        return [name for name in sorted(self.files) if name.endswith(self.door.changes) and not _is_aside(self, name)]


def _is_aside(source: Input, name: str) -> bool:
    """Whether a file is audio that a table only names."""
    return source.door.kind == "tables" and name.endswith(".wav")


def valid_input(door: Door, scratch: Path) -> Input:
    """Write a door's input, and read it. Errors: RuntimeError where the door does not read it."""
    folder = _fresh(scratch)
    with silent():
        door.write(folder)
    here = str(folder).encode()
    files = {
        str(path.relative_to(folder)): path.read_bytes().replace(here, FOLDER)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    try:
        with silent():
            reading = tuple(door.read(folder))
    except Exception as error:
        raise RuntimeError(f"{door.kind}, {door.name}: the valid input is not read ({error})") from error
    shutil.rmtree(folder.parent)
    return Input(door, files, reading)


def _fresh(scratch: Path) -> Path:
    """An empty folder, always of the same name: a corpus may be called after it."""
    folder = Path(tempfile.mkdtemp(dir=scratch)) / "case"
    folder.mkdir()
    return folder


# ---------------------------------------------------------------- one case


def run_case(case: str, inputs: Mapping[str, Sequence[Input]], scratch: Path, keep: Path | None = None) -> Result:
    """Change an input and read it in this process."""
    draw = random.Random(case)
    source = draw.choice(inputs[case.split(":")[1]])
    folder = _fresh(scratch)
    name = draw.choice(source.names)
    content, mutation = mutated(draw, source.files[name], Path(name).suffix)
    for other, raw in source.files.items():
        path = folder / other
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((content if other == name else raw).replace(FOLDER, str(folder).encode()))
    began, grown = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome, detail, trace, lines = _watched(source.door, folder)
    cpu = time.process_time() - began
    if (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown) * 1024 > MEMORY:
        outcome, detail = "memory", "resident memory grew by more than 1 GB"
    if outcome == "ok" and source.door.exact and not set(lines) <= set(source.reading):
        outcome, detail = "wrong", "was read as something else than what was written"
    if outcome == "refused":
        outcome = _clarity(detail, folder)
    if keep is not None and outcome not in GOOD:
        shutil.copytree(folder, keep / "inputs" / case.replace(":", "-"), dirs_exist_ok=True)
    shutil.rmtree(folder.parent, ignore_errors=True)
    snippet, reading = _snippet(source.files[name], content), _difference(source.reading, lines)
    proven = source.door.exact and outcome == "ok"
    return Result(
        case, source.door.name, outcome, name, mutation, detail, trace, snippet, reading, round(cpu, 3), proven
    )


def _watched(door: Door, folder: Path) -> tuple[str, str, str, list[str]]:
    """Outcome, detail, traceback, and what was read."""
    from emobridge.errors import UserError

    before = resource.getrlimit(resource.RLIMIT_AS)
    signal.signal(signal.SIGPROF, _stop)
    try:
        with silent():
            resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY, before[1]))
            signal.setitimer(signal.ITIMER_PROF, CPU)
            lines = door.read(folder)
        outcome, error = "ok", None
    except UserError as caught:
        outcome, error, lines = "refused", caught, []
    except Hang as caught:
        outcome, error, lines = "hang", caught, []
    except BaseException as caught:
        outcome, error, lines = "traceback", caught, []
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)
    if error is None:
        return outcome, "", "", lines
    if any(isinstance(cause, MemoryError) or OUT_OF_MEMORY.search(str(cause)) for cause in _causes(error)):
        outcome = "memory"
    trace = "" if outcome == "refused" else "".join(traceback.format_exception(error))[-6000:]
    return outcome, str(error) if outcome == "refused" else _origin(error), trace, lines


def _stop(*_: object) -> None:
    raise Hang


def _address_space() -> int:
    """Bytes of the process's address space; without limit where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 1 << 45


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _origin(error: BaseException) -> str:
    """Kind of the error, and the deepest line of the package that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "emobridge" in Path(frame.filename).parts]
    frame = (own or frames)[-1]
    place = "/".join(Path(frame.filename).parts[-2:])
    return f"{type(error).__name__} in {place}:{frame.lineno} {frame.name}: {' '.join(str(error).split())[:120]}"


def _clarity(message: str, folder: Path) -> str:
    """Refused, or unclear where the message is not one printable line that names a file of the folder."""
    plain = message.replace(str(folder), "")
    clear = len(message) <= LENGTH and plain.isprintable() and len(plain) < len(message)
    return "refused" if clear else "unclear"


def _snippet(before: bytes, after: bytes) -> str:
    """The two contents where they begin to differ."""
    place = next((i for i, (a, b) in enumerate(zip(before, after)) if a != b), min(len(before), len(after)))
    first = max(0, place - 40)
    return f"was {before[first : place + 60]!r}\n  is  {after[first : place + 60]!r}"


def _difference(before: Sequence[str], after: Sequence[str]) -> str:
    """What is read in another way than before."""
    if list(before) == list(after):
        return "read as before"
    lines = [f"- {line[:300]}" for line in before if line not in after]
    lines += [f"+ {line[:300]}" for line in after if line not in before]
    return "\n".join([f"{len(before)} facts were read, now {len(after)}", *lines[:14]])


# ---------------------------------------------------------------- processes


class Worker:
    """A process that runs cases, one at a time."""

    def __init__(self, inputs: Mapping[str, Sequence[Input]], scratch: Path, out: Path) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, inputs, scratch, out), daemon=True)
        self.process.start()
        theirs.close()
        self.case, self.began, self.count = "", 0.0, 0

    def start(self, case: str) -> None:
        self.case, self.began, self.count = case, time.monotonic(), self.count + 1
        self.pipe.send(case)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(pipe: Connection, inputs: Mapping[str, Sequence[Input]], scratch: Path, out: Path) -> None:
    folder = Path(tempfile.mkdtemp(dir=scratch))
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # libraries print
    os.dup2(null, 2)
    while True:
        pipe.send(run_case(pipe.recv(), inputs, folder, out))


def run_all(
    cases: Sequence[str], inputs: Mapping[str, Sequence[Input]], scratch: Path, out: Path, jobs: int
) -> Iterator[Result]:
    """All cases in `jobs` processes, in the order in which they end."""
    queue, workers = list(reversed(cases)), [Worker(inputs, scratch, out) for _ in range(min(jobs, len(cases)))]
    try:
        for worker in workers:
            worker.start(queue.pop())
        while busy := [worker for worker in workers if worker.case]:
            ready = wait([worker.pipe for worker in busy], timeout=1.0)
            for place, worker in enumerate(workers):
                late = bool(worker.case) and time.monotonic() - worker.began > CLOCK
                if worker.pipe not in ready and not late:
                    continue
                result = _result(worker, late)
                yield result
                worker.case = ""
                if result.outcome not in GOOD or worker.count >= CASES_A_PROCESS:
                    worker.end()
                    workers[place] = worker = Worker(inputs, scratch, out)
                if queue:
                    worker.start(queue.pop())
    finally:
        for worker in workers:
            worker.end()


def _result(worker: Worker, late: bool) -> Result:
    if late:
        return Result(worker.case, "", "hang", detail=f"more than {CLOCK:g} s on the clock")
    try:
        result: Result = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        return Result(worker.case, "", "crash", detail=f"exit code {worker.process.exitcode}")
    return result


# ---------------------------------------------------------------- the whole


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="number of cases")
    parser.add_argument("--seed", default="0", help="begins the name of each case")
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, separated by commas")
    parser.add_argument("--doors", default="", help="only doors whose names contain this")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=Path("mutations"), help="folder of failures and of the sample")
    parser.add_argument("--replay", default="", help="the name of one case: it is run here, and what comes is printed")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    options = arguments(words)
    kinds = tuple((options.replay.split(":")[1] if options.replay else options.only).split(","))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutations-") as name:
        scratch = Path(name)
        os.environ.update({"HOME": name, "EMOBRIDGE_CACHE": str(scratch / "cache"), "HF_HOME": str(scratch / "hub")})
        import torch

        torch.set_num_threads(1)
        inputs: dict[str, list[Input]] = {kind: [] for kind in kinds}
        for door in doors(kinds):
            if options.doors in door.name:
                try:
                    inputs[door.kind].append(valid_input(door, scratch))
                except RuntimeError as error:
                    print(f"left out: {error}", file=sys.stderr)
        if options.replay:
            return _replay(options.replay, inputs, scratch, options.out)
        filled = [kind for kind in kinds if inputs[kind]]
        cases = [f"{options.seed}:{filled[number % len(filled)]}:{number}" for number in range(options.count)]
        options.out.mkdir(parents=True, exist_ok=True)
        results = []
        for result in run_all(cases, inputs, scratch, options.out.resolve(), options.jobs):
            results.append(result)
            if len(results) % 500 == 0:
                print(f"{len(results)} of {len(cases)}", file=sys.stderr, flush=True)
    _write(results, options.out)
    print(_table(results))
    seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{len(results)} cases in {seconds:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of CPU")
    return int(any(result.outcome not in GOOD for result in results))


def _replay(case: str, inputs: Mapping[str, Sequence[Input]], scratch: Path, out: Path) -> int:
    result = run_case(case, inputs, scratch, out)
    for key, value in asdict(result).items():
        print(f"{key}: {value}")
    return int(result.outcome not in GOOD)


def _write(results: Sequence[Result], out: Path) -> None:
    with (out / "failures.jsonl").open("w", encoding="utf-8") as file:
        for result in sorted(results, key=lambda result: result.case):
            if result.outcome not in GOOD:
                file.write(json.dumps(asdict(result)) + "\n")
    read = [result for result in results if result.outcome == "ok" and result.mutation and not result.proven]
    read.sort(key=lambda result: hashlib.sha256(result.case.encode()).digest())
    text = "\n\n".join(
        f"{result.case} {result.door}: {result.file}\n{result.mutation}\n  {result.snippet}\n{result.reading}"
        for result in read[:SAMPLE]
    )
    (out / "sample.txt").write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _table(results: Sequence[Result]) -> str:
    rows: dict[str, Counter[str]] = {}
    for result in results:
        rows.setdefault(result.case.split(":")[1], Counter())[result.outcome] += 1
    lines = [f"{'':12}" + "".join(f"{outcome:>10}" for outcome in OUTCOMES)]
    for kind, counts in rows.items():
        lines.append(f"{kind:12}" + "".join(f"{counts[outcome]:>10}" for outcome in OUTCOMES))
    causes: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        if result.outcome not in GOOD:
            cause = result.door if result.outcome in ("unclear", "wrong") else result.detail.partition(": ")[0]
            causes.setdefault((result.outcome, re.sub(r":\d+", "", cause)), []).append(result)
    for (outcome, cause), group in sorted(causes.items(), key=lambda item: -len(item[1])):
        lines.append(f"{len(group):5} {outcome}: {cause}, such as {group[0].case} ({group[0].detail[:100]!a})")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
