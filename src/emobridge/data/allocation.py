"""Memory of large tensors that a training step frees and asks for again."""

from __future__ import annotations

import contextlib
import ctypes

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of mallopt, from glibc's malloc.h
SMALL_ENCODER = 10_000_000  # of an encoder whose layers are small beside what they compute


def keep_freed_memory(weights: int) -> None:
    """Let this process keep what it frees, if an encoder of so many weights is trained in it; glibc alone has it.

    By default glibc gives each large block back to the system, which fills the next one with zeros: half the time of a
    step of BYOL-S or EmotionCNN, whose maps of features are large and whose weights are few. Up to twice the memory is
    the price, so that encoders of SMALL_ENCODER and more do without.
    """
    if weights >= SMALL_ENCODER:
        return
    with contextlib.suppress(OSError, AttributeError):  # another system, or another library
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(TRIM_THRESHOLD, (1 << 31) - 1)
        library.mallopt(MMAP_MAX, 0)
