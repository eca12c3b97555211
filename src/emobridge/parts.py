"""Half-written files: how they are named, and how those of processes that were ended are removed.

A temporary name ends in ".part" and has the machine and the process in it: .NAME.MACHINE-PROCESS.RANDOM.part. A process
that ends removes its own, whatever ends it but SIGKILL. The next process that writes into the folder removes those of
processes of this machine, since its start, that are no more: nobody can be writing them. Those of other machines are
left alone.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
from pathlib import Path

PART = re.compile(r"\..*\.(?P<machine>[0-9a-f]{8})-(?P<process>\d{1,18})\.\w+\.part", re.DOTALL)
_parts: set[Path] = set()  # the half-written files of this process
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_parts.clear)


def new_part(path: Path) -> tuple[Path, int]:
    """Make an empty file beside `path`; the mode that a new file has there by the umask or the folder comes with it."""
    while True:
        temporary = path.with_name(f"{part_prefix(path)}{secrets.token_hex(4)}.part")
        with contextlib.suppress(FileExistsError):
            handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            _parts.add(temporary)
            mode = stat.S_IMODE(os.fstat(handle).st_mode)
            os.close(handle)
            return temporary, mode


def remove_part(part: Path) -> None:
    """Remove a file that `new_part` made, where it still is. Errors: OSError."""
    part.unlink(missing_ok=True)
    _parts.discard(part)


def part_prefix(path: Path) -> str:
    """How the name of a half-written file or folder begins, for `tempfile.mkdtemp`; it must end in ".part"."""
    name = os.fsencode(path.name)[:100].decode("utf-8", "ignore")
    return f".{name}.{_machine()}-{os.getpid()}."


@functools.cache
def _machine() -> str:
    """A short name of this machine since its start, and of the container where processes have numbers of their own."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


@functools.lru_cache(maxsize=256)
def remove_abandoned(folder: Path) -> None:
    """Remove half-written files that processes of this machine left in a folder when they were killed.

    A process looks into a folder once. What may not be removed is left.
    """
    if os.name != "posix":  # elsewhere asking for a process is not harmless
        return
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            match = PART.fullmatch(entry.name)
            if match and match["machine"] == _machine() and not _is_running(int(match["process"])):
                with contextlib.suppress(OSError):
                    shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's, or no number of a process
        return True
    return True


def remove_parts() -> None:
    """Remove what this process is writing at the moment: for one that ends at once, without ending its blocks."""
    for part in list(_parts):
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def end_at_once(number: int, frame: object = None) -> None:
    """A handler of signals, for a process that works for another: end without a word, with nothing half-written."""
    remove_parts()
    os._exit(128 + number)
