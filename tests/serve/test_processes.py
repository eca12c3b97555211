"""The engine with real worker processes and tiny models: answers, deaths, streams and the end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from emobridge.bundle import Recognizer
from emobridge.diarization.files import load_frame_model
from emobridge.diarization.live import live_answers
from emobridge.errors import UserError
from emobridge.inference.predict import predict
from emobridge.serve.engine import WorkerEngine
from emobridge.serve.records import Job, Limits, Lost, Refused, StreamJob, TooLong
from emobridge.serve.sources import ModelSource
from emobridge.settings import Answering, Diarizing, Live

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
LIVE = Live(detector="energy")


@pytest.fixture(scope="module")
def folder(bundles):
    return bundles("fr", adapters="")


@pytest.fixture(scope="module")
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def engine(folder, loop):
    """One engine for most tests: a worker of its own costs seconds."""
    engine = WorkerEngine([ModelSource("m", folder)], Limits(waiting=50, duration=60.0, request=20.0))
    loop.run_until_complete(engine.start())
    yield engine
    loop.run_until_complete(engine.stop())


@pytest.fixture
def run(loop):
    return lambda work: loop.run_until_complete(asyncio.wait_for(work, 60))


def pid_of(engine) -> int:
    return engine._pool.ready[0].process._process.pid


def job(path, settings=None, **options):
    return Job("m", path, settings or Answering(), **options)


def is_alive(pid):
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_answers_are_those_of_the_commands(engine, run, folder, recordings):
    async def test():
        names = ["mono", "short", "stereo", "long"]
        return await asyncio.gather(*(engine.answer(job(recordings[name], name=name)) for name in names))

    answers = run(test())
    recognizer = Recognizer.load(folder)
    for answer, name in zip(answers, ("mono", "short", "stereo", "long")):
        expected = list(predict(recognizer, [recordings[name]]))
        assert len(answer.rows) == len(expected)
        for row, other in zip(answer.rows, expected):
            assert (row.id, row.start, row.end, row.reason) == (name, other.start, other.end, other.reason)
            assert row.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    assert engine.models[0].labels == ("anger", "sadness", "neutral")


def test_mistakes_come_back_as_what_they_are(engine, run, recordings):
    with pytest.raises(Refused, match="upload: cannot be read as audio"):
        run(engine.answer(job(recordings["text"])))


def test_a_killed_worker_is_replaced_and_its_job_answered(engine, run, recordings):
    async def test():
        pid, restarts = pid_of(engine), engine.state().restarts
        os.kill(pid, signal.SIGSTOP)  # so that the job is under way when it dies
        waiting = asyncio.create_task(engine.answer(job(recordings["mono"], Diarizing())))
        await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        answer = await waiting
        assert answer.rows and pid_of(engine) != pid and engine.state().restarts == restarts + 1
        assert not is_alive(pid)

    run(test())


def test_who_kills_two_workers_is_lost(engine, run, recordings):
    async def test():
        waiting = asyncio.create_task(engine.answer(job(recordings["mono"])))
        seen = set()
        while len(seen) < 2:
            if engine._pool.ready and (pid := pid_of(engine)) not in seen:
                seen.add(pid)
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0)
        with pytest.raises(Lost):
            await waiting
        assert (await engine.answer(job(recordings["mono"]))).rows

    run(test())


def test_a_stuck_worker_is_replaced(engine, run, recordings, monkeypatch):
    monkeypatch.setattr(engine, "limits", Limits(waiting=50, request=0.2))

    async def test():
        os.kill(pid_of(engine), signal.SIGSTOP)
        with pytest.raises(TooLong, match=r"more than 0\.2 s"):
            await engine.answer(job(recordings["mono"]))
        monkeypatch.undo()
        assert (await engine.answer(job(recordings["mono"]))).rows

    run(test())


def test_a_stream_beside_jobs(engine, run, folder, recordings):
    samples, rate = soundfile.read(recordings["long"], dtype="int16")
    content = samples[: 5 * rate].tobytes()
    exact = np.frombuffer(content, "<i2").astype(np.float32) / 32768
    expected = list(live_answers(load_frame_model(folder), [exact], LIVE, name="stream"))

    async def test():
        stream = await engine.open_stream(StreamJob("m", LIVE))

        async def send():
            for first in range(0, len(content), 30_001):
                await stream.send(content[first : first + 30_001])
            await stream.finish()

        sending = asyncio.create_task(send())
        answering = asyncio.create_task(engine.answer(job(recordings["long"])))
        rows = [row async for row in stream.answers()]
        await asyncio.gather(sending, answering)
        await stream.close()
        assert engine.state().streams == 0
        return rows

    rows = run(test())
    assert [(row.start, row.end, row.reason) for row in rows] == [(row.start, row.end, row.reason) for row in expected]
    for row, other in zip(rows, expected):
        assert row.probabilities == pytest.approx(other.probabilities, abs=1e-6)


def test_the_death_of_a_worker_ends_its_streams(engine, run):
    async def test():
        stream = await engine.open_stream(StreamJob("m", LIVE))
        os.kill(pid_of(engine), signal.SIGKILL)
        with pytest.raises(Lost, match="died"):
            async for _ in stream.answers():
                pass
        await stream.close()
        while not engine.state().ready:
            await asyncio.sleep(0.01)

    run(test())


def test_signals_to_all_processes_leave_workers_at_work_and_they_end_with_the_engine(folder, loop, run, recordings):
    async def test():
        engine = WorkerEngine([ModelSource("m", folder)], Limits(stop=20.0))
        await engine.start()
        pid = pid_of(engine)
        waiting = asyncio.create_task(engine.answer(job(recordings["long"], Diarizing())))
        await asyncio.sleep(0.01)
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
        await engine.stop()
        assert (await waiting).rows
        assert not is_alive(pid)

    run(test())


def test_models_that_cannot_be_loaded_are_one_line(loop, run, tmp_path):
    engine = WorkerEngine([ModelSource("m", str(tmp_path))], Limits())
    with pytest.raises(UserError, match="is no diarizer"):
        run(engine.start())


def test_a_worker_that_is_left_alone_ends_by_itself(engine, run):
    async def test():
        pid, restarts = pid_of(engine), engine.state().restarts
        engine._pool.ready[0].process._writer.transport.abort()
        while engine.state().restarts == restarts or not engine.state().ready:
            await asyncio.sleep(0.01)
        assert not is_alive(pid)

    run(test())


FRONT = """
import asyncio, sys
from emobridge.serve.engine import WorkerEngine
from emobridge.serve.records import Limits
from emobridge.serve.sources import ModelSource

async def main():
    engine = WorkerEngine([ModelSource("m", sys.argv[1])], Limits())
    await engine.start()
    print(engine._pool.ready[0].process._process.pid, "torch" in sys.modules, flush=True)
    await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.slow
def test_a_worker_whose_engine_dies_ends_and_the_engine_holds_no_torch(folder, tmp_path):
    (tmp_path / "front.py").write_text(FRONT)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "front.py"), folder], stdout=subprocess.PIPE, text=True
    ) as front:
        pid, torch = front.stdout.readline().split()
        assert torch == "False" and is_alive(pid)
        front.kill()
    deadline = time.monotonic() + 30
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(pid)
