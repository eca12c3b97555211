"""Padded batches of waveforms, and which clips share a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor


def pad(waves: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """B waves (T_i,) -> (B, T) float32, zero beyond each clip, and its (B, T) bool mask."""
    lengths = torch.tensor([len(wave) for wave in waves])
    wave = torch.zeros(len(waves), int(lengths.max()))
    for row, clip in zip(wave, waves):
        row[: len(clip)] = torch.from_numpy(np.ascontiguousarray(clip, dtype=np.float32))
    return wave, torch.arange(wave.shape[1]) < lengths[:, None]


def regroup(pieces: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The same samples in pieces of `size`, the last one shorter."""
    waiting: list[np.ndarray] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count >= size:
            together = np.concatenate(waiting)
            whole = count - count % size
            yield from (together[first : first + size] for first in range(0, whole, size))
            waiting, count = [together[whole:]], count - whole
    if count:
        yield np.concatenate(waiting)


def length_batches(lengths: Sequence[float], size: int, seed: int | None = None) -> list[list[int]]:
    """The indices of all clips in batches of at most `size` clips of similar length.

    Without a seed, longest first, so that a batch that is too large for the memory fails at once. With one, the order
    of the batches, and which of nearly equal clips go together, is random, and the same for the same seed.
    """
    seconds = np.asarray(lengths, dtype=np.float64)
    if seed is None:
        order = np.argsort(-seconds, kind="stable")
        return [order[first : first + size].tolist() for first in range(0, len(order), size)]
    rng = np.random.default_rng(seed)
    order = np.argsort(-seconds * rng.uniform(0.9, 1.1, len(seconds)), kind="stable")
    batches = [order[first : first + size].tolist() for first in range(0, len(order), size)]
    return [batches[index] for index in rng.permutation(len(batches))]
