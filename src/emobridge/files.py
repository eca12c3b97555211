"""Files that are either whole or absent: written under a temporary name, then renamed.

`write_tensors` and `read_tensors` are for caches: what was damaged on the way reads as if it were not there.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from safetensors import SafetensorError, safe_open

from emobridge.errors import UserError, lacks_memory, unknown
from emobridge.parts import new_part, remove_abandoned, remove_part

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Tensors: TypeAlias = "Mapping[str, np.ndarray] | Mapping[str, Tensor]"
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # what begins a formula, escaped or not
_PLAIN_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?")
# What safetensors, json, numpy and torch make of damaged headers.
DAMAGE = (SafetensorError, ValueError, LookupError, TypeError, AttributeError, RuntimeError)
_CHECKSUM, _FRAMEWORK = "emobridge.checksum", "emobridge.framework"  # keys in the metadata of a file of tensors


@contextlib.contextmanager
def whole_file(path: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; it is renamed to `path` when the block ends without an error.

    durable: whether the file is whole after a power cut too, which takes a disk a while: not for many small files that
    are made again in no time.

    A device or a pipe, such as /dev/stdout, is written as it is. Errors: UserError where the folder cannot be written
    or the disk is full; `path` is then as it was.
    """
    path, temporary = Path(path), None
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            yield path
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent)
        temporary, mode = new_part(path)
        yield temporary
        os.chmod(temporary, mode)  # safetensors puts a file of its own there, which its owner alone may read
        if durable:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    except SafetensorError as error:  # what save_file makes of a full disk
        raise UserError(f"{path}: cannot be written ({' '.join(str(error).split())})") from error
    finally:
        if temporary is not None:
            remove_part(temporary)


def check_suffix(flag: str, path: str | Path, *suffixes: str) -> None:
    """Refuse a file that is named for another format than those that will be written, before the work.

    A device or a pipe may have any name. Errors: UserError with the nearest suffix.
    """
    path = Path(path)
    if path.suffix.lower() in suffixes or (path.exists() and not path.is_file()):
        return
    if not path.suffix:
        raise UserError(f"{flag} {path}: expected a name that ends in {' or '.join(suffixes)}")
    raise UserError(f"{flag} {path}: {unknown('suffix', path.suffix, suffixes)}")


def is_readable(path: str | Path) -> bool:
    """Whether there is a file that can be read; False where there is none.

    safetensors reports every failure to open a file as "no such file": ask this before.
    Errors: UserError where the file is there and cannot be read, such as another user's, or on a failing disk.
    """
    try:
        with Path(path).open("rb") as file:
            file.read(1)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unreadable(path, error) from error
    return True


def unreadable(path: str | Path, error: Exception) -> UserError:
    """The error for a file or folder that cannot be read; for lack of permission it names the owner, who can help."""
    denied = isinstance(error, PermissionError)
    hint = f"; it belongs to {owner_of(path)}, who can allow it: chmod a+rX" if denied else ""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or "not enough memory"
    return UserError(f"{path}: cannot be read ({reason}){hint}")


def owner_of(path: str | Path) -> str:
    """The name of the user that a file or folder belongs to, as far as it can be found out."""
    path = Path(path)
    try:
        return path.owner()
    except KeyError:  # a number without a name on this machine
        return f"user {path.stat().st_uid}"
    except (OSError, NotImplementedError):
        return "another user"


