"""Finished predictions, kept beside the file that will hold them all, so that an interrupted `predict` goes on.

    2c624232cc221771... {"request": "5df6e0e2761359d3"}
    19581e27de7ced00... {"unit": "4a44dc15364204a8", "predictions": [{"id": "call.wav", "start": 0.0, ...}]}

The first line names all that every answer depends on: the bundle, the options, the inputs. Each further line has one
unit: a recording, or a part of a long one. A line begins with the sha256 of the rest of it. A line that a killed
process left unfinished, or that was damaged, does not count: its unit is answered again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from emobridge.cache import key_of
from emobridge.data.audio import AudioError, printable
from emobridge.errors import UserError, count_noun
from emobridge.files import file_version
from emobridge.inference.features import Skip
from emobridge.types import Prediction, Utterance

JOURNAL_SUFFIX = ".unfinished"  # after the name of the file that is written


class Journal:
    """The finished units of one request. It may be closed at any moment, and opened again by the same request.

        with Journal.for_output(out, key) as journal:
            predictions = answered(units, keys, answer, journal)
            write_predictions(predictions, out)
            journal.remove()

    A process holds it alone. A journal without a path keeps nothing, and has nothing.
    """

    def __init__(self, path: Path | None, request: str, on_note: Callable[[str], None] | None = None) -> None:
        """Open the journal at `path`, or make one. request: a key of all that the answers depend on.

        on_note: gets a line where units of an earlier run are used, or where another request left the journal.
        Errors: UserError where it cannot be written, and where another process writes it.
        """
        self.path = path
        self._offsets: dict[str, int] = {}  # where the line of each unit begins
        self._file: BinaryIO | None = None
        if path is None:
            return
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open_locked(path)
            note = self._find_units(request)
        if note and on_note is not None:
            on_note(f"{path}: {note}")

    @classmethod
    def for_output(cls, out: Path | None, request: str, on_note: Callable[[str], None] | None = None) -> Journal:
        """The journal of the file or folder `out`; one that keeps nothing without it, and beside a device or a pipe."""
        if out is None or (out.exists() and not out.is_file() and not out.is_dir()):
            return cls(None, request)
        return cls(out.with_name(out.name + JOURNAL_SUFFIX), request, on_note)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._offsets)

    def __contains__(self, key: str) -> bool:
        return key in self._offsets

    def read(self, key: str) -> tuple[Prediction, ...] | None:
        """The predictions of a finished unit; None of any other."""
        if self._file is None or key not in self._offsets:
            return None
        self._file.seek(self._offsets[key])
        content = _content(self._file.readline())
        return None if content is None else tuple(map(_prediction, content["predictions"]))

    def add(self, key: str, predictions: Iterable[Prediction]) -> None:
        """Write down a finished unit, so that it outlives this process. Errors: UserError where the disk is full."""
        if self.path is not None and self._file is not None:
            with _writing(self.path):
                self._offsets[key] = self._append({"unit": key, "predictions": [asdict(row) for row in predictions]})

    def close(self) -> None:
        """Let other processes have it. A journal without units is removed."""
        if self.path is None or self._file is None:
            return
        file, self._file = self._file, None
        is_empty = not self._offsets
        if is_empty and os.name == "posix":  # before another process can open it
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # of a full disk, which `add` has told
            file.close()
        if is_empty and os.name != "posix":  # an open file cannot be removed there
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the file: all predictions are where they belong."""
        self._offsets.clear()
        self.close()

    def _append(self, content: Any) -> int:
        """Write a line at the end; where it begins."""
        assert self._file is not None
        offset = self._file.seek(0, os.SEEK_END)
        text = json.dumps(content).encode()
        self._file.write(b"%s %s\n" % (_digest(text), text))
        self._file.flush()
        return offset

    def _find_units(self, request: str) -> str:
        """Find the whole lines and cut off the last one where it is torn; what the user should know, or ""."""
        assert self._file is not None
        first = self._file.readline()
        content = _content(first)
        if content is None or content.get("request") != request:
            has_units = bool(self._file.readline())
            self._file.truncate(0)
            self._append({"request": request})
            return "was left by another request; this one begins anew" if has_units else ""
        end = len(first)
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            content = _content(line)
            if content is not None:
                self._offsets[content["unit"]] = end
            end += len(line)
        self._file.truncate(end)
        return f"going on after {count_noun(len(self), 'finished unit')}" if self._offsets else ""


def answered(
    units: Iterable[Utterance],
    keys: Iterable[str],
    answer: Callable[[int], Iterable[Prediction]],
    journal: Journal | None = None,
    on_skip: Skip | None = None,
) -> Iterator[Prediction]:
    """The predictions of each unit, in order: those of a finished one from the journal, else by `answer`.

    keys: for each unit one of all that its answers depend on beside the request; see `unit_key`. answer: gets the index
    of a unit. One that cannot be read has no predictions: its id and the reason go to `on_skip`, and the next run,
    which may find it mended, answers it again. Errors: AudioError of such a unit without `on_skip`.
    """
    if journal is None:
        journal = Journal(None, "")
    for row, (unit, key) in enumerate(zip(units, keys)):
        predictions = journal.read(key)
        if predictions is None:
            try:
                predictions = tuple(answer(row))
            except AudioError as error:
                if on_skip is None:
                    raise
                on_skip(printable(unit.id), str(error))
                continue
            journal.add(key, predictions)
        yield from predictions


def unit_key(utterances: Iterable[Utterance], *more: Any) -> str:
    """A key of utterances, of their recordings as they are now, and of further plain values.

    A recording counts as the same while its size and the times of its file are.
    """
    rows = [asdict(utterance) for utterance in utterances]
    return key_of(rows, [_version(path) for path in dict.fromkeys(row["path"] for row in rows)], more)


def _version(path: str) -> tuple[Any, ...]:
    try:
        return file_version(path)
    except (OSError, ValueError):
        return ()


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


def _open_locked(path: Path) -> BinaryIO:
    """The file, which this process holds alone. Errors: UserError where another one holds it."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b")
        try:
            _lock(file, path)
            if os.path.exists(path) and os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # another process has finished and removed it in between


def _lock(file: BinaryIO, path: Path) -> None:
    """Hold a file against other processes until it is closed, where the system and its disk can."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        out = path.with_name(path.name.removesuffix(JOURNAL_SUFFIX))
        raise UserError(f"{out}: another emobridge is writing it: wait for its end, or give another --out") from error
    except OSError:  # a network disk without locks
        return


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()


def _content(line: bytes) -> dict[str, Any] | None:
    """What a line holds; None where it is torn or damaged."""
    digest, _, text = line.partition(b" ")
    text = text.removesuffix(b"\n")
    return dict(json.loads(text)) if line.endswith(b"\n") and digest == _digest(text) else None


def _prediction(row: dict[str, Any]) -> Prediction:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Prediction(**values)
