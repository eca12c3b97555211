"""Training steps of one encoder in a process of its own, for its peak memory and CPU time.

    python benchmarks/_adapter_step.py FOLDER TRAIN STEPS BATCH SECONDS [checkpointing]

TRAIN is "nothing" (the steps are left out: what is there before), "adapters", "end-to-end", or "peft": the LoRA of
"adapters" put into the transformers model by peft alone. One line of JSON comes out: CPU seconds of the quickest step,
how many weights are trained, the peak memory in bytes, and the sums and products of a step.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import limits
import torch
from measuring import RSS_UNIT
from torch import Tensor, nn

from emobridge.adapters.lora import Lora
from emobridge.encoders import load_encoder
from emobridge.features.pooling import pool
from emobridge.options import Plugin
from emobridge.settings import Training
from emobridge.training.case import Case
from emobridge.training.stages import make_trainable
from emobridge.types import SAMPLE_RATE


def main() -> None:
    folder, train, steps, batch, seconds, *more = sys.argv[1:]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    wave = torch.randn(int(batch), round(float(seconds) * SAMPLE_RATE))
    model, width, pooled = by_peft(Path(folder), wave) if train == "peft" else ours(Path(folder), train, wave, more)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    head = nn.Linear(width, 4)
    optimiser = torch.optim.Adam([*weights, *head.parameters()], lr=1e-5, fused=True)
    model.train()

    def step() -> None:
        optimiser.zero_grad()
        nn.functional.cross_entropy(head(pooled()), torch.arange(len(wave)) % 4).backward()
        optimiser.step()

    took = []
    for _ in range(0 if train == "nothing" else int(steps)):
        began = time.process_time()
        step()
        took.append(time.process_time() - began)
    memory = peak()
    sums = limits.operations(step) if "counted" in more else 0.0
    print(json.dumps([min(took, default=0.0), sum(weight.numel() for weight in weights), memory, sums]))


def ours(folder: Path, train: str, wave: Tensor, more: list[str]) -> tuple[nn.Module, int, Callable[[], Tensor]]:
    """The encoder as `emobridge` trains it, its width, and a function -> (B, D) means of its last layer."""
    encoder = load_encoder(folder, weights="random", seed=0)
    training = Training(checkpointing="checkpointing" in more)
    source_only, head = Plugin("source-only"), Plugin("single")
    case = Case(labels=("a", "b"), method=source_only, head=head, adapters="lora", training=training)
    make_trainable(encoder, "frozen" if train == "nothing" else train, case)
    mask = torch.ones_like(wave, dtype=torch.bool)
    return encoder, encoder.width, lambda: pool(encoder(wave, mask), ("mean",))[-1]


def by_peft(folder: Path, wave: Tensor) -> tuple[nn.Module, int, Callable[[], Tensor]]:
    """The same of transformers' wav2vec 2.0 and peft, as their examples put them together."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModel

    defaults = Lora()
    config = AutoConfig.from_pretrained(folder)
    config.layerdrop, config.apply_spec_augment = 0.0, False
    maps = ["q_proj", "k_proj", "v_proj", "out_proj", "intermediate_dense", "output_dense"]
    lora = LoraConfig(r=defaults.r, lora_alpha=defaults.alpha, lora_dropout=defaults.dropout, target_modules=maps)
    model = get_peft_model(AutoModel.from_config(config), lora)
    return model, config.hidden_size, lambda: model(wave).last_hidden_state.mean(1)


def peak() -> int:
    """Bytes. Linux tells those of this program alone; ru_maxrss begins with what started it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT


if __name__ == "__main__":
    main()
