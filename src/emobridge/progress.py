"""How far long work has come: a bar on a terminal, a line now and then elsewhere. Always on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence

Progress = Callable[[int, int], None]  # done, in all

QUIET = 15.0  # s between plain lines


@contextlib.contextmanager
def progress(label: str) -> Iterator[Progress]:
    """Yield a function to call with (done, in all), as often as one likes."""
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


def _plain(label: str) -> Progress:
    last = time.monotonic()
    finished = False

    def report(done: int, total: int) -> None:
        nonlocal last, finished
        if finished or (done < total and time.monotonic() - last < QUIET):
            return
        last, finished = time.monotonic(), done >= total
        print(f"{label}: {done} of {total}", file=sys.stderr, flush=True)

    return report


def report_skipped(skipped: Sequence[tuple[str, str]]) -> None:
    """A line for each id and reason of what could not be read, and how many there were."""
    for name, reason in skipped:
        print(f"skipped {reason if reason.startswith(name) else f'{name}: {reason}'}", file=sys.stderr)
    if skipped:
        print(f"{len(skipped)} skipped", file=sys.stderr)
