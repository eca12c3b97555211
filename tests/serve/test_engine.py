"""The engine's queue, its workers' deaths and its end, with stand-ins for processes: the real ones are in
test_processes.py.
"""

from __future__ import annotations

import asyncio

import pytest

from emobridge.errors import UserError
from emobridge.serve import pool
from emobridge.serve.engine import WorkerEngine
from emobridge.serve.messages import (
    Answered,
    AnswerJobs,
    CloseStream,
    End,
    Failed,
    GiveUp,
    NotLoaded,
    OpenStream,
    Ready,
    StreamOpened,
)
from emobridge.serve.records import (
    Answer,
    Busy,
    EngineError,
    Job,
    Limits,
    Lost,
    Refused,
    ServedModel,
    StreamJob,
    TooLong,
)
from emobridge.serve.sources import ModelSource
from emobridge.settings import Answering, Diarizing, Live

SOURCES = (ModelSource("m", "folder"),)
MODELS = tuple(ServedModel(name, "recogniser", ("a", "b"), (), ("de",), "tiny", True) for name in ("m", "other"))
SHORT = {"stop": 0.05, "request": 20.0}


class FakeProcess:
    """A worker process that answers when the test says so."""

    made: list[FakeProcess]
    begin: list[object]  # what the next ones do first: a message, or None to end; then all are ready
    at_once = 1

    def __init__(self, setup, on_message, on_end):
        self.setup, self.on_message, self.on_end = setup, on_message, on_end
        self.sent, self.ended, self.how_it_ended, self.is_killed = [], asyncio.Event(), "signal 9", False
        self.made.append(self)

    async def start(self):
        first = self.begin.pop(0) if self.begin else Ready(MODELS, self.at_once)
        if first is None:
            self.kill()
        else:
            asyncio.get_running_loop().call_soon(self.on_message, first)
            if isinstance(first, NotLoaded):
                self.kill()

    def send(self, message):
        self.sent.append(message)
        if isinstance(message, OpenStream):
            asyncio.get_running_loop().call_soon(self.on_message, StreamOpened(message.number))
        if isinstance(message, End):
            self.kill()

    def kill(self):
        if not self.is_killed:
            self.is_killed = True
            asyncio.get_running_loop().call_soon(self.end)

    def end(self):
        self.ended.set()
        self.on_end()

    async def wait(self, seconds=1.0):
        await self.ended.wait()
        await asyncio.sleep(0)

    @property
    def groups(self):
        return [[one.job.name for one in message.jobs] for message in self.sent if isinstance(message, AnswerJobs)]

    def answer(self):
        """Answer all jobs of the last group."""
        for one in [message for message in self.sent if isinstance(message, AnswerJobs)][-1].jobs:
            self.on_message(Answered(one.number, Answer((), float(one.number))))


@pytest.fixture(autouse=True)
def processes(monkeypatch):
    made = []
    fakes = type("Fakes", (FakeProcess,), {"made": made, "begin": []})
    monkeypatch.setattr(pool, "WorkerProcess", fakes)
    monkeypatch.setattr(pool, "START_PAUSE", 0.001)
    return fakes


def job(name, settings=None, model="m"):
    return Job(model, f"/{name}.wav", settings or Answering(), name=name)


async def started(**limits):
    engine = WorkerEngine(SOURCES, Limits(**(SHORT | limits)))
    await engine.start()
    return engine


async def asked(engine, *jobs):
    """The tasks that wait for the answers of jobs, in this order."""
    tasks = [asyncio.create_task(engine.answer(one if isinstance(one, Job) else job(one))) for one in jobs]
    await asyncio.sleep(0.005)
    return tasks


def run(test):
    asyncio.run(asyncio.wait_for(test(), 20))


def test_the_models_are_known_and_each_job_is_answered(processes):
    async def test():
        engine = await started(workers=2)
        assert engine.models == MODELS and engine.state().ready == 2 == len(processes.made)
        (task,) = await asked(engine, "a")
        assert (engine.state().running, engine.state().waiting) == (1, 0)
        processes.made[0].answer()
        assert (await task).seconds > 0 and engine.state().running == 0
        await engine.stop()
        assert all(End() in process.sent for process in processes.made) and engine.state().ready == 0

    run(test)


def test_more_jobs_than_may_wait_are_refused_with_a_time(processes):
    async def test():
        engine = await started(waiting=2)
        tasks = await asked(engine, "a", "b", "c", "d")
        with pytest.raises(Busy) as error:
            await tasks[3]
        assert error.value.retry_after == pytest.approx(3.0)  # of a second each, before any was measured
        with pytest.raises(Busy):
            engine.check_room("m")
        assert processes.made[0].groups == [["a"]]
        for name in "bc":
            processes.made[0].answer()
            await asyncio.sleep(0)
            assert processes.made[0].groups[-1] == [name]
        engine.check_room("m")
        processes.made[0].answer()
        assert len({(await task).seconds for task in tasks[:3]}) == 3
        assert engine.state().waiting == 0
        await engine.stop()

    run(test)


