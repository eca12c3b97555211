"""Answers to recordings, in a worker process: checked, then answered as `emobridge predict` and `diarize` do."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from emobridge.bundle import UNKNOWN, Recognizer
from emobridge.data.audio import channel_count, channels_agree, duration_up_to, forget_files, stated_seconds
from emobridge.diarization.timeline import diarize
from emobridge.errors import UserError, lacks_memory
from emobridge.inference.predict import mixed_note, note_languages, predict
from emobridge.inference.routing import modes_of
from emobridge.inference.sources import FILES, by_channel
from emobridge.languages import language_tag
from emobridge.progress import Progress
from emobridge.serve.models import LoadedModel
from emobridge.serve.records import Answer, EngineError, Job, Limits, Lost, Refused, TooLong
from emobridge.settings import Answering, Diarizing
from emobridge.types import Prediction, Utterance

LONGEST_PART = 60.0  # s that are encoded at once: the memory of attention grows with the square
MOST_PARTS = 20_000  # of a recording, all its channels together: no options may make an endless answer


class GivenUp(Exception):
    """Nobody waits for the answers any more; `on_progress` may raise it."""


@dataclass(frozen=True, slots=True)
class _CheckedJob:
    """A job that can be answered."""

    job: Job
    utterance: Utterance
    seconds: float


def answers_to(
    loaded: LoadedModel, jobs: Sequence[Job], limits: Limits, on_progress: Progress
) -> list[Answer | EngineError]:
    """The answers to jobs in their order, or why there is none; several jobs have the same settings.

    on_progress: is called after each part. Errors: GivenUp, where `on_progress` raises it.
    """
    try:
        outcomes = [_checked(loaded, job, limits) for job in jobs]
        ready = [outcome for outcome in outcomes if isinstance(outcome, _CheckedJob)]
        answers = iter(_answers(loaded, ready, on_progress))
        return [next(answers) if isinstance(outcome, _CheckedJob) else outcome for outcome in outcomes]
    finally:
        forget_files()


def failure_of(error: Exception, name: str) -> EngineError:
    """What a caller is told of an error; of one that is our mistake, the log has all."""
    if isinstance(error, EngineError):
        return error
    if isinstance(error, UserError):
        return Refused(str(error))
    if lacks_memory(error):
        return Lost(f"{name}: the memory does not suffice")
    traceback.print_exception(error, file=sys.stderr)
    return EngineError(f"{name}: could not be answered ({type(error).__name__})")


def _checked(loaded: LoadedModel, job: Job, limits: Limits) -> _CheckedJob | EngineError:
    try:
        if isinstance(job.settings, Answering):
            _ = loaded.recognizer
        language = spoken_language(loaded, job.language, job.settings)
        seconds = _seconds(job.path, limits.duration)
        _check_parts(job, seconds)
    except Exception as error:
        return _failure(error, job)
    return _CheckedJob(job, Utterance(job.name, FILES, job.path, language=language), seconds)


def spoken_language(loaded: LoadedModel, language: str | None, settings: object = None) -> str:
    """The tag of a language. Errors: UserError for one that the model does not know, unless `untold` is set."""
    if language is None:
        return UNKNOWN
    if isinstance(loaded.model, Recognizer) and not getattr(settings, "untold", ""):
        loaded.model.branch_of(language)
    return language_tag(language)


def _seconds(path: str, most: float) -> float:
    """The length of a file, by its header and then by what decodes. Errors: TooLong; AudioError for a bad file."""
    seconds = stated_seconds(path) or 0.0
    if seconds <= most:
        seconds = duration_up_to(path, most)
    if seconds > most:
        length = f"{seconds:,.0f} s" if seconds < float("inf") else f"more than {most:,.0f} s"
        raise TooLong(f"{length} of sound; expected {most:,.0f} s at most")
    return seconds


def _check_parts(job: Job, seconds: float) -> None:
    """Errors: Refused for options that cut a recording into too many parts, or into parts that are too long."""
    settings = job.settings
    if isinstance(settings, Diarizing):
        return
    name, longest = _longest_part(settings)
    if min(longest, seconds) > LONGEST_PART:
        raise Refused(f"{name}: makes a part of {min(longest, seconds):,.0f} s; expected {LONGEST_PART:g} s at most")
    step = settings.hop if name == "window" and settings.hop else longest
    parts = seconds / step * len(settings.channels_of(channel_count(job.path)))
    if parts > MOST_PARTS:
        name = "hop" if step == settings.hop else name
        raise Refused(f"{name}: {step:g} s makes {parts:,.0f} parts of this recording; expected {MOST_PARTS:,} at most")


def _longest_part(settings: Answering) -> tuple[str, float]:
    """The option that decides how long a part is, and its length in s."""
    if settings.segments == "whole":
        return "segments", float("inf")
    return ("window", settings.window) if settings.segments == "windows" else ("longest", settings.longest)


def _answers(loaded: LoadedModel, ready: Sequence[_CheckedJob], on_progress: Progress) -> list[Answer | EngineError]:
    """The answers to jobs together; to each by itself where that fails, so that no job fails by another."""
    if not ready:
        return []
    try:
        return _together(loaded, ready, on_progress)
    except GivenUp:
        raise
    except Exception as error:
        if len(ready) > 1:
            return [answer for checked in ready for answer in _answers(loaded, [checked], on_progress)]
        return [_failure(error, ready[0].job)]


def _together(loaded: LoadedModel, ready: Sequence[_CheckedJob], on_progress: Progress) -> list[Answer | EngineError]:
    """Errors: those of `predict` and `diarize` that are not about a single recording."""
    numbered = [replace(checked.utterance, id=str(number)) for number, checked in enumerate(ready)]
    rows: list[list[Prediction]] = [[] for _ in ready]
    reasons: dict[str, str] = {}
    for row in _rows(loaded, numbered, ready[0].job, reasons, on_progress):
        rows[int(row.id)].append(row)
    answers: list[Answer | EngineError] = []
    for number, checked in enumerate(ready):
        if str(number) in reasons:
            answers.append(_failure(UserError(reasons[str(number)]), checked.job))
            continue
        own = tuple(replace(row, id=checked.job.name, path=checked.job.name) for row in rows[number])
        notes = tuple(_without_path(note, checked.job) for note in _notes(loaded, checked))
        answers.append(Answer(own, checked.seconds, notes))
    return answers


def _rows(
    loaded: LoadedModel, utterances: Sequence[Utterance], job: Job, reasons: dict[str, str], on_progress: Progress
) -> Iterator[Prediction]:
    """The rows of utterances, by the settings of a job; `reasons` gets those that cannot be read."""
    settings = job.settings
    if isinstance(settings, Diarizing):
        frame_model = loaded.frame_model
        return diarize(frame_model, utterances, settings, on_skip=reasons.__setitem__, on_progress=on_progress)
    return predict(loaded.recognizer, utterances, settings, on_skip=reasons.__setitem__, on_progress=on_progress)


def _notes(loaded: LoadedModel, checked: _CheckedJob) -> Iterator[str]:
    """What the commands note of a recording: they tell it of all recordings together, and here each has its caller."""
    settings, utterance = checked.job.settings, checked.utterance
    answering = settings.answering if isinstance(settings, Diarizing) else settings
    notes: list[str] = []
    units = by_channel(utterance, answering)
    if isinstance(loaded.model, Recognizer) and not answering.untold:
        note_languages(loaded.model, units, modes_of(loaded.model, units, None), notes.append)
    yield from notes
    if any(unit.channel is None and not channels_agree(unit) for unit in units):
        yield mixed_note([utterance.path])


def _failure(error: Exception, job: Job) -> EngineError:
    failure = failure_of(error, job.name)
    return type(failure)(_without_path(str(failure), job))


def _without_path(text: str, job: Job) -> str:
    """A line about an upload by the name that its caller knows."""
    return text.replace(job.path, job.name)
