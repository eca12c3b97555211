"""Many clients at once: what does `emobridge serve` answer, how fast, with how much memory, and after a death?

    python benchmarks/serve_load.py BUNDLE AUDIO... [--clients 50] [--seconds 300] [--lone 100] [--option=--workers=2]

It serves the bundle by the command on a free port of loopback, with its defaults. AUDIO are recordings of like length,
or folders of them; each request has the next one. First a lone client sends --lone requests, one after the other. Then
--clients do so all at once for --seconds; who gets 429 waits as long as Retry-After says. In the middle a worker is
killed (SIGKILL). Memory is that of all processes of the service, where what they share counts once (PSS, Linux).

Exit code 1 where there was another status than 200 and 429, the 95th percentile of what was answered is four times the
median of a lone request's or more, memory grew by more than GROWTH after the first seconds, or the killed worker did
not answer again within KILL_SECONDS.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg")
MOST_RECORDINGS = 50  # of AUDIO, that are sent in turn
TIMES = 4.0  # a lone request's median, that the 95th percentile must stay below
GROWTH = 0.05  # of the memory after the first seconds
WARM_SECONDS = 20.0  # of the load, at most a quarter of it: what is made once is there then
KILL_SECONDS = 5.0
BOUNDARY = "emobridge-load"


@dataclass
class Tally:
    """What clients saw."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)  # of each answer
    answered: list[float] = field(default_factory=list)  # when they came, by the clock of the process
    waits: list[float] = field(default_factory=list)  # s of Retry-After