def test_no_job_waits_where_none_may_and_a_free_worker_takes_one(processes):
    async def test():
        engine = await started(waiting=0)
        tasks = await asked(engine, "a", "b")
        with pytest.raises(Busy):
            await tasks[1]
        processes.made[0].answer()
        await tasks[0]
        await engine.stop()

    run(test)


def test_what_waits_for_one_model_goes_in_one_message_where_that_is_faster(processes):
    processes.at_once = 3

    async def test():
        engine = await started(waiting=20)
        quick = Answering(abstain_below=0.5)
        alone = Answering(adapt_online=True)
        jobs = [job("first"), *map(job, "abcd"), job("quick", quick), job("other", None, "other")]
        jobs += [job("line", Diarizing()), job("line2", Diarizing()), job("on", alone), job("on2", alone)]
        tasks = await asked(engine, *jobs)
        process = processes.made[0]
        while len(process.groups) < 9:
            process.answer()
            await asyncio.sleep(0)
        process.answer()
        await asyncio.gather(*tasks)
        groups = [["first"], ["a", "b", "c"], ["d"], ["quick"], ["other"], ["line"], ["line2"], ["on"], ["on2"]]
        assert process.groups == groups
        await engine.stop()

    run(test)


def test_a_job_is_tried_once_more_by_itself_and_lost_after_the_second_death(processes):
    processes.at_once = 4

    async def test():
        engine = await started(waiting=5)
        tasks = await asked(engine, "first", "bad", "good", "later")
        processes.made[0].answer()
        await asyncio.sleep(0)
        assert processes.made[0].groups[-1] == ["bad", "good", "later"]
        for number in range(2):
            processes.made[number].kill()
            await asyncio.sleep(0.02)
            assert engine.state().restarts == number + 1
        with pytest.raises(Lost, match="died, and so did the next one"):
            await tasks[1]
        assert processes.made[1].groups == [["bad"]]  # the others did not go with it again
        for _ in range(2):
            processes.made[2].answer()
            await asyncio.sleep(0)
        assert processes.made[2].groups == [["good"], ["later"]]
        await asyncio.gather(tasks[0], tasks[2], tasks[3])
        await engine.stop()

    run(test)


def test_an_idle_crash_is_mended_and_another_worker_answers_meanwhile(processes):
    async def test():
        engine = await started(workers=2)
        processes.made[0].kill()
        (task,) = await asked(engine, "a")
        processes.made[1].answer()
        await task
        await asyncio.sleep(0.02)
        assert engine.state().ready == 2 and len(processes.made) == 3
        await engine.stop()

    run(test)


def test_models_that_cannot_be_loaded_are_a_mistake_of_who_starts(processes):
    processes.begin.append(NotLoaded("folder: is no bundle"))

    async def test():
        with pytest.raises(UserError, match="folder: is no bundle"):
            await started()
        assert len(processes.made) == 1 and processes.made[0].ended.is_set()

    run(test)


def test_crashes_at_the_start_end_in_an_error(processes):
    processes.begin.extend([None] * 10)

    async def test():
        with pytest.raises(UserError, match=f"ended {pool.STARTS} times before it was ready"):
            await started()
        assert len(processes.made) == pool.STARTS

    run(test)


def test_one_crash_at_the_start_is_forgiven(processes):
    processes.begin.append(None)

    async def test():
        engine = await started()
        assert engine.state().ready == 1
        await engine.stop()

    run(test)


def test_a_service_whose_workers_start_no_more_says_so(processes):
    async def test():
        engine = await started(waiting=3)
        tasks = await asked(engine, "a", "b")
        processes.begin.append(NotLoaded("folder: is gone"))
        processes.made[0].kill()
        for task in tasks:
            with pytest.raises(Lost, match="folder: is gone"):
                await task
        assert engine.state().error == "folder: is gone" and engine.state().ready == 0
        with pytest.raises(Lost, match="folder: is gone"):
            await engine.answer(job("c"))
        await engine.stop()

    run(test)


def test_workers_that_end_again_and_again_with_nothing_to_do_are_given_up(processes):
    async def test():
        engine = await started()
        for number in range(pool.STARTS):
            assert not engine.state().error
            processes.made[number].kill()
            await asyncio.sleep(0.05)
        assert f"ended {pool.STARTS} times with nothing to do (signal 9)" in engine.state().error
        await engine.stop()

    run(test)


