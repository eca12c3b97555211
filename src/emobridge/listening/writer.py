"""One thread that writes to an SQLite file: changes that wait together are committed together.

A commit waits for the disk, however little it holds. Two hundred listeners who answer at once are so a few commits,
and no answer is acknowledged before its commit is on the disk.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emobridge.errors import UserError

MOST_CHANGES = 256  # changes in one commit
DatabaseChange = Callable[[sqlite3.Connection], Any]


class NotWrittenError(UserError):
    """A change that could not be written, such as on a full disk. Nothing of it is in the file; the next may be."""


@dataclass(frozen=True, slots=True)
class _Job:
    change: DatabaseChange
    alone: bool  # outside a transaction
    future: Future[Any] = field(default_factory=Future)


class Writer:
    """Runs changes in the order of their coming.

    connect: opens the file, in autocommit mode; it is called by the thread, with the first change and after an error.
    path: of the file, for messages.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], path: Path) -> None:
        self._connect = connect
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, change: DatabaseChange, *, alone: bool = False) -> Future[Any]:
        """Let the thread call `change` with the connection; the result comes when what it wrote is on the disk.

        A change that raises leaves nothing, and does not touch the others of its commit. It may be called twice.
        alone: outside a transaction, which a checkpoint needs. Errors of the future: NotWrittenError, or what `change`
        raises.
        """
        job = _Job(change, alone)
        with self._lock:
            if self._closed:
                raise NotWrittenError(f"{self._path}: is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
                self._thread.start()
            self._jobs.put(job)
        return job.future

    def close(self) -> None:
        """Write what waits, then end the thread and close the file."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join()

    def _run(self) -> None:
        while True:
            jobs, alone = [], None
            job = self._jobs.get()
            while job is not None and not job.alone:
                if job.future.set_running_or_notify_cancel():  # from here on nobody can cancel it
                    jobs.append(job)
                if len(jobs) == MOST_CHANGES or self._jobs.empty():
                    break
                job = self._jobs.get()
            else:
                alone = job
            if jobs:
                self._commit(jobs)
            if alone is not None and alone.future.set_running_or_notify_cancel():
                self._commit([alone])
            if job is None:
                self._disconnect()
                return

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            results = self._transaction(jobs)
        except Exception as error:
            if len(jobs) > 1:  # find the change that cannot be written, and write the others
                for job in jobs:
                    self._commit([job])
                return
            if isinstance(error, sqlite3.Error):
                self._disconnect()
                error = NotWrittenError(f"{self._path}: an answer cannot be written ({error})")
            jobs[0].future.set_exception(error)
            return
        for job, result in zip(jobs, results):
            job.future.set_result(result)

    def _transaction(self, jobs: list[_Job]) -> list[Any]:
        if self._connection is None:
            self._connection = self._connect()
        connection = self._connection
        if jobs[0].alone:
            return [jobs[0].change(connection)]
        try:
            connection.execute("BEGIN IMMEDIATE")
            results = [job.change(connection) for job in jobs]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return results

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
