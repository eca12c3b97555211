"""What an adapter's training step costs beside a full one, what like lengths save, and what a merged adapter costs.

Every family at the size of its base model, random weights; WavLM-large and HuBERT-large at full size for one step each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measuring import Resources, Row, medians

from emobridge.adapters import Adapters
from emobridge.corpora import scan
from emobridge.data.audio import read_audio
from emobridge.data.batching import length_batches, pad
from emobridge.encoders import load_encoder
from emobridge.encoders.base import Encoder
from emobridge.features.pooling import pool
from emobridge.types import Utterance

NEEDS = ("corpora", "weights")
STEP = Path(__file__).with_name("_adapter_step.py")
BATCH, SECONDS, STEPS = 8, 2.0, 3  # of a step at base size
FULL = 14_155_776  # LoRA weights of a large model at r = 32 on six maps of 24 blocks
FAMILIES = ("wav2vec2", "hubert", "wavlm")
CLIPS = 96  # of all three corpora, for batches of like lengths
SIZE = 16  # of such a batch
MERGED = 24  # passes of a clip


def measure(resources: Resources) -> list[Row]:
    torch.set_num_threads(1)
    assert resources.weights is not None and resources.corpora is not None  # NEEDS
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        bases = {"whisper-base": resources.weights}
        bases |= {f"{family}-base": _folder(Path(temporary, family), family, {}) for family in FAMILIES}
        for name, folder in bases.items():
            rows += _steps(name, folder, resources.repeats)
        for family in ("wavlm", "hubert"):
            rows += _large(family, _folder(Path(temporary, f"{family}-large"), family, LARGE))
        rows += _merged(resources, bases)
    return rows + _bucketed(resources)


LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}


def _folder(folder: Path, family: str, changes: dict) -> Path:
    """A folder that says what the encoder looks like; its weights are random, and need no file."""
    from transformers import AutoConfig

    folder.mkdir()
    AutoConfig.for_model(family, **changes).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": bool(changes)}))
    return folder


def _command(folder: Path, train: str, steps: int, batch: int, *more: str) -> list[str]:
    return [sys.executable, str(STEP), str(folder), train, str(steps), str(batch), str(SECONDS), *more]


def _steps(name: str, folder: Path, repeats: int) -> list[Row]:
    """Time and memory of a LoRA step over those of a full one; memory above the loaded encoder."""
    time: dict[str, list[float]] = {"nothing": [], "adapters": [], "end-to-end": []}
    peak, count = {}, {}
    for _ in range(repeats):
        for train, seconds in time.items():
            done = subprocess.run(_command(folder, train, STEPS, BATCH), capture_output=True, text=True, check=True)
            took, count[train], peak[train] = json.loads(done.stdout)
            seconds.append(took)
    lora, full = (float(np.median(time[train])) for train in ("adapters", "end-to-end"))
    above = {train: value - peak["nothing"] for train, value in peak.items()}
    what = f"{name}, batch {BATCH} of {SECONDS:g} s:"
    return [
        Row(f"{what} LoRA step / full step, CPU time", lora / full, "x"),
        Row(f"{what} the same, peak memory above the loaded encoder", above["adapters"] / above["end-to-end"], "x"),
        Row(f"{what} weights that LoRA trains, of all", 100 * count["adapters"] / count["end-to-end"], "%"),
    ]


def _large(family: str, folder: Path) -> list[Row]:
    """One training step of a large model at batch 1 with checkpointing: LoRA and all weights."""
    rows = []
    for train in ("adapters", "end-to-end"):
        done = subprocess.run(
            _command(folder, train, 1, 1, "checkpointing"), capture_output=True, text=True, check=True
        )
        what = f"{family}-large, batch 1 of {SECONDS:g} s, checkpointing: peak memory of a step, {train}"
        rows.append(Row(what, json.loads(done.stdout)[2] / 1e9, "GB", most=20))
    done = subprocess.run(_command(folder, "adapters", 0, 1), capture_output=True, text=True, check=True)
    rows.append(Row(f"{family}-large: LoRA weights / {FULL}", json.loads(done.stdout)[1] / FULL, "", least=1, most=1))
    return rows


def _merged(resources: Resources, bases: dict[str, Path]) -> list[Row]:
    """An encoder with a merged adapter over the same one without; they take turns."""
    rows = []
    wave, mask = torch.randn(1, 48_000), torch.ones(1, 48_000, dtype=torch.bool)
    for name, folder in bases.items():
        with_it, without = (load_encoder(folder, weights="random", seed=0) for _ in range(2))
        Adapters(with_it, "lora").merge()

        def run(encoder: Encoder) -> None:
            with torch.inference_mode():
                encoder(wave, mask)

        run(with_it), run(without)
        calls = {"merged": partial(run, with_it), "plain": partial(run, without)}
        took = medians(resources.repeats * MERGED, **calls)
        rows.append(
            Row(
                f"{name}: merged adapter / base model, CPU of a 3 s clip",
                took["merged"] / took["plain"],
                "x",
                most=1.02,
            )
        )
    return rows


def _bucketed(resources: Resources) -> list[Row]:
    """The same training steps over batches of like lengths and over random ones, clips whole."""
    speech: list[Utterance] = []
    for corpus in ("ravdess", "emodb", "emovo"):
        clips = list(scan(corpus, resources.corpora / corpus))
        speech += clips[:: len(clips) // (CLIPS // 3)][: CLIPS // 3]
    waves = [read_audio(utterance.path) for utterance in speech]
    encoder = load_encoder(resources.weights)
    encoder.train()
    order = np.random.default_rng(0).permutation(len(waves))
    random = [order[first : first + SIZE].tolist() for first in range(0, len(order), SIZE)]
    like = length_batches([len(wave) for wave in waves], SIZE, 0)

    def epoch(batches: Sequence[Sequence[int]]) -> None:
        for rows in batches:
            encoder.zero_grad()
            pool(encoder(*pad([waves[row] for row in rows])), ("mean",))[-1].square().sum().backward()

    took = medians(resources.repeats, random=lambda: epoch(random), like=lambda: epoch(like))
    what = f"{len(waves)} whole clips of three corpora, batches of {SIZE}: random / like lengths, CPU of an epoch"
    return [Row(what, took["random"] / took["like"], "x", least=1.3)]
