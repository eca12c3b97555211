"""How many threads compute: one for small problems, and all cores for large encoders.

Products of stored features, heads and log-mels are too small to share: on a busy machine the second thread waits for
a core, the first for the second, and both keep a core busy meanwhile. So a command computes on one thread, and only a
large encoder gets the cores. The number of threads changes nothing about which numbers are asked for, only who adds
them up.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController
    from torch import nn

LARGE_ENCODER = 1_000_000  # weights of an encoder that gains from more threads than one
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_cores = 0  # threads of a large encoder while all else has one; 0 where nothing has changed torch's number


def limit_threads() -> None:
    """Take this process to one thread, and its large encoders to as many as OMP_NUM_THREADS says, or to all cores.

    Their libraries read the environment once: a process that has imported NumPy or torch already stays as it is. Child
    processes, which share the cores among them, have one thread for everything. Tensors of megabytes get large pages of
    memory, where the system has any for who asks: all features of a corpus are in memory in a fifth of the time.
    """
    global _cores
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch reads it with its first tensor of 2 MB
    if not sys.modules.keys().isdisjoint(("numpy", "torch")):
        return
    _cores = cores_of(os.environ)
    os.environ.update(dict.fromkeys(VARIABLES, "1"))


def cores_of(environment: Mapping[str, str]) -> int:
    """The threads that a user's OMP_NUM_THREADS allows (the first number of "4,2"), else the cores of this process."""
    first = environment.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if first.isdecimal() and int(first):
        return int(first)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_of_cores(processes: int, *, spared: int = 0) -> int:
    """The threads of a large encoder in each of several processes that share the cores, at least one.

    spared: cores that are left to others.
    """
    return max(1, ((_cores or cores_of(os.environ)) - spared) // processes)


def take_cores(threads: int) -> None:
    """Give large encoders of this process so many threads, and all else one."""
    import torch

    global _cores
    _cores = threads
    torch.set_num_threads(1)


def count_weights(module: nn.Module) -> int:
    """The weights of a module, trained or not."""
    return sum(weight.numel() for weight in module.parameters())


def threads_of(weights: int) -> int:
    """The threads of an encoder of so many weights."""
    import torch

    return (_cores or torch.get_num_threads()) if weights >= LARGE_ENCODER else 1


@contextlib.contextmanager
def encoder_threads(weights: int) -> Iterator[None]:
    """torch has the threads of an encoder of so many weights within the block."""
    with _torch_threads(threads_of(weights)):
        yield


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra of torch, NumPy, SciPy and scikit-learn on one thread within the block, but for large encoders."""
    global _cores
    before, _cores = _cores, threads_of(LARGE_ENCODER)
    try:
        with _torch_threads(1), _libraries(len(sys.modules)).limit(limits=1):
            yield
    finally:
        _cores = before


@functools.lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """The libraries of linear algebra, looked for anew where modules were imported, as a search takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """Encoders on one thread within the block, large ones too: with more, sums are rounded in another way."""
    global _cores
    before, _cores = _cores, 1
    try:
        with _torch_threads(1):
            yield
    finally:
        _cores = before


@contextlib.contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    if before != threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if before != threads:
            torch.set_num_threads(before)
