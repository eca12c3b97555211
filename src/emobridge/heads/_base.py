"""What every head shares."""

from __future__ import annotations

from torch import Tensor


def masked_mean(frames: Tensor, mask: Tensor) -> Tensor:
    """(B, F, D) and (B, F) bool -> (B, D), the mean over each clip's own frames."""
    inside = mask[..., None]
    return (frames * inside).sum(1) / inside.sum(1).clamp(min=1)
