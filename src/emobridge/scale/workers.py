"""Workers on a Ray cluster, with the face of `features.parallel.Workers`: the same work, the same results.

A machine or a process that dies is no error: Ray gives what it was doing to another one, up to RETRIES times. In the
pipeline too the work is tasks, and a process keeps its encoder open from one to the next: actors of Ray Data lose items
of a machine that dies.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import secrets
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from emobridge.errors import UserError
from emobridge.files import whole_file
from emobridge.scale.cluster import check_address, connected, devices
from emobridge.scale.worker import Failure, Setup, outcome

RETRIES = 3  # how often what was lost with a machine or a process is given to another one
BLOCKS = 32  # of items for each device: what a task of the pipeline works on
Finished = Generator[tuple[int, bytes], None, None]  # the index of an item and its pickled outcome, as they come


@dataclass(frozen=True, slots=True)
class Tasks:
    """A Ray task for each item, on a cluster: for fits, of which there are few and long ones.

    folders: where the work keeps its results, which all machines must share. with_gpus: the work is for GPUs, and each
    process has one, where the cluster has any; else each has a CPU.
    """

    address: str
    folders: tuple[str, ...] = ()
    with_gpus: bool = False

    def __post_init__(self) -> None:
        check_address(self.address)

    def run(
        self,
        work: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        start: Callable[..., None],
        arguments: Sequence[Any],
        progress: Callable[[int, int], None] = lambda done, count: None,
    ) -> list[Any]:
        """work(item) of each item, in their order, in processes of one thread that begin with start(*arguments).

        Errors: those of `work`; UserError where no cluster answers, for a machine that does not share the folders, and
        for an item that its processes died of.
        """
        if not items:
            return []
        results: list[Any] = [None] * len(items)
        key = secrets.token_hex(8)
        with contextlib.ExitStack() as stack:
            marks = tuple(stack.enter_context(_mark(Path(folder), key)) for folder in dict.fromkeys(self.folders))
            ray = stack.enter_context(connected(self.address))
            stack.enter_context(_given_up())
            setup = Setup(key, os.getcwd(), marks, start, tuple(arguments), work)
            fetch = partial(ray.get, ray.put(_pickled(setup)))
            finished = stack.enter_context(contextlib.closing(self._finished(ray, items, fetch, key)))
            for done, (index, content) in enumerate(finished, 1):
                results[index] = _result(content)
                progress(done, len(items))
        return results

    def _finished(self, ray: Any, items: Sequence[Any], setup: Callable[[], bytes], key: str) -> Finished:
        _, gpus = self._devices(ray)
        task = ray.remote(num_cpus=1, num_gpus=min(1, gpus), max_retries=RETRIES, max_calls=0)(outcome)
        numbers = {task.remote(_pickled(item), setup, key): index for index, item in enumerate(items)}
        waiting = list(numbers)
        try:
            while waiting:
                (ready,), waiting = ray.wait(waiting)
                yield numbers[ready], ray.get(ready)
        finally:
            for reference in waiting:
                ray.cancel(reference, force=True)

    def _devices(self, ray: Any) -> tuple[int, int]:
        """The CPUs of the cluster, and the GPUs that are used."""
        cpus, gpus = devices(ray)
        return cpus, gpus if self.with_gpus else 0


@dataclass(frozen=True, slots=True)
class Pipeline(Tasks):
    """The same as a pipeline of Ray Data: for clips, of which there are so many that few may be under way at a time."""

    def _finished(self, ray: Any, items: Sequence[Any], setup: Callable[[], bytes], key: str) -> Finished:
        cpus, gpus = self._devices(ray)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        count = min(len(items), BLOCKS * (gpus or cpus))
        rows = [  # a block has items from everywhere: where the long ones come first, blocks take equally long
            {"index": index, "item": _pickled(items[index])}
            for first in range(count)
            for index in range(first, len(items), count)
        ]
        source = ray.data.from_items(rows, override_num_blocks=count)
        options = {"batch_size": 1, "num_cpus": 1, "num_gpus": 1 if gpus else None, "max_retries": RETRIES}
        with warnings.catch_warnings():  # Ray 2.64 will do without max_retries
            warnings.simplefilter("ignore")
            pipeline = source.map_batches(partial(_work_on_batch, setup=setup, key=key), **options)
        for row in pipeline.iter_rows():
            yield row["index"], row["result"]


def _work_on_batch(batch: dict[str, Any], *, setup: Callable[[], bytes], key: str) -> dict[str, list[Any]]:
    """Of a batch of one item: its index and its pickled outcome."""
    return {"index": list(batch["index"]), "result": [outcome(item, setup, key) for item in batch["item"]]}


@contextlib.contextmanager
def _mark(folder: Path, key: str) -> Iterator[str]:
    """A hidden file in a folder, by which machines see that they share it."""
    path = folder.absolute() / f".cluster-{key}"
    with whole_file(path) as temporary:
        temporary.write_text("", encoding="utf-8")
    try:
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


def _pickled(value: Any) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _result(content: bytes) -> Any:
    result = pickle.loads(content)
    if isinstance(result, Failure):
        result.throw()
    return result


@contextlib.contextmanager
def _given_up() -> Iterator[None]:
    """Errors: UserError for what Ray gives up."""
    from ray.exceptions import RayError

    try:
        yield
    except RayError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"cluster: a process died {RETRIES + 1} times at the same work, perhaps for want of memory ({reason}); "
            "what is finished is kept"
        ) from error
