"""A stream in a worker process: the answers of `emobridge live`, in turns with whatever else is computed."""

from __future__ import annotations

import queue
import threading

import numpy as np
import pytest
from frame_models import LoudModel
from sounds import syllables

from emobridge.diarization.live import live_answers
from emobridge.serve.messages import (
    CloseStream,
    Consumed,
    Failed,
    FinishStream,
    OpenStream,
    SoundBytes,
    StreamAnswer,
    StreamEnded,
    StreamOpened,
)
from emobridge.serve.models import LoadedModel, load_models
from emobridge.serve.records import EngineError, Refused, ServedModel, StreamJob
from emobridge.serve.sources import ModelSource
from emobridge.serve.streaming import LiveStream
from emobridge.serve.turns import Turns
from emobridge.settings import Live

LIVE = Live(detector="energy")
ABOUT = ServedModel("m", "diarizer", LoudModel.labels, (), (), "none", True)


class Stream:
    """A stream that runs in its thread, and what it sends."""

    def __init__(self, job, loaded=None, turns=None):
        self.sent, self.over = queue.SimpleQueue(), threading.Event()
        loaded = loaded or LoadedModel(ABOUT, LoudModel())
        self.turns = turns or Turns()
        self.stream = LiveStream(OpenStream(3, job), loaded, self.turns, self.sent.put, lambda number: self.over.set())
        self.stream.start()

    def next(self):
        return self.sent.get(timeout=20)

    def all(self):
        assert self.over.wait(20)
        messages = []
        while not self.sent.empty():
            messages.append(self.sent.get())
        return messages


def pcm(wave):
    return (wave * 32767).astype("<i2").tobytes()


def job(**options):
    return StreamJob("m", LIVE, **options)


@pytest.mark.parametrize("size", [1001, 64_000])
def test_the_answers_are_those_of_the_command(size):
    wave = syllables(2.6)
    content = pcm(wave)
    exact = np.frombuffer(content, "<i2").astype(np.float32) / 32768
    expected = list(live_answers(LoudModel(), [exact], LIVE, name="stream"))
    stream = Stream(job())
    for first in range(0, len(content), size):
        stream.stream.take(SoundBytes(3, content[first : first + size]))
    stream.stream.take(FinishStream(3))
    messages = stream.all()
    assert messages[0] == StreamOpened(3) and messages[-1] == StreamEnded(3)
    answers = [message.answer for message in messages if isinstance(message, StreamAnswer)]
    assert answers == expected and len(answers) == 3
    assert sum(message.count for message in messages if isinstance(message, Consumed)) == len(content)


def test_who_waits_for_sound_lets_others_compute():
    stream = Stream(job())
    assert stream.next() == StreamOpened(3)
    with stream.turns:  # it would wait for ever
        stream.stream.take(SoundBytes(3, pcm(syllables(1.0))))
    stream.stream.take(FinishStream(3))
    assert stream.all()[-1] == StreamEnded(3)


def test_a_closed_stream_answers_no_more_and_gives_its_turn_back():
    stream = Stream(job())
    assert stream.next() == StreamOpened(3)
    with stream.turns:
        for _ in range(5):
            stream.stream.take(SoundBytes(3, pcm(syllables(1.0))))
        stream.stream.take(CloseStream(3))
    assert stream.all() == []
    with stream.turns:
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "s16be"}, "unknown encoding 's16be': did you mean 's16le'?"),
        ({"channels": 0}, "channels: expected 1 to 32, got 0"),
        ({"rate": 10}, "rate: expected 1000 to 384000 Hz, got 10"),
        ({"language": "Klingonese"}, "Klingonese"),
    ],
)
def test_what_cannot_be_answered_is_refused_at_the_opening(options, message):
    stream = Stream(job(**options))
    (failed,) = stream.all()
    assert type(failed.error) is Refused and message in str(failed.error)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"RIFF" + bytes(100), "stream: is a WAV file; expected raw samples"), (b"x", "stream: ended before a frame")],
)
def test_bytes_that_are_no_samples_are_refused(content, message):
    stream = Stream(job())
    stream.stream.take(SoundBytes(3, content))
    stream.stream.take(FinishStream(3))
    *_, failed = stream.all()
    assert isinstance(failed, Failed) and type(failed.error) is Refused and str(failed.error).startswith(message)


def test_a_defect_of_ours_ends_the_stream_and_is_logged(capsys):
    class Broken(LoudModel):
        def frame_probabilities(self, wave):
            raise ZeroDivisionError("oh")

    stream = Stream(job(), LoadedModel(ABOUT, Broken()))
    stream.stream.take(SoundBytes(3, pcm(syllables(1.0))))
    *_, failed = stream.all()
    assert type(failed.error) is EngineError and "ZeroDivisionError: oh" in capsys.readouterr().err


def test_streams_and_jobs_have_the_same_right_to_compute():
    """Three streams with much to do, on one model: none is far ahead of another."""
    turns, streams = Turns(), []
    with turns:
        for _ in range(3):
            streams.append(Stream(job(), turns=turns))
            streams[-1].stream.take(SoundBytes(3, pcm(syllables(4.0))))
            streams[-1].stream.take(FinishStream(3))
        order = []

        def noting(number, send):
            return lambda message: (order.append((number, message)), send(message))

        for number, stream in enumerate(streams):
            stream.stream.send = noting(number, stream.stream.send)
    for stream in streams:
        stream.all()
    answers = [number for number, message in order if isinstance(message, StreamAnswer)]
    assert len(answers) == 12
    for place in range(3, 12, 3):
        assert set(answers[place : place + 3]) == {0, 1, 2}


def test_a_recogniser_answers_by_the_branch_of_the_language(bundles):
    loaded = load_models([ModelSource("m", bundles("fr", adapters=""))], "cpu")["m"]
    rows = []
    for language in (None, "en", "de"):
        stream = Stream(job(language=language), loaded)
        stream.stream.take(SoundBytes(3, pcm(syllables(1.0))))
        stream.stream.take(FinishStream(3))
        rows.append(stream.all())
    by_default, english, foreign = rows
    assert by_default[2].answer.probabilities != english[2].answer.probabilities  # by the moments of its corpus
    assert "language 'de': not one of this recogniser's (fr, en)" in str(foreign[0].error)
