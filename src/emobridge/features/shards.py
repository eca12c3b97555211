"""The shards of a feature store on disk: which there are, what is in them, and reading and writing them.

    folder/9a3e....safetensors     a shard: a tensor a layer with a row a clip, and each clip's frames if they are kept
    folder/index.cache             a cache of the shards' headers, in the same format

The shards are the truth. The index saves opening each of them: it tells which key is in which row of which shard. It
may lack shards or name some that are gone, and is made anew where it is missing or damaged. Shards and index are whole
or absent, so that several processes may write at once; the index that is written last stays, and what it lacks is read
from the shards' headers when a store is opened next.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from emobridge.errors import UserError
from emobridge.files import whole_file

INDEX = "index.cache"
RECENT = 1 << 16  # keys beside the sorted ones; more of them are sorted in
FEW = 64  # shards that the index may lack; with more, or a tenth of all, it is written anew
STALE = 24 * 3600  # s after which a file that a killed process left half written is removed


class CorruptShard(Exception):
    """A shard could not be read; it is gone now, and its clips are absent."""


class Shards:
    """The shards in `folder`. Keys are 32 hexadecimal digits, names are files of the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []  # of every shard that was ever seen; its place is its number
        self.numbers: dict[str, int] = {}  # of the shards that are there
        self._indexed = 0  # shards that the index file knows
        self._keys = np.empty(0, "S16")  # sorted; a key that is in two shards is there twice
        self._places = np.empty((0, 2), np.int32)  # shard number and row of each key
        self._recent: dict[bytes, tuple[int, int]] = {}

    def refresh(self) -> None:
        """Learn what there is: from the index on the first call, and from the headers of shards that are new since."""
        try:
            there = {entry.name for entry in os.scandir(self.folder)}
        except OSError:
            there = set()
        if not self.names and INDEX in there:
            self._load()
        self._remove_stale(there)
        shards = {name for name in there if name.endswith(".safetensors")}
        self._forget(self.numbers.keys() - shards)
        for name in sorted(shards - self.numbers.keys()):
            try:
                with safe_open(self.folder / name, framework="np") as file:
                    self._enter(name, json.loads(file.metadata()["keys"]))
            except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
                self._discard(name, error, _stamp(self.folder / name))
        self._save_index()

    def find(self, keys: Sequence[str]) -> np.ndarray:
        """(N, 2) int: the number of the shard and the row of each key; -1 where it is absent."""
        raw = [bytes.fromhex(key) for key in keys]
        found = np.full((len(raw), 2), -1, np.int32)
        if len(self._keys) and raw:
            wanted = np.array(raw, "S16")
            places = np.searchsorted(self._keys, wanted).clip(max=len(self._keys) - 1)
            same = self._keys[places] == wanted
            found[same] = self._places[places[same]]
        if self._recent:
            for row, key in enumerate(raw):
                found[row] = self._recent.get(key.rstrip(b"\0"), found[row])
        return found

    def write(self, keys: list[str], tensors: dict[str, np.ndarray]) -> None:
        """A new shard of these keys. Errors: UserError where the folder cannot be written."""
        tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        sums = {name: _sums(name, tensor) for name, tensor in tensors.items()}
        name = hashlib.sha256("".join(keys).encode()).hexdigest()[:32] + ".safetensors"
        with whole_file(self.folder / name) as path:
            save_file(tensors, path, metadata={"keys": json.dumps(keys), "sums": json.dumps(sums)})
        self._enter(name, keys)
        self._save_index()

    def read_rows(self, places: np.ndarray, layers: Sequence[str], width: int) -> np.ndarray:
        """The pooled features (N, len(layers), width) at (N, 2) places: each shard is opened once, for these layers.

        Errors: CorruptShard.
        """
        values = np.empty((len(places), len(layers), width), np.float32)
        order = np.argsort(places[:, 0], kind="stable")
        for mine in np.split(order, np.flatnonzero(np.diff(places[order, 0])) + 1) if len(order) else []:
            tensors = self._read(self.names[places[mine[0], 0]], layers)
            for place, tensor in enumerate(tensors):
                values[mine, place] = tensor[places[mine, 1]]
        return values

    def read_frames(self, key: str, layer: str | None) -> np.ndarray:
        """(L, F, D) float16 of a clip that is there, or (F, D) of one layer. Errors: CorruptShard."""
        return self._read(self.names[self.find([key])[0, 0]], (f"frames {key}",), layer)[0]

    def _read(self, shard: str, tensors: Iterable[str], layer: str | None = None) -> list[np.ndarray]:
        """Tensors of one shard, or a layer of each; what does not have its checksum makes the shard corrupt."""
        path, found = self.folder / shard, []
        stamp = _stamp(path)
        try:
            with safe_open(path, framework="np") as file:
                sums = json.loads(file.metadata()["sums"])
                for name in tensors:
                    tensor = file.get_tensor(name) if layer is None else file.get_slice(name)[int(layer)]
                    expected = sums[name] if layer is None or isinstance(sums[name], int) else [sums[name][int(layer)]]
                    _check(name, tensor if layer is None else tensor[None], expected, whole=layer is None)
                    found.append(tensor)
        except (SafetensorError, OSError, ValueError, KeyError, IndexError, TypeError) as error:
            self._discard(shard, error, stamp)
            raise CorruptShard(shard) from error
        return found

    def _enter(self, name: str, keys: Sequence[str]) -> None:
        number = len(self.names)
        raw = [bytes.fromhex(key) for key in keys]
        if any(len(key) != 16 for key in raw):
            raise ValueError("its keys are not of 32 hexadecimal digits")
        self.names.append(name)
        self.numbers[name] = number
        self._recent |= {key.rstrip(b"\0"): (number, row) for row, key in enumerate(raw)}
        if len(self._recent) > RECENT:
            self._sort()

    def _sort(self) -> None:
        """The recent keys among the sorted ones."""
        if not self._recent:
            return
        keys = np.concatenate([np.array(list(self._recent), "S16"), self._keys])
        places = np.concatenate([np.array(list(self._recent.values()), np.int32).reshape(-1, 2), self._places])
        order = np.argsort(keys, kind="stable")  # of equal ones the most recent first
        self._keys, self._places, self._recent = keys[order], places[order], {}

    def _forget(self, names: Iterable[str]) -> None:
        gone = [self.numbers.pop(name) for name in list(names) if name in self.numbers]
        if gone:
            self._recent = {key: place for key, place in self._recent.items() if place[0] not in gone}
            kept = ~np.isin(self._places[:, 0], gone)
            self._keys, self._places = self._keys[kept], self._places[kept]

    def _discard(self, name: str, error: Exception, stamp: tuple[int, ...] | None) -> None:
        """Forget a shard that cannot be read, and remove it unless another process has just written it anew."""
        self._forget([name])
        path = self.folder / name
        if stamp is not None and _stamp(path) == stamp:
            reason = " ".join(str(error).split())
            warnings.warn(f"{path}: corrupt, is computed again ({reason})", stacklevel=2)
            path.unlink(missing_ok=True)

    def _load(self) -> None:
        """Begin with what the index file tells, where it is whole."""
        try:
            with safe_open(self.folder / INDEX, framework="np") as file:
                about = file.metadata()
            names = json.loads(about["names"])
            arrays = load_file(self.folder / INDEX)
            keys, places = arrays["keys"], arrays["places"]
            if about["sum"] != _index_sum(names, keys, places) or places[:, 0].max(initial=-1) >= len(names):
                raise ValueError("its checksum is another")
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, IndexError):
            return  # it is only a cache
        self.names, self.numbers = names, {name: number for number, name in enumerate(names)}
        self._keys, self._places = keys.reshape(-1).view("S16"), places
        self._indexed = len(names)

    def _save_index(self) -> None:
        """Write the index anew where it lacks many shards."""
        if len(self.names) - self._indexed <= max(FEW, len(self.names) // 10):
            return
        self._sort()
        alive = np.full(len(self.names), -1, np.int32)
        names = list(self.numbers)
        alive[list(self.numbers.values())] = np.arange(len(names), dtype=np.int32)
        places = np.stack([alive[self._places[:, 0]], self._places[:, 1]], axis=1)
        keys = np.frombuffer(self._keys.tobytes(), np.uint8).reshape(-1, 16)
        about = {"names": json.dumps(names), "sum": _index_sum(names, keys, places)}
        self._indexed = len(self.names)
        try:
            with whole_file(self.folder / INDEX) as path:
                save_file({"keys": keys, "places": places}, path, metadata=about)
        except UserError:
            pass  # a store that can be read only; the headers are read again next time

    def _remove_stale(self, there: set[str]) -> None:
        """Half-written files of processes that were killed long ago."""
        for name in there:
            if name.startswith(".") and name.endswith(".part"):
                stamp = _stamp(self.folder / name)
                if stamp is not None and time.time() - stamp[2] / 1e9 > STALE:
                    (self.folder / name).unlink(missing_ok=True)


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What tells one version of a file from the next; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _sums(name: str, tensor: np.ndarray) -> int | list[int]:
    """The checksum of a tensor; of frames one a layer, so that a layer can be read alone."""
    return [zlib.crc32(layer.data) for layer in tensor] if name.startswith("frames ") else zlib.crc32(tensor.data)


def _check(name: str, tensor: np.ndarray, expected: int | list[int], whole: bool) -> None:
    """Errors: ValueError. Old shards have one sum for all frames of a clip, which tells nothing of one layer."""
    if isinstance(expected, int):
        right = not whole or zlib.crc32(np.ascontiguousarray(tensor).data) == expected
    else:
        right = [zlib.crc32(np.ascontiguousarray(layer).data) for layer in tensor] == expected
    if not right:
        what = name.partition(" ")[0] if name.startswith("frames") else f"layer {name}"
        raise ValueError(f"{what} does not have its checksum")


def _index_sum(names: list[str], keys: np.ndarray, places: np.ndarray) -> str:
    value = zlib.crc32(json.dumps(names).encode())
    for array in (keys, places):
        value = zlib.crc32(np.ascontiguousarray(array).data, value)
    return str(value)
