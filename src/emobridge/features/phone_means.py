"""Means of an encoder's frames inside the phones of each class, computed once and kept beside the feature store.

    folder/whisper-7c2d.../9a3e....safetensors    a shard, as those of the feature store: rows of P * D a clip and layer

A row's key is made of the clip and of its phones: with another alignment of the same clip it is computed again. The
encoder's name, weights, options and the classes of phones choose the folder, which no pooled feature shares.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emobridge.data.audio import AudioError, read_utterance
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.features.encoding import ClipEncoder
from emobridge.features.finite import check_finite
from emobridge.features.shards import CorruptShard, Shards
from emobridge.features.store import SHARD, _as_text, _folder_name, _key
from emobridge.files import whole_file
from emobridge.phones.base import PHONE_CLASSES, Alignment, vowel_of
from emobridge.progress import Progress
from emobridge.types import Utterance

VERSION = 1  # of the way the means are computed: part of the folder's name
OnSkip = Callable[[str, str], None]  # gets the id of an utterance and the reason why it has no means


def phone_means(
    encoder: Encoder,
    utterances: Sequence[Utterance],
    alignments: Mapping[str, Alignment],
    store: str | Path | None = None,
    *,
    on_skip: OnSkip | None = None,
    on_progress: Progress | None = None,
) -> Tensor:
    """(N, P, L, D) float32: the mean of each layer's frames inside the phones of each of PHONE_CLASSES.

    NaN where the utterance has no phone of a class, no alignment, or cannot be read. alignments: by utterance id; what
    lies behind the end of the audio counts nothing. store: the folder of the feature store; without it nothing is kept.
    Use `PhoneMeans` where all of it is too much for the memory.
    Errors: UserError for an encoder of one frame a clip; without `on_skip` AudioError for a file that cannot be read.
    """
    with tempfile.TemporaryDirectory() as temporary:
        means = PhoneMeans(encoder, utterances, alignments, store or temporary)
        means.fill(on_skip=on_skip, on_progress=on_progress)
        return means.read(range(len(utterances)))


class PhoneMeans:
    """The means of N utterances in a folder: `fill` computes what is missing, clip by clip, and `read` gives a part."""

    def __init__(
        self,
        encoder: Encoder,
        utterances: Sequence[Utterance],
        alignments: Mapping[str, Alignment],
        store: str | Path,
    ) -> None:
        """Errors: UserError for an encoder of one frame a clip."""
        if not encoder.frame_rate:
            raise UserError(f"encoder {encoder.name}: yields one frame a clip, which has no phones")
        self.encoder, self.utterances, self.alignments = encoder, tuple(utterances), alignments
        self._about = _as_text(
            {
                "version": VERSION,
                "encoder": encoder.name,
                "weights": encoder.digest,
                "options": encoder.options,
                "phones": PHONE_CLASSES,
            }
        )
        self.folder = Path(store) / _folder_name(encoder, self._about)
        self._shards = Shards(self.folder)
        self._clips = ClipEncoder(encoder, with_frames=True, segment=0.0, batch_size=None)
        self._keys: list[str] = []  # of each utterance, "" where it has no means
        self._on_skip: OnSkip | None = None

    def fill(self, *, on_skip: OnSkip | None = None, on_progress: Progress | None = None) -> None:
        """Compute and store what is missing.

        on_skip: gets each utterance that cannot be read; without it the first one raises AudioError.
        Errors: UserError for a folder that cannot be read, or written where something is missing.
        """
        self._on_skip = on_skip
        if not self._keys:
            self._keys = [self._key_of(utterance) for utterance in self.utterances]
        self._shards.refresh()
        row_of = {key: row for row, key in enumerate(self._keys) if key}
        keys = list(row_of)  # cut from all of them: an interrupted run that goes on makes the same shards
        for first in range(0, len(keys), SHARD):
            unit = keys[first : first + SHARD]
            missing = {key: row_of[key] for key, position in zip(unit, self._shards.find(unit)) if position[0] < 0}
            if missing:
                self._compute(missing)
            if on_progress:
                on_progress(first + len(unit), len(keys))

    def read(self, rows: Sequence[int], layers: Sequence[int] | None = None) -> Tensor:
        """(len(rows), P, L, D) of some utterances and layers, by default all; NaN where there is nothing.

        It comes after `fill`.
        """
        names = [str(layer) for layer in (range(self.encoder.layers) if layers is None else layers)]
        width = len(PHONE_CLASSES) * self.encoder.width
        present = [index for index, row in enumerate(rows) if self._keys[row]]
        values = np.full((len(rows), len(names), width), np.nan, np.float32)
        while True:
            positions = self._shards.find([self._keys[rows[index]] for index in present])
            try:
                values[present] = self._shards.read_rows(positions, names, width)
                break
            except CorruptShard:
                self.fill(on_skip=self._on_skip)  # it is gone: its clips are computed again
        shaped = torch.from_numpy(values).unflatten(2, (len(PHONE_CLASSES), self.encoder.width))
        return shaped.transpose(1, 2)

    def _key_of(self, utterance: Utterance) -> str:
        """The key of an utterance's means; "" without an alignment, and where the file cannot be read."""
        alignment = self.alignments.get(utterance.id)
        if alignment is None or not alignment.phones:
            return ""
        try:
            clip = _key(utterance)
        except AudioError as error:
            self._skip(utterance, error)
            return ""
        phones = [
            (float(phone.start), float(phone.end), *_classes(phone.ipa, phone.kind)) for phone in alignment.phones
        ]
        return hashlib.sha256(f"{clip} {phones}".encode()).hexdigest()[:32]

    def _skip(self, utterance: Utterance, error: AudioError) -> None:
        if self._on_skip is None:
            raise error
        self._on_skip(utterance.id, str(error))

    def _compute(self, missing: Mapping[str, int]) -> None:
        """Compute and store the means of utterances, rows by key, as one shard."""
        clips = {key: self.utterances[row] for key, row in missing.items()}
        reasons: dict[str, str] = {}
        means: dict[str, np.ndarray] = {}  # (L, P * D)
        strict = self._on_skip is None
        for keys, windows in self._clips.batches(clips, read_utterance, strict, reasons):
            self._shards.check_writable()
            try:
                pooled, frames = self._clips.encode(windows)
                for key, values, hidden in zip(keys, pooled, frames):
                    check_finite(values, clips[key], self.encoder.name)
                    means[key] = self._means_of(clips[key], hidden)
            except AudioError as error:
                if strict:
                    raise
                reasons[keys[0]] = str(error)
        for row, key in enumerate(self._keys):
            if key in reasons:
                self._keys[row] = ""
                if self._on_skip is not None:
                    self._on_skip(self.utterances[row].id, reasons[key])
        if means:
            self._save(means)

    def _means_of(self, utterance: Utterance, hidden: np.ndarray) -> np.ndarray:
        """(L, P * D) of frames (L, F, D)."""
        alignment = self.alignments[utterance.id]
        seconds = frame_seconds(alignment, hidden.shape[1], self.encoder.frame_rate)  # (P, F)
        total = seconds.sum(1)
        share = np.where(total[:, None] > 0, seconds / np.where(total, total, 1)[:, None], np.nan)
        return (share.astype(np.float32) @ hidden.astype(np.float32)).reshape(len(hidden), -1)

    def _save(self, means: Mapping[str, np.ndarray]) -> None:
        about = self.folder / "store.json"
        if not about.exists():
            with whole_file(about) as path:
                path.write_text(self._about, encoding="utf-8")
        stacked = np.stack(list(means.values()), axis=1)  # (L, n, P * D)
        self._shards.write(list(means), {str(layer): values for layer, values in enumerate(stacked)})


def frame_seconds(alignment: Alignment, frames: int, frame_rate: float) -> np.ndarray:
    """(P, F): how many seconds of each frame lie inside the phones of each of PHONE_CLASSES.

    Frame f lasts from f / frame_rate to (f + 1) / frame_rate. So a phone shorter than a frame counts too.
    """
    seconds = np.zeros((len(PHONE_CLASSES), frames))
    for phone in alignment.phones:
        first, end = max(0, math.floor(phone.start * frame_rate)), min(frames, math.ceil(phone.end * frame_rate))
        edges = np.arange(first, end + 1) / frame_rate if end > first else np.zeros(1)
        inside = np.minimum(edges[1:], phone.end) - np.maximum(edges[:-1], phone.start)
        for name in _classes(phone.ipa, phone.kind):
            seconds[PHONE_CLASSES.index(name), first : first + len(inside)] += inside.clip(min=0)
    return seconds


def _classes(ipa: str, kind: str) -> tuple[str, ...]:
    """Those of PHONE_CLASSES that a phone belongs to."""
    return tuple(name for name in PHONE_CLASSES if name in (kind, vowel_of(ipa)))
