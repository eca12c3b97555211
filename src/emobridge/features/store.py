"""The layer-feature store: features of clips from a frozen encoder, computed once.

    folder/whisper-1f0c.../store.json             the encoder and settings of the features in this folder
    folder/whisper-1f0c.../9a3e....safetensors    a shard: up to SHARD clips (see shards.py)
    folder/whisper-1f0c.../index.cache            of many shards: where each clip is, for quick opening

A clip's key is the sha256 of its file's bytes with its start, end and channel: a file may move, and a changed one is
computed again. The encoder's name, weights, options and statistics choose the folder. Shards are whole or absent: a
killed process loses at most the shard that it was computing. Stored features can be read without the right to write.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from emobridge.data.ahead import ReadAhead
from emobridge.data.audio import AudioError, audio_digest, audio_digests, read_utterance, utterance_seconds
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError, unknown
from emobridge.features.encoding import ClipEncoder, ReadWave, is_beyond_window
from emobridge.features.finite import check_finite
from emobridge.features.pooling import frames_per_stretch
from emobridge.features.shards import CorruptShard, Shards
from emobridge.features.units import cut_units
from emobridge.files import whole_file
from emobridge.progress import Progress
from emobridge.types import Utterance

STORE_VERSION = 1  # of the layout and of the way features are computed: part of the folder's name
SHARD = 64  # clips in a shard
SHARD_FRAMES = 8  # clips in a shard with every frame
CHECKED_TOGETHER = 4096  # clips whose features are looked at together: what is found takes a quarter of their memory
_K = TypeVar("_K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Features:
    """Pooled features of N clips, in the order of the utterances that could be read."""

    values: np.ndarray  # (N, L, S * D) float32 of L layers and S statistics, or (N, S * D) of a single named layer
    ids: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]  # id and reason of each utterance that could not be read


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the clips of one shard."""

    computed: int  # clips
    present: int  # clips that the store had
    skipped: tuple[tuple[str, str], ...]  # id and reason of each clip that has no features


