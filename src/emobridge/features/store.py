"""The layer-feature store: what a frozen encoder says of each clip, computed once.

    folder/whisper-1f0c.../store.json             what the features in here are of
    folder/whisper-1f0c.../9a3e....safetensors    a shard: up to SHARD clips (see shards.py)
    folder/whisper-1f0c.../index.cache            of many shards: where each clip is, for quick opening

A clip's key is the sha256 of its file's bytes with its start and end, so that a file may move and a changed one is
computed anew. The encoder's name, weights, options and statistics choose the folder. Shards are whole or absent:
whatever is killed loses at most the shard that it was computing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from emobridge.data.audio import AudioError, audio_digest, duration, read_audio
from emobridge.data.batching import pad
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError, unknown
from emobridge.features.pooling import joined, parts_of, pool, segments, stretch_frames
from emobridge.features.shards import CorruptShard, Shards
from emobridge.files import whole_file
from emobridge.types import SAMPLE_RATE, Utterance

VERSION = 1  # of the layout and of the way features are computed: part of every key
SHARD = 64  # clips in a shard
SHARD_FRAMES = 8  # and where every frame is kept
_K = TypeVar("_K", bound=Hashable)
Progress = Callable[[int, int], None]  # clips done, clips in all


@dataclass(frozen=True, slots=True)
class Features:
    """Pooled features of N clips, in the order of the utterances that could be read."""

    values: np.ndarray  # (N, L, S * D) float32; L layers as asked for, or (N, S * D) of one by its name
    ids: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]  # id and reason of each utterance that could not be read


class FeatureStore:
    """Layer features of one encoder in `folder`; several processes may use it at once.

    frames: keep every frame too, as float16, for `frames_of`.
    segment: seconds; above zero, what is kept are means over consecutive stretches of so many seconds (see
    `pooling.segments`), the last of a clip shorter. A clip beyond the encoder's window is cut anew in each window, so
    that no mean crosses two; the last of each window may be shorter.
    batch_size: clips encoded together; None is one on a CPU, where more is no faster, and 16 on an accelerator. With
    one, a clip's features depend on nothing but the clip, to the last bit; with more, the rounding depends on its
    neighbours, which are the same whenever the same utterances are asked for.
    """

    def __init__(
        self,
        folder: str | Path,
        encoder: Encoder,
        *,
        frames: bool = False,
        segment: float = 0.0,
        batch_size: int | None = None,
    ) -> None:
        if not 0 <= segment < math.inf:
            raise UserError(f"segment {segment!r} of the feature store: expected 0 or more seconds")
        self.encoder = encoder
        self.with_frames = frames
        self.segment = float(segment)
        tensors = (*encoder.parameters(), *encoder.buffers())
        self.device = tensors[0].device if tensors else torch.device("cpu")
        self.batch_size = batch_size or (1 if self.device.type == "cpu" else 16)
        about: dict[str, object] = {
            "version": VERSION,
            "encoder": encoder.name,
            "weights": encoder.digest,
            "options": encoder.options,
            "statistics": encoder.statistics,
            "frames": frames,
        }
        if frames and segment:  # where there is none, the key is what it was before there were any
            about["segment"] = self.segment
        self._about = json.dumps(about, indent=1, sort_keys=True) + "\n"
        self.folder = Path(folder) / f"{encoder.name}-{hashlib.sha256(self._about.encode()).hexdigest()[:16]}"
        self.shards = Shards(self.folder)

    def extract(
        self,
        utterances: Iterable[Utterance],
        *,
        layer: str | Sequence[str] | None = None,
        on_progress: Progress | None = None,
        strict: bool = False,
    ) -> Features:
        """Features of `utterances`, from the store where they are there, computed and stored where they are not.

        layer: "0" to "L-1" reads one layer only, a sequence of such names these layers. Bad files are skipped and
        listed; with `strict` the first one raises.
        Errors: AudioError (strict); UserError for an unknown layer or a store that cannot be written.
        """
        utterances = list(utterances)
        names = self._layers(layer)
        keys, reasons = _keys(utterances, strict)
        while True:
            wanted = {key: utterance for key, utterance in zip(keys, utterances) if key not in reasons}
            reasons |= self._compute(wanted, on_progress, strict)
            good = [row for row, key in enumerate(keys) if key not in reasons]
            width = self.encoder.width * len(self.encoder.statistics)
            try:
                values = self.shards.read_rows(self.shards.find([keys[row] for row in good]), names, width)
                break
            except CorruptShard:
                continue  # it is gone; compute its clips again
        return Features(
            values=values[:, 0] if isinstance(layer, str) else values,
            ids=tuple(utterances[row].id for row in good),
            skipped=tuple((one.id, reasons[key]) for one, key in zip(utterances, keys) if key in reasons),
        )

    def frames_of(self, utterance: Utterance, layer: str | None = None) -> np.ndarray:
        """(L, F, D) float16, or (F, D) of one layer, of one utterance; computed where the store lacks it.

        F counts frames, or stretches of `segment` seconds.
        """
        if not self.with_frames:
            raise UserError("this feature store keeps no frames: open it with frames=True")
        self._layers(layer)
        key = _key(utterance)
        while True:
            if self._lacking([key]):
                self._compute({key: utterance}, None, strict=True)
            try:
                return self.shards.read_frames(key, layer)
            except CorruptShard:
                continue

    def size_of(self, utterances: Iterable[Utterance]) -> int:
        """An estimate of the bytes that these utterances take in the store; files that cannot be read count nothing."""
        rate, vector = bytes_a_second(self.encoder, self.with_frames, self.segment), bytes_a_clip(self.encoder)
        lengths, _ = _lengths(dict(enumerate(utterances)), strict=False)
        return round(sum(vector + rate * seconds for seconds in lengths.values()))

    def _layers(self, layer: str | Sequence[str] | None) -> tuple[str, ...]:
        names = tuple(map(str, range(self.encoder.layers)))
        wanted = names if layer is None else (layer,) if isinstance(layer, str) else tuple(layer)
        for one in wanted:
            if one not in names:
                raise unknown(f"layer of encoder {self.encoder.name}", one, names)
        return wanted

    def _compute(self, wanted: dict[str, Utterance], on_progress: Progress | None, strict: bool) -> dict[str, str]:
        """Compute and store what is missing; the reason for each key that could not be.

        Shards are cut from all that is wanted, not from what is missing, so that an interrupted run, continued, puts
        the same clips together as one that was not.
        """
        self.shards.refresh()
        if not self._lacking(wanted):
            if on_progress:
                on_progress(len(wanted), len(wanted))
            return {}
        lengths, reasons = _lengths(wanted, strict)
        order = sorted(lengths, key=lambda key: (-lengths[key], key))
        size = SHARD_FRAMES if self.with_frames else SHARD
        for first in range(0, len(order), size):
            missing = self._lacking(order[first : first + size])
            if missing:
                reasons |= self._compute_shard({key: wanted[key] for key in missing}, strict)
            if on_progress:
                on_progress(min(first + size, len(order)), len(order))
        return reasons

    def _compute_shard(self, wanted: dict[str, Utterance], strict: bool) -> dict[str, str]:
        keys: list[str] = []
        pooled: list[np.ndarray] = []  # (L, S * D)
        frames: dict[str, np.ndarray] = {}
        reasons: dict[str, str] = {}
        for batch in _batches(wanted, self.batch_size, self.encoder.window, strict, reasons):
            values, hidden = self._encode([wave for _, wave in batch])
            keys += [key for key, _ in batch]
            pooled += list(values)
            frames |= {f"frames {key}": one for (key, _), one in zip(batch, hidden)}
        if keys:
            stacked = np.stack(pooled, axis=1)  # (L, n, S * D): a layer is a tensor, so that one can be read alone
            self._save(keys, {str(layer): values for layer, values in enumerate(stacked)} | frames)
        return reasons

    def _encode(self, waves: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Pooled (B, L, S * D) float32 and, where they are kept, each clip's frames (L, F, D) float16.

        A clip beyond the encoder's window comes alone, and goes through window by window: its frames never lie in
        memory together unless they are kept.
        """
        size = round((self.encoder.window or 0) * SAMPLE_RATE) or max(map(len, waves))
        was_training = self.encoder.training
        self.encoder.eval()
        parts, counts, frames = [], [], []
        with torch.inference_mode():
            for first in range(0, max(map(len, waves)), size):
                wave, mask = pad([wave[first : first + size] for wave in waves])
                layers = self.encoder(wave.to(self.device), mask.to(self.device))
                parts.append({name: pool(layers, (name,)) for name in parts_of(self.encoder.statistics)})
                counts.append(layers.mask.sum(1)[None, :, None])
                if self.with_frames:
                    layers = segments(layers, self.segment)
                    frames.append([_half(layers.hidden[:, row, layers.mask[row]]) for row in range(len(waves))])
            values = joined(parts, counts, self.encoder.statistics)
        self.encoder.train(was_training)
        kept = [np.concatenate(pieces, axis=1) for pieces in zip(*frames)]
        return values.transpose(0, 1).float().cpu().numpy(), kept

    def _save(self, keys: list[str], tensors: dict[str, np.ndarray]) -> None:
        if not (self.folder / "store.json").exists():
            with whole_file(self.folder / "store.json") as path:
                path.write_text(self._about, encoding="utf-8")
        self.shards.write(keys, tensors)

    def _lacking(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that the store does not have."""
        keys = list(keys)
        return [key for key, (shard, _) in zip(keys, self.shards.find(keys).tolist()) if shard < 0]


def bytes_a_second(encoder: Encoder, frames: bool = True, segment: float = 0.0) -> float:
    """Bytes that the frames of a second of speech take in a store: WavLM large, 25 layers of 1024, 2.5 MB.

    0 without frames, and for encoders of one frame a clip; what a clip takes whatever its length is `bytes_a_clip`.
    """
    if not frames:
        return 0.0
    return 2 * encoder.layers * encoder.width * encoder.frame_rate / stretch_frames(encoder.frame_rate, segment)


def bytes_a_clip(encoder: Encoder) -> int:
    """Bytes that a clip's pooled features take in a store."""
    return 4 * encoder.layers * encoder.width * len(encoder.statistics)


def _batches(
    wanted: dict[str, Utterance], size: int, window: float | None, strict: bool, reasons: dict[str, str]
) -> Iterator[list[tuple[str, np.ndarray]]]:
    """Keys and waves, `size` at a time, a clip beyond the window alone; what cannot be read goes to `reasons`."""
    batch: list[tuple[str, np.ndarray]] = []
    for key, utterance in wanted.items():
        try:
            wave = read_audio(utterance.path, utterance.start, utterance.end)
        except AudioError as error:
            if strict:
                raise
            reasons[key] = str(error)
            continue
        if window is not None and len(wave) > window * SAMPLE_RATE:
            yield [(key, wave)]
            continue
        batch.append((key, wave))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _half(hidden: Tensor) -> np.ndarray:
    limit = torch.finfo(torch.float16).max
    return hidden.clamp(-limit, limit).half().cpu().numpy()


def _keys(utterances: list[Utterance], strict: bool) -> tuple[list[str], dict[str, str]]:
    """Each utterance's key, and the reasons for those whose file cannot be read: their key is made of their path."""
    keys, reasons = [], {}
    for utterance in utterances:
        try:
            keys.append(_key(utterance))
        except AudioError as error:
            if strict:
                raise
            keys.append(f"unread {utterance.path}")
            reasons[keys[-1]] = str(error)
    return keys, reasons


def _lengths(wanted: Mapping[_K, Utterance], strict: bool) -> tuple[dict[_K, float], dict[_K, str]]:
    """Seconds of each clip, and the reasons for those whose file has no readable header."""
    lengths, reasons = {}, {}
    for key, utterance in wanted.items():
        try:
            end = duration(utterance.path) if utterance.end is None else utterance.end
            lengths[key] = end - utterance.start
        except AudioError as error:
            if strict:
                raise
            reasons[key] = str(error)
    return lengths, reasons


def _key(utterance: Utterance) -> str:
    content = audio_digest(utterance.path).hex()
    end = None if utterance.end is None else float(utterance.end)
    return hashlib.sha256(f"{content} {float(utterance.start)} {end}".encode()).hexdigest()[:32]
