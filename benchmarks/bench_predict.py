"""How much memory `emobridge predict` takes for one long recording."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch
from measuring import Resources, Row, child, emobridge

from emobridge.bundle import Recognizer, Spec, made_head
from emobridge.data.audio import read_audio
from emobridge.encoders import load_encoder
from emobridge.features.normalisation import Domain
from emobridge.types import SAMPLE_RATE

NEEDS = ("weights",)
LABELS = ("anger", "happiness", "neutral", "sadness")
GIGABYTE = 1e9  # bytes


def measure(resources: Resources) -> list[Row]:
    """Peak of the resident memory of the whole process, once: it hardly varies, and an hour takes its time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        long_recording(folder / "long.flac", resources)
        untrained_bundle(folder / "bundle", resources.weights)
        command = emobridge(
            "predict", folder / "bundle", folder / "long.flac", "--out", folder / "said.jsonl", "--strict"
        )
        used = child(command)
    what = f"emobridge predict, {resources.minutes:g} minutes in one file"
    return [
        Row(f"{what}: peak memory", used.peak / GIGABYTE, "GB", most=1.5),
        Row(f"{what}: CPU a minute of audio", used.cpu / resources.minutes, "s"),
    ]


def long_recording(path: Path, resources: Resources) -> None:
    """Real clips one after the other, or noise where there are none."""
    clips = sorted((resources.corpora / "ravdess").rglob("*.flac"))[:100] if resources.corpora else []
    noise = np.random.default_rng(0).normal(0, 0.1, 10 * SAMPLE_RATE)
    missing = round(resources.minutes * 60 * SAMPLE_RATE)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1) as file:
        while missing > 0:
            for wave in (read_audio(clip) for clip in clips) if clips else [noise]:
                file.write(wave[:missing])
                missing = max(0, missing - len(wave))


def untrained_bundle(folder: Path, weights: Path) -> None:
    """A recogniser that is as large as a trained one."""
    encoder = load_encoder(weights)
    spec = Spec(
        labels=LABELS,
        encoder=str(weights.resolve()),
        encoder_options=(),
        digest=encoder.digest,
        trained="frozen",
        layer=str(encoder.layers // 2),
        statistics=encoder.statistics[:1],
        normalise="speaker",
        by_corpus=(),
        texts=((),),
        align="none",
        target_labels="0",
        head="single",
        head_options=(),
        method="source-only",
        domains=(("ravdess", "en"),),
        synthetic=False,
    )
    domain = Domain("ravdess", "en", torch.zeros(encoder.width), torch.ones(encoder.width))
    head = made_head("single", (), encoder.width, len(LABELS))
    Recognizer(spec, encoder, [domain], head).save(folder, "Untrained: for a measurement of memory.\n")
