"""Whether a graph of ONNX answers as its bundle does: on made sounds of several lengths, loud, quiet and silent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emobridge.bundle.onnx_graph import AnswerGraph, longest_samples
from emobridge.encoders.base import stopped_after
from emobridge.types import SAMPLE_RATE

Waves = NDArray[np.float32]  # (B, T)
PARITY_TOLERANCE = 1e-4  # of a probability, and of an attribute as a share of half its scale
# s and peak of each sound; 0 is silence. Two clips of the first length are answered at once.
SOUNDS = (
    (0.3, 0.5),
    (0.3, 0.0),
    (0.8171, 1e-3),
    (2.0, 1.0),
    (3.3337, 0.1),
    (5.01, 0.0),
    (9.7123, 0.3),
    (20.0009, 0.05),
)


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a graph's answers are from the bundle's, and how long both take."""

    difference: float  # the largest, of a probability or of an attribute as a share of half its scale
    sounds: int
    seconds: float  # of sound
    graph_time: float  # CPU s a second of sound
    bundle_time: float


def measured_parity(session: Any, graph: AnswerGraph) -> Parity:
    """Compare a session of ONNX Runtime with the module that its graph was made of.

    The module's encoder takes its ordinary steps, and its adapters act as they do in `predict`.
    """
    longest = longest_samples(graph.encoder) / SAMPLE_RATE
    waves = [made_sound(min(seconds, longest), peak, seed) for seed, (seconds, peak) in enumerate(SOUNDS)]
    waves.append(np.stack([waves[0][0], waves[0][0][::-1]]))
    names = [output.name for output in session.get_outputs()]
    graph_answers, graph_time = _timed(lambda wave: dict(zip(names, session.run(names, {"waveform": wave}))), waves)
    bundle_answers, bundle_time = _timed(lambda wave: bundle_answer(graph, wave), waves)
    half = (graph.scale.high - graph.scale.low) / 2
    difference = max(
        float(np.abs(ours[name] - theirs[name]).max()) / (half if name == "attributes" else 1.0)
        for ours, theirs in zip(graph_answers, bundle_answers)
        for name in names
    )
    seconds = sum(wave.size for wave in waves) / SAMPLE_RATE
    return Parity(difference, len(waves), seconds, graph_time / seconds, bundle_time / seconds)


def bundle_answer(graph: AnswerGraph, wave: Waves) -> dict[str, NDArray[np.float32]]:
    """The answers to clips (B, T) by the encoder's ordinary steps, by the name of the output."""
    clips = torch.from_numpy(np.ascontiguousarray(wave))
    with torch.inference_mode(), stopped_after(graph.encoder, max(graph.layers)):
        answers: tuple[Tensor, Tensor] = graph(clips, torch.ones_like(clips, dtype=torch.bool))
    return {name: part.numpy() for name, part in zip(("probabilities", "attributes"), answers)}


def made_sound(seconds: float, peak: float, seed: int) -> Waves:
    """(1, T): a voice-like tone with harmonics whose pitch and level move, with pauses and noise; peak 0 is silence."""
    rng = np.random.default_rng(seed)
    time_axis = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 150 * 2 ** rng.uniform(-0.5, 0.5) * (1 + 0.2 * np.sin(2 * np.pi * 0.7 * time_axis))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voice = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time_axis) + 0.5, 0, None)
    wave = voice * syllables + 0.02 * rng.standard_normal(len(time_axis))
    return (peak * wave / np.abs(wave).max()).astype(np.float32)[None]


def _timed(answer: Callable[[Waves], Any], waves: list[Waves]) -> tuple[list[Any], float]:
    """Answers, and CPU seconds for all of them; the first is answered before, lest its preparations count."""
    answer(waves[0])
    begin = time.process_time()
    answers = [answer(wave) for wave in waves]
    return answers, time.process_time() - begin
