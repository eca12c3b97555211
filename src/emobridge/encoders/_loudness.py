"""`data.activity.loud_frames` in steps that a graph of ONNX has: the same frames, in double precision."""

from __future__ import annotations

import torch
from torch import Tensor

from emobridge.data.activity import FAINTEST, HOP, LEAST_POWER, LOUD, RANGE, WINDOW

BLOCK_SAMPLES = 40  # samples: hop and window are multiples of it, and so the sums of windows are those of few blocks


def whole_loud_frames(wave: Tensor) -> Tensor:
    """Whole clips (B, T) of one length -> (B, F) bool, F = 1 + T // HOP: which frames are loud beside their clip."""
    levels = _levels(wave)
    threshold = (_quantile(levels, LOUD) - RANGE).clamp(min=FAINTEST)
    return levels > threshold


def _levels(wave: Tensor) -> Tensor:
    """(B, T) -> (B, F) dB of full scale, as `data.activity.frame_levels`."""
    samples = wave.shape[1]
    count = 1 + samples // HOP
    end = HOP * count + WINDOW - HOP  # behind the last window, of which the first begins half a window before the clip
    square = torch.nn.functional.pad(wave.double().square(), (WINDOW // 2, end - samples - WINDOW // 2))
    blocks = square.unflatten(1, (-1, BLOCK_SAMPLES)).sum(2)
    frame = torch.arange(count)
    energy = blocks[:, (frame * (HOP // BLOCK_SAMPLES))[:, None] + torch.arange(WINDOW // BLOCK_SAMPLES)].sum(2)
    inside = (HOP * frame + WINDOW // 2).clamp(max=samples) - (HOP * frame - WINDOW // 2).clamp(min=0)
    return 10 * (energy / inside.clamp(min=1) + LEAST_POWER).log10()


def _quantile(values: Tensor, share: float) -> Tensor:
    """(B, F) -> (B, 1): the quantile, between neighbours in proportion, as numpy computes it."""
    from torch.onnx.operators import shape_as_tensor

    ordered = values.sort(1).values
    last = shape_as_tensor(values)[1] - 1
    place = share * last.double()
    below = place.floor().long()
    part = place - below
    low = ordered[:, below, None]
    apart = ordered[:, torch.minimum(below + 1, last), None] - low
    return torch.where(part < 0.5, low + apart * part, low + apart - apart * (1 - part))
