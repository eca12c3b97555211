"""The features that probes see: pooled vectors, stored frames, or frames encoded anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from emobridge.data.audio import read_utterance
from emobridge.data.batching import pad
from emobridge.data.devices import device_of, single_precision
from emobridge.encoders.base import Encoder
from emobridge.features.pooling import segments
from emobridge.features.store import FeatureStore
from emobridge.types import Utterance

MEMORY = 4e9  # bytes of frames that stay in memory; further frames are read from disk in each epoch

Clips = Callable[[list[int]], list[Tensor]]  # rows -> frames of each clip, (L, F, D)


class PooledSource:
    """Vectors x (L, N, D), one an utterance: each counts as a clip of one frame."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self.x.index_select(1, rows)[:, None, :, None], torch.ones(len(rows), 1, dtype=torch.bool)


class FrameSource:
    """Frames of N utterances, laid end to end; each clip's are standardised by its own row of mean and deviation.

    standard: mean and deviation (L, N, D) each; None leaves frames as they are.
    """

    def __init__(self, clips: Clips, standard: tuple[Tensor, Tensor] | None = None) -> None:
        self.clips, self.standard = clips, standard

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        clips = self.clips(rows.tolist())
        lengths = torch.tensor([clip.shape[1] for clip in clips])
        x = torch.cat([clip.to(torch.get_default_dtype()) for clip in clips], dim=1)
        clip = torch.arange(len(rows)).repeat_interleave(lengths)
        if self.standard is not None:
            mean, deviation = (value[:, rows[clip]] for value in self.standard)
            x = (x - mean) / deviation
        shares = torch.zeros(len(rows), x.shape[1])
        shares[clip, torch.arange(x.shape[1])] = 1 / lengths[clip]
        return x[:, None], shares


def stored(store: FeatureStore, utterances: Sequence[Utterance]) -> Clips:
    """Frames from a store that keeps them; they stay in memory up to `MEMORY`."""
    memory: dict[int, Tensor] = {}
    size = 0.0

    def read(row: int) -> Tensor:
        nonlocal size
        if row in memory:
            return memory[row]
        frames = torch.from_numpy(store.frames_of(utterances[row]))
        size += frames.numel() * frames.element_size()
        if size < MEMORY:
            memory[row] = frames
        return frames

    return lambda rows: [read(row) for row in rows]


def streamed(encoder: Encoder, utterances: Sequence[Utterance], segment: float, *, batch_size: int = 1) -> Clips:
    """Frames encoded anew for each batch; a batch of the same rows as the one before is not encoded again."""
    last: tuple[list[int], list[Tensor]] = ([], [])

    def encode(rows: list[int]) -> list[Tensor]:
        nonlocal last
        if rows == last[0]:
            return last[1]
        chosen = [utterances[row] for row in rows]
        waves = [read_utterance(utterance) for utterance in chosen]
        order = sorted(range(len(rows)), key=lambda index: -len(waves[index]))
        clips: list[Tensor] = [torch.empty(0)] * len(rows)
        device = device_of(encoder)
        with torch.inference_mode(), single_precision(device):
            for first in range(0, len(order), batch_size):
                batch = order[first : first + batch_size]
                wave, mask = (part.to(device) for part in pad([waves[index] for index in batch]))
                hidden = segments(encoder(wave, mask), segment)
                for row, index in enumerate(batch):
                    clips[index] = hidden.hidden[:, row, hidden.mask[row]].clone().cpu()
        last = (list(rows), clips)
        return clips

    return encode


def clip_moments(clips: Clips, count: int) -> tuple[Tensor, Tensor]:
    """Mean and variance over the frames of each of `count` clips: (L, N, D) each."""
    means, variances = [], []
    for row in range(count):
        frames = clips([row])[0].float()
        means.append(frames.mean(1))
        variances.append(frames.var(1, correction=0))
    return torch.stack(means, 1), torch.stack(variances, 1)
