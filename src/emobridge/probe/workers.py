"""Tasks in processes of their own, one thread each."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import torch

from emobridge.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_parallel(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    initialise: Callable[..., None],
    arguments: tuple[Any, ...],
    on_done: Callable[[int, int], None],
) -> list[Result]:
    """The result of each task, in their order; `initialise(*arguments)` is called once in each process.

    Functions, arguments, tasks and results travel by pickle. Whatever ends this, Ctrl-C too, ends the processes.
    Errors: what a task raises; UserError where a process was killed.
    """
    others = set(multiprocessing.active_children())
    pool = concurrent.futures.ProcessPoolExecutor(
        min(jobs, len(tasks)), multiprocessing.get_context("spawn"), _start, (initialise, arguments)
    )
    try:
        futures = [pool.submit(work, task) for task in tasks]
        for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
            future.result()
            on_done(done, len(futures))
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        if isinstance(error, BrokenProcessPool):
            raise UserError("jobs: a process was killed, perhaps for want of memory: give fewer --jobs") from error
        raise
    pool.shutdown()
    return [future.result() for future in futures]


def _start(initialise: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a word
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    initialise(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