class FeatureStore:
    """Layer features of one encoder in `folder`; several processes may use it at once.

    frames: store every frame too, as float16, for `frames_of`.
    segment: seconds; above zero, means over consecutive stretches of so many seconds take the place of the frames (see
    `pooling.segments`). The last stretch of a clip is shorter. Where a clip is longer than the encoder's window, the
    last stretch of each window may be shorter, and no stretch crosses two windows.
    last_layer: layers behind it are neither computed nor stored, which takes a folder of its own; what the folder of
    all layers holds already is read from there. So a part is never taken for the whole, and serves no other part.
    half: store pooled features in half precision: half the bytes; each number is off by at most 2^-11 of itself and
    3e-8, and cut at 65504. They are read as single precision. Such features have a folder of their own.
    batch_size: clips encoded together; None is 1 on a CPU, where more is no faster, and as many seconds of speech as
    the memory holds on an accelerator, which is used where the encoder is on one (see `data.devices.placed`).

    With 1 a clip's features depend on nothing but the clip, to the last bit. With more, and on another device, their
    rounding differs, by at most `data.devices.TOLERANCE` of a layer's largest number. The key of a store holds the
    weights, options and engine of the encoder, but neither the device nor the batches: what a GPU computed serves a
    machine without one, and the two may stand side by side.
    Errors: UserError for a segment below 0.
    """

    def __init__(
        self,
        folder: str | Path,
        encoder: Encoder,
        *,
        frames: bool = False,
        segment: float = 0.0,
        batch_size: int | None = None,
        last_layer: int | None = None,
        half: bool = False,
    ) -> None:
        if last_layer is not None and not 0 <= last_layer < encoder.layers:
            raise ValueError(f"last layer {last_layer} of the feature store: expected 0 to {encoder.layers - 1}")
        if not 0 <= segment < math.inf:
            raise UserError(f"segment {segment!r} of the feature store: expected 0 or more seconds")
        self.encoder = encoder
        self.with_frames = frames
        self.segment = float(segment)
        self.half = half
        self.layers = encoder.layers if last_layer is None else last_layer + 1
        self.clip_encoder = ClipEncoder(
            encoder, with_frames=frames, segment=self.segment, batch_size=batch_size, last_layer=last_layer
        )
        about: dict[str, object] = {
            "version": STORE_VERSION,
            "encoder": encoder.name,
            "weights": encoder.digest,
            "options": encoder.options,
            "statistics": encoder.statistics,
            "frames": frames,
        }
        if frames and segment:  # left out otherwise: so named are the folders of versions that had no segments
            about["segment"] = self.segment
        if half:  # likewise
            about["rows"] = "float16"
        self._about = _as_text(about)
        self.folder = Path(folder) / _folder_name(encoder, self._about)
        self.whole: Shards | None = None  # of all layers, to read from
        if self.layers < encoder.layers:
            self.whole = Shards(self.folder)
            self._about = _as_text({**about, "layers": self.layers})
            self.folder = Path(folder) / _folder_name(encoder, self._about)
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

        layer: a name from "0" to "L-1" reads this layer only, a sequence of such names these layers. Bad files are
        skipped and listed; with `strict` the first one raises.
        Errors: AudioError (strict); UserError for an unknown layer, for a store that cannot be read, and for one that
        lacks features and cannot be written.
        """
        utterances = list(utterances)
        names = self._layers(layer)
        keys, reasons = _keys(utterances, strict)
        width = self.encoder.width * len(self.encoder.statistics)
        values: np.ndarray
        while True:
            reasons |= self._compute(utterances, keys, reasons, on_progress, strict)
            good = [row for row, key in enumerate(keys) if key not in reasons]
            try:
                values = self._read([keys[row] for row in good], names, width)
                break
            except CorruptShard:
                continue  # it is gone; compute its clips again
        if not _all_finite(values):  # stored by a version that did not look
            bad, finite = self._not_finite([utterances[row] for row in good], values, strict)
            reasons |= {keys[good[index]]: reason for index, reason in bad.items()}
            values, good = values[finite], [good[index] for index in finite]
        return Features(
            values=values[:, 0] if isinstance(layer, str) else values,
            ids=tuple(utterances[row].id for row in good),
            skipped=tuple((row.id, reasons[key]) for row, key in zip(utterances, keys) if key in reasons),
        )

    def _read(self, keys: Sequence[str], names: Sequence[str], width: int) -> np.ndarray:
        """The pooled features (N, len(names), width) of keys that are here, or in the folder of all layers.

        Errors: CorruptShard where a shard of either is damaged; it is gone then.
        """
        if self.whole is None:
            return self.shards.read_rows(self.shards.find(keys), names, width)
        positions = self.whole.find(keys)
        is_whole = positions[:, 0] >= 0
        values = np.empty((len(keys), len(names), width), np.float32)
        values[is_whole] = self.whole.read_rows(positions[is_whole], names, width)
        values[~is_whole] = self.shards.read_rows(self.shards.find(keys)[~is_whole], names, width)
        return values

    def _refresh(self) -> None:
        for shards in (self.shards, self.whole):
            if shards is not None:
                shards.refresh()

    def lacks(self, utterances: Sequence[Utterance]) -> bool:
        """Whether the store has no features of some of these clips, as far as it has looked; bad files count nothing.

        Errors: UserError for a store that cannot be read.
        """
        if not self.shards.names:
            self._refresh()
        keys, reasons = _keys(list(utterances), strict=False)
        return bool(self._lacking(key for key in keys if key not in reasons))

    def compute_shard(self, utterances: Sequence[Utterance], *, strict: bool = False) -> Added:
        """Compute what the store lacks of the clips of one unit (see `units`), and store it as one shard.

        Other processes may do the same beside this one. Bad files are skipped and listed; with `strict` the first one
        raises. Errors: as `extract`.
        """
        keys, reasons = _keys(list(utterances), strict)
        clips = {key: utterance for key, utterance in zip(keys, utterances) if key not in reasons}
        if not self.shards.names or not self.folder.exists():
            self._refresh()
        missing = self._lacking(clips)
        if missing and self.shards.find_new(missing):  # another process has written it since
            missing = []
        if missing:
            waiting = {key: clips[key] for key in missing}
            with self._reader(list(waiting.values())) as read:
                reasons |= self._compute_shard(waiting, strict, read)
        skipped = tuple((row.id, reasons[key]) for row, key in zip(utterances, keys) if key in reasons)
        computed = len([key for key in keys if key in missing and key not in reasons])
        return Added(computed, len(keys) - computed - len(skipped), skipped)

    def _not_finite(
        self, utterances: Sequence[Utterance], values: np.ndarray, strict: bool
    ) -> tuple[dict[int, str], list[int]]:
        """The reasons for the rows of values (N, ...) that are not all finite, and the other rows."""
        reasons: dict[int, str] = {}
        for row, utterance in enumerate(utterances):
            try:
                check_finite(values[row], utterance, self.encoder.name)
            except AudioError as error:
                if strict:
                    raise
                reasons[row] = str(error)
        return reasons, [row for row in range(len(utterances)) if row not in reasons]

    def frames_of(self, utterance: Utterance, layer: str | None = None) -> np.ndarray:
        """(L, F, D) float16 of one utterance, or (F, D) of one layer; computed where the store lacks it.

        F counts frames, or stretches of `segment` seconds. Errors: UserError for an unknown layer, and for a store
        without frames.
        """
        if not self.with_frames:
            raise UserError("this feature store keeps no frames: open it with frames=True")
        self._layers(layer)
        key = _key(utterance)
        while True:
            if self._lacking([key]):
                self._compute([utterance], [key], {}, None, strict=True)
            try:
                return self.shards.read_frames(key, layer)
            except CorruptShard:
                continue

    def size_of(self, utterances: Iterable[Utterance]) -> int:
        """An estimate of the bytes that these utterances take in the store; files that cannot be read count nothing."""
        rate = bytes_per_second(self.encoder, self.with_frames, self.segment)
        vector = bytes_per_clip(self.encoder) // (2 if self.half else 1)
        lengths, _ = _lengths(dict(enumerate(utterances)), strict=False)
        return round(sum(vector + rate * seconds for seconds in lengths.values()))

    def _layers(self, layer: str | Sequence[str] | None) -> tuple[str, ...]:
        names = tuple(map(str, range(self.layers)))
        selected = names if layer is None else (layer,) if isinstance(layer, str) else tuple(layer)
        for name in selected:
            if name not in names:
                raise unknown(f"layer of encoder {self.encoder.name}", name, names)
        return selected

    def _compute(
        self,
        utterances: Sequence[Utterance],
        keys: Sequence[str],
        unread: Mapping[str, str],
        on_progress: Progress | None,
        strict: bool,
    ) -> dict[str, str]:
        """Compute and store the features of the clips that the store lacks; the reason for each that has none.

        unread: reasons for keys of clips that are left out. Shards are cut from all clips, not from those that are
        missing: an interrupted run that is continued puts the same clips into a shard as one that was not interrupted.
        """
        self._refresh()
        reasons: dict[str, str] = {}
        if not self._lacking({key for key in keys if key not in unread}):
            if on_progress:
                on_progress(len(keys), len(keys))
            return reasons
        units = cut_units(utterances, clips_per_shard(self.with_frames), strict=strict)
        done, count = 0, sum(map(len, units))
        with self._reader([utterances[row] for rows in units for row in rows]) as read:
            for rows in units:
                clips = {keys[row]: utterances[row] for row in rows}
                missing = self._lacking({key: None for key in clips if key not in unread})
                if missing:
                    reasons |= self._compute_shard({key: clips[key] for key in missing}, strict, read)
                done += len(rows)
                if on_progress:
                    on_progress(done, count)
        return reasons

    @contextlib.contextmanager
    def _reader(self, clips: Sequence[Utterance]) -> Iterator[ReadWave]:
        """What reads the clips, in that order: on an accelerator they are decoded ahead.

        On a CPU the threads would take the time of the encoder.
        """
        if not self.clip_encoder.is_accelerated:
            yield read_utterance
            return
        lengths, _ = _lengths(dict(enumerate(clips)), strict=False)
        whole = ((clips[row], length) for row, length in lengths.items() if not is_beyond_window(self.encoder, length))
        with ReadAhead(whole) as ahead:
            yield ahead.read

    def _compute_shard(
        self, clips: dict[str, Utterance], strict: bool, read: ReadWave = read_utterance
    ) -> dict[str, str]:
        """Compute and store the features of the clips, by their keys, as one shard; the reason for each without any.

        read: gives a clip's audio. It needs nothing of other shards, and may run beside them in other processes.
        """
        stored: list[str] = []
        pooled: list[np.ndarray] = []  # (L, S * D)
        frames: dict[str, np.ndarray] = {}
        reasons: dict[str, str] = {}
        for keys, windows in self.clip_encoder.batches(clips, read, strict, reasons):
            if not stored:
                self.shards.check_writable()
            try:
                values, hidden = self.clip_encoder.encode(windows)
            except AudioError as error:  # behind the first window of a long clip
                if strict:
                    raise
                reasons[keys[0]] = str(error)
                continue
            bad, finite = self._not_finite([clips[key] for key in keys], values, strict)
            reasons |= {keys[row]: reason for row, reason in bad.items()}
            stored += [keys[row] for row in finite]
            pooled += [values[row] for row in finite]
            frames |= {f"frames {keys[row]}": hidden[row] for row in finite if hidden}
        if stored:
            stacked = np.stack(pooled, axis=1)  # (L, n, S * D): a layer is a tensor, so that one can be read alone
            if self.half:
                limit = np.finfo(np.float16).max
                stacked = stacked.clip(-limit, limit).astype(np.float16)
            self._save(stored, {str(layer): values for layer, values in enumerate(stacked)} | frames)
        return reasons

    def _save(self, keys: list[str], tensors: dict[str, np.ndarray]) -> None:
        if not (self.folder / "store.json").exists():
            with whole_file(self.folder / "store.json") as path:
                path.write_text(self._about, encoding="utf-8")
        self.shards.write(keys, tensors)

    def _lacking(self, keys: Iterable[str]) -> list[str]:
        """The keys that neither the store nor the folder of all layers has."""
        keys = list(keys)
        is_lacking = self.shards.find(keys)[:, 0] < 0
        if self.whole is not None:
            is_lacking &= self.whole.find(keys)[:, 0] < 0
        return [key for key, lacking in zip(keys, is_lacking.tolist()) if lacking]


def last_of(layers: Sequence[str]) -> int | None:
    """The `last_layer` of a store from which these layers, by their names, are read; None, all, where there are none.

    >>> last_of(("3", "10"))
    10
    """
    return max(map(int, layers), default=None)


def _as_text(about: Mapping[str, object]) -> str:
    return json.dumps(about, indent=1, sort_keys=True) + "\n"


def _folder_name(encoder: Encoder, about: str) -> str:
    return f"{encoder.name}-{hashlib.sha256(about.encode()).hexdigest()[:16]}"


def clips_per_shard(frames: bool) -> int:
    """How many clips a shard has, in a store of frames or without."""
    return SHARD_FRAMES if frames else SHARD


def bytes_per_second(encoder: Encoder, frames: bool = True, segment: float = 0.0) -> float:
    """Bytes that the frames of a second of speech take in a store: 2.5 MB of WavLM large, 25 layers of 1024.

    0 without frames, and for encoders of one frame a clip. Pooled features take `bytes_per_clip` more.
    """
    if not frames:
        return 0.0
    return 2 * encoder.layers * encoder.width * encoder.frame_rate / frames_per_stretch(encoder.frame_rate, segment)


def bytes_per_clip(encoder: Encoder) -> int:
    """Bytes that a clip's pooled features take in a store."""
    return 4 * encoder.layers * encoder.width * len(encoder.statistics)