def test_recordings_that_kill_do_not_end_the_service(processes):
    async def test():
        engine = await started()
        for number in range(pool.STARTS + 1):
            (task,) = await asked(engine, f"bad{number}")
            for _ in range(2):
                processes.made[-1].kill()
                await asyncio.sleep(0.01)
            with pytest.raises(Lost):
                await task
        assert not engine.state().error and engine.state().ready == 1
        await engine.stop()

    run(test)


def test_a_stuck_worker_is_ended_and_the_next_job_answered(processes):
    async def test():
        engine = await started(request=0.05)
        tasks = await asked(engine, "stuck", "next")
        with pytest.raises(TooLong, match=r"more than 0\.05 s"):
            await tasks[0]
        await asyncio.sleep(0.01)
        processes.made[1].answer()
        await tasks[1]
        await engine.stop()

    run(test)


def test_who_is_cancelled_gives_up_the_place(processes):
    async def test():
        engine = await started(waiting=1)
        running, waiting = await asked(engine, "a", "b")
        waiting.cancel()
        (third,) = await asked(engine, "c")
        running.cancel()
        await asyncio.sleep(0)
        number = processes.made[0].sent[0].jobs[0].number
        assert processes.made[0].sent[-1] == GiveUp(number)
        processes.made[0].on_message(Failed(number, Lost("given up")))
        processes.made[0].answer()
        await third
        assert processes.made[0].groups == [["a"], ["c"]]
        await engine.stop()

    run(test)


def test_a_job_that_was_given_up_is_not_tried_again(processes):
    async def test():
        engine = await started()
        (task,) = await asked(engine, "a")
        task.cancel()
        processes.made[0].kill()
        await asyncio.sleep(0.02)
        assert processes.made[1].groups == [] and engine.state().running == 0
        await engine.stop()

    run(test)


def test_an_error_of_the_worker_reaches_the_caller(processes):
    async def test():
        engine = await started()
        (task,) = await asked(engine, "a")
        processes.made[0].on_message(Failed(processes.made[0].sent[0].jobs[0].number, Refused("a: no audio")))
        with pytest.raises(Refused, match="a: no audio"):
            await task
        with pytest.raises(Refused, match="unknown model 'oter': did you mean 'other'"):
            await engine.answer(job("a", None, "oter"))
        await engine.stop()

    run(test)


def test_stopping_lets_answers_end_and_takes_no_more(processes):
    async def test():
        engine = await started(stop=10.0)
        tasks = await asked(engine, "a", "b")
        stopping = asyncio.create_task(engine.stop())
        await asyncio.sleep(0)
        with pytest.raises(Lost, match="is stopping"):
            await engine.answer(job("late"))
        for _ in range(2):
            assert not stopping.done()
            processes.made[0].answer()
            await asyncio.sleep(0.001)
        await asyncio.gather(*tasks, stopping)
        assert processes.made[0].sent[-1] == End()

    run(test)


def test_stopping_does_not_wait_for_ever(processes):
    async def test():
        engine = await started(stop=0.02)
        tasks = await asked(engine, "a", "b")
        await engine.stop()
        for task in tasks:
            with pytest.raises(Lost, match="is stopping"):
                await task
        assert processes.made[0].ended.is_set() and len(processes.made) == 1

    run(test)


def test_streams_are_shared_out_and_bounded(processes):
    async def test():
        engine = await started(workers=2, streams=3)
        streams = [await engine.open_stream(StreamJob("m", Live())) for _ in range(3)]
        opened = [sum(isinstance(message, OpenStream) for message in process.sent) for process in processes.made]
        assert sorted(opened) == [1, 2] and engine.state().streams == 3
        with pytest.raises(Busy):
            await engine.open_stream(StreamJob("m", Live()))
        with pytest.raises(Refused, match="unknown model"):
            await engine.open_stream(StreamJob("x", Live()))
        await streams[0].close()
        streams[0] = await engine.open_stream(StreamJob("m", Live()))
        processes.made[0].kill()
        processes.made[1].kill()
        await asyncio.sleep(0.02)
        for stream in streams:
            with pytest.raises(Lost, match="died"):
                await stream.send(b"x")
            await stream.close()
        assert engine.state().streams == 0 and engine.state().ready == 2
        await engine.stop()

    run(test)


def test_stopping_ends_streams_but_those_that_are_finished(processes):
    async def test():
        engine = await started(stop=0.1)
        open_one, finished = [await engine.open_stream(StreamJob("m", Live())) for _ in range(2)]
        await finished.finish()
        stopping = asyncio.create_task(engine.stop())
        await asyncio.sleep(0.01)
        with pytest.raises(Lost, match="is stopping"):
            await open_one.send(b"x")
        assert CloseStream(open_one.number) in processes.made[0].sent
        assert not stopping.done() and not finished.is_over
        await stopping
        with pytest.raises(EngineError):
            await anext(finished.answers())

    run(test)
