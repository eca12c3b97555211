"""The trained frame model: a frozen encoder, and a head on the means of what stands around each moment.

A step is 1 / frame_rate s. What the head sees of step i is, for each radius r, the mean of the encoder's frames whose
middles lie within r s of the middle of the step, as far as the sound goes; the layers and the radii lie side by side,
standardised by the moments of the training speech, or of unlabelled speech as it will be answered. Radii, layers,
window and head are ours, chosen on held-out speakers of RAVDESS (docs/results/diarization.md).

In shapes T is samples at 16 kHz, V layers, E the encoder's frames of width W, F steps, D = radii x V x W, C labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emobridge.bundle import made_head
from emobridge.data.activity import FRAME_RATE, loud_frames
from emobridge.data.batching import pad
from emobridge.data.devices import device_of, single_precision
from emobridge.diarization.base import Waveform
from emobridge.encoders.base import Encoder, stopped_after
from emobridge.errors import UserError, unknown
from emobridge.features.normalisation import least_deviation
from emobridge.heads.base import Head
from emobridge.settings import layer_names
from emobridge.types import SAMPLE_RATE, short_repr

MOST_SECONDS = 30.0  # s at once, at most: attention takes memory with the square of the length
# Of a window, on either side of what it answers. Attention reaches over all of it, so that a frame knows of the
# emotions around it: in longer windows too much, in shorter ones the encoder hears too little.
CONTEXT_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class DiarizerSpec:
    """All facts of a trained diarizer that are not tensors. It is stored field by field, and checked when it is made.

    Errors: UserError that names the field.
    """

    labels: tuple[str, ...]  # C emotions in the order of the probabilities
    encoder: str  # folder, hub id, or the name of an encoder without weights
    encoder_options: tuple[str, ...] = ()
    digest: str = ""  # of the encoder's weights
    layer: str = "0"  # "3", or "2+3+4": side by side
    frame_rate: float = 10.0  # Hz, of the answers
    radii: tuple[float, ...] = (0.2, 0.6)  # s on either side of a step's middle
    window: float = 6.0  # s of sound that the encoder hears at once, in training too; less where it cannot
    head: str = "single"
    head_options: tuple[str, ...] = ()
    temperature: float = 1.0  # by which the head's outputs are divided before the softmax
    corpora: tuple[str, ...] = ()  # that it was trained on
    languages: tuple[str, ...] = ()  # of these, BCP 47
    target: tuple[str, ...] = ()  # corpora whose unlabelled speech gave the moments; () is the training speech
    synthetic: bool = False  # whether synthetic speech was among them

    def __post_init__(self) -> None:
        if len(set(self.labels)) != len(self.labels) or len(self.labels) < 2 or not all(self.labels):
            raise UserError(f"labels: expected two or more different names, got {', '.join(self.labels) or 'none'}")
        if not self.encoder:
            raise UserError("encoder: expected a name, or a folder")
        if not all(name.isascii() and name.isdecimal() and len(name) < 5 for name in layer_names(self.layer)):
            raise UserError(f"layer: expected layers such as 3 or 2+3+4, got {self.layer!r}")
        for name in ("frame_rate", "temperature"):
            if not 0 < getattr(self, name) <= FRAME_RATE:
                raise UserError(f"{name}: expected above 0 and at most {FRAME_RATE:g}, got {getattr(self, name)}")
        if not self.radii or not all(0 < radius <= MOST_SECONDS for radius in self.radii):
            raise UserError(f"radii: expected seconds above 0 and at most {MOST_SECONDS:g}, got {self.radii}")
        if not 0 < self.window <= MOST_SECONDS:
            raise UserError(f"window: expected seconds above 0 and at most {MOST_SECONDS:g}, got {self.window}")

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers by their numbers."""
        return tuple(map(int, layer_names(self.layer)))


class StepTimes:
    """The times of a frame model whose encoder hears windows as a spec says: steps a second, and windows in s."""

    __slots__ = ()
    spec: DiarizerSpec
    encoder: Encoder

    @property
    def frame_rate(self) -> float:
        return self.spec.frame_rate

    @property
    def context(self) -> float:
        return context_of(self.encoder, self.spec)

    @property
    def longest(self) -> float:
        return longest_of(self.encoder, self.spec)


@short_repr
@dataclass(frozen=True, slots=True, eq=False)
class Diarizer(StepTimes):
    """A trained frame model. It keeps the protocol `diarization.base.FrameModel`."""

    spec: DiarizerSpec
    encoder: Encoder
    head: Head
    mean: Tensor  # (D,) of the training speech, or of unlabelled speech of the target
    deviation: Tensor  # (D,)
    card: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        return self.spec.labels

    @property
    def synthetic(self) -> bool:
        return self.spec.synthetic

    def frame_probabilities(self, wave: Waveform) -> Waveform:
        """(T,) of at most `longest` s -> (F, C), each row sums to 1; F = round(T / 16000 * frame_rate), at least 1.

        NaN where the encoder gives numbers that are not finite.
        """
        return self.answers(step_features(self.encoder, self.spec, wave))

    def answers(self, features: Tensor) -> Waveform:
        """(F, D) features, as `step_features` gives them -> (F, C) probabilities."""
        with torch.no_grad():
            x = standardised(features, self.mean, self.deviation)
            logits = self.head(x[:, None], torch.ones(len(x), 1, dtype=torch.bool))
        probabilities: Waveform = (logits.double() / self.spec.temperature).softmax(1).float().numpy()
        return probabilities


