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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from emobridge.encoders import fixed_engine
from emobridge.errors import UserError
from emobridge.features.parallel import Work
from emobridge.files import whole_file
from emobridge.progress import Progress
from emobridge.scale.cluster import check_address, connected, slots
from emobridge.scale.worker import Failure, Setup, outcome

RETRIES = 3  # how often what was lost with a machine or a process is given to another one
BLOCKS = 32  # of items for each device: what a task of the pipeline works on
Finished = Generator[tuple[int, Any], None, None]  # the index of an item and its result


class RayCrew:
    """As `features.parallel.Pool`, with Ray tasks on a connected cluster in place of the processes of this machine."""

    def __init__(self, ray: Any, setup: Setup, device: str) -> None:
        """Errors: UserError as `cluster.slots`, before anything is sent."""
        self.ray, self.key = ray, setup.key
        self.jobs, self.has_gpus = slots(ray, device)
        self.setup = partial(ray.get, ray.put(_pickled(setup)))
        options = {"num_cpus": 1, "num_gpus": int(self.has_gpus), "max_retries": RETRIES, "max_calls": 0}
        self._task = ray.remote(**options)(outcome)
        self._waiting: dict[Any, None] = {}

    def __enter__(self) -> RayCrew:
        return self

    def __exit__(self, *_: object) -> None:
        for reference in self._waiting:
            self.ray.cancel(reference, force=True)

    def submit(self, work: Callable[..., Any], *items: Any) -> Any:
        """As `Pool` has it: a reference of Ray."""
        reference = self._task.remote(_pickled((work, items)), self.setup, self.key)
        self._waiting[reference] = None
        return reference

    def result(self, future: Any) -> Any:
        """What came of it. Errors: those of the work, and of Ray for work that its processes died of."""
        self._waiting.pop(future, None)
        return _result(self.ray.get(future))

    def finished(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Finished:
        """The results of items, by their indices, as they come. Errors: as `result`."""
        numbers = {self.submit(work, item): index for index, item in enumerate(items)}
        waiting = list(numbers)
        while waiting:
            (ready,), waiting = self.ray.wait(waiting)
            yield numbers[ready], self.result(ready)

    def piped(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Finished:
        """The same as a pipeline of Ray Data."""
        ray = self.ray
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        count = min(len(items), BLOCKS * self.jobs)
        rows = [  # a block has items from everywhere: where the long ones come first, blocks take equally long
            {"index": index, "task": _pickled((work, (items[index],)))}
            for first in range(count)
            for index in range(first, len(items), count)
        ]
        source = ray.data.from_items(rows, override_num_blocks=count)
        gpus = 1 if self.has_gpus else None
        options = {"batch_size": 1, "num_cpus": 1, "num_gpus": gpus, "max_retries": RETRIES}
        with warnings.catch_warnings():  # Ray 2.64 will do without max_retries
            warnings.simplefilter("ignore")
            pipeline = source.map_batches(partial(_work_on_batch, setup=self.setup, key=self.key), **options)
        for row in pipeline.iter_rows():
            yield row["index"], _result(row["result"])


@dataclass(frozen=True, slots=True)
class Tasks:
    """A Ray task for each item, on a cluster: for fits, of which there are few and long ones.

    folders: where the work keeps its results, which all machines must share. device: of `cluster.DEVICES`; a process
    has a CPU and, with auto where the cluster has GPUs, and with cuda, one of these.
    """

    address: str
    folders: tuple[str, ...] = ()
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_address(self.address)

    def sharing(self, *folders: str | Path) -> Tasks:
        """The same for work that keeps its results in these folders."""
        return replace(self, folders=tuple(map(str, folders)))

    @contextlib.contextmanager
    def crew(self, start: Callable[..., None], arguments: Sequence[Any]) -> Iterator[RayCrew]:
        """Processes of one thread that begin with start(*arguments); the end of the block cancels what is under way.

        Errors: UserError where no cluster answers or none of its machines has the device, for a machine that does not
        share the folders, and for work that its processes died of.
        """
        key = secrets.token_hex(8)
        with contextlib.ExitStack() as stack:
            marks = tuple(stack.enter_context(_mark(Path(folder), key)) for folder in dict.fromkeys(self.folders))
            ray = stack.enter_context(connected(self.address))
            stack.enter_context(_given_up())
            with fixed_engine():
                setup = Setup(key, os.getcwd(), marks, os.environ["EMOBRIDGE_ENGINE"], start, tuple(arguments))
            yield stack.enter_context(RayCrew(ray, setup, self.device))

    def run(self, work: Work, items: Sequence[Any], on_progress: Progress | None = None) -> list[Any]:
        """As `run_parallel`, in a crew. Errors: as `crew`, and those of the work."""
        if not items:
            return []
        results: list[Any] = [None] * len(items)
        with (
            self.crew(work.start, work.arguments) as crew,
            contextlib.closing(self._finished(crew, work, items)) as pairs,
        ):
            for done, (index, result) in enumerate(pairs, 1):
                results[index] = result
                if on_progress is not None:
                    on_progress(done, len(items))
        return results

    def _finished(self, crew: RayCrew, work: Work, items: Sequence[Any]) -> Finished:
        return crew.finished(work.function, items)


@dataclass(frozen=True, slots=True)
class Pipeline(Tasks):
    """The same as a pipeline of Ray Data: for clips, of which there are so many that few may be under way at a time."""

    def _finished(self, crew: RayCrew, work: Work, items: Sequence[Any]) -> Finished:
        return crew.piped(work.function, items)


def _work_on_batch(batch: dict[str, Any], *, setup: Callable[[], bytes], key: str) -> dict[str, list[Any]]:
    """Of a batch of one item: its index and its pickled outcome."""
    return {"index": list(batch["index"]), "result": [outcome(task, setup, key) for task in batch["task"]]}


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
