"""The memory of `emobridge serve`, process by process: the table of docs/deploy.md.

    python benchmarks/serve_memory.py BUNDLE AUDIO... [--seconds 600] [--option=--workers=2]

It serves the bundle by the command on a free port of loopback, sends twenty of the recordings AUDIO, or of those in
folders, and one of --seconds that is made of them, and prints what each process has then. What several share counts
once (PSS, Linux).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from serve_load import SUFFIXES, form_of, kilobytes, lone, own_memory, processes_of, recordings, start

from emobridge.data.audio import read_audio
from emobridge.types import SAMPLE_RATE

SHORT = 20  # recordings before the long one


def table(server: int) -> str:
    """The memory of the processes of a service."""
    children = {process: processes_of(process)[1:] for process in processes_of(server)}
    parents = [process for process in children[server] if children[process]]
    workers = [worker for parent in parents for worker in children[parent]]
    peaks = [kilobytes(Path(f"/proc/{worker}/status"), "VmHWM") / 1024 for worker in workers]
    rows = [
        ("that speaks HTTP", megabytes([server])),
        ("the parent of the workers, which has torch loaded", megabytes(parents)),
        ("each worker, at most", f"{megabytes(workers)}, {max(peaks, default=0):.0f} MB resident"),
        (f"all, with {len(workers)} worker{'s' * (len(workers) != 1)}", f"{sum(map(own_memory, children)):.0f} MB"),
    ]
    return "\n".join(["| process | memory |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def megabytes(processes: Sequence[int]) -> str:
    """The largest of them."""
    return f"{max(map(own_memory, processes), default=0):.0f} MB"


def long_recording(files: Sequence[Path], seconds: float, folder: Path) -> Path:
    """A recording of so many seconds, of the others one after the other."""
    waves, size = [], 0
    for wave in map(read_audio, itertools.cycle(files)):
        waves.append(wave)
        size += len(wave)
        if size >= seconds * SAMPLE_RATE:
            break
    path = folder / "long.flac"
    soundfile.write(path, np.concatenate(waves)[: round(seconds * SAMPLE_RATE)], SAMPLE_RATE)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("bundle")
    parser.add_argument("audio", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--option", action="append", default=[], help="of the command, such as --option=--workers=2")
    options = parser.parse_args(arguments)
    files = recordings(options.audio)
    if not files:
        parser.error(f"no recordings ({', '.join(SUFFIXES)}) in {', '.join(map(str, options.audio))}")
    with tempfile.TemporaryDirectory() as folder:
        bodies = [form_of(path) for path in itertools.islice(itertools.cycle(files), SHORT)]
        bodies.append(form_of(long_recording(files, options.seconds, Path(folder))))
    server, port = start(options.bundle, options.option)
    try:
        tally = asyncio.run(lone(port, bodies, len(bodies)))
        print(table(server.pid))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
    refused = {status: count for status, count in tally.statuses.items() if status != "200"}
    if refused:
        print(f"not answered: {refused}", file=sys.stderr)
    return int(bool(refused))


if __name__ == "__main__":
    sys.exit(main())
