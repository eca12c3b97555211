"""Many listeners at once: are all of their answers there, and how long did they wait for each?

    python benchmarks/listening_load.py [--listeners 200] [--items 48] [--think 2.0] [--no-kill]

It makes a study of tones in a temporary folder, serves it by the command on loopback, and lets listeners, each with a
connection and a cookie, answer it from another process; they come within one thinking time. A listener loads the page
of a step, plays the recording, thinks (a random time with mean --think; with 0 all of them press at once, all of the
time), and sends the answer. In the middle the server is killed (SIGKILL) and started again; who loses a connection
looks where the server has them and goes on, as a browser does.

Then the file is read: each listener has each item once, and what was acknowledged is what is there. The time of an
answer is that from sending the form to the whole answer of the server, which has written it to the disk by then;
answers whose connection the kill broke have none. Exit code 1 where an answer is lost or doubled, or the 95th
percentile is above --limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
TOKEN = "the token of the load test"
SECONDS = 0.5  # of a recording
START_SECONDS = 60.0  # for a server to answer
LOST = (OSError, asyncio.IncompleteReadError, EOFError)  # of a connection whose server was killed
FORM = "application/x-www-form-urlencoded"


@dataclass
class Tally:
    """What listeners saw of the server."""

    answer_seconds: list[float] = field(default_factory=list)
    page_seconds: list[float] = field(default_factory=list)
    acknowledged: dict[tuple[str, str], str] = field(default_factory=dict)  # (listener, item): emotion
    lost_connections: int = 0
    finished: int = 0


class Connection:
    """A connection of a browser that speaks as much HTTP as the test takes. It holds one cookie."""

    def __init__(self, port: int) -> None:
        self.port, self.cookie = port, ""
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str, bytes]:
        """The status, the address to go to, and the body."""
        if self.streams is None or self.streams[1].is_closing() or self.streams[0].at_eof():
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        body = urlencode(form).encode() if form is not None else b""
        lines = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{self.port}", "accept-language: en"]
        lines += [f"cookie: {self.cookie}"] if self.cookie else []
        if form is not None:
            lines += [f"content-type: {FORM}", f"content-length: {len(body)}", "sec-fetch-site: same-origin"]
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            await writer.drain()
            return await self._answer(reader)
        except LOST:
            self.close()
            raise

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, str, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status = int(head.split(" ", 2)[1])
        headers = dict(line.split(": ", 1) for line in head.lower().split("\r\n")[1:] if ": " in line)
        if cookie := re.search(r"set-cookie: (listener=[^;]+)", head, re.IGNORECASE):
            self.cookie = cookie[1]
        return status, headers.get("location", ""), await reader.readexactly(int(headers.get("content-length", 0)))

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


async def listen(number: int, port: int, think: float, tally: Tally) -> None:
    """One listener, from the consent to the end, whatever becomes of the server meanwhile."""
    draw = random.Random(number)
    connection = Connection(port)
    await asyncio.sleep(draw.uniform(0, think))
    while True:
        try:
            if await _step(connection, draw, think, tally):
                tally.finished += 1
                connection.close()
                return
        except LOST:
            tally.lost_connections += 1
            await asyncio.sleep(draw.uniform(0.05, 0.3))


async def _step(connection: Connection, draw: random.Random, think: float, tally: Tally) -> bool:
    """Load the page of a step and answer it; whether that was the end."""
    if not connection.cookie:
        status, _, _ = await connection.request("POST", "/start", {"consent": "yes", "lang": "en"})
        assert status == 303, status
    began = time.perf_counter()
    status, _, body = await connection.request("GET", "/step")
    tally.page_seconds.append(time.perf_counter() - began)
    page = body.decode("utf-8")
    assert status == 200, (status, page)
    step = re.search(r'name="step" value="([^"]+)"', page)
    if step is None:
        return True
    audio = re.search(r'<audio[^>]* src="([^"]+)"', page)
    sound = await connection.request("GET", audio[1]) if audio else (200, "", b"")
    assert sound[0] == 200, sound[0]
    form = {"step": step[1]}
    if step[1] == "check":
        form["heard"] = draw.choice("2345")
    elif audio:
        form |= {"emotion": draw.choice(EMOTIONS), "start": "0.1", "end": "0.3", "plays": "1"}
    await asyncio.sleep(draw.expovariate(1 / think) if think else 0)
    began = time.perf_counter()
    status, to, body = await connection.request("POST", "/step", form)
    tally.answer_seconds.append(time.perf_counter() - began)
    assert (status, to) == (303, "/step") or (step[1] == "check" and status == 422), (status, step[1], body)
    if "emotion" in form and audio:
        tally.acknowledged[connection.cookie, audio[1].rpartition("/")[2]] = form["emotion"]
    return False


async def visit(port: int, listeners: int, think: float) -> Tally:
    """Let all listeners take part."""
    tally = Tally()
    await asyncio.gather(*(listen(number, port, think, tally) for number in range(listeners)))
    return tally


def make_study(folder: Path, items: int) -> None:
    """A study of tones, without a questionnaire and practice: each page that comes takes an answer."""
    from emobridge.listening.records import ListeningItem, ListeningStudy
    from emobridge.listening.study import AUDIO_FOLDER, write_study_file

    made = tuple(
        ListeningItem(f"i{number:03}", f"i{number:03}.wav", SECONDS, EMOTIONS[number % len(EMOTIONS)], language="de")
        for number in range(items)
    )
    (folder / AUDIO_FOLDER).mkdir(parents=True)
    for item in made:
        with wave.open(str(folder / AUDIO_FOLDER / item.audio), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(bytes(2 * round(SECONDS * 16_000)))
    write_study_file(folder, ListeningStudy("load", 1, EMOTIONS, made, questions=()))


def start_server(folder: Path, port: int) -> tuple[subprocess.Popen[str], int]:
    """The process of the command, which answers, and its port."""
    command = [sys.executable, "-m", "emobridge", "listening", "serve", str(folder), "--port", str(port)]
    environment = {**os.environ, "EMOBRIDGE_LISTENING_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert server.stdout is not None
    line = server.stdout.readline()
    match = re.search(r":(\d+)/", line)
    if match is None:
        server.wait(START_SECONDS)
        raise SystemExit(f"the server did not start: {line}")
    return server, int(match[1])


def answered(folder: Path) -> int:
    """How many answers the file has."""
    from emobridge.listening.store import ANSWERS_FILE, Store

    with Store(folder / ANSWERS_FILE) as store:
        return sum(store.answered().values())


def run(listeners: int, items: int, think: float, kill: bool) -> dict[str, float]:
    """Let listeners answer a study; what came of it, in numbers by name."""
    from emobridge.listening.store import ANSWERS_FILE, Store

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "study"
        make_study(folder, items)
        server, port = start_server(folder, 0)
        visitors = [
            sys.executable,
            __file__,
            "--visit",
            str(port),
            "--listeners",
            str(listeners),
            "--think",
            str(think),
        ]
        began = time.perf_counter()
        client = subprocess.Popen(visitors, stdout=subprocess.PIPE, text=True)
        try:
            if kill:
                while answered(folder) < listeners * items / 2 and client.poll() is None:
                    time.sleep(0.05)
                server.send_signal(signal.SIGKILL)
                server.wait()
                server, _ = start_server(folder, port)
            output = client.communicate()[0]
            seconds = time.perf_counter() - began
            if client.returncode:
                raise SystemExit(f"the listeners failed with exit code {client.returncode}")
        finally:
            for process in (client, server):
                process.kill()
                process.wait()
        facts = json.loads(output)
        acknowledged = {tuple(key): emotion for *key, emotion in facts.pop("acknowledged")}
        with Store(folder / ANSWERS_FILE) as store:
            responses = store.responses()
            states = Counter(row.state for row in store.listeners())
            stored = Counter((row.listener, row.item) for row in responses)
            # A cookie is a secret, of which the file has a digest: the store says whose it is.
            ids = {cookie: store.find(cookie.partition("=")[2]) for cookie, _ in acknowledged}
            emotions = {(row.listener, row.item): row.emotion for row in responses}
        lost = sum(emotions.get((ids[cookie].listener.id, item)) != emotion if ids[cookie] else True
                   for (cookie, item), emotion in acknowledged.items())  # fmt: skip
    return {
        **facts,
        "seconds": seconds,
        "answers": len(responses),
        "expected": listeners * items,
        "acknowledged": len(acknowledged),
        "lost": lost,
        "doubled": sum(count - 1 for count in stored.values()),
        "listeners finished": states["finished"],
    }


def percentile(values: list[float], share: float) -> float:
    """The value below which a share of the values lies, in ms."""
    return 1000 * sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--listeners", type=int, default=200)
    parser.add_argument("--items", type=int, default=48)
    parser.add_argument("--think", type=float, default=2.0, help="mean time between page and answer, s")
    parser.add_argument("--limit", type=float, default=200.0, help="of the 95th percentile, ms")
    parser.add_argument("--no-kill", action="store_true", help="let the server live")
    parser.add_argument("--visit", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.visit:
        tally = asyncio.run(visit(options.visit, options.listeners, options.think))
        shares = {f"answer p{share}": percentile(tally.answer_seconds, share / 100) for share in (50, 95, 99)}
        print(json.dumps({
            **shares,
            "answer longest": percentile(tally.answer_seconds, 1),
            "page p95": percentile(tally.page_seconds, 0.95),
            "lost connections": tally.lost_connections,
            "acknowledged": [[*key, emotion] for key, emotion in tally.acknowledged.items()],
        }))  # fmt: skip
        return 0
    facts = run(options.listeners, options.items, options.think, not options.no_kill)
    for name, value in facts.items():
        print(f"{name}: {value:,.1f}" if isinstance(value, float) else f"{name}: {value:,}")
    whole = facts["answers"] == facts["expected"] and not facts["lost"] and not facts["doubled"]
    return 0 if whole and facts["answer p95"] < options.limit else 1


if __name__ == "__main__":
    sys.exit(main())
