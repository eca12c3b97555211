"""How long an encoder and a head take on this machine, as busy as it is now: a few short runs on noise.

Each is run at two sizes, and what comes between or beyond goes by the line through both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from emobridge import registry
from emobridge.bundle import made_head
from emobridge.encoders.base import Encoder
from emobridge.probe.batched import ProbeTraining, Stack, TrainingSets, fit_probes
from emobridge.probe.solved import solve_probes
from emobridge.probe.sources import FrameSource, PooledSource
from emobridge.types import SAMPLE_RATE

SECONDS = (1, 4)  # of noise that an encoder is timed on
CLIPS = (16, 64)  # in the batch of a head that sees pooled clips
FRAMES = (64, 256)  # in that of one that sees frames
CLIP = 16  # frames of a clip in it
STEPS = 4  # training steps that are timed together


@dataclass(frozen=True, slots=True)
class LinearCost:
    """Seconds that something takes: so many whatever its size, and so many for each unit of size."""

    fixed: float
    per_unit: float

    def of(self, size: float) -> float:
        """Seconds for one thing of a size."""
        return self.fixed + self.per_unit * size


@dataclass(frozen=True, slots=True)
class HeadShape:
    """The sizes of heads side by side."""

    layers: int  # that a head of all layers sums; 1 of others
    width: int
    classes: int
    probes: int


def encoder_cost(encoder: Encoder) -> LinearCost:
    """The cost of encoding one clip; the size is its length in seconds."""

    def prepare(seconds: int) -> Callable[[], object]:
        wave = 0.1 * torch.randn(1, seconds * SAMPLE_RATE, generator=torch.Generator().manual_seed(0))
        mask = torch.ones(wave.shape, dtype=torch.bool)
        return lambda: encoder(wave, mask)

    with torch.inference_mode():
        return _line(prepare, SECONDS)


def solved_cost(head: str, options: Sequence[str], shape: HeadShape, count: int) -> float:
    """Seconds that it takes to solve one probe of a closed form on `count` utterances."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, count, shape.width, generator=generator)
    ones = torch.ones(1, count)
    sets = TrainingSets(torch.arange(count) % shape.classes, ones, ones.bool())
    heads: list[nn.Module] = [made_head(head, options, shape.width, shape.classes)]
    stack = Stack([heads], PooledSource(x), moments=(torch.zeros(1, 1, shape.width), torch.ones(1, 1, shape.width)))
    return min(_timed(lambda: solve_probes(stack, sets)) for _ in range(3))


def head_cost(head: str, options: Sequence[str], shape: HeadShape, *, folded: bool) -> LinearCost:
    """The cost of one training step of heads side by side on one layer, or of a head of all layers on all.

    The size is the number of frames in the batch, or of clips where the head sees them pooled. folded: each probe
    standardises what it sees by moments of its own.
    """
    framed = registry.load("heads", head).needs_frames
    generator = torch.Generator().manual_seed(0)
    heads: list[nn.Module] = [made_head(head, options, shape.width, shape.classes) for _ in range(shape.probes)]
    size = (shape.layers, shape.probes, shape.width)
    moments = (torch.zeros(size), torch.ones(size)) if folded else None

    def prepare(size: int) -> Callable[[], object]:
        count = size // CLIP if framed else size
        x = torch.randn(shape.layers, CLIP if framed else count, shape.width, generator=generator)
        source = FrameSource(lambda rows: [x for _ in rows]) if framed else PooledSource(x)
        ones = torch.ones(shape.probes, count)
        sets = TrainingSets(torch.arange(count) % shape.classes, ones, ones.bool())
        stack = Stack([heads], source, moments=moments)
        return lambda: fit_probes([stack], sets, ProbeTraining(epochs=STEPS, batch_size=count))

    cost = _line(prepare, FRAMES if framed else CLIPS)
    return LinearCost(cost.fixed / STEPS, cost.per_unit / STEPS)


def _line(prepare: Callable[[int], Callable[[], object]], sizes: tuple[int, int]) -> LinearCost:
    """The line through what two sizes take: the better of two tries each, after one that is not timed."""
    times = []
    for size in sizes:
        run = prepare(size)
        run()
        times.append(min(_timed(run) for _ in range(2)))
    per_unit = (times[1] - times[0]) / (sizes[1] - sizes[0])
    fixed = times[0] - per_unit * sizes[0]
    if per_unit < 0 or fixed < 0:  # noise, or something that grows faster than its size
        return LinearCost(0.0, times[1] / sizes[1])
    return LinearCost(fixed, per_unit)


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
