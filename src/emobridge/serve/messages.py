"""What the engine and its workers send each other, through a socket that no other process has.

    size (4 bytes, big-endian) and the pickled message, one after the other

Both sides are of one program, which started the other: nothing that a user brings is unpickled.
"""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass
from typing import Any, TypeAlias

from emobridge.serve.records import Answer, EngineError, Job, ServedModel, StreamJob
from emobridge.types import Prediction

MESSAGE_SIZE = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class NumberedJob:
    """A job, and the number by which both sides call it; streams have numbers of the same row."""

    number: int
    job: Job


@dataclass(frozen=True, slots=True)
class AnswerJobs:
    """Answer these. Of several, all have the same model and settings."""

    jobs: tuple[NumberedJob, ...]


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nobody waits for the answer to this job any more."""

    number: int


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Answer the sound that comes."""

    number: int
    job: StreamJob


@dataclass(frozen=True, slots=True)
class SoundBytes:
    """The next bytes of a stream."""

    number: int
    samples: bytes


@dataclass(frozen=True, slots=True)
class FinishStream:
    """No more sound comes."""

    number: int


@dataclass(frozen=True, slots=True)
class CloseStream:
    """Nobody waits for the answers of this stream any more."""

    number: int


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more comes: end."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The models are loaded."""

    models: tuple[ServedModel, ...]
    at_once: int  # jobs that are answered faster together


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """The models cannot be loaded, and why: the line of a UserError."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a job."""

    number: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a job, or a stream, has no answer."""

    number: int
    error: EngineError


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The worker takes sound."""

    number: int


@dataclass(frozen=True, slots=True)
class Consumed:
    """So many bytes of a stream wait no longer."""

    number: int
    count: int


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """The next answer of a stream."""

    number: int
    answer: Prediction


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """All sound of a finished stream is answered."""

    number: int


ToWorker: TypeAlias = "AnswerJobs | GiveUp | OpenStream | SoundBytes | FinishStream | CloseStream | End"
OfStream: TypeAlias = "StreamOpened | Consumed | StreamAnswer | StreamEnded | Failed"
FromWorker: TypeAlias = "Ready | NotLoaded | Answered | OfStream"


def packed(message: ToWorker | FromWorker) -> bytes:
    """A message as it is sent."""
    content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return MESSAGE_SIZE.pack(len(content)) + content


def unpacked(content: bytes) -> Any:
    """The message of the bytes after its size."""
    return pickle.loads(content)
