"""Rows of JSON: one object a line, or a list of objects, which is read in pieces."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from emobridge.data.encodings import text_lines
from emobridge.errors import UserError
from emobridge.files import unreadable

_CHUNK = 1 << 20  # characters read at a time
_LONGEST_OBJECT = 1 << 26  # characters
_SPACE = re.compile(r"[\s\ufeff]*")


def json_lines(path: Path, encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects, each with the number of its line. Errors: UserError naming `file:line`."""
    for number, line in enumerate(text_lines(path, encoding), 1):
        if line.strip():
            where = f"{path}:{number}"
            try:
                value = json.loads(line, object_pairs_hook=_unique)
            except (ValueError, RecursionError) as error:
                raise _no_json(where, error) from error
            yield number, _object(value, where)


def json_list(path: Path, encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a list, each with the number of the line where it begins. Errors: UserError naming `file:line`."""
    try:
        with path.open(encoding=encoding) as file:
            window = _Window(path, file)
            window.take("[")
            while window.peek() != "]":
                line = window.line
                yield line, _object(window.value(), f"{path}:{line}")
                if window.peek() != "]":
                    window.take(",")
            window.take("]")
            if window.peek():
                raise UserError(f"{path}:{window.line}: expected nothing after the list's ']'")
    except UnicodeError as error:
        raise UserError(f"{path}: not {encoding} text ({getattr(error, 'reason', error)})") from error
    except OSError as error:
        raise unreadable(path, error) from error


class _Window:
    """What was read of a file and is still to be parsed."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path, self.file = path, file
        self.text, self.at, self.line = "", 0, 1
        self.decoder = json.JSONDecoder(object_pairs_hook=_unique)

    def peek(self) -> str:
        """The next character that is no space; "" at the end of the file."""
        while True:
            match = _SPACE.match(self.text, self.at)
            assert match is not None  # it matches the empty text
            self._go(match.end())
            if self.at < len(self.text) or not self._read(_CHUNK):
                return self.text[self.at : self.at + 1]

    def take(self, character: str) -> None:
        """Go behind the next character. Errors: UserError where it is another one."""
        if self.peek() != character:
            problem = f"expected {character!r}, got {self.peek()!r}" if self.peek() else "the list has no end"
            raise _no_json(f"{self.path}:{self.line}", ValueError(problem))
        self._go(self.at + 1)

    def value(self) -> Any:
        """Parse the next value. Errors: UserError for what is no JSON, or a value without an end."""
        self.peek()
        size = _CHUNK
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
                if end < len(self.text) or not self._read(size):  # a number may go on behind what was read
                    self._go(end)
                    return value
            except (ValueError, RecursionError) as error:
                too_long = len(self.text) - self.at > _LONGEST_OBJECT
                if isinstance(error, RecursionError) or too_long or not self._read(size):
                    raise _no_json(f"{self.path}:{self.line}", error) from error
            size *= 2  # so that the time stays linear however long a value is

    def _go(self, end: int) -> None:
        self.line += self.text.count("\n", self.at, end)
        self.at = end

    def _read(self, size: int) -> bool:
        more = self.file.read(size)
        if "\0" in more:
            raise UserError(f"{self.path}: holds a NUL byte: no text, or in another encoding")
        self.text, self.at = self.text[self.at :] + more, 0
        return bool(more)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {name!r} stands twice in one object")
    return values


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected a JSON object, not {type(value).__name__}")
    return value


def _no_json(where: str, error: Exception) -> UserError:
    reason = getattr(error, "msg", None) or str(error)
    return UserError(f"{where}: not valid JSON ({reason}); expected one object a line, or a list of objects")
