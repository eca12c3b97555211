"""Where encoders and large sums are computed: the one place that chooses a device and how work is cut for it."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from emobridge.errors import UserError, lacks_memory, unknown
from emobridge.types import SAMPLE_RATE

BATCH_SECONDS = 480.0  # of speech, padding included, in a batch on an accelerator; less where its memory is small
COPIES = 8  # of all hidden states of a batch that a pass may hold at once: of its layers, stacked, and while pooling
# How far features of a clip from an accelerator may be from the CPU's: of the largest number of the clip's layer.
TOLERANCE = 1e-3
R = TypeVar("R")


def device_names() -> tuple[str, ...]:
    """The devices that torch sees here, the fastest first; "cuda" is the first of the GPUs, or that of the process."""
    names: list[str] = []
    if torch.cuda.is_available():
        names += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        names.append("mps")
    return (*names, "cpu")


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name: "auto" is an accelerator where there is one.

    Errors: UserError for a device that is not there, with the nearest that is.
    """
    names, folded = device_names(), name.strip().casefold()
    if folded == "auto":
        return torch.device(names[0])
    if folded not in names:
        raise unknown("device", name, ("auto", *names))
    return torch.device(folded)


def is_accelerator(device: torch.device) -> bool:
    """Whether work is worth being sent there in large batches."""
    return device.type != "cpu"


def device_of(module: nn.Module) -> torch.device:
    """Where a module's weights are; the CPU for one without any."""
    tensors = itertools.chain(module.parameters(), module.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


def move(encoder: nn.Module, name: str) -> None:
    """Put an encoder, and adapters in it, on the device of a name.

    One without weights stays on the CPU, where it is as fast; so does one that another engine than torch runs.
    Errors: UserError as `choose_device`, and for an accelerator that was named and cannot be had with the engine.
    """
    device, engine = choose_device(name), getattr(encoder, "engine_choice", "torch")
    if engine not in ("auto", "torch"):
        if is_accelerator(device) and name.strip().casefold() != "auto":
            raise UserError(f"device {name}: engine {engine} computes on the CPU; give engine=torch, or --device cpu")
        return
    if next(encoder.parameters(), None) is not None:
        encoder.to(device)


@contextlib.contextmanager
def placed(encoder: nn.Module, name: str) -> Iterator[None]:
    """Within the block an encoder is on the device of a name, and afterwards where it was: memory is free again.

    Errors: UserError as `move`.
    """
    before = device_of(encoder)
    move(encoder, name)
    try:
        yield
    finally:
        encoder.to(before)


@contextlib.contextmanager
def single_precision(device: torch.device) -> Iterator[None]:
    """Within the block a GPU multiplies numbers of 32 bits as they are, not cut to TF32's 19: as the CPU does."""
    if device.type != "cuda":
        yield
        return
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = False
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


def batch_seconds(layers: int, width: int, frame_rate: float, device: torch.device) -> float:
    """Seconds of speech, padding included, in a batch of an encoder; infinite on a CPU, where batches gain nothing.

    frame_rate: Hz, 0 for one frame a clip.
    """
    if not is_accelerator(device):
        return math.inf
    second = 4 * layers * width * max(frame_rate, 1.0) * COPIES
    return min(BATCH_SECONDS, free_memory(device) / second)


def free_memory(device: torch.device) -> float:
    """Bytes that are free on a device; infinite where it does not tell."""
    return float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else math.inf


def by_halves(
    run: Callable[[slice], R], waves: Sequence[np.ndarray], encoder: nn.Module, rows: slice | None = None
) -> Iterator[tuple[R, int]]:
    """What `run` makes of all waves at once or, where memory does not suffice, of their halves; and how many they are.

    run: gets the rows of the waves that it computes, which are all by default. A lone wave that is too long for an
    accelerator is computed on the CPU. Errors: those of `run`; UserError where the CPU's memory does not suffice
    either.
    """
    rows = rows or slice(0, len(waves))
    count, device = rows.stop - rows.start, device_of(encoder)
    try:
        result = run(rows)
    except (RuntimeError, MemoryError) as error:
        if not (isinstance(error, torch.cuda.OutOfMemoryError) or lacks_memory(error)):
            raise
        result = None  # the error holds on to what the device has of the batch: it must be gone before the next try
    if result is not None:
        yield result, count
        return
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if count == 1:
        yield _on_cpu(run, waves, encoder, rows), 1
        return
    half = rows.start + (count + 1) // 2
    yield from by_halves(run, waves, encoder, slice(rows.start, half))
    yield from by_halves(run, waves, encoder, slice(half, rows.stop))


def _on_cpu(run: Callable[[slice], R], waves: Sequence[np.ndarray], encoder: nn.Module, rows: slice) -> R:
    device = device_of(encoder)
    encoder.cpu()
    try:
        return run(rows)
    except (RuntimeError, MemoryError) as error:
        if not lacks_memory(error):
            raise
        seconds = len(waves[rows.start]) / SAMPLE_RATE
        raise UserError(f"the memory does not suffice for {seconds:.1f} s of speech at once") from error
    finally:
        encoder.to(device)
