"""Cells of a grid, one after the other or in processes of their own. What is finished lies in the work folder."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from emobridge.data.speech import Fold, Speech, folds_of
from emobridge.errors import UserError
from emobridge.settings import Settings
from emobridge.study.run import Predicted, Runner, Work
from emobridge.training.checkpoints import LogPoint
from emobridge.training.stages import staged
from emobridge.training.tasks import Matrices


@dataclass(frozen=True, slots=True)
class Unit:
    """What a process is given at a time: one cell and seed, all folds."""

    settings: Settings
    seed: int


@dataclass(frozen=True, slots=True)
class Done:
    """What a unit's method said of each side, and the log of its training."""

    predicted: tuple[Predicted, ...]
    log: tuple[tuple[str, LogPoint], ...]  # "method, seed 0, fold 1" and a point


class Bench:
    """Runs units on one speech. Units of a seed should follow each other: its folds, and what CORAL finds, are kept.

    kept: the folder of what stages ended with, see `stages.run_stages`.
    """

    def __init__(self, speech: Speech, digest: str, kept: str) -> None:
        self.speech, self.digest, self.kept = speech, digest, kept
        self.seed = -1
        self.folds: tuple[Fold, ...] = ()
        self.matrices: Matrices = {}

    def run(self, unit: Unit, on_fold: Callable[[], None] = lambda: None) -> Done:
        """One unit. All units of a bench share how speech is split."""
        settings = unit.settings
        if unit.seed != self.seed:
            self.seed, self.folds, self.matrices = unit.seed, folds_of(self.speech, settings, unit.seed), {}
        work = Work(Path(settings.out) / "work", settings, self.speech, self.digest)
        kept = Path(self.kept) if staged(settings) else None  # elsewhere a method has more to it than its stage
        runner = Runner(settings, self.speech, work, self.matrices, kept)
        said = runner.system(settings.method, unit.seed, self.folds, on_fold)
        return Done(tuple(said), tuple(runner.log))


def run_units(bench: Bench, units: Sequence[Unit], jobs: int, report: Callable[[int, int], None]) -> list[Done]:
    """Each unit, in order. With several jobs processes do the fits, and this one then reads them.

    Errors: UserError of a fit, and where a process was killed.
    """
    if jobs > 1:
        _in_processes(bench, units, jobs, report)
        return [bench.run(unit) for unit in units]
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        report(done, len(units) * len(bench.folds))

    return [bench.run(unit, one_more) for unit in units]


def _in_processes(bench: Bench, units: Sequence[Unit], jobs: int, report: Callable[[int, int], None]) -> None:
    """All fits of the units, one thread a process; whatever ends this, Ctrl-C too, ends the processes."""
    speech = bench.speech
    values = None if speech.features is None else speech.features.numpy()  # a tensor would travel as shared memory
    others = set(multiprocessing.active_children())
    pool = concurrent.futures.ProcessPoolExecutor(
        min(jobs, len(units)),
        multiprocessing.get_context("spawn"),
        _start,
        (replace(speech, features=None), values, bench.digest, bench.kept),
    )
    try:
        waiting = [pool.submit(_run, unit) for unit in units]
        for done, future in enumerate(concurrent.futures.as_completed(waiting), 1):
            future.result()
            report(done, len(units))
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        if isinstance(error, BrokenProcessPool):
            raise UserError("jobs: a process was killed, perhaps for want of memory: give fewer --jobs") from error
        raise
    pool.shutdown()


_bench: Bench  # of a process that works for another


def _start(speech: Speech, values: object, digest: str, kept: str) -> None:
    global _bench
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a word
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _bench = Bench(replace(speech, features=None if values is None else torch.as_tensor(values)), digest, kept)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(unit: Unit) -> None:
    _bench.run(unit)
