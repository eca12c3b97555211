"""What a stage of a training cost that an encoder takes part in: weights, time and memory, as points of its log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emobridge.encoders.base import Encoder
from emobridge.training.checkpoints import LogPoint
from emobridge.training.hardware import Hardware

PREFIX = "cost: "  # of the terms
TRAINED = "trained in "  # what has weights that were trained


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one stage of one fit."""

    run: str  # "method, seed 0, fold 1"
    stage: int  # from 1
    trained: tuple[tuple[str, int], ...]  # weights by what they are in: "head", "encoder", "lora" ...
    weights: int  # of encoder and head, trained or not
    seconds: float  # by the clock
    cpu: float  # s of all threads of the process
    memory: float  # MB at most: on a GPU of the stage, on a CPU of the process until then; 0 is not known


class Meter:
    """Measures a stage from when it is made."""

    def __init__(self, model: nn.Module, encoder: Encoder, hardware: Hardware) -> None:
        self.model, self.encoder, self.hardware = model, encoder, hardware
        if hardware.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(hardware.device)
        self.start, self.cpu = time.perf_counter(), time.process_time()

    def points(self) -> tuple[LogPoint, ...]:
        """What it took until now."""
        every = {id(weight): weight for weight in (*self.model.parameters(), *self.encoder.parameters())}
        found = {f"{TRAINED}{name}": float(count) for name, count in trained_in(self.model, self.encoder)}
        found |= {"weights": float(sum(weight.numel() for weight in every.values()))}
        found |= {"seconds": time.perf_counter() - self.start, "cpu": time.process_time() - self.cpu}
        found["memory"] = _peak(self.hardware)
        return tuple(LogPoint(0, PREFIX + term, value) for term, value in found.items())


def trained_in(model: nn.Module, encoder: Encoder) -> tuple[tuple[str, int], ...]:
    """How many weights are trained in the head (and beside it), the encoder's own, and each adapter."""
    active = encoder.active_adapters
    adapters = {} if active is None else {part.name: part.parameters() for part in active.parts}
    inside = {id(weight) for weights in adapters.values() for weight in weights}
    own = [weight for weight in encoder.parameters() if id(weight) not in inside]
    inside |= {id(weight) for weight in own}
    parts: dict[str, Iterable[Tensor]] = {
        "head": [weight for weight in model.parameters() if id(weight) not in inside],
        "encoder": own,
        **adapters,
    }
    counts = ((name, sum(one.numel() for one in weights if one.requires_grad)) for name, weights in parts.items())
    return tuple((name, count) for name, count in counts if count)


def costs_of(log: Iterable[tuple[str, LogPoint]]) -> tuple[Cost, ...]:
    """The costs in the log of a run: pairs of "method, seed 0, fold 1" and a point."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    for run, point in log:
        if is_cost(point):
            term, _, stage = point.term.removeprefix(PREFIX).partition(", stage ")
            found.setdefault((run, int(stage or 1)), {})[term] = point.value
    return tuple(
        Cost(
            run,
            stage,
            tuple((term.removeprefix(TRAINED), int(value)) for term, value in some.items() if term.startswith(TRAINED)),
            int(some["weights"]),
            *(some[key] for key in ("seconds", "cpu", "memory")),
        )
        for (run, stage), some in found.items()
    )


def is_cost(point: LogPoint) -> bool:
    """Whether a point tells a cost, and nothing of an epoch."""
    return point.term.startswith(PREFIX)


def _peak(hardware: Hardware) -> float:
    if hardware.device.type == "cuda":
        return torch.cuda.max_memory_allocated(hardware.device) / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6  # bytes there, KiB elsewhere
