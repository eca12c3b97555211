"""From frames to one vector a clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from emobridge.data.graphs import in_graph
from emobridge.errors import unknown
from emobridge.types import SPEECH_PREFIX, Layers

# The statistics of each window of a long clip from which a statistic of the whole clip is computed.
WINDOW_STATISTICS = {
    "mean": ("mean",),
    "std": ("mean", "std"),
    "max": ("mean", "max"),
    "mean_max": ("mean", "max"),
    "speech_mean": ("speech_mean",),
}


def pool(layers: Layers, statistics: tuple[str, ...]) -> Tensor:
    """Statistics over each clip's own frames (its `pooled` ones), side by side: (L, B, F, D) -> (L, B, S * D).

    "mean", "std" (population, 1/n), "max", and "mean_max", the sum of mean and maximum (Niizumi et al. 2021);
    "speech_mean" is the mean over the frames with speech, whatever is pooled. A clip has at least one frame; the
    deviation of a single one is 0. Gradients are finite, also where a deviation is 0.
    Errors: UserError for an unknown statistic.
    """
    inside = layers.pooled[None, :, :, None]
    count = layers.pooled.sum(1).clamp(min=1)[None, :, None]
    mean = torch.empty(0)
    if any(not statistic.startswith(SPEECH_PREFIX) for statistic in statistics):
        mean = _mean(layers.hidden, layers.pooled)
    parts = []
    for statistic in statistics:
        if statistic == "mean":
            parts.append(mean)
        elif statistic == "std":
            square = _within(layers.hidden - mean[:, :, None], layers.pooled).square().sum(2) / count
            varies = square > 0
            parts.append(torch.where(varies, torch.where(varies, square, 1.0).sqrt(), 0.0))
        elif statistic in ("max", "mean_max"):
            top = layers.hidden.masked_fill(~inside, -torch.inf).amax(2)
            parts.append(top if statistic == "max" else mean + top)
        elif statistic == f"{SPEECH_PREFIX}mean":
            parts.append(_mean(layers.hidden, layers.spoken))
        else:
            raise unknown("statistic", statistic, WINDOW_STATISTICS)
    return torch.cat(parts, dim=2)


def in_columns(values: Tensor, statistics: Sequence[str], every: Sequence[str]) -> Tensor:
    """Statistics side by side (..., S * D) in the columns that they have among `every` one; those of others are 0."""
    parts = dict(zip(statistics, values.chunk(len(statistics), -1)))
    zeros = torch.zeros_like(parts[statistics[0]])
    return torch.cat([parts.get(name, zeros) for name in every], -1)


def _mean(hidden: Tensor, inside: Tensor) -> Tensor:
    """(L, B, F, D) over the frames (B, F) of each clip that are inside: (L, B, D)."""
    return _within(hidden, inside).sum(2) / inside.sum(1).clamp(min=1)[None, :, None]


def _within(hidden: Tensor, inside: Tensor) -> Tensor:
    """(L, B, F, D) with zeros where a frame (B, F) is not inside; as it is where all are, which spares a copy."""
    if not in_graph() and bool(inside.all()):
        return hidden
    return torch.where(inside[None, :, :, None], hidden, 0.0)


def frame_counts(layers: Layers) -> dict[str, Tensor]:
    """How many frames of each clip the statistics of a window are taken over, (1, B, 1): of "speech_mean", and of "".

    The key is the beginning of the statistic's name.
    """
    return {start: mask.sum(1)[None, :, None] for start, mask in (("", layers.pooled), (SPEECH_PREFIX, layers.spoken))}


def views_of(statistics: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The statistics in two views of a clip, those over its pooled frames and those over its frames with speech.

    One view where either has none, or the two have not as many, so that they cannot stand as layers of one width.
    """
    over = tuple(name for name in statistics if not name.startswith(SPEECH_PREFIX))
    spoken = tuple(name for name in statistics if name.startswith(SPEECH_PREFIX))
    return (over, spoken) if len(over) == len(spoken) else (tuple(statistics),)


def frames_per_stretch(frame_rate: float, seconds: float) -> int:
    """Frames in a stretch of `seconds`, at least one. frame_rate: Hz, 0 for encoders of one frame a clip."""
    return max(1, round(seconds * frame_rate))


def segments(layers: Layers, seconds: float) -> Layers:
    """Means over consecutive stretches of `seconds`, of each clip's own frames: (L, B, F, D) -> (L, B, ceil(F / n), D).

    A stretch has n = round(seconds * frame rate) frames, a clip's last one fewer; the frame rate is divided by n.
    Layers of one frame a clip, and stretches of one frame, come back as they are. Gradients flow through.
    """
    size = frames_per_stretch(layers.frame_rate, seconds)
    if size == 1:
        return layers
    missing = -layers.mask.shape[1] % size
    mask = torch.nn.functional.pad(layers.mask, (0, missing)).unflatten(1, (-1, size))
    hidden = torch.nn.functional.pad(layers.hidden, (0, 0, 0, missing)).unflatten(2, (-1, size))
    total = torch.where(mask[None, ..., None], hidden, 0.0).sum(3)
    count = mask.sum(2)
    return Layers(total / count.clamp(min=1)[None, :, :, None], count > 0, layers.frame_rate / size)


def window_statistics(statistics: tuple[str, ...]) -> tuple[str, ...]:
    """The statistics of each window that `join_windows` takes. Errors: UserError for an unknown statistic."""
    for statistic in statistics:
        if statistic not in WINDOW_STATISTICS:
            raise unknown("statistic", statistic, WINDOW_STATISTICS)
    return tuple(sorted({part for statistic in statistics for part in WINDOW_STATISTICS[statistic]}))


def join_windows(
    parts: list[dict[str, Tensor]], counts: list[dict[str, Tensor]], statistics: tuple[str, ...]
) -> Tensor:
    """The statistics (L, B, S * D) of whole clips from those of their windows.

    parts: of each window, (L, B, D) by the name of the statistic. counts: `frame_counts` of each window.
    """
    shares = {}
    for start in counts[0]:
        count = torch.stack([window[start] for window in counts])
        shares[start] = count / count.sum(0)  # (W, 1, B, 1)
    share = shares[""]
    whole = {name: torch.stack([part[name] for part in parts]) for name in parts[0]}  # (W, L, B, D)
    mean = (whole["mean"] * share).sum(0) if "mean" in whole else torch.empty(0)
    values = []
    for statistic in statistics:
        if statistic == "mean":
            values.append(mean)
        elif statistic == "std":
            square = whole["std"].square() + (whole["mean"] - mean).square()
            values.append((square * share).sum(0).sqrt())
        elif statistic == f"{SPEECH_PREFIX}mean":
            values.append((whole[statistic] * shares[SPEECH_PREFIX]).sum(0))
        else:
            top = whole["max"].amax(0)
            values.append(top if statistic == "max" else mean + top)
    return torch.cat(values, dim=2)