def count_steps(samples: int, frame_rate: float) -> int:
    """F of T samples: round(T / 16000 * frame_rate), at least 1."""
    return max(1, round(samples / SAMPLE_RATE * frame_rate))


def longest_of(encoder: Encoder, spec: DiarizerSpec) -> float:
    """Seconds of sound that a diarizer takes at once, at most."""
    return min(encoder.window or spec.window, spec.window)


def context_of(encoder: Encoder, spec: DiarizerSpec) -> float:
    """Seconds on either side that an answer depends on."""
    return CONTEXT_SHARE * longest_of(encoder, spec)


def check_frames(encoder: Encoder, spec: DiarizerSpec) -> None:
    """Refuse an encoder that yields one frame a clip, and windows without any step between their contexts.

    Errors: UserError.
    """
    name = Path(spec.encoder).name
    if not encoder.frame_rate:
        raise UserError(f"encoder {name}: yields one frame a clip, and when an emotion begins is told by many")
    longest, rate = longest_of(encoder, spec), spec.frame_rate
    if math.floor(longest * rate) <= 2 * math.ceil(context_of(encoder, spec) * rate):
        raise UserError(
            f"frame_rate: {rate:g} Hz leaves no answer in a window of {longest:g} s between its contexts of "
            f"{CONTEXT_SHARE * longest:g} s; give a higher one, or a longer window"
        )


def check_layers(encoder: Encoder, spec: DiarizerSpec) -> None:
    """Refuse layers that the encoder does not have. Errors: UserError with the nearest."""
    for name in layer_names(spec.layer):
        if int(name) >= encoder.layers:
            raise unknown(f"layer of encoder {Path(spec.encoder).name}", name, map(str, range(encoder.layers)))


def features_of_steps(spec: DiarizerSpec, encoder: Encoder) -> int:
    """D: how many features a step has."""
    return len(spec.radii) * len(spec.layers) * encoder.width


def make_head(spec: DiarizerSpec, width: int) -> Head:
    """The head of a spec before any training. Errors: UserError for one that is unknown or sees several layers."""
    head = made_head(spec.head, spec.head_options, width, len(spec.labels))
    if head.all_layers or head.layered:
        raise UserError(f"head {spec.head}: takes layers one by one, which a diarizer has not; give linear or superb")
    return head


def step_features(encoder: Encoder, spec: DiarizerSpec, wave: Waveform) -> Tensor:
    """(T,) -> (F, D), not standardised; not finite where the encoder gives such numbers."""
    device, layers = device_of(encoder), list(spec.layers)
    waves, mask = pad([wave])
    with torch.inference_mode(), single_precision(device), stopped_after(encoder, max(layers)):
        output = encoder(waves.to(device), mask.to(device))
        hidden = output.hidden[layers, 0][:, output.mask[0]].float().cpu()
    return means_around(hidden, output.frame_rate, count_steps(len(wave), spec.frame_rate), spec)


def means_around(hidden: Tensor, frame_rate: float, count: int, spec: DiarizerSpec) -> Tensor:
    """Frames (V, E, W) of `frame_rate` Hz -> (F, radii * V * W) float32 of F = count steps.

    A step beyond the last frame, or between two of them, has the nearest.
    """
    total = torch.nn.functional.pad(hidden.double().cumsum(1), (0, 0, 1, 0))  # (V, E + 1, W)
    middle = (torch.arange(count, dtype=torch.float64) + 0.5) / spec.frame_rate
    parts = []
    for radius in spec.radii:
        first = ((middle - radius) * frame_rate - 0.5).ceil().long().clamp(0, hidden.shape[1] - 1)
        last = ((middle + radius) * frame_rate - 0.5).ceil().long().clamp(max=hidden.shape[1])
        last = torch.maximum(last, first + 1)
        parts.append((total[:, last] - total[:, first]) / (last - first)[:, None])  # (V, F, W)
    return torch.cat([part.transpose(0, 1).flatten(1) for part in parts], 1).float()


def speech_steps(wave: Waveform, frame_rate: float) -> NDArray[np.bool_]:
    """(T,) -> (F,): steps at least half of whose time is loud (`data.activity.loud_frames`)."""
    loud = loud_frames(wave)
    count = count_steps(len(wave), frame_rate)
    edges = np.minimum(np.arange(count + 1) * FRAME_RATE / frame_rate, len(loud)).round().astype(int)
    first = np.minimum(edges[:-1], len(loud) - 1)
    last = np.maximum(edges[1:], first + 1)
    total = np.concatenate([[0], np.cumsum(loud)])
    speech: NDArray[np.bool_] = 2 * (total[last] - total[first]) >= last - first
    return speech


def standardised(features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """(F, D) features as the head sees them."""
    return (features - mean) / torch.maximum(deviation, least_deviation(deviation))


def resolve_layer(layer: str, encoder: Encoder) -> str:
    """The layers that a word of the settings names: of "middle" the middle one and its neighbours, as `adapt` has it.

    Errors: UserError for a word that is none.
    """
    if layer == "middle":
        middle = (encoder.layers - 1) // 2
        return "+".join(map(str, range(encoder.layers)[max(0, middle - 1) : middle + 2]))
    if not all(name.isascii() and name.isdecimal() for name in layer_names(layer)):
        raise UserError(f"layer: expected a number such as 3, several such as 2+3+4, or middle, got {layer!r}")
    return layer
