"""The load test of benchmarks/: what it sends, and what it finds broken."""

from __future__ import annotations

import asyncio
import importlib
from collections import Counter
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FACTS = {
    "memory after the first seconds, MB": 500.0,
    "memory at the end, MB": 520.0,
    "from the kill to an answer, s": 1.0,
}


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("serve_load")


def tally(bench, seconds, **statuses):
    return bench.Tally(Counter({status.strip("s"): count for status, count in statuses.items()}), seconds)


def test_what_holds_and_what_does_not(bench):
    alone = tally(bench, [0.1] * 20, s200=20)
    good = tally(bench, [0.39] * 99 + [9.0], s200=100, s429=500)
    assert bench.broken(alone, good, FACTS) == []
    slow = tally(bench, [0.39] * 94 + [0.41] * 6, s200=100)
    (line,) = bench.broken(alone, slow, FACTS)
    assert line == "the 95th percentile is not below 4 times a lone request's median"
    assert bench.broken(alone, tally(bench, []), FACTS) == [line]  # nothing was answered
    (line,) = bench.broken(alone, tally(bench, [0.1], s200=1, s500=1, s503=2), FACTS)
    assert line == "other statuses than 200 and 429: 500, 503"
    for name, value, message in (
        ("memory at the end, MB", 526.0, "memory grew by more than 5%"),
        ("from the kill to an answer, s", 5.0, "no answer within 5 s of the kill"),
    ):
        assert bench.broken(alone, good, FACTS | {name: value}) == [message]


def test_recordings_are_from_all_of_a_folder(bench, tmp_path, monkeypatch):
    for number in range(9):
        (tmp_path / f"{number}.wav").write_bytes(b"x")
    (tmp_path / "readme.txt").write_text("no sound")
    monkeypatch.setattr(bench, "MOST_RECORDINGS", 3)
    assert [path.stem for path in bench.recordings([tmp_path])] == ["0", "3", "6"]
    assert [path.stem for path in bench.recordings([tmp_path / "8.wav"])] == ["8"]


def test_a_client_reads_answers_and_waits(bench):
    """Two answers over one connection, one of them late; then a server that hangs up."""
    heads = ["200 OK", "429 Too Many Requests\r\nRetry-After: 7"]

    async def serve(reader, writer):
        for head in heads:
            request = await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(4) == b"body" and b"content-length: 4" in request
            writer.write(f"HTTP/1.1 {head}\r\nContent-Length: 2\r\n\r\nok".encode())
        writer.close()

    async def test():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        seen = bench.Tally()
        client = bench.Client(server.sockets[0].getsockname()[1], iter([b"body"] * 3), seen)
        waits = [await client.ask() for _ in range(2)]
        server.close()
        await asyncio.sleep(0.01)
        await client.ask()
        return waits, seen

    waits, seen = asyncio.run(test())
    assert waits == [0.0, 7.0] and seen.waits == [7.0] and len(seen.seconds) == 1
    assert seen.statuses == {"200": 1, "429": 1, "no answer": 1}
