"""Files that are either whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from emobridge.errors import UserError


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes `path`'s place when the block ends well.

    Errors: UserError where the folder cannot be written or the disk is full; `path` is then as it was.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes it private; a result is not
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    except SafetensorError as error:  # what save_file makes of a full disk
        raise UserError(f"{path}: cannot be written ({' '.join(str(error).split())})") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def file_digest(path: str | Path) -> bytes:
    """The sha256 of a file's content, 32 bytes.

    A process reads a file again only when its size, time of modification or of change, inode or device has changed.
    Errors: OSError.
    """
    path = os.path.abspath(path)
    stat = os.stat(path)
    return _file_digest(path, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@functools.lru_cache(maxsize=1 << 17)
def _file_digest(path: str, *version: int) -> bytes:
    """The digest of this version of a file; the version only tells it from others."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()


def cache_folder() -> Path:
    """Where features are kept between runs: $EMOBRIDGE_CACHE, or emobridge in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("EMOBRIDGE_CACHE") or Path(base) / "emobridge")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_cells(path: str | Path, cells: Sequence[Any], kind: type[Any]) -> None:
    """The table as CSV, whole or absent; numbers with six decimals. `kind` is the dataclass of its rows.

    Errors: UserError.
    """
    names = [field.name for field in fields(kind)]
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        for cell in cells:
            row = asdict(cell)
            writer.writerow({key: f"{value:.6f}" if isinstance(value, float) else value for key, value in row.items()})


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the same keys as a CSV file, whole or not at all; None is an empty cell."""
    if path.suffix.lower() != ".csv":
        raise UserError(f"{path}: expected a file that ends in .csv")
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, tuple(rows[0]), lineterminator="\n")
        writer.writeheader()
        try:
            writer.writerows(rows)
        except UnicodeEncodeError as error:
            raise UserError(f"{path}: a name that is not UTF-8 text: {error.object!a}") from error
