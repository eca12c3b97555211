"""The steps of recordings with known boundaries: what a head learns from, and what it is validated by."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emobridge.data.activity import speech_segments
from emobridge.diarization.base import Waveform
from emobridge.diarization.frame_model import (
    Diarizer,
    DiarizerSpec,
    StepTimes,
    speech_steps,
    step_features,
)
from emobridge.diarization.made import Composition, LabelledSound, MarkedRecording, labels_of_steps
from emobridge.diarization.smoothing import Smoothing, smooth
from emobridge.diarization.timeline import joined_frames
from emobridge.encoders.base import Encoder
from emobridge.features.finite import check_finite
from emobridge.scores.diarization import NEUTRAL
from emobridge.settings import BRIDGED_PAUSE, CHANGE_COST, SHORTEST_SEGMENT
from emobridge.types import Segment, short_repr

LabelledRecording = Composition | MarkedRecording


@short_repr
@dataclass(frozen=True, slots=True, eq=False)
class LabelledSteps:
    """The steps of a recording, or of some of it."""

    recording: LabelledRecording
    segments: tuple[Segment, ...]
    features: Tensor  # (F, D), as `step_features` gives them
    speech: np.ndarray  # (F,) bool, loud ones
    spoken: np.ndarray  # (F,) bool, those in a stretch of speech, pauses between words among them
    label: np.ndarray  # (F,) int64, -1 where it is not known

    @property
    def learnt(self) -> np.ndarray:
        """(F,) bool: the steps with speech whose label is known."""
        known: np.ndarray = self.speech & (self.label >= 0)
        return known


def labelled_steps(
    recording: LabelledRecording, sound: LabelledSound, encoder: Encoder, spec: DiarizerSpec
) -> LabelledSteps:
    """The steps of a sound with known boundaries, window by window, as a diarizer hears it.

    Errors: AudioError where the encoder gives numbers that are not finite.
    """
    parts = [torch.from_numpy(part) for _, part in joined_frames(_Features(encoder, spec), [sound.wave])]
    speech = speech_steps(sound.wave, spec.frame_rate)
    features = torch.cat(parts)[: len(speech)]  # rounded window by window, they may be one more, or one less
    check_finite(features, recording.first, encoder.name)
    speech, rate = speech[: len(features)], spec.frame_rate
    label = labels_of_steps(sound.segments, len(features), rate, spec.labels)
    stretches = speech_segments([sound.wave], detector="energy")
    spoken = labels_of_steps([Segment(*span, NEUTRAL) for span in stretches], len(features), rate, (NEUTRAL,)) == 0
    return LabelledSteps(recording, sound.segments, features, speech, spoken, label)


@dataclass(frozen=True, slots=True)
class _Features(StepTimes):
    """A frame model whose answers are the features themselves, so that they are joined as answers are."""

    encoder: Encoder
    spec: DiarizerSpec
    labels: tuple[str, ...] = ()
    synthetic: bool = False

    def frame_probabilities(self, wave: Waveform) -> Waveform:
        """(T,) -> (F, D)."""
        features: Waveform = step_features(self.encoder, self.spec, wave).numpy()
        return features


def thinned(steps: LabelledSteps, most: int, rng: np.random.Generator) -> LabelledSteps:
    """Only the steps that are learnt from; of more than `most` as many by chance."""
    chosen = np.flatnonzero(steps.learnt)
    if len(chosen) > most:
        chosen = np.sort(rng.choice(chosen, most, replace=False))
    rows = torch.from_numpy(chosen)
    return dataclasses.replace(
        steps,
        features=steps.features[rows],
        speech=steps.speech[chosen],
        spoken=steps.spoken[chosen],
        label=steps.label[chosen],
    )


def timeline_of(diarizer: Diarizer, steps: LabelledSteps) -> tuple[Segment, ...]:
    """The segments that `diarize` makes by its defaults, with the detector "energy"."""
    rate, smoothing = diarizer.frame_rate, Smoothing(SHORTEST_SEGMENT, BRIDGED_PAUSE, CHANGE_COST)
    segments = smooth(diarizer.answers(steps.features), steps.spoken, rate, smoothing)
    return tuple(
        Segment(part.first / rate, part.last / rate, diarizer.labels[part.label])
        for part in segments
        if part.label is not None
    )
