"""What the onnx-int8 engine gains and loses, and what extraction costs beside the bare model in batches.

The plain loop is one clip at a time through transformers in single precision: Whisper padded to 30 s as its feature
extractor does, wav2vec 2.0 at the clip's own length. wav2vec 2.0 has the base size and random weights, which tell its
speed and not its likeness.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from bench_encoders import plain_loop, spread
from measuring import Resources, Row, medians

from emobridge.corpora import scan
from emobridge.data.audio import read_audio
from emobridge.data.batching import length_batches, pad
from emobridge.encoders import load_encoder
from emobridge.encoders.base import Encoder
from emobridge.features.store import FeatureStore
from emobridge.types import Utterance

NEEDS = ("weights", "corpora", "onnxruntime", "onnx")
WHISPER_CLIPS, WAV2VEC2_CLIPS = 8, 16  # clips
BATCH = 8


def measure(resources: Resources) -> list[Row]:
    """Both engines extract the same clips, each time into a new store."""
    torch.set_num_threads(1)
    speech = list(scan("ravdess", resources.corpora / "ravdess"))
    with tempfile.TemporaryDirectory() as name:
        before = os.environ.get("EMOBRIDGE_CACHE")
        os.environ["EMOBRIDGE_CACHE"] = name
        try:
            return [
                *whisper(resources, spread(speech, WHISPER_CLIPS), name),
                *wav2vec2(resources, spread(speech, WAV2VEC2_CLIPS), name),
            ]
        finally:
            os.environ.pop("EMOBRIDGE_CACHE")
            if before is not None:
                os.environ["EMOBRIDGE_CACHE"] = before


def whisper(resources: Resources, clips: list[Utterance], folder: str) -> list[Row]:
    """Real weights and real speech: speed and likeness."""
    new = (Path(folder, f"w{number}") for number in itertools.count())
    plain = plain_loop(resources.weights, clips)
    single, quick = load_encoder(resources.weights), load_encoder(resources.weights, engine="onnx-int8")

    def extract(encoder: Encoder) -> np.ndarray:
        return FeatureStore(next(new), encoder).extract(clips).values

    means, deviations = cosine_distances(extract(single), extract(quick), single.width)
    plain()
    took = medians(resources.repeats, plain=plain, single=lambda: extract(single), quick=lambda: extract(quick))
    return [
        Row("Whisper: plain loop, 30 s / onnx-int8 at clip length", took["plain"] / took["quick"], "x", least=2),
        Row("Whisper: torch / onnx-int8, both at clip length", took["single"] / took["quick"], "x"),
        Row("Whisper: 1 - cosine of the clips' means, average, worst layer", float(means.mean(0).max()), "", most=1e-3),
        Row("Whisper: ... worst clip and layer", float(means.max()), ""),
        Row("Whisper: 1 - cosine of the clips' deviations, worst clip and layer", float(deviations.max()), ""),
    ]


def cosine_distances(a: np.ndarray, b: np.ndarray, width: int) -> list[np.ndarray]:
    """1 - cosine (N, L) of two features (N, L, 2 * width): of the means and of the deviations."""
    distances = []
    for start in (0, width):
        x, y = (values[:, :, start : start + width] for values in (a, b))
        distances.append(1 - (x * y).sum(2) / (np.linalg.norm(x, axis=2) * np.linalg.norm(y, axis=2)))
    return distances


def wav2vec2(resources: Resources, clips: list[Utterance], folder: str) -> list[Row]:
    """The base size: the engines against the plain loop, and extraction against the bare model in batches."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    Wav2Vec2Config(layerdrop=0.0).save_pretrained(Path(folder, "base"))
    model = Wav2Vec2Model(Wav2Vec2Config(layerdrop=0.0)).eval()
    single, quick = (
        load_encoder(Path(folder, "base"), weights="random", engine=engine) for engine in ("torch", "onnx-int8")
    )
    waves = [read_audio(clip.path) for clip in clips]
    batches = length_batches([len(wave) for wave in waves], BATCH)
    new = (Path(folder, f"v{number}") for number in itertools.count())

    def bare(groups: list[list[int]]) -> None:
        with torch.inference_mode():
            for rows in groups:
                wave, mask = pad([waves[row] for row in rows])
                whole = None if len(rows) == 1 else mask.long()
                model(wave, attention_mask=whole, output_hidden_states=True)

    def extract(encoder: Encoder) -> None:
        FeatureStore(next(new), encoder).extract(clips)

    took = medians(
        resources.repeats,
        loop=lambda: bare([[row] for row in range(len(waves))]),
        batched=lambda: bare(batches),
        single=lambda: extract(single),
        quick=lambda: extract(quick),
    )
    what = "wav2vec 2.0 base"
    return [
        Row(f"{what}: plain loop / onnx-int8", took["loop"] / took["quick"], "x", least=2),
        Row(f"{what}: torch / onnx-int8", took["single"] / took["quick"], "x"),
        Row(f"{what}: bare batches of {BATCH} / extraction", took["batched"] / took["single"], "x", least=0.95),
    ]
