"""Features of clips from an encoder, where it is: on a CPU clip by clip, on an accelerator in batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emobridge.data.audio import AudioError, utterance_pieces, utterance_seconds
from emobridge.data.batching import pad, regroup
from emobridge.data.devices import batch_seconds, by_halves, device_of, is_accelerator, single_precision
from emobridge.encoders.base import Encoder, stopped_after
from emobridge.features.pooling import frame_counts, join_windows, pool, segments, window_statistics
from emobridge.types import SAMPLE_RATE, Utterance

ReadWave = Callable[[Utterance], np.ndarray]  # `data.audio.read_utterance`, or what gives the same


@dataclass(frozen=True, slots=True)
class WindowFeatures:
    """What one pass makes of a window of each of B clips; the statistics stay on the device."""

    statistics: dict[str, Tensor]  # (L, B, D) by name
    counts: dict[str, Tensor]  # `pooling.frame_counts`, (1, B, 1) each
    frames: list[np.ndarray]  # of each clip (L, F, D) float16, where they are wanted


class ClipEncoder:
    """An encoder, the clips that it takes at once, and what is made of its frames.

    On a CPU that is one clip, so that its features depend on nothing but the clip, to the last bit. On an accelerator
    it is `seconds` of speech, padding included; where memory does not suffice, halves of them, then and from then on.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        with_frames: bool,
        segment: float,
        batch_size: int | None,
        last_layer: int | None = None,
    ) -> None:
        """batch_size: clips at once on any device, in place of that. last_layer: of those computed; None is all."""
        self.encoder, self.with_frames, self.segment, self.batch_size = encoder, with_frames, segment, batch_size
        self.last_layer = last_layer
        self._limit: tuple[torch.device, float] | None = None

    @property
    def device(self) -> torch.device:
        """Where the encoder is now."""
        return device_of(self.encoder)

    @property
    def is_accelerated(self) -> bool:
        """Whether it is on an accelerator."""
        return is_accelerator(self.device)

    @property
    def seconds(self) -> float:
        """The most seconds of speech in a batch, padding included; infinite on a CPU."""
        if self._limit is None or self._limit[0] != self.device:
            encoder = self.encoder
            limit = batch_seconds(encoder.layers, encoder.width, encoder.frame_rate, self.device)
            self._limit = self.device, limit
        return self._limit[1]

    def batches(
        self, clips: Mapping[str, Utterance], read: ReadWave, strict: bool, reasons: dict[str, str]
    ) -> Iterator[tuple[list[str], Iterable[list[np.ndarray]]]]:
        """Keys and waves of the clips that are encoded together; `reasons` gets those that cannot be read.

        clips: the longest first. A clip beyond the encoder's window comes alone, read while its windows are encoded.
        """
        batch: dict[str, np.ndarray] = {}
        for key, utterance in clips.items():
            try:
                if is_beyond_window(self.encoder, utterance_seconds(utterance)):
                    size = round((self.encoder.window or 0) * SAMPLE_RATE)
                    yield [key], ([piece] for piece in regroup(utterance_pieces(utterance), size))
                    continue
                wave = read(utterance)
            except AudioError as error:
                if strict:
                    raise
                reasons[key] = str(error)
                continue
            longest = max(len(wave), *map(len, batch.values())) if batch else len(wave)
            if batch and (len(batch) + 1) * longest > self.seconds * SAMPLE_RATE:
                yield list(batch), [list(batch.values())]
                batch = {}
            batch[key] = wave
            if len(batch) == (self.batch_size or (math.inf if self.is_accelerated else 1)):
                yield list(batch), [list(batch.values())]
                batch = {}
        if batch:
            yield list(batch), [list(batch.values())]

    def encode(self, windows: Iterable[list[np.ndarray]]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Pooled (B, L, S * D) float32 and, where they are wanted, each clip's frames (L, F, D) float16.

        L counts the layers that are computed. windows: the waves of B clips; of a lone clip beyond the encoder's window
        one after the other. Its frames are in memory together only where frames are wanted.
        """
        was_training, trains = self.encoder.training, any(part.training for part in self.encoder.modules())
        if trains:
            self.encoder.eval()
        try:
            stop = stopped_after(self.encoder, self.last_layer)
            with torch.inference_mode(), single_precision(self.device), stop:
                parts = [self._window(waves) for waves in windows]
                statistics, counts = [part.statistics for part in parts], [part.counts for part in parts]
                values = join_windows(statistics, counts, self.encoder.statistics)
                pooled = values.transpose(0, 1).float().cpu().numpy()
        finally:
            if trains:
                self.encoder.train(was_training)
        return pooled, [np.concatenate(pieces, axis=1) for pieces in zip(*(part.frames for part in parts))]

    def _window(self, waves: list[np.ndarray]) -> WindowFeatures:
        """What the encoder makes of a window of each of B clips, in several passes where memory demands it."""
        device, limit = self.device, self.seconds
        passes = []
        for features, count in by_halves(lambda rows: self._pass(waves[rows]), waves, self.encoder):
            passes.append(features)
            if count < len(waves):
                limit = min(limit, count * max(map(len, waves)) / SAMPLE_RATE)
        if len(passes) == 1:
            return passes[0]
        self._limit = device, limit
        return WindowFeatures(
            _side_by_side([part.statistics for part in passes], device),
            _side_by_side([part.counts for part in passes], device),
            [frames for part in passes for frames in part.frames],
        )

    def _pass(self, waves: list[np.ndarray]) -> WindowFeatures:
        wave, mask = pad(waves)
        device = self.device
        layers = self.encoder(wave.to(device), mask.to(device))
        names = window_statistics(self.encoder.statistics)
        statistics = dict(zip(names, pool(layers, names).chunk(len(names), 2)))  # at once: they share the mean
        counts = frame_counts(layers)
        frames = []
        if self.with_frames:
            layers = segments(layers, self.segment)
            frames = [_half(layers.hidden[:, row, layers.mask[row]]) for row in range(len(waves))]
        return WindowFeatures(statistics, counts, frames)


def is_beyond_window(encoder: Encoder, seconds: float) -> bool:
    """Whether a clip of so many seconds is encoded window by window."""
    window = encoder.window
    return window is not None and round(seconds * SAMPLE_RATE) > round(window * SAMPLE_RATE)


def _side_by_side(parts: list[dict[str, Tensor]], device: torch.device) -> dict[str, Tensor]:
    """By name, the tensors (?, B_i, ?) of all parts -> (?, B, ?) on a device."""
    return {name: torch.cat([part[name].to(device) for part in parts], 1) for name in parts[0]}


def _half(hidden: Tensor) -> np.ndarray:
    limit = torch.finfo(torch.float16).max
    return hidden.clamp(-limit, limit).half().cpu().numpy()
