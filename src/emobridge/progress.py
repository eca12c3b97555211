"""Progress of long work, on standard error: a bar on a terminal, elsewhere a line from time to time."""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence

Progress = Callable[[int, int], None]  # of the work that is done, and of all work

PLAIN_INTERVAL = 15.0  # s between two plain lines


@contextlib.contextmanager
def progress(label: str) -> Iterator[Progress]:
    """Yield a function to call with the amount of work that is done and the amount in all, however often."""
    if not sys.stderr.isatty():
        yield _plain(label)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=False) as bars:
        task = bars.add_task(label, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def in_passes(report: Progress | None, sizes: Sequence[int]) -> tuple[Progress, ...]:
    """A function for each of several passes, one after the other, through so many things each: one bar, never falling.

    What a pass is called with counts by its share of all. A second time through the same things shows nothing new.
    """
    starts, total, farthest = [0, *itertools.accumulate(sizes)], sum(sizes), 0

    def pass_of(start: int, size: int) -> Progress:
        def report_pass(done: int, count: int) -> None:
            nonlocal farthest
            farthest = max(farthest, start + (size * done // count if count else size))
            if report is not None:
                report(farthest, total)

        return report_pass

    return tuple(map(pass_of, starts, sizes))


def _plain(label: str) -> Progress:
    last = time.monotonic()
    finished = False

    def report(done: int, total: int) -> None:
        nonlocal last, finished
        if finished or (done < total and time.monotonic() - last < PLAIN_INTERVAL):
            return
        last, finished = time.monotonic(), done >= total
        print(f"{label}: {done} of {total}", file=sys.stderr, flush=True)

    return report


def report_note(note: str) -> None:
    """Print what the user should know of the speech that was read."""
    print(f"note: {note}", file=sys.stderr, flush=True)


def report_skipped(skipped: Sequence[tuple[str, str]]) -> None:
    """Print the id and the reason of each utterance that was skipped, and their number."""
    for name, reason in skipped:
        print(f"skipped {reason if reason.startswith(name) else f'{name}: {reason}'}", file=sys.stderr)
    if skipped:
        print(f"{len(skipped)} skipped", file=sys.stderr)
