"""What a stage of a training cost in which an encoder takes part: weights, time and memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from emobridge.encoders.base import Encoder
from emobridge.training.hardware import Hardware


@dataclass(frozen=True, slots=True)
class StageCost:
    """What one stage of one fit took."""

    stage: int  # from 1
    trained: tuple[tuple[str, int], ...]  # weights by what they are in: "head", "encoder", "lora" ...
    weights: int  # of encoder and head, trained or not
    seconds: float  # by the clock
    cpu: float  # s of all threads of the process
    memory: float  # MB at most: on a GPU of the stage, on a CPU of the process until then; 0 is not known


class Meter:
    """Measures a stage from when it is made."""

    def __init__(self, model: nn.Module, encoder: Encoder, hardware: Hardware, stage: int) -> None:
        self.model, self.encoder, self.hardware, self.stage = model, encoder, hardware, stage
        if hardware.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(hardware.device)
        self.start, self.cpu = time.perf_counter(), time.process_time()

    def cost(self) -> StageCost:
        """What the stage took until now."""
        weights = {id(weight): weight for weight in (*self.model.parameters(), *self.encoder.parameters())}
        return StageCost(
            self.stage,
            trained_weights(self.model, self.encoder),
            sum(weight.numel() for weight in weights.values()),
            time.perf_counter() - self.start,
            time.process_time() - self.cpu,
            _peak_memory(self.hardware),
        )


def trained_weights(model: nn.Module, encoder: Encoder) -> tuple[tuple[str, int], ...]:
    """How many weights are trained in the head (with what is trained beside it), the encoder itself, each adapter."""
    active: Any = encoder.active_adapters
    adapters = {} if active is None else {part.name: part.parameters() for part in active.parts}
    inside = {id(weight) for weights in adapters.values() for weight in weights}
    own = [weight for weight in encoder.parameters() if id(weight) not in inside]
    inside |= {id(weight) for weight in own}
    parts: dict[str, Iterable[Tensor]] = {
        "head": [weight for weight in model.parameters() if id(weight) not in inside],
        "encoder": own,
        **adapters,
    }
    counts = (
        (name, sum(weight.numel() for weight in weights if weight.requires_grad)) for name, weights in parts.items()
    )
    return tuple((name, count) for name, count in counts if count)


def _peak_memory(hardware: Hardware) -> float:
    if hardware.device.type == "cuda":
        return torch.cuda.max_memory_allocated(hardware.device) / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6  # bytes there, KiB elsewhere
