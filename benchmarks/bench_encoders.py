"""What extraction costs beside the plain loop, and what the store saves.

The plain loop is what a notebook does: one file at a time, transformers' feature extractor with its padding to 30 s,
and transformers' encoder in single precision with all hidden states, averaged over the clip's frames.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measuring import Resources, Row, cpu_seconds, medians
from safetensors.torch import load_file

from emobridge import files
from emobridge.corpora import scan
from emobridge.data.audio import read_audio
from emobridge.encoders import load_encoder
from emobridge.encoders._weights import read_config
from emobridge.encoders.base import Encoder
from emobridge.features.store import FeatureStore
from emobridge.types import SAMPLE_RATE, Utterance

NEEDS = ("weights", "corpora")
PADDED = 8  # clips that are padded to 30 s, which is slow
STORED = 64


def measure(resources: Resources) -> list[Row]:
    """Extraction at both paddings against the plain loop; the second extraction against the first."""
    torch.set_num_threads(1)
    speech = list(scan("ravdess", resources.corpora / "ravdess"))
    padded = spread(speech, PADDED)
    plain = plain_loop(resources.weights, padded)
    clip, full = load_encoder(resources.weights), load_encoder(resources.weights, padding="full")
    with tempfile.TemporaryDirectory() as folder:
        new = (Path(folder, str(number)) for number in itertools.count())

        def extract(encoder: Encoder) -> np.ndarray:
            """Everything computed: the store is a new one."""
            return FeatureStore(next(new), encoder).extract(padded).values

        agree(extract(full), plain())  # and all are warm now
        took = medians(resources.repeats, plain=plain, clip=lambda: extract(clip), full=lambda: extract(full))
        times = [stored(next(new), clip, spread(speech, STORED)) for _ in range(resources.repeats)]
    first, second = (float(np.median(seconds)) for seconds in zip(*times))
    return [
        Row("plain loop, 30 s: CPU a clip", took["plain"] / len(padded), "s"),
        Row("plain loop / extraction at clip length", took["plain"] / took["clip"], "x", least=3),
        Row("extraction with full padding / plain loop", took["full"] / took["plain"], "x", most=1.05),
        Row(f"first extraction of {STORED} clips / second, from the store", first / second, "x", least=100),
    ]


def plain_loop(weights: Path, clips: list[Utterance]) -> Callable[[], np.ndarray]:
    """The loop, ready to run: (N, L, D) means over frames."""
    from transformers import WhisperConfig, WhisperFeatureExtractor
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    prefix = "model.encoder."
    tensors = load_file(weights / "model.safetensors")
    encoder = WhisperEncoder(WhisperConfig(**read_config(weights))).eval()
    encoder.load_state_dict({k.removeprefix(prefix): v.float() for k, v in tensors.items() if k.startswith(prefix)})
    extractor = WhisperFeatureExtractor.from_pretrained(weights)

    def run() -> np.ndarray:
        rows = []
        with torch.no_grad():
            for clip in clips:
                wave = read_audio(clip.path)
                mel = extractor(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
                layers = encoder(mel, output_hidden_states=True).hidden_states
                frames = -(-len(wave) // 320)
                rows.append(np.stack([layer[0, :frames].mean(0).numpy() for layer in layers]))
        return np.stack(rows)

    return run


def stored(folder: Path, encoder: Encoder, clips: list[Utterance]) -> tuple[float, float]:
    """CPU seconds of the first extraction and of the second; files are hashed in both, as in a new process."""
    times = []
    for _ in range(2):
        files._file_digest.cache_clear()
        times.append(cpu_seconds(lambda: FeatureStore(folder, encoder).extract(clips)))
    return times[0], times[1]


def agree(values: np.ndarray, expected: np.ndarray) -> None:
    """The mean, the first half of what is pooled, is that of the plain loop: nothing cheaper is being measured."""
    difference = np.abs(values[:, :, : expected.shape[2]] - expected).max()
    if difference > 1e-2:
        raise RuntimeError(f"padding full and the plain loop differ by {difference}")


def spread(speech: list[Utterance], count: int) -> list[Utterance]:
    """`count` utterances from all over a corpus."""
    return speech[:: max(1, len(speech) // count)][:count]
