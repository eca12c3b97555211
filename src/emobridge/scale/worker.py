"""What a process of the cluster does: it prepares once for a piece of work, then works on one item after the other.

An error of the work is a result that goes back, so that Ray repeats only what a machine or a process took with it.
"""

from __future__ import annotations

import os
import pickle
import platform
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emobridge.errors import UserError


@dataclass(frozen=True, slots=True)
class Setup:
    """What every process of one piece of work needs, pickled once for all of them."""

    key: str  # of this piece of work
    folder: str  # that relative paths begin at
    shared: tuple[str, ...]  # files that the command has just made: who does not see them sees another disk
    engine: str  # the exact engine of frozen encoders, for the same bytes everywhere
    start: Callable[..., None]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of the work."""

    error: Exception
    trace: str

    def throw(self) -> None:
        """Raise it where the command runs."""
        raise self.error from RuntimeError(f"on the cluster:\n{self.trace}")


_ready = ""  # the key of the work that this process has prepared for


def outcome(task: bytes, setup: Callable[[], bytes], key: str) -> bytes:
    """The pickled result of a pickled pair (work, items), or its Failure.

    setup: fetches the pickled Setup, whose key is `key`.
    """
    try:
        _prepare(setup, key)
        work, items = pickle.loads(task)
        result = work(*items)
        return pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return pickle.dumps(_failure(error))


def _prepare(setup: Callable[[], bytes], key: str) -> None:
    global _ready
    if _ready == key:
        return
    _ready = ""
    import torch

    ready: Setup = pickle.loads(setup())
    torch.set_num_threads(1)  # as in the processes of --jobs
    os.environ["EMOBRIDGE_ENGINE"] = ready.engine
    _enter(ready.folder, ready.shared)
    ready.start(*ready.arguments)
    _ready = key


def _enter(folder: str, shared: Sequence[str]) -> None:
    """Work where the command was given. Errors: UserError for a machine that does not share its folders."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(_not_shared(folder, "the folder of the command")) from error
    for path in shared:
        if not Path(path).exists():
            raise UserError(_not_shared(str(Path(path).parent), "where results are kept"))


def _not_shared(folder: str, what: str) -> str:
    return f"cluster: machine {platform.node()} does not see {folder}, {what}: it must be on a disk that all share"


def _failure(error: Exception) -> Failure:
    trace = traceback.format_exc()
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # of a library whose errors do not travel
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return Failure(error, trace)
