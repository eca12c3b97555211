"""Extraction on the GPU that is there: whether its features are the CPU's, and how near it comes to the bare model.

Times are on the clock, since the work is not the CPU's. One command measures a GPU that is lent for minutes:

    python benchmarks/run.py --only gpu
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from bench_encoders import spread
from measuring import Resources, Row

from emobridge.corpora import scan
from emobridge.data.audio import read_utterance, utterance_seconds
from emobridge.data.batching import pad
from emobridge.data.devices import TOLERANCE, batch_seconds, placed, single_precision
from emobridge.encoders import load_encoder
from emobridge.encoders.base import Encoder
from emobridge.features.pooling import pool
from emobridge.features.store import SHARD, FeatureStore
from emobridge.types import Utterance

DEVICE = "cuda"
NEEDS = ("GPU", "weights", "corpora")
COMPARED = 64  # clips whose features are computed on the CPU too
CLIPS = 1024


def measure(resources: Resources) -> list[Row]:
    """The features of both devices, and extraction beside the bare model on waves that are decoded already."""
    speech = list(scan("ravdess", resources.corpora / "ravdess"))
    few, many = spread(speech, COMPARED), spread(speech, CLIPS)
    seconds = sum(map(utterance_seconds, many))
    encoder = load_encoder(resources.weights)
    with tempfile.TemporaryDirectory() as folder:
        new = (Path(folder, str(number)) for number in itertools.count())

        def extract(clips: list[Utterance]) -> np.ndarray:
            """Everything computed: the store is a new one."""
            return FeatureStore(next(new), encoder).extract(clips).values

        began = time.perf_counter()
        expected = extract(few)
        on_cpu = time.perf_counter() - began
        with placed(encoder, DEVICE):
            values = extract(few)  # and the GPU is warm now
            bare = bare_model(encoder, many)
            torch.cuda.reset_peak_memory_stats()
            took = clock(resources.repeats, lambda: extract(many))
            memory = torch.cuda.max_memory_allocated() / 1e9
            limit = clock(resources.repeats, bare)
    share = on_cpu / sum(map(utterance_seconds, few)) * seconds
    apart, turned = difference(values, expected), distance(values, expected)
    return [
        Row("features of GPU and CPU: difference, of a layer's largest number", apart, "", most=TOLERANCE),
        Row("1 - cosine between them, worst clip and layer", turned, "", most=1e-5),
        Row("extraction on the GPU: speech a second", seconds / took, "s"),
        Row("extraction on the GPU / the bare model on decoded waves", took / limit, "x", most=1.5),
        Row("extraction on the CPU / on the GPU", share / took, "x", least=5),
        Row("peak memory of the GPU", memory, "GB"),
    ]


def bare_model(encoder: Encoder, clips: list[Utterance]) -> Callable[[], object]:
    """The same batches, decoded and padded before: what the model itself takes, with pooling."""
    device = torch.device(DEVICE)
    most = batch_seconds(encoder.layers, encoder.width, encoder.frame_rate, device)
    lengths = {clip.id: utterance_seconds(clip) for clip in clips}
    order = sorted(clips, key=lambda clip: -lengths[clip.id])
    batches = []
    while order:
        count = max(1, min(SHARD, int(most / lengths[order[0].id])))
        batches.append(pad([read_utterance(clip) for clip in order[:count]]))
        order = order[count:]

    def run() -> None:
        with torch.inference_mode(), single_precision(device):
            for wave, mask in batches:
                pool(encoder(wave.to(device), mask.to(device)), encoder.statistics).cpu()

    return run


def clock(repeats: int, call: Callable[[], object]) -> float:
    """The median of the seconds that a call takes on the clock."""
    times = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def difference(values: np.ndarray, expected: np.ndarray) -> float:
    """(N, L, D) twice -> the largest difference, of the largest number of its clip and layer."""
    return float((np.abs(values - expected).max(2) / np.abs(expected).max(2)).max())


def distance(values: np.ndarray, expected: np.ndarray) -> float:
    """(N, L, D) twice -> the largest 1 - cosine."""
    a, b = values.astype(float), expected.astype(float)
    cosine = (a * b).sum(2) / np.linalg.norm(a, axis=2) / np.linalg.norm(b, axis=2)
    return float(1 - cosine.min())
