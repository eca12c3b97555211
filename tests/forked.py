"""Work in other processes that have all imports of this one, which a new interpreter would take seconds for."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

import pytest


def fork_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on a `Pool` has copies of this process, where the system can copy processes."""
    if hasattr(os, "fork"):
        monkeypatch.setattr("emobridge.features.parallel.PROCESS_START", "fork")


def start_forked(call: Callable[[], object]) -> int:
    """Begin a call in a copy of this process; its number. Skips the test where the system cannot copy processes."""
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork")
    process = os.fork()
    if process:
        return process
    try:
        call()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def end_of(process: int) -> int:
    """How it ended: 0, 1 where the call failed, or less the number of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
