"""A LoRA step beside one of bare peft, what like lengths save, and what a merged adapter costs.

wav2vec 2.0 at the size of its base model, random weights; WavLM-large at full size for one step, and its memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import limits
import numpy as np
import torch
from measuring import Amount, Resources, Row, medians

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
CLIPS = 96  # of all three corpora, for batches of like lengths
SIZE = 16  # of such a batch
MERGED = 8  # passes of a clip


def measure(resources: Resources) -> list[Row]:
    torch.set_num_threads(1)
    assert resources.weights is not None and resources.corpora is not None  # NEEDS
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        base = _folder(Path(temporary, "wav2vec2"), "wav2vec2", {})
        rows += _steps("wav2vec2-base size", base, resources.repeats)
        rows += _large("wavlm", _folder(Path(temporary, "wavlm-large"), "wavlm", LARGE))
        rows += _merged(resources, {"whisper-base": resources.weights, "wav2vec2-base size": base})
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
    """Time and memory of a LoRA step beside those of peft's, which take turns; memory above the loaded encoder."""
    time: dict[str, list[float]] = {"nothing": [], "adapters": [], "peft": []}
    peak, count = {}, {}
    for _ in range(repeats):
        for train, seconds in time.items():
            done = subprocess.run(_command(folder, train, STEPS, BATCH), capture_output=True, text=True, check=True)
            took, count[train], peak[train], _ = json.loads(done.stdout)
            seconds.append(took)
    if count["adapters"] != count["peft"]:
        raise RuntimeError(f"{count['adapters']} weights are trained, and {count['peft']} by peft")
    done = subprocess.run(_command(folder, "adapters", 0, BATCH, "counted"), capture_output=True, text=True, check=True)
    limit = limits.fp32_limit(json.loads(done.stdout)[3])
    ours, theirs = (float(np.median(time[train])) for train in ("adapters", "peft"))
    above = {train: (value - peak["nothing"]) / 1e9 for train, value in peak.items()}
    job = f"LoRA step, {name}, batch {BATCH} of {SECONDS:g} s"
    memory = f"{job}: peak memory above the loaded encoder"
    return [
        Row(job, ours, "s", most=1.1, opponent=Amount(theirs, "bare peft"), limit=limit),
        Row(memory, above["adapters"], "GB", most=1.1, opponent=Amount(above["peft"], "bare peft")),
    ]


def _large(family: str, folder: Path) -> list[Row]:
    """One training step of a large model at batch 1 with checkpointing: LoRA and all weights."""
    rows = []
    for train in ("adapters", "end-to-end"):
        done = subprocess.run(
            _command(folder, train, 1, 1, "checkpointing"), capture_output=True, text=True, check=True
        )
        what = f"{family}-large, batch 1 of {SECONDS:g} s, checkpointing: peak memory of a step, {train}"
        rows.append(Row(what, json.loads(done.stdout)[2] / 1e9, "GB", most=4))
    done = subprocess.run(_command(folder, "adapters", 0, 1), capture_output=True, text=True, check=True)
    rows.append(Row(f"{family}-large: LoRA weights / {FULL}", json.loads(done.stdout)[1] / FULL, "", least=1, most=1))
    return rows


def _merged(resources: Resources, bases: dict[str, Path]) -> list[Row]:
    """An encoder with a merged adapter over the same one without, both by torch; they take turns.

    No other engine runs weights that were changed since they were loaded.
    """
    rows = []
    wave, mask = torch.randn(1, 48_000), torch.ones(1, 48_000, dtype=torch.bool)
    for name, folder in bases.items():
        with_it, without = (load_encoder(folder, weights="random", seed=0, engine="torch") for _ in range(2))
        Adapters(with_it, "lora").merge()

        def run(encoder: Encoder) -> None:
            with torch.inference_mode():
                encoder(wave, mask)

        run(with_it), run(without)
        calls = {"merged": partial(run, with_it), "plain": partial(run, without)}
        took = medians(resources.repeats * MERGED, **calls)
        job, opponent = f"{name}, a 3 s clip with a merged adapter", Amount(took["plain"], "without one")
        rows.append(Row(job, took["merged"], "s", most=1.02, opponent=opponent))
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
    job = f"training steps over {len(waves)} whole clips, batches of {SIZE} of like lengths"
    return [Row(job, took["like"], "s", most=0.77, opponent=Amount(took["random"], "random batches"))]