class Client:
    """A connection that speaks as much HTTP as the test takes."""

    def __init__(self, port: int, bodies: Iterator[bytes], tally: Tally) -> None:
        self.port, self.bodies, self.tally = port, bodies, tally
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> float:
        """Send a recording and wait for the answer; the seconds to wait before the next one come back."""
        body = next(self.bodies)
        head = f"POST /predict HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-length: {len(body)}\r\n"
        head += f"content-type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
        began = time.perf_counter()
        try:
            status, wait = await self._exchange(head.encode() + body)
        except (OSError, asyncio.IncompleteReadError):
            status, wait, self.streams = "no answer", 0.0, None
        self.tally.statuses[status] += 1
        if status == "200":
            self.tally.answered.append(time.perf_counter())
            self.tally.seconds.append(time.perf_counter() - began)
        elif status == "429":
            self.tally.waits.append(wait)
        return wait

    async def _exchange(self, request: bytes) -> tuple[str, float]:
        if self.streams is None or self.streams[0].at_eof():
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = re.search(r"content-length: (\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        if "connection: close" in head:
            writer.close()
            self.streams = None
        wait = re.search(r"retry-after: (\d+)", head)
        return head.split(" ", 2)[1], float(wait[1]) if wait else 0.0


def form_of(path: Path) -> bytes:
    """The body of a request with a recording."""
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="{path.name}"\r\n\r\n'
    return head.encode() + path.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()


def recordings(paths: list[Path]) -> list[Path]:
    """The recordings among paths and in folders, MOST_RECORDINGS at most, from all parts of the list."""
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    files = [file for file in files if file.suffix.lower() in SUFFIXES]
    return files[:: max(1, len(files) // MOST_RECORDINGS)][:MOST_RECORDINGS]


async def lone(port: int, bodies: list[bytes], count: int) -> Tally:
    """One client, whose requests follow each other."""
    tally = Tally()
    client = Client(port, itertools.cycle(bodies), tally)
    for _ in range(count):
        await client.ask()
    return tally


async def crowd(port: int, bodies: list[bytes], clients: int, until: float, tally: Tally) -> None:
    """All clients at once, until a time."""

    async def work(number: int) -> None:
        client = Client(port, itertools.cycle(bodies[number % len(bodies) :] + bodies[: number % len(bodies)]), tally)
        draw = random.Random(number)
        while time.perf_counter() < until:
            if wait := await client.ask():
                await asyncio.sleep(wait + draw.uniform(0, 0.1))

    await asyncio.gather(*map(work, range(clients)))


def processes_of(parent: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [parent]
    for process in found:
        found += children.get(process, [])
    return found


def memory_of(parent: int) -> float:
    """MB of a process and all that descend from it; what several share counts once."""
    return sum(map(own_memory, processes_of(parent)))


def own_memory(process: int) -> float:
    """MB of a process, with its part of what it shares (PSS); 0 where it has ended."""
    return kilobytes(Path(f"/proc/{process}/smaps_rollup"), "Pss") / 1024


def kilobytes(file: Path, name: str) -> int:
    """A number of a file of /proc; 0 where the process has ended."""
    try:
        match = re.search(rf"^{name}:\s+(\d+)", file.read_text(), re.M)
    except OSError:
        return 0
    return int(match[1]) if match else 0


def worker_of(parent: int) -> int:
    """A worker: it stands at the end of the line, and no other such process has more memory."""
    processes = processes_of(parent)
    leaves = [process for process in processes if processes_of(process) == [process]]
    return max(leaves, key=memory_of)


async def load(
    port: int, server: int, bodies: list[bytes], options: argparse.Namespace
) -> tuple[Tally, dict[str, float]]:
    """The crowd, a death in the middle, and what was measured meanwhile."""
    tally, facts = Tally(), dict[str, float]()
    began = time.perf_counter()
    working = asyncio.create_task(crowd(port, bodies, options.clients, began + options.seconds, tally))
    warm = min(WARM_SECONDS, options.seconds / 4)
    await asyncio.sleep(warm)
    facts["memory after the first seconds, MB"] = memory_of(server)
    await asyncio.sleep(options.seconds / 2 - warm)
    killed = time.perf_counter()
    os.kill(worker_of(server), signal.SIGKILL)
    await working
    facts["memory at the end, MB"] = memory_of(server)
    facts["answers a second"] = len(tally.seconds) / (time.perf_counter() - began)
    # An answer that had left the worker may come just after the kill, so the longest pause is looked for.
    times = [killed, *(moment for moment in tally.answered if killed < moment < killed + 4 * KILL_SECONDS)]
    pauses = [later - earlier for earlier, later in itertools.pairwise([*times, killed + 4 * KILL_SECONDS])]
    facts["from the kill to an answer, s"] = max(pauses[:-1], default=pauses[-1])
    return tally, facts


def start(bundle: str, more: list[str]) -> tuple[subprocess.Popen[str], int]:
    """The process of the command, which answers, and its port."""
    command = [sys.executable, "-m", "emobridge", "serve", bundle, "--port", "0", *more]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    line = server.stdout.readline()
    match = re.search(r":(\d+)/", line)
    if match is None:
        server.wait()
        raise SystemExit(f"the server did not start: {line}")
    return server, int(match[1])


def percentile(values: list[float], share: float) -> float:
    """The value below which a share of the values lies, in ms."""
    return 1000 * sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def broken(alone: Tally, tally: Tally, facts: dict[str, float]) -> list[str]:
    """The lines of what does not hold."""
    lines = []
    others = (alone.statuses + tally.statuses).keys() - {"200", "429"}
    if others:
        lines.append(f"other statuses than 200 and 429: {', '.join(sorted(others))}")
    if not percentile(tally.seconds, 0.95) < TIMES * percentile(alone.seconds, 0.5):
        lines.append(f"the 95th percentile is not below {TIMES:g} times a lone request's median")
    if not facts["memory at the end, MB"] <= (1 + GROWTH) * facts["memory after the first seconds, MB"]:
        lines.append(f"memory grew by more than {GROWTH:.0%}")
    if not facts["from the kill to an answer, s"] < KILL_SECONDS:
        lines.append(f"no answer within {KILL_SECONDS:g} s of the kill")
    return lines


def shares(name: str, tally: Tally) -> str:
    """A row of the table: percentiles in ms."""
    values = (percentile(tally.seconds, share) for share in (0.5, 0.95, 0.99))
    return f"| {name} | {len(tally.seconds):,} | " + " | ".join(f"{value:.0f}" for value in values) + " |"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("bundle")
    parser.add_argument("audio", nargs="+", type=Path)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--lone", type=int, default=100)
    parser.add_argument("--option", action="append", default=[], help="of the command, such as --option=--workers=2")
    options = parser.parse_args(arguments)
    bodies = [form_of(path) for path in recordings(options.audio)]
    if not bodies:
        parser.error(f"no recordings ({', '.join(SUFFIXES)}) in {', '.join(map(str, options.audio))}")
    server, port = start(options.bundle, options.option)
    try:
        facts = {"memory at the start, MB": memory_of(server.pid)}
        alone = asyncio.run(lone(port, bodies, options.lone))
        tally, more = asyncio.run(load(port, server.pid, bodies, options))
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait()
    facts |= more
    lines = broken(alone, tally, facts) + ([f"the server ended with exit code {code}"] if code else [])
    print(f"{options.clients} clients, {options.seconds:g} s, {len(bodies)} recordings\n")
    print("| requests | answered | p50, ms | p95, ms | p99, ms |\n|---|---|---|---|---|")
    print(shares("alone, one after the other", alone), shares("all at once", tally), "", sep="\n")
    for status, count in sorted(tally.statuses.items()):
        print(f"status {status}: {count:,}")
    print(f"mean Retry-After, s: {sum(tally.waits) / max(1, len(tally.waits)):.1f}")
    print(f"p95 over a lone median: {percentile(tally.seconds, 0.95) / percentile(alone.seconds, 0.5):.2f}")
    for name, value in facts.items():
        print(f"{name}: {value:,.1f}")
    print("\n".join(f"DOES NOT HOLD: {line}" for line in lines))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