def _keys(utterances: list[Utterance], strict: bool) -> tuple[list[str], dict[str, str]]:
    """Each utterance's key, made of its path where the file cannot be read, and the reasons for such keys."""
    keys, reasons = [], {}
    digests = audio_digests(utterance.path for utterance in utterances)
    for utterance in utterances:
        digest = digests[utterance.path]
        if isinstance(digest, bytes):
            keys.append(_key_of(utterance, digest))
            continue
        if strict:
            raise digest
        keys.append(f"unread {utterance.path}")
        reasons[keys[-1]] = str(digest)
    return keys, reasons


def _all_finite(values: np.ndarray) -> bool:
    parts = (values[first : first + CHECKED_TOGETHER] for first in range(0, len(values), CHECKED_TOGETHER))
    return all(bool(np.isfinite(part).all()) for part in parts)


def _lengths(clips: Mapping[_K, Utterance], strict: bool) -> tuple[dict[_K, float], dict[_K, str]]:
    """Seconds of each clip, and the reasons for those whose file has no readable header."""
    lengths, reasons = {}, {}
    for key, utterance in clips.items():
        try:
            lengths[key] = utterance_seconds(utterance)
        except AudioError as error:
            if strict:
                raise
            reasons[key] = str(error)
    return lengths, reasons


def _key(utterance: Utterance) -> str:
    return _key_of(utterance, audio_digest(utterance.path))


def _key_of(utterance: Utterance, digest: bytes) -> str:
    """The key of a stretch of a file, by the digest of the file's content."""
    content = digest.hex()
    end = None if utterance.end is None else float(utterance.end)
    channel = "" if utterance.channel is None else f" {utterance.channel}"  # as before there were channels
    return hashlib.sha256(f"{content} {float(utterance.start)} {end}{channel}".encode()).hexdigest()[:32]
