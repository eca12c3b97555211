"""What was found out about files, noted in the cache folder for the next process: digests, and what clips sound like.

    notes = open_notes()
    digest = notes.read(key)  # None where nothing is noted
    notes.write(key, digest)

A note is for one version of a file: its path, inode, size and times. A file that was modified in the last seconds gets
none, since another change may leave its times as they are. Notes only spare work: where they cannot be read or written,
or are damaged, it is done again. The oldest go when there are too many.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import itertools
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from emobridge.files import cache_folder, file_digest, file_version

NOTES_FILE = "notes.sqlite"
OLDEST = (  # a quarter of the notes
    "DELETE FROM notes WHERE id IN (SELECT id FROM notes ORDER BY id LIMIT (SELECT (COUNT(*) + 3) / 4 FROM notes))"
)
CREATION = "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, key BLOB UNIQUE, value BLOB)"
MOST_NOTE_BYTES = 1 << 30  # bytes of all notes: about half a million clips
SETTLED = 2.0  # s since a file's modification, from which a note of it is written
PENDING = 500  # notes that are written together
TOGETHER = 500  # notes that are read together: alone each takes four times as long
WAITING = 5.0  # s for another process that writes; after that this one does without
CHECK = 8  # bytes of the checksum at the end of a note

_Version = tuple[str, int, int, int, int, int]  # of a file, as `files.file_version` has it
_Path = TypeVar("_Path", str, Path, str | Path)
_Value = TypeVar("_Value")


class Notes:
    """Notes by their key in one file, which several processes may use at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._pending: dict[bytes, bytes] = {}
        self._database: sqlite3.Connection | None = None

    def read(self, key: bytes) -> bytes | None:
        """A note; None where there is none, or a damaged one."""
        return self.read_all([key]).get(key)

    def read_all(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The notes of those keys that have one; damaged ones are left out."""
        found: dict[bytes, bytes] = {}
        for part in _batches(keys):
            rows: list[tuple[bytes, object]] = []
            with self._lock:
                found |= {key: self._pending[key] for key in part if key in self._pending}
                with self._usable() as database:
                    question = f"SELECT key, value FROM notes WHERE key IN ({','.join('?' * len(part))})"
                    rows = database.execute(question, part).fetchall()
            for key, noted in rows:
                if isinstance(noted, bytes) and noted[-CHECK:] == _checksum(key, noted[:-CHECK]):
                    found.setdefault(key, noted[:-CHECK])
        return found

    def write(self, key: bytes, value: bytes) -> None:
        """Write a note, now or, with others, before the process ends."""
        with self._lock:
            self._pending[key] = value
            is_full = len(self._pending) >= PENDING
        if is_full:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            rows = [(key, value + _checksum(key, value)) for key, value in self._pending.items()]
            self._pending.clear()
            if not rows:
                return
            with self._usable() as database, database:
                database.executemany("INSERT OR REPLACE INTO notes (key, value) VALUES (?, ?)", rows)
                pages, free, size = (
                    database.execute(f"PRAGMA {name}").fetchone()[0]
                    for name in ("page_count", "freelist_count", "page_size")
                )
                if (pages - free) * size > MOST_NOTE_BYTES:
                    database.execute(OLDEST)

    @contextlib.contextmanager
    def _usable(self) -> Iterator[sqlite3.Connection]:
        """The database. What goes wrong with it ends the block, not the work."""
        if self._database is None:
            self._database = self._opened()
        try:
            yield self._database
        except sqlite3.Error as error:
            self._database.close()
            self._database = _stand_in() if isinstance(error, sqlite3.OperationalError) else self._renewed()

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except (sqlite3.OperationalError, OSError):  # no such folder, no permission, or locked for too long
            return _stand_in()
        except sqlite3.Error:
            return self._renewed()

    def _connected(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, timeout=WAITING, check_same_thread=False)
        try:
            database.execute(CREATION)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _renewed(self) -> sqlite3.Connection:
        """An empty database in place of a damaged one."""
        try:
            self.path.unlink(missing_ok=True)
            return self._connected()
        except (sqlite3.Error, OSError):
            return _stand_in()


def _stand_in() -> sqlite3.Connection:
    """An empty database for this process alone, where the file cannot be used."""
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.execute(CREATION)
    return database


def open_notes() -> Notes:
    """The notes in the cache folder."""
    key = (os.getpid(), str(cache_folder()))
    if key not in _open:
        _open[key] = Notes(cache_folder() / NOTES_FILE)
    return _open[key]


def noted_digest(path: str | Path) -> bytes:
    """`files.file_digest`, from the notes where this version of the file is noted. Errors: OSError."""
    digest = noted_digests([path])[path]
    if isinstance(digest, OSError):
        raise digest
    return digest


def noted_digests(paths: Iterable[_Path]) -> dict[_Path, bytes | OSError]:
    """`noted_digest` of each path, which is looked at once; the error of a file that cannot be read."""
    digests: dict[_Path, bytes | OSError] = {}
    for part in _batches(dict.fromkeys(paths)):
        versions: dict[_Path, _Version] = {}
        for path in part:
            try:
                versions[path] = file_version(path)
            except OSError as error:
                digests[path] = error
        keys = {version: _key_of(version) for version in versions.values() if version not in _digests}
        noted = open_notes().read_all(keys.values()) if keys else {}
        for path, version in versions.items():
            try:
                digests[path] = _digest_of(path, version, noted.get(keys.get(version, b"")))
            except OSError as error:
                digests[path] = error
    return digests


def _digest_of(path: str | Path, version: _Version, noted: bytes | None) -> bytes:
    """The digest of a version of a file: known to this process, noted, or computed and noted."""
    if version not in _digests:
        if len(_digests) >= 1 << 17:
            _digests.clear()
        _digests[version] = _read_or_compute(path, version, noted)
    return _digests[version]


def _read_or_compute(path: str | Path, version: _Version, noted: bytes | None) -> bytes:
    if noted is not None and len(noted) == hashlib.sha256().digest_size:
        with open(path, "rb"):  # whoever may not read a file learns nothing about it
            return noted
    digest, modified = file_digest(path), version[-2]
    if time.time() - modified / 1e9 > SETTLED and file_version(path) == version:
        open_notes().write(_key_of(version), digest)
    return digest


def _key_of(version: _Version) -> bytes:
    name, _, inode, size, modified, changed = version  # without the device: its number may change when it is mounted
    return key_of_note("digest", name, inode, size, modified, changed)


def key_of_note(*parts: object) -> bytes:
    """The key of a note about these plain values."""
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _checksum(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(key + value, digest_size=CHECK).digest()


def _batches(values: Iterable[_Value]) -> Iterator[list[_Value]]:
    """The values, TOGETHER at a time."""
    rest = iter(values)
    while part := list(itertools.islice(rest, TOGETHER)):
        yield part


_open: dict[tuple[int, str], Notes] = {}
_digests: dict[_Version, bytes] = {}


@atexit.register
def _flush() -> None:
    for (process, _), notes in _open.items():
        if process == os.getpid():
            with contextlib.suppress(Exception):  # at the end nobody is left to whom it would matter
                notes.flush()