def write_tensors(path: str | Path, tensors: Tensors, metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata as one safetensors file with a checksum, whole or not at all.

    The tensors are all of numpy or all of torch. Errors: UserError where the file cannot be written; TypeError for
    tensors of both kinds.
    """
    framework, arrays = _contiguous(tensors)
    metadata = {**metadata, _FRAMEWORK: framework}
    metadata[_CHECKSUM] = _checksum(arrays, metadata)
    save: Any  # imported here: torch takes seconds, and a file of numpy arrays has no need of it
    if framework == "pt":
        from safetensors.torch import save_file as save
    else:
        from safetensors.numpy import save_file as save
    with whole_file(path) as temporary:
        save(arrays, temporary, metadata=metadata)


def read_tensors(path: str | Path) -> tuple[dict[str, Any], dict[str, str]] | None:
    """The tensors and the metadata that `write_tensors` wrote; None where the file is absent, damaged or another's.

    The tensors are of numpy or torch, as they were written; torch's are on the CPU.
    Errors: UserError where the file is there but cannot be read: no permission, a failing disk. That is no damage, and
    the file may be somebody else's good one.
    """
    if not is_readable(path):
        return None
    try:
        return _read_checked(path)
    except (OSError, MemoryError, *DAMAGE) as error:
        if is_damage(path, error):
            return None
        raise unreadable(path, error) from error


def is_damage(path: str | Path, error: Exception) -> bool:
    """Whether an error in reading a file of tensors tells of its content; a file that is gone counts as damaged.

    Want of memory, of open files or of a disk that answers does not: the file may be whole, and somebody else's.
    Errors: UserError where the file cannot be opened.
    """
    if isinstance(error, OSError) or lacks_memory(error) or "(os error " in str(error):
        return not is_readable(path) or not Path(path).stat().st_size  # safetensors' error for an empty file is its own
    return True


def _read_checked(path: str | Path) -> tuple[dict[str, Any], dict[str, str]] | None:
    with safe_open(path, framework="np") as file:
        metadata = dict(file.metadata() or {})
    checksum = metadata.pop(_CHECKSUM)
    with safe_open(path, framework=metadata[_FRAMEWORK]) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if _checksum(tensors, metadata) != checksum:
        return None
    del metadata[_FRAMEWORK]
    return tensors, metadata


def _contiguous(tensors: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The framework, "np" or "pt", and the tensors as safetensors takes them: contiguous, little-endian, not shared."""
    import numpy as np

    if all(isinstance(tensor, (np.ndarray, np.generic)) for tensor in tensors.values()):
        little = {name: tensor.dtype.newbyteorder("<") for name, tensor in tensors.items()}
        return "np", {name: np.asarray(tensor, little[name], order="C") for name, tensor in tensors.items()}
    import torch

    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name}: expected a torch tensor as the others are, got {type(tensor).__name__}")
    return "pt", {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _checksum(tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> str:
    """BLAKE2b over names, dtypes, shapes, values and metadata, in the order of the names."""
    names = sorted(tensors)
    header = [[name, str(tensors[name].dtype), list(tensors[name].shape)] for name in names]
    digest = hashlib.blake2b(json.dumps([header, metadata], sort_keys=True).encode(), digest_size=16)
    for name in names:
        flat = tensors[name].reshape(-1)
        if hasattr(flat, "numpy"):  # of torch
            import torch

            flat = flat.view(torch.uint8).numpy()
        digest.update(flat.view("uint8").data)
    return digest.hexdigest()


def read_json(path: str | Path) -> Any:
    """The content of a JSON file. Errors: UserError where it cannot be read, and as `parse_json`."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text ({error.reason})") from error
    except OSError as error:
        raise unreadable(path, error) from error
    return parse_json(text, path)


def parse_json(text: str, where: object) -> Any:
    """The value in a JSON text. where: begins the error.

    Errors: UserError for what is no JSON, is nested too deeply, or has a key twice, of which either might be meant.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise UserError(f"{where}: is not valid JSON (it is nested too deeply)") from error
    except ValueError as error:
        raise UserError(f"{where}: is not valid JSON ({error})") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice")
    return values


def file_digest(path: str | Path) -> bytes:
    """The sha256 of a file's content, 32 bytes.

    A process reads a file again only when its size, time of modification or of change, inode or device has changed.
    Errors: OSError.
    """
    return _file_digest(*file_version(path))


def file_version(path: str | Path) -> tuple[str, int, int, int, int, int]:
    """The absolute path of a file and what changes with its content: device, inode, size, and both times in ns.

    Errors: OSError.
    """
    path = os.path.abspath(path)
    stat = os.stat(path)
    return path, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


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
    folder = os.environ.get("EMOBRIDGE_CACHE")
    if folder:
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "emobridge")


def escape_cell(value: Any) -> Any:
    """A cell that no spreadsheet runs as a formula: an apostrophe before a text that begins like one.

    This is OWASP's way against CSV injection: = + - @, tab and carriage return begin a formula, full-width signs too.
    Numbers stay as they are. `unescape_cell` undoes it; a text that is escaped already gets one more apostrophe.

    >>> [escape_cell(text) for text in ("=1+1", "-0.5", "-a", "'=1", "it's", None)]
    ["'=1+1", '-0.5', "'-a", "''=1", "it's", None]
    """
    if not isinstance(value, str) or not _FORMULA.match(value) or _PLAIN_NUMBER.fullmatch(value):
        return value
    return "'" + value


def unescape_cell(text: str) -> str:
    """The text that `escape_cell` was given.

    >>> [unescape_cell(text) for text in ("'=1+1", "''=1", "it's", "'tis")]
    ['=1+1', "'=1", "it's", "'tis"]
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def write_cells(path: str | Path, cells: Sequence[Any], kind: type[Any]) -> None:
    """Write a table as CSV, whole or not at all; numbers with six decimals, texts as `escape_cell` has them.

    kind: the dataclass of its rows. Errors: UserError.
    """
    names = [field.name for field in fields(kind)]
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        for cell in cells:
            row = asdict(cell)
            writer.writerow(
                {key: f"{value:.6f}" if isinstance(value, float) else escape_cell(value) for key, value in row.items()}
            )


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], *, escape: bool = True) -> None:
    """Write rows with the same keys, at least one, as a CSV file, whole or not at all; None is an empty cell.

    escape: write texts as `escape_cell` has them, for people's spreadsheets; another tool would read the apostrophes.
    """
    if path.suffix.lower() != ".csv":
        raise UserError(f"{path}: expected a file that ends in .csv")
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        first = next(rows := iter(rows))
        writer = csv.DictWriter(file, tuple(first), lineterminator="\n")
        writer.writeheader()
        try:
            for row in itertools.chain([first], rows):
                writer.writerow({key: escape_cell(value) for key, value in row.items()} if escape else row)
        except UnicodeEncodeError as error:
            raise UserError(f"{path}: a name that is not UTF-8 text: {error.object!a}") from error
