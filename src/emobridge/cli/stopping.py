"""SIGTERM and SIGHUP end a command as Ctrl-C does, so that it leaves nothing half-written behind."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from emobridge.parts import remove_parts

NAMES = ("SIGTERM", "SIGHUP")
_keeps_work = False  # of the running command


def keep_work() -> None:
    """A command calls this as soon as what it does is kept, so that the same command goes on after an interruption."""
    global _keeps_work
    _keeps_work = True


def stopped_message() -> str:
    """What a command that was interrupted says: that the same command goes on, where that is so."""
    return "stopped; the same command goes on from here" if _keeps_work else "stopped"


@contextlib.contextmanager
def as_interrupts() -> Iterator[list[int]]:
    """Within the block these signals raise KeyboardInterrupt; the list gets the number of the one that came.

    One that is ignored, as `nohup` has it, or that a program around this one handles, is left as it is. A second one
    ends the process at once.
    """
    global _keeps_work
    _keeps_work = False
    received: list[int] = []
    replaced: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    try:
        with contextlib.suppress(ValueError):  # not in the main thread, which alone may
            for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
                if signal.getsignal(number) is signal.SIG_DFL:
                    signal.signal(number, stop)
                    replaced.append(number)
        yield received
    finally:
        if received:
            remove_parts()  # of what a signal in the wrong moment left
        for number in replaced:
            signal.signal(number, signal.SIG_DFL)
