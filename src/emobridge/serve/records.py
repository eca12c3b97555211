"""What passes between the part of the service that speaks HTTP and the engine that answers.

The part that speaks HTTP checks and bounds what comes, and writes an upload to a file. The engine reads the file in a
worker process, where a decoder may crash without harm to others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from emobridge.settings import Answering, Diarizing, Live, check_part, option
from emobridge.types import Prediction


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A recogniser or a diarizer that the service answers with."""

    name: str  # in addresses and options; unique in a service
    kind: str  # "recogniser" (answers /predict, /diarize, streams) or "diarizer" (answers /diarize and streams)
    labels: tuple[str, ...]
    attributes: tuple[str, ...]
    languages: tuple[str, ...]  # BCP 47
    encoder: str
    synthetic: bool  # whether synthetic speech went into it


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may cost, and how much may wait. Sizes are bytes, times are seconds. Errors: UserError."""

    workers: int = option(1, help="Processes that answer; each holds all models.", least=1)
    waiting: int = option(1, help="Requests that may wait for each worker; more are answered 429.", least=0)
    body: int = option(50_000_000, help="Bytes of a recording.", flag="largest-body", least=1)
    duration: float = option(3600.0, help="Seconds of sound in a recording.", flag="longest-recording", above=0)
    request: float = option(
        600.0, help="Seconds that an answer may take, before its worker is ended.", flag="request-seconds", above=0
    )
    streams: int = option(4, help="Live streams at once, over all workers.", least=0)
    stop: float = option(
        20.0, help="Seconds that answers under way have when the service is stopped.", flag="stop-seconds", above=0
    )

    def __post_init__(self) -> None:
        check_part(self)


@dataclass(frozen=True, slots=True)
class Job:
    """A recording to answer."""

    model: str  # the name of a served model
    path: str  # of the uploaded file, which the caller removes after the answer
    settings: Answering | Diarizing  # Diarizing is a timeline
    language: str | None = None  # BCP 47 or a name; None is not known
    name: str = "upload"  # what the rows call the recording


@dataclass(frozen=True, slots=True)
class StreamJob:
    """Live sound to answer: raw PCM, little-endian, the channels of a frame side by side."""

    model: str
    settings: Live
    encoding: str = "s16le"  # of diarization.pcm.SCALES
    rate: int = 16_000  # Hz
    channels: int = 1
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows about a recording, in order of channel and time."""

    rows: tuple[Prediction, ...]
    seconds: float  # of sound
    notes: tuple[str, ...] = ()  # what the caller should know, such as channels that differ and were mixed


@dataclass(frozen=True, slots=True)
class EngineState:
    """How an engine does now."""

    workers: int  # that are wanted
    ready: int  # that can take a job
    running: int  # jobs under way
    waiting: int  # jobs that wait
    streams: int  # that are open
    restarts: int  # of workers, since the start
    error: str = ""  # why no worker starts any more


class EngineError(Exception):
    """A job without an answer; its text is one line for the caller."""


class Busy(EngineError):
    """Too many jobs wait: HTTP 429. retry_after: s after which there may be room."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("the service is busy; try again later")
        self.retry_after = retry_after


class Refused(EngineError):
    """The caller's mistake: an unreadable recording, an unknown language, a model of another kind. HTTP 422."""


class TooLong(EngineError):
    """More sound than `Limits.duration`, or an answer that took more than `Limits.request`: HTTP 413."""


class Lost(EngineError):
    """The worker died, twice with this job, or the service stops: HTTP 503."""


class SoundStream(Protocol):
    """Live sound on its way in, and answers on their way out."""

    async def send(self, samples: bytes) -> None:
        """Pass the next bytes on, which need not end with a frame; waits while the worker is behind, and while nobody
        takes the answers. Errors: EngineError.
        """

    async def finish(self) -> None:
        """No more sound comes; the last answers follow. Errors: EngineError."""

    def answers(self) -> AsyncIterator[Prediction]:
        """One answer for each stretch of sound, until the stream is finished. Errors: EngineError."""

    async def close(self) -> None:
        """Give the worker back, whatever is under way. A second call does nothing."""


class Engine(Protocol):
    """What answers jobs. All methods are called on one event loop."""

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """In the order in which they were given; the first is the default. Known after `start`."""

    async def start(self) -> None:
        """Start the workers; returns when all are ready. Errors: UserError for models that cannot be loaded."""

    async def stop(self) -> None:
        """Take no more jobs, let those under way end within `Limits.stop`, and end the workers."""

    def check_room(self, model: str) -> None:
        """Whether a job for a model would be taken now, before its recording is read. Errors: as `answer`."""

    async def answer(self, job: Job) -> Answer:
        """The answer to a job. A caller that is cancelled gives up its place. Errors: EngineError."""

    async def open_stream(self, job: StreamJob) -> SoundStream:
        """A stream of live sound. Errors: EngineError; Busy where `Limits.streams` are open."""

    def state(self) -> EngineState:
        """How it does now."""
