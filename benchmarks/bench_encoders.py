"""Features of each engine beside a loop through transformers at clip length, and beside what the machine allows.

Whisper base has its weights; the size of wav2vec 2.0 base has random ones. Likeness is the cosine between the clips'
means of the engine and of the loop, the worst clip and layer.

Where torch runs near the limit of a processor no engine in single precision is twice as fast: the engine by default
also stands beside the fastest of torch, ONNX Runtime and OpenVINO in single precision, which emobridge does not offer.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import limits
import numpy as np
import torch
from _loops import Loop, loop_over, wav2vec2_model, whisper_model
from measuring import Amount, Resources, Row, medians, skipped

from emobridge.corpora import scan
from emobridge.data.audio import read_audio
from emobridge.encoders import load_encoder
from emobridge.encoders._onnx import OpenVino
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.features.store import FeatureStore
from emobridge.types import Utterance

NEEDS = ("weights", "corpora")
CLIPS = 8
STORED = 64  # clips that are read again
BY_DEFAULT = "by default"
# Engine -> the greatest ratio to the loop, and the greatest 1 - cosine.
ENGINES: dict[str, tuple[float, float]] = {
    BY_DEFAULT: (0.50, 1e-5),
    "torch": (1.05, 1e-5),
    "onnx": (0.50, 1e-5),
    "openvino": (0.35, 1e-4),
    "torch-bf16": (0.50, 1e-4),
    "onnx-int8": (0.60, 1e-3),
}
BF16 = ("openvino", "torch-bf16")
OPPONENT = "transformers, clip length"
OPENVINO = "OpenVINO fp32"
EXACT = ("torch", "onnx", OPENVINO)
OF_THE_FASTEST = 1.10  # the greatest ratio of the engine by default to the fastest of these


def measure(resources: Resources) -> list[Row]:
    """Both families on the same clips; then what the store saves."""
    torch.set_num_threads(1)
    assert resources.weights is not None and resources.corpora is not None  # NEEDS
    speech = list(scan("ravdess", resources.corpora / "ravdess"))
    clips = spread(speech, CLIPS)
    paths = [clip.path for clip in clips]
    before = os.environ.get("EMOBRIDGE_CACHE")
    with tempfile.TemporaryDirectory() as name:
        os.environ["EMOBRIDGE_CACHE"] = name  # graphs are exported anew
        try:
            _, hidden = whisper_model(resources.weights)
            loop = loop_over(paths, hidden)
            rows = _engines("whisper-base", resources.weights, {}, clips, loop, resources.repeats)
            model, hidden = wav2vec2_model()
            folder = Path(name, "wav2vec2")
            model.save_pretrained(folder)
            (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
            rows += _engines("wav2vec2-base size", folder, {}, clips, loop_over(paths, hidden), resources.repeats)
            return [*rows, *_stored(resources, spread(speech, STORED), Path(name))]
        finally:
            os.environ.pop("EMOBRIDGE_CACHE")
            if before is not None:
                os.environ["EMOBRIDGE_CACHE"] = before


def _engines(
    name: str, folder: Path, options: Mapping[str, str], clips: list[Utterance], loop: Loop, repeats: int
) -> list[Row]:
    """A row for the time and one for the likeness of each engine; those that are not here are skipped."""
    with tempfile.TemporaryDirectory() as temporary:
        new = (Path(temporary, str(number)) for number in itertools.count())

        def extract(encoder: Encoder) -> np.ndarray:
            """Everything computed: the store is a new one."""
            return FeatureStore(next(new), encoder).extract(clips).values

        encoders: dict[str, Encoder] = {}
        missing: list[Row] = []
        for engine in ENGINES:
            try:
                chosen = {} if engine == BY_DEFAULT else {"engine": engine}
                encoders[engine] = load_encoder(folder, **chosen, **options)
            except UserError as error:
                missing.append(skipped(f"{name}: features, engine {engine}", error))
        if "onnx" in encoders and importlib.util.find_spec("openvino"):
            encoders[OPENVINO] = _by_openvino(folder, options)
        expected = loop()
        distances = {engine: distance(extract(encoder), expected) for engine, encoder in encoders.items()}
        calls: dict[str, Callable[[], object]] = {"loop": loop}
        calls |= {engine: lambda encoder=encoder: extract(encoder) for engine, encoder in encoders.items()}
        took = medians(repeats, **calls)
    sums = _operations(encoders, clips) / len(clips)
    opponent = Amount(took["loop"] / len(clips), OPPONENT)
    rows = []
    for engine, away in distances.items():
        job = f"{name}: features of a clip, engine {engine}"
        limit = limits.bf16_limit(sums) if engine in BF16 else limits.fp32_limit(sums)
        ratio, most = ENGINES.get(engine, (None, 1e-5))
        rows.append(Row(job, took[engine] / len(clips), "s", most=ratio, opponent=opponent, limit=limit))
        rows.append(Row("... 1 - cosine to the loop, worst clip and layer", max(away, 0.0), "", most=most))
    fastest = min((engine for engine in EXACT if engine in took), key=took.__getitem__)
    beside = Amount(took[fastest] / len(clips), f"the fastest exact engine, {fastest}")
    job = f"{name}: features of a clip, engine {BY_DEFAULT}"
    rows.append(Row(job, took[BY_DEFAULT] / len(clips), "s", most=OF_THE_FASTEST, opponent=beside))
    return rows + missing


def _by_openvino(folder: Path, options: Mapping[str, str]) -> Encoder:
    """The encoder by OpenVINO in single precision, through the graph of the engine onnx."""
    encoder: Any = load_encoder(folder, engine="onnx", **options)
    encoder.engines.engine = _SingleOpenVino(encoder.engines.engine.path, encoder.layers)
    return encoder


class _SingleOpenVino(OpenVino):
    precision = "f32"


def _operations(encoders: Mapping[str, Encoder], clips: list[Utterance]) -> float:
    """Of all clips, counted in torch: the other engines do the same sums."""
    encoder = encoders["torch"]

    def run() -> None:
        with torch.no_grad():  # in inference mode the weight norm cannot be counted
            for clip in clips:
                wave = torch.from_numpy(read_audio(clip.path))[None]
                encoder(wave, torch.ones_like(wave, dtype=torch.bool))

    return limits.operations(run)


def distance(values: np.ndarray, expected: np.ndarray) -> float:
    """The greatest 1 - cosine of the means, the first part of values (N, L, 2 * D), and of `expected` (N, L, D)."""
    x, y = values[:, :, : expected.shape[2]].astype(np.float64), expected.astype(np.float64)
    return float((1 - (x * y).sum(2) / (np.linalg.norm(x, axis=2) * np.linalg.norm(y, axis=2))).max())


def _stored(resources: Resources, clips: list[Utterance], folder: Path) -> list[Row]:
    """A second extraction, beside one array that NumPy reads."""
    encoder = load_encoder(resources.weights)
    store = folder / "store"
    values = FeatureStore(store, encoder).extract(clips).values
    np.save(folder / "values.npy", values)
    took = medians(
        resources.repeats,
        ours=lambda: FeatureStore(store, encoder).extract(clips),
        theirs=lambda: np.load(folder / "values.npy"),
    )
    opponent = Amount(took["theirs"], "np.load of one file, nothing checked")
    job = f"features of {STORED} clips from the store"
    return [Row(job, took["ours"], "s", most=9, opponent=opponent, limit=limits.copy_limit(values.nbytes))]


def spread(speech: list[Utterance], count: int) -> list[Utterance]:
    """`count` utterances from all over a corpus."""
    return speech[:: max(1, len(speech) // count)][:count]
