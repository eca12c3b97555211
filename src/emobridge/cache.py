"""Finished work, kept in a folder so that nothing is computed twice: fits, stages, probe units and training states.

An item's key names all that it depends on; its file carries a checksum, and a damaged one counts as absent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emobridge.errors import UserError
from emobridge.files import is_readable, read_tensors, unreadable, whole_file, write_tensors

FORMAT = "2"  # of the folder; the files of another format are never read
MARK = "format"  # the file that says it


def key_of(*parts: Any) -> str:
    """A short name of plain values (and bytes), the same in every process."""
    return hashlib.sha256(_ENCODER.encode(parts).encode()).hexdigest()[:24]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} is not a plain value")


_ENCODER = json.JSONEncoder(sort_keys=True, default=_plain)  # made once: for each row that would take half of the time


def _is_filled(folder: Path) -> bool:
    """Whether a folder holds anything but hidden files. Errors: UserError where it is there and cannot be read."""
    try:
        return any(not path.name.startswith(".") for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unreadable(folder, error) from error


class Cache:
    """Items in a folder; without a folder nothing is kept."""

    def __init__(self, folder: str | Path | None) -> None:
        """Errors: UserError for a folder that another version of emobridge has filled."""
        self.folder = None if folder is None else Path(folder)
        if self.folder is None:
            return
        mark = self.folder / MARK
        if not is_readable(mark) and _is_filled(self.folder):
            raise UserError(
                f"{self.folder}: holds work of an earlier version of emobridge, which is not mixed with new work: "
                "give another --out, or delete this folder"
            )
        if is_readable(mark) and (text := mark.read_text(encoding="utf-8", errors="replace").strip()) != FORMAT:
            raise UserError(
                f"{self.folder}: holds work in format {text!r}, and this emobridge writes {FORMAT}: give another --out"
            )

    def path(self, key: str, suffix: str = ".safetensors") -> Path | None:
        """The file of an item, or one that belongs to it; None without a folder."""
        return None if self.folder is None else self.folder / f"{key}{suffix}"

    def read(self, key: str) -> tuple[dict[str, Any], dict[str, str]] | None:
        """Tensors and metadata of an item; None where there is none that is whole."""
        path = self.path(key)
        return None if path is None else read_tensors(path)

    def write(self, key: str, tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
        """Keep an item, whole or not at all."""
        path = self.path(key)
        if path is None or self.folder is None:
            return
        self.mark()
        write_tensors(path, tensors, metadata)

    def mark(self) -> None:
        """Write down the folder's format, for items that others write there."""
        if self.folder is not None and not (self.folder / MARK).is_file():
            with whole_file(self.folder / MARK) as temporary:
                temporary.write_text(FORMAT + "\n", encoding="utf-8")
