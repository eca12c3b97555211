"""Training steps of one encoder in a process of its own, for its peak memory and CPU time.

    python benchmarks/_adapter_step.py FOLDER TRAIN STEPS BATCH SECONDS [checkpointing]

TRAIN is "nothing" (the steps are left out: what is there before), "adapters" or "end-to-end". One line of JSON comes
out: CPU seconds of the quickest step, how many weights are trained, and the peak memory in bytes.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import torch
from measuring import RSS_UNIT

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
    encoder = load_encoder(Path(folder), weights="random", seed=0)
    training = Training(checkpointing="checkpointing" in more)
    source_only, head = Plugin("source-only"), Plugin("single")
    case = Case(labels=("a", "b"), method=source_only, head=head, adapters="lora", training=training)
    make_trainable(encoder, "frozen" if train == "nothing" else train, case)
    weights = [weight for weight in encoder.parameters() if weight.requires_grad]
    head = torch.nn.Linear(encoder.width, 4)
    optimiser = torch.optim.Adam([*weights, *head.parameters()], lr=1e-5, fused=True)
    wave = torch.randn(int(batch), round(float(seconds) * SAMPLE_RATE))
    mask = torch.ones_like(wave, dtype=torch.bool)
    encoder.train()
    took = []
    for _ in range(0 if train == "nothing" else int(steps)):
        began = time.process_time()
        optimiser.zero_grad()
        pooled = pool(encoder(wave, mask), ("mean",))[-1]
        torch.nn.functional.cross_entropy(head(pooled), torch.arange(len(wave)) % 4).backward()
        optimiser.step()
        took.append(time.process_time() - began)
    print(json.dumps([min(took, default=0.0), sum(weight.numel() for weight in weights), peak()]))


def peak() -> int:
    """Bytes. Linux tells those of this program alone; ru_maxrss begins with what started it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT


if __name__ == "__main__":
    main()
