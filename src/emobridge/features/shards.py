"""The shards of a feature store on disk: which shards there are, what they hold, and how they are read and written.

    folder/9a3e....safetensors    a shard: a tensor a layer with a row a clip, and each clip's frames if they are stored
    folder/index.cache            a cache of the shards' headers, in the same format

The shards are the truth. The index saves opening each of them: it says which row of which shard a key has. It may lack
shards or list some that are gone, and is built again where it is missing or damaged. Shards and index are whole or
absent, so that several processes may write at once: the index written last stays, and the shards that it lacks are read
from their headers when the store is opened next.

A damaged shard is removed, and its clips are computed again. A shard that cannot be opened, such as another user's, is
not damaged: it is left alone, and an error says so. Whatever is stored can be read without the right to write.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from emobridge.errors import UserError
from emobridge.files import DAMAGE, is_damage, is_readable, owner_of, unreadable, whole_file
from emobridge.parts import remove_abandoned

INDEX = "index.cache"
MAX_RECENT = 1 << 16  # keys outside the sorted ones; with more of them all are sorted
MAX_UNINDEXED = 64  # shards that the index may lack; with more, and more than a tenth of all, it is written again
STALE = 24 * 3600  # s after which a half-written file of a killed process is removed


class CorruptShard(Exception):
    """A shard was damaged or has been removed; it is gone now, and its clips are absent."""


class Shards:
    """The shards in `folder`. Keys are 32 hexadecimal digits, names are files of the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []  # of every shard seen so far, by its number
        self.numbers: dict[str, int] = {}  # of the shards that are there now
        self._indexed = 0  # shards in the index file
        self._damaged: dict[str, tuple[int, ...]] = {}  # versions of shards that could not be removed
        self._keys = np.empty(0, "S16")  # sorted; a key that is in two shards occurs twice
        self._positions = np.empty((0, 2), np.int32)  # shard number and row of each key
        self._recent: dict[bytes, tuple[int, int]] = {}

    def refresh(self) -> None:
        """Read which shards there are: on the first call from the index, and from the headers of shards new since.

        Errors: UserError where the folder or a shard is there and cannot be read.
        """
        try:
            files = {entry.name for entry in os.scandir(self.folder)}
        except (FileNotFoundError, NotADirectoryError):
            files = set()
        except OSError as error:
            raise _elsewhere(unreadable(self.folder, error)) from error
        if not self.names and INDEX in files:
            self._load()
        self._remove_stale(files)
        shards = {name for name in files if name.endswith(".safetensors")}
        self._forget(self.numbers.keys() - shards)
        for name in sorted(shards - self.numbers.keys()):
            if name in self._damaged and self._damaged[name] == _stamp(self.folder / name):
                continue
            self._read_header(name)
        self._save_index()

    def _read_header(self, name: str) -> None:
        """Enter a shard's keys; a damaged one is removed. Errors: UserError where it cannot be opened."""
        with contextlib.suppress(CorruptShard), self._open(name) as file:
            keys = json.loads(file.metadata()["keys"])
            if name != _name_of(keys):
                raise ValueError("its keys are not those of its name")
            self._enter(name, keys)

    def find_new(self, keys: Sequence[str]) -> bool:
        """Whether another process has written the shard of exactly these keys; it is then known here too.

        Errors: UserError where it is there and cannot be opened.
        """
        name = _name_of(keys)
        if not (self.folder / name).exists():
            return False
        self._read_header(name)
        return name in self.numbers

    def find(self, keys: Sequence[str]) -> np.ndarray:
        """(N, 2) int: the number of the shard and the row of each key; -1 where it is absent."""
        raw = [bytes.fromhex(key) for key in keys]
        positions = np.full((len(raw), 2), -1, np.int32)
        if len(self._keys) and raw:
            queries = np.array(raw, "S16")
            index = np.searchsorted(self._keys, queries).clip(max=len(self._keys) - 1)
            same = self._keys[index] == queries
            positions[same] = self._positions[index[same]]
        if self._recent:
            for row, key in enumerate(raw):
                positions[row] = self._recent.get(key.rstrip(b"\0"), positions[row])
        return positions

    def check_writable(self) -> None:
        """Check that shards can be added. Errors: UserError that names the folder, and who can allow it."""
        folder = self.folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UserError(
                f"{folder}: cannot be written, and features of some clips are missing; it belongs to "
                f"{owner_of(folder)}: ask for the right to write, or give another folder (--store)"
            )

    def write(self, keys: list[str], tensors: dict[str, np.ndarray]) -> None:
        """Write a new shard of these keys. Errors: UserError where the folder cannot be written."""
        tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        sums = {name: _sums(name, tensor) for name, tensor in tensors.items()}
        name = _name_of(keys)
        with whole_file(self.folder / name) as path:
            about = {"keys": keys, "sums": sums, "shapes": [tensor.shape for tensor in tensors.values()]}
            metadata = {name: json.dumps(value, separators=(",", ":")) for name, value in about.items()}
            save_file(tensors, path, metadata=metadata)
            _sort_metadata(path)
        self._enter(name, keys)
        self._save_index()

    def read_rows(self, positions: np.ndarray, layers: Sequence[str], width: int) -> np.ndarray:
        """The pooled features (N, len(layers), width) at (N, 2) positions, as `find` gives them.

        Each shard is opened once, for these layers.
        Errors: CorruptShard; UserError for a shard that cannot be opened.
        """
        values = np.empty((len(positions), len(layers), width), np.float32)
        order = np.argsort(positions[:, 0], kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(positions[order, 0])) + 1) if len(order) else []:
            tensors = self._read(self.names[positions[rows[0], 0]], layers, width=width)
            for layer, tensor in enumerate(tensors):
                values[rows, layer] = tensor[positions[rows, 1]]
        return values

    def read_frames(self, key: str, layer: str | None) -> np.ndarray:
        """(L, F, D) float16 of a clip that is there, or (F, D) of one layer. Errors: as for `read_rows`."""
        return self._read(self.names[self.find([key])[0, 0]], (f"frames {key}",), layer=layer)[0]

    def _read(
        self, shard: str, names: Iterable[str], *, layer: str | None = None, width: int | None = None
    ) -> list[np.ndarray]:
        """Tensors of one shard, or a layer of each; one without its checksum or shape makes the shard corrupt.

        width: of tensors that have a row for each key of the shard.
        """
        tensors = []
        with self._open(shard) as file:
            about = {name: json.loads(value) for name, value in file.metadata().items()}
            sums = about["sums"]
            shapes = dict(zip(sums, about.get("shapes", ())))  # older shards have none
            for name in names:
                shape = file.get_slice(name).get_shape()
                if shape != shapes.get(name, shape) or (width is not None and shape != [len(about["keys"]), width]):
                    raise ValueError(f"{name} has another shape")
                tensor = file.get_tensor(name) if layer is None else file.get_slice(name)[int(layer)]
                expected = sums[name] if layer is None or isinstance(sums[name], int) else [sums[name][int(layer)]]
                _check(name, tensor if layer is None else tensor[None], expected, whole=layer is None)
                tensors.append(tensor)
        return tensors

    @contextlib.contextmanager
    def _open(self, name: str) -> Iterator[Any]:
        """A shard's file, open. A damaged one is removed, unless another process has just written it again.

        Errors: CorruptShard where it is damaged or gone; UserError where it is there and cannot be opened.
        """
        path = self.folder / name
        stamp = _stamp(path)
        try:
            if not is_readable(path):
                raise CorruptShard(name)
            with safe_open(path, framework="np") as file:
                yield file
        except CorruptShard:
            self._forget([name])
            raise
        except UserError as error:
            raise _elsewhere(error) from error
        except (OSError, MemoryError, *DAMAGE) as error:
            if not self._is_damage(path, error):
                raise _elsewhere(unreadable(path, error)) from error
            self._discard(name, error, stamp)
            raise CorruptShard(name) from error

    def _is_damage(self, path: Path, error: Exception) -> bool:
        try:
            return is_damage(path, error)
        except UserError as refusal:
            raise _elsewhere(refusal) from error

    def _enter(self, name: str, keys: Sequence[str]) -> None:
        number = len(self.names)
        raw = [bytes.fromhex(key) for key in keys]
        if any(len(key) != 16 for key in raw):
            raise ValueError("its keys are not of 32 hexadecimal digits")
        self.names.append(name)
        self.numbers[name] = number
        self._recent |= {key.rstrip(b"\0"): (number, row) for row, key in enumerate(raw)}
        if len(self._recent) > MAX_RECENT:
            self._sort()

    def _sort(self) -> None:
        """Move the recent keys among the sorted ones."""
        if not self._recent:
            return
        keys = np.concatenate([np.array(list(self._recent), "S16"), self._keys])
        positions = np.concatenate([np.array(list(self._recent.values()), np.int32).reshape(-1, 2), self._positions])
        order = np.argsort(keys, kind="stable")  # of equal ones the most recent first
        self._keys, self._positions, self._recent = keys[order], positions[order], {}

    def _forget(self, names: Iterable[str]) -> None:
        gone = [self.numbers.pop(name) for name in list(names) if name in self.numbers]
        if gone:
            self._recent = {key: (shard, row) for key, (shard, row) in self._recent.items() if shard not in gone}
            there = ~np.isin(self._positions[:, 0], gone)
            self._keys, self._positions = self._keys[there], self._positions[there]

    def _discard(self, name: str, error: Exception, stamp: tuple[int, ...] | None) -> None:
        """Forget a damaged shard, and remove it unless another process has just written it again."""
        self._forget([name])
        path = self.folder / name
        if stamp is not None and _stamp(path) == stamp:
            reason = " ".join(str(error).split())
            warnings.warn(f"{path}: corrupt, is computed again ({reason})", stacklevel=2)
            try:
                path.unlink(missing_ok=True)
            except OSError:  # in a folder that cannot be written
                self._damaged[name] = stamp

    def _load(self) -> None:
        """Begin with the content of the index file, where it is whole."""
        try:
            with safe_open(self.folder / INDEX, framework="np") as file:
                about = file.metadata()
            names = json.loads(about["names"])
            arrays = load_file(self.folder / INDEX)
            keys, positions = arrays["keys"], arrays["places"]
            if about["sum"] != _index_sum(names, keys, positions) or positions[:, 0].max(initial=-1) >= len(names):
                raise ValueError("its checksum is another")
        except (*DAMAGE, OSError):
            return  # it is only a cache
        self.names, self.numbers = names, {name: number for number, name in enumerate(names)}
        self._keys, self._positions = keys.reshape(-1).view("S16"), positions
        self._indexed = len(names)

    def _save_index(self) -> None:
        """Write the index again where it lacks many shards."""
        if len(self.names) - self._indexed <= max(MAX_UNINDEXED, len(self.names) // 10):
            return
        self._sort()
        number_in_index = np.full(len(self.names), -1, np.int32)
        names = list(self.numbers)
        number_in_index[list(self.numbers.values())] = np.arange(len(names), dtype=np.int32)
        positions = np.stack([number_in_index[self._positions[:, 0]], self._positions[:, 1]], axis=1)
        keys = np.frombuffer(self._keys.tobytes(), np.uint8).reshape(-1, 16)
        about = {"names": json.dumps(names), "sum": _index_sum(names, keys, positions)}
        self._indexed = len(self.names)
        with contextlib.suppress(UserError), whole_file(self.folder / INDEX) as path:
            save_file({"keys": keys, "places": positions}, path, metadata=about)  # where it cannot, headers do as well

    def _remove_stale(self, files: set[str]) -> None:
        """Remove half-written files of processes that were killed: on this machine, and elsewhere long ago.

        A shard is written in seconds. What may not be removed is left.
        """
        remove_abandoned(self.folder)
        for name in files:
            if name.startswith(".") and name.endswith(".part"):
                stamp = _stamp(self.folder / name)
                if stamp is not None and time.time() - stamp[2] / 1e9 > STALE:
                    with contextlib.suppress(OSError):
                        (self.folder / name).unlink(missing_ok=True)


def _sort_metadata(path: Path) -> None:
    """Bring the metadata of a safetensors file into order: the library writes them in an order that is never the same.

    The format: https://github.com/huggingface/safetensors#format (the header's size in 8 bytes, the header, tensors).
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        ordered = json.dumps(header, separators=(",", ":")).encode()
        if len(ordered) <= size:  # else the library writes its text in another way, and the file stays as it is
            file.seek(8)
            file.write(ordered.ljust(size))


def _elsewhere(reason: object) -> UserError:
    return UserError(f"{reason}; or give another folder (--store)")


def _name_of(keys: Sequence[str]) -> str:
    """The file name of a shard follows from its keys, so that no other keys are believed."""
    return hashlib.sha256("".join(keys).encode()).hexdigest()[:32] + ".safetensors"


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Inode, size and time of a file, which tell its versions apart; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _sums(name: str, tensor: np.ndarray) -> int | list[int]:
    """The checksum of a tensor; of frames one a layer, so that a layer can be read alone."""
    return [zlib.crc32(layer.data) for layer in tensor] if name.startswith("frames ") else zlib.crc32(tensor.data)


def _check(name: str, tensor: np.ndarray, expected: int | list[int], whole: bool) -> None:
    """Errors: ValueError. Old shards have one sum for all frames of a clip, which proves nothing about one layer."""
    if isinstance(expected, int):
        right = not whole or zlib.crc32(np.ascontiguousarray(tensor).data) == expected
    else:
        right = [zlib.crc32(np.ascontiguousarray(layer).data) for layer in tensor] == expected
    if not right:
        what = name.partition(" ")[0] if name.startswith("frames") else f"layer {name}"
        raise ValueError(f"{what} does not have its checksum")


def _index_sum(names: list[str], keys: np.ndarray, positions: np.ndarray) -> str:
    value = zlib.crc32(json.dumps(names).encode())
    for array in (keys, positions):
        value = zlib.crc32(np.ascontiguousarray(array).data, value)
    return str(value)
