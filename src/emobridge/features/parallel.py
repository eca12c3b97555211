"""Work in processes of their own: each has one thread, and none outlives the process that asked for it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from emobridge.errors import UserError
from emobridge.parts import end_at_once
from emobridge.progress import Progress


@dataclass(frozen=True, slots=True)
class Work:
    """What processes do of items: each calls start(*arguments) once, then function(item) again and again."""

    function: Callable[[Any], Any]
    start: Callable[..., None]
    arguments: tuple[Any, ...] = ()


PROCESS_START = "spawn"  # anew, for libraries that use threads or a GPU do not bear to be forked


class Crew(Protocol):
    """Processes that wait for work: the `Pool` of this machine, or those of a cluster."""

    @property
    def jobs(self) -> int:
        """How many work at once."""

    def submit(self, work: Callable[..., Any], *items: Any) -> Any:
        """Have one of them do work(*items); what `result` takes."""

    def result(self, future: Any) -> Any:
        """What came of it. Errors: those of the work, and UserError where the processes died."""


class Workers(Protocol):
    """Where work runs that is not done in this process: on the clusters of the room `scale`."""

    @property
    def device(self) -> str:
        """The name of the device on which its processes encode."""

    def sharing(self, *folders: str | Path) -> Workers:
        """The same for work that keeps its results in these folders, which all machines must share."""

    def crew(self, start: Callable[..., None], arguments: Sequence[Any]) -> contextlib.AbstractContextManager[Crew]:
        """Processes that begin with start(*arguments); the end of the block cancels what is under way."""

    def run(self, work: Work, items: Sequence[Any], on_progress: Progress | None = None) -> list[Any]:
        """As `run_parallel`."""


class Pool:
    """Processes that begin with start(*arguments). Whatever ends the block, Ctrl-C too, ends them."""

    def __init__(self, jobs: int, start: Callable[..., None], arguments: Sequence[Any]) -> None:
        self.jobs = jobs
        self._others = set(multiprocessing.active_children())
        context = multiprocessing.get_context(PROCESS_START)
        self._pool = concurrent.futures.ProcessPoolExecutor(jobs, context, _begin, (start, tuple(arguments)))

    def submit(self, work: Callable[..., Any], *items: Any) -> concurrent.futures.Future[Any]:
        """Have a process do work(*items). Errors: as `result`."""
        try:
            return self._pool.submit(work, *items)
        except BrokenProcessPool as error:
            raise _killed() from error

    def result(self, future: concurrent.futures.Future[Any]) -> Any:
        """What came of it. Errors: those of the work, and UserError where a process was killed."""
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise _killed() from error

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._pool.shutdown()
            return
        self._pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - self._others:
            child.terminate()


def _killed() -> UserError:
    return UserError("jobs: a process was killed, perhaps for want of memory: give fewer --jobs")


def run_parallel(
    work: Work, items: Sequence[Any], *, jobs: int, workers: Workers | None = None, on_progress: Progress | None = None
) -> list[Any]:
    """The results of the items, in their order, from `jobs` processes at most, or from workers where there are some.

    on_progress: gets items. Errors: those of the work, and UserError where a process was killed.
    """
    if workers is not None:
        return workers.run(work, items, on_progress)
    with Pool(max(1, min(jobs, len(items))), work.start, work.arguments) as pool:
        futures = [pool.submit(work.function, item) for item in items]
        for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
            pool.result(future)
            if on_progress is not None:
                on_progress(done, len(items))
    return [future.result() for future in futures]


def _begin(start: Callable[..., None], arguments: Sequence[Any]) -> None:
    import torch

    for number in (signal.SIGINT, signal.SIGTERM):  # they end it without a word
        signal.signal(number, end_at_once)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    start(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        end_at_once(signal.SIGTERM)
