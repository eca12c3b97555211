"""From a recording of any length to a timeline: windows of frames without seams, speech, segments, rows.

    recording -> windows that overlap by the model's context -> frames -> segments of one emotion -> `Prediction` rows

The audio is read in pieces, and no more than a window, a stretch of speech (`smoothing.LONGEST_STRETCH`) of frames and
a few numbers for each 20 ms are in memory. In shapes T is samples at 16 kHz, F frames and C labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from emobridge.data.activity import LEAST_SPEECH, resolve_detector
from emobridge.data.audio import channels_agree, utterance_pieces, utterance_seconds
from emobridge.diarization.base import FrameModel, Waveform
from emobridge.diarization.smoothing import Mask, Smoother, Smoothing, TimelineSegment
from emobridge.diarization.windowed import WindowedRecognizer
from emobridge.errors import UserError
from emobridge.inference.features import Skip
from emobridge.inference.inputs import AudioInput, as_utterances
from emobridge.inference.journal import Journal, answered, unit_key
from emobridge.inference.predict import in_seconds, mixed_note, note_languages
from emobridge.inference.routing import modes_of
from emobridge.inference.rows import chosen_labels, unsure_reason
from emobridge.inference.segments import NO_SPEECH, NOT_FINITE, TIME_ROUNDING, TOO_SHORT, Span, speech_of
from emobridge.inference.sources import by_channel
from emobridge.progress import Progress
from emobridge.settings import HEARD_WINDOW, Diarizing
from emobridge.types import SAMPLE_RATE, Prediction, Utterance

Edges = tuple[NDArray[np.float64], NDArray[np.float64]]  # starts and ends of stretches, in s


def diarize(
    model: FrameModel,
    audio: AudioInput,
    settings: Diarizing | None = None,
    *,
    journal: Journal | None = None,
    on_skip: Skip | None = None,
    on_note: Callable[[str], None] | None = None,
    on_progress: Progress | None = None,
) -> Iterator[Prediction]:
    """A Prediction for each stretch of one emotion, in order, and for each pause one without label: "no speech".

    audio: utterances, and paths for what `utterances_of` makes of them; each channel that `settings` ask for is
    answered by itself. The rows of a channel tile it. Their probabilities are means over the frames of the stretch; a
    stretch that is too short, or of which the model makes numbers that are not finite, has none but a reason.
    What cannot be read goes to `on_skip`, or raises without one. journal: holds what an earlier run of the same request
    has answered, by recording and channel. on_note: gets what the user should know. on_progress: gets seconds of audio.
    Errors: UserError for settings that the model cannot serve; AudioError for a bad file without `on_skip`.
    """
    settings = settings or Diarizing()
    units = [unit for utterance in as_utterances(audio) for unit in by_channel(utterance, settings.answering)]
    models = _models_of(model, units, settings, on_note)
    labels = chosen_labels(model.labels, settings.answering)
    report = in_seconds(units, on_progress)
    detector = resolve_detector(settings.detector)
    differing: dict[str, None] = {}

    def answer(row: int) -> list[Prediction]:
        unit = units[row]
        timeline = Timeline(models[unit.language, unit.corpus], settings, labels, lambda share: report(row, share))
        predictions = list(timeline.rows(unit))
        if on_note is not None and unit.channel is None and not channels_agree(unit):
            differing[unit.path] = None
        return predictions

    keys = (unit_key([unit], detector) for unit in units)
    yield from answered(units, keys, answer, journal, on_skip)
    if differing and on_note is not None:
        on_note(mixed_note(list(differing)))


def frame_windows(
    model: FrameModel, utterance: Utterance, speech: Sequence[Span] | None = None
) -> Iterator[tuple[float, Waveform]]:
    """The probabilities of all frames of an utterance, window by window: (start in s of the file, (F, C)).

    They are joined without seams: see `joined_frames`, also for `speech`. Errors: AudioError where it cannot be read.
    """
    for first, values in joined_frames(model, utterance_pieces(utterance), speech):
        yield utterance.start + first / model.frame_rate, values


def joined_frames(
    model: FrameModel, pieces: Iterable[Waveform], speech: Sequence[Span] | None = None
) -> Iterator[tuple[int, Waveform]]:
    """The probabilities of all frames of a sound that comes in pieces (T_i,): (number of the first frame, (F, C)).

    Windows of at most `model.longest` s overlap by twice `model.context`, and of each those frames count whose context
    is inside: so no frame depends on where windows begin. The context of a model that takes less than four times that
    at once is cut to a quarter. speech: (start, end) in s of the sound; where it is given, windows without any are not
    computed, and their frames have equal probabilities.
    """
    rate = model.frame_rate
    most = max(1, math.floor(model.longest * rate))  # frames of a window
    margin = min(math.ceil(model.context * rate), most // 4)
    step = most - 2 * margin
    edges = None if speech is None else _edges(speech)
    windows = _overlapping(pieces, step * SAMPLE_RATE / rate, math.floor(model.longest * SAMPLE_RATE))
    for number, (wave, is_last) in enumerate(windows):
        count = max(1, round(len(wave) / SAMPLE_RATE * rate))
        begin, end = margin if number else 0, count if is_last else step + margin
        first = number * step + begin
        if edges is None or _overlaps(edges, first / rate, (first + end - begin) / rate):
            values = model.frame_probabilities(wave)[begin:end]
        else:
            values = np.full((end - begin, len(model.labels)), 1 / len(model.labels), dtype=np.float32)
        yield first, values


class Timeline:
    """The rows of one utterance and channel."""

    def __init__(
        self, model: FrameModel, settings: Diarizing, labels: Sequence[int], report: Callable[[float], None]
    ) -> None:
        """labels: the indices of those that may be answered. report: gets the share of the utterance that is done."""
        self.model, self.settings, self.labels, self.report = model, settings, list(labels), report
        self._not_finite: list[tuple[int, int]] = []  # frames

    def rows(self, utterance: Utterance) -> Iterator[Prediction]:
        """The rows, as the audio is read. Errors: AudioError where it cannot be read."""
        seconds, rate, settings = utterance_seconds(utterance), self.model.frame_rate, self.settings
        speech = speech_of(utterance, settings.detector)
        if seconds < LEAST_SPEECH - TIME_ROUNDING:
            yield self._row(utterance, (0.0, seconds), (), TOO_SHORT)
            return
        count, edges = max(1, round(seconds * rate)), _edges(speech)
        smoother = Smoother(rate, Smoothing(settings.shortest, settings.pause, settings.cost))
        for first, values in joined_frames(self.model, utterance_pieces(utterance), speech):
            values = values[: count - first]  # the length that a row says may be a trifle below the file's
            spoken = _in_speech(edges, first, len(values), rate)
            yield from self._rows_of(utterance, smoother.add(*self._checked(first, values, spoken)), (count, seconds))
            self.report(min(1.0, (first + len(values)) / count))
        yield from self._rows_of(utterance, smoother.finish(), (count, seconds))

    def _checked(self, first: int, values: Waveform, spoken: Mask) -> tuple[Waveform, Mask]:
        """Frames (F, C) of the chosen labels, each row of which sums to 1; those that are not finite hold no speech."""
        values = values[:, self.labels]
        finite = np.asarray(np.isfinite(values).all(1))
        for frame in np.flatnonzero(~finite).tolist():
            if self._not_finite and self._not_finite[-1][1] == first + frame:
                self._not_finite[-1] = self._not_finite[-1][0], first + frame + 1
            else:
                self._not_finite.append((first + frame, first + frame + 1))
        values = np.where(finite[:, None], values, 0.0)
        total = values.sum(1, keepdims=True)
        return np.where(total > 0, values / np.where(total > 0, total, 1.0), 1 / len(self.labels)), spoken & finite

    def _rows_of(
        self, utterance: Utterance, segments: Iterable[TimelineSegment], length: tuple[int, float]
    ) -> Iterator[Prediction]:
        """The rows of segments; length: of the utterance, in frames and in s."""
        count, seconds = length
        for segment in segments:
            span = segment.first / self.model.frame_rate, segment.last / self.model.frame_rate
            if segment.last == count:
                span = span[0], seconds
            yield self._row(utterance, span, *self._answer(segment, span[1] - span[0]))

    def _answer(self, segment: TimelineSegment, seconds: float) -> tuple[tuple[float, ...], str]:
        """The probabilities of a segment, and why it has no label."""
        if segment.label is None:
            damaged = [part for part in self._not_finite if part[0] < segment.last]
            self._not_finite = [part for part in self._not_finite if part[1] > segment.last]
            return (), NOT_FINITE if damaged else NO_SPEECH
        if seconds < LEAST_SPEECH - TIME_ROUNDING:
            return (), TOO_SHORT
        return segment.probabilities, unsure_reason(segment.probabilities, self.settings.abstain_below)

    def _row(self, utterance: Utterance, span: Span, probabilities: tuple[float, ...], reason: str) -> Prediction:
        return Prediction(
            utterance.id,
            utterance.start + span[0],
            utterance.start + span[1],
            tuple(self.model.labels[label] for label in self.labels),
            probabilities,
            path=utterance.path,
            channel=utterance.channel,
            language=utterance.language,
            answered_by=self.model.language if isinstance(self.model, WindowedRecognizer) and probabilities else "",
            reason=reason,
        )


def _models_of(
    model: FrameModel, units: Sequence[Utterance], settings: Diarizing, on_note: Callable[[str], None] | None
) -> dict[tuple[str, str], FrameModel]:
    """What answers each language and corpus: of a recogniser the branch and domain that `predict` takes.

    Errors: UserError for a language that none of several branches knows, and a window where the model has its own.
    """
    if settings.window != HEARD_WINDOW and not isinstance(model, WindowedRecognizer):
        raise UserError(
            f"window: this model hears {model.longest:g} s at once, as in its training; the bundle of a recogniser has "
            "a window"
        )
    if isinstance(model, WindowedRecognizer) and on_note is not None:
        note_languages(model.recognizer, units, modes_of(model.recognizer, units, None), on_note)
    models: dict[tuple[str, str], FrameModel] = {}
    for unit in units:
        key = unit.language, unit.corpus
        if key not in models:
            models[key] = model.answering(unit, settings.window) if isinstance(model, WindowedRecognizer) else model
    return models


def _overlapping(pieces: Iterable[Waveform], step: float, size: int) -> Iterator[tuple[Waveform, bool]]:
    """Windows of `size` samples, `step` samples apart, and whether each is the last, which ends with the sound."""
    buffer, offset, number = np.empty(0, dtype=np.float32), 0, 0  # the buffer begins at the sample `offset`
    for piece in pieces:
        buffer = np.concatenate([buffer, piece])
        while offset + len(buffer) > (begin := round(number * step)) + size:
            buffer, offset, number = buffer[begin - offset :], begin, number + 1
            yield buffer[:size], False
    if len(buffer):
        yield buffer[round(number * step) - offset :], True


def _edges(speech: Sequence[Span]) -> Edges:
    """The starts and the ends of stretches in order."""
    table = np.array(speech, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _overlaps(edges: Edges, start: float, end: float) -> bool:
    """Whether any stretch has a part between two times, in s."""
    begins, ends = edges
    following = int(np.searchsorted(ends, start, side="right"))  # the first stretch that ends after the start
    return following < len(begins) and bool(begins[following] < end)


def _in_speech(edges: Edges, first: int, count: int, frame_rate: float) -> Mask:
    """Whether the middle of each of `count` frames lies in speech."""
    middles = (first + np.arange(count) + 0.5) / frame_rate
    begins, ends = edges
    return np.searchsorted(begins, middles, side="right") > np.searchsorted(ends, middles, side="right")
