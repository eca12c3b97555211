"""The answers to a listening test: one SQLite file, which one server writes and others may read meanwhile.

What is acknowledged is on the disk: a server that is killed loses nothing. Nothing in the file says who a listener is,
and of the secret that a browser holds it has a digest alone.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emobridge.files import unreadable
from emobridge.listening import changes
from emobridge.listening.records import Listener, Response
from emobridge.listening.steps import END, ITEM, ListeningStep
from emobridge.listening.writer import Writer

ANSWERS_FILE = "answers.sqlite"  # in the folder of a study
BUSY = 10.0  # s to wait for another process that holds the file
_LISTENERS = "SELECT id, interface, native, listener_group, answers, state FROM listeners ORDER BY number"
_RESPONSES = """
SELECT r.listener, r.item, r.emotion, r.segment_start, r.segment_end, r.confidence, r.plays, r.seconds, r.position
FROM responses r JOIN listeners l ON l.id = r.listener ORDER BY l.number, r.rowid
"""
_STANDING = """
SELECT l.id, l.interface, l.native, l.listener_group, l.answers, l.state, l.reached, l.since, p.step, p.item
FROM listeners l LEFT JOIN plan p ON p.listener = l.id AND p.number = l.reached WHERE l.secret = ?
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a listener stands."""

    listener: Listener
    reached: int  # number of the step in the plan
    step: ListeningStep
    since: float  # when it was reached, s since 1970


class Store:
    """The answers in one file, which the first change makes.

    Methods may be called by any thread. Those that change something return when it is on the disk, and whether they
    changed anything; the others never wait for them. Errors: UserError where the file cannot be read; NotWrittenError
    where a change cannot be written, which leaves the file as it was.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._readers = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._writer = Writer(self._connect, self.path)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits and close the file."""
        self._writer.close()
        while self._opened:
            self._opened.pop().close()
        self._readers = threading.local()

    def submit(self, change: Callable[[sqlite3.Connection], Any]) -> Future[Any]:
        """Write one of `changes` together with others that come meanwhile; see `Writer.submit`."""
        return self._writer.submit(change)

    def prepare(self) -> None:
        """Make the file where there is none. Errors: UserError for a file that is something else."""
        self.submit(lambda connection: None).result()

    def add_listener(self, secret: str, interface: str, draw: Callable[[int], Sequence[ListeningStep]]) -> Listener:
        """Add a listener. draw: the steps by the number of the listener, from 1."""
        return self.submit(changes.add_listener(secret, interface, draw)).result()  # type: ignore[no-any-return]

    def answer(self, listener: Listener, reached: int) -> bool:
        """Write what a listener answered to the questionnaire, the step `reached` of the plan."""
        return bool(self.submit(changes.answer_questions(listener, reached)).result())

    def record(self, reached: int, response: Response) -> bool:
        """Write what a listener answered to the item of the step `reached` of the plan.

        A listener who is not at that step has answered it, or may not yet: nothing changes. Errors: ValueError for an
        item that is not that of the step.
        """
        return bool(self.submit(changes.record_response(reached, response)).result())

    def advance(self, listener: str, reached: int) -> bool:
        """Let a listener pass the step `reached` of the plan, which has no answer."""
        return bool(self.submit(changes.advance_listener(listener, reached)).result())

    def withdraw(self, listener: str) -> bool:
        """Delete all that a listener answered, but not that there was one."""
        return self._forget(changes.withdraw_listener(listener))

    def delete(self, listener: str) -> bool:
        """Delete a listener and all that there is of them, from the journal of the file too."""
        return self._forget(changes.delete_listener(listener))

    def find(self, secret: str) -> Standing | None:
        """Where the listener stands whose browser holds this secret; None where there is none."""
        rows = self._read(_STANDING, (changes.secret_digest(secret),))
        if not rows:
            return None
        *facts, reached, since, step, item = rows[0]
        return Standing(_listener(facts), reached, ListeningStep(step or END, item or ""), since)

    def plan(self, listener: str) -> tuple[ListeningStep, ...]:
        """The steps of a listener in their order."""
        rows = self._read("SELECT step, item FROM plan WHERE listener = ? ORDER BY number", (listener,))
        return tuple(ListeningStep(step, item or "") for step, item in rows)

    def listeners(self) -> list[Listener]:
        """All listeners of any state, in the order of their coming."""
        return [_listener(row) for row in self._read(_LISTENERS)]

    def responses(self) -> list[Response]:
        """All responses to items of any kind, by listener and in the order of answering."""
        return [
            Response(listener, item, emotion, None if start is None else (start, end), *numbers)
            for listener, item, emotion, start, end, *numbers in self._read(_RESPONSES)
        ]

    def answered(self) -> dict[str, int]:
        """How many items that are no practice each listener has answered; who has answered none is not in it."""
        query = "SELECT listener, COUNT(*) FROM responses WHERE step LIKE ? GROUP BY listener"
        return dict(self._read(query, (f"{ITEM}-%",)))

    def planned_items(self) -> set[str]:
        """The ids of all items that a listener has judged or will judge."""
        return {item for (item,) in self._read("SELECT DISTINCT item FROM plan WHERE item IS NOT NULL")}

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        connection = getattr(self._readers, "connection", None)
        if connection is None:
            if not self.path.exists():
                return []
            connection = self._readers.connection = self._open_reader()
            self._opened.append(connection)
        with _reading(self.path):
            return connection.execute(query, values).fetchall()

    def _open_reader(self) -> sqlite3.Connection:
        """A connection that changes nothing; of a file in a folder that cannot be written, its last state."""
        try:
            return self._connect_reader("mode=rw")
        except sqlite3.OperationalError:
            journal = self.path.with_name(f"{self.path.name}-wal")
            with _reading(self.path):
                return self._connect_reader("mode=ro" if journal.exists() else "mode=ro&immutable=1")

    def _connect_reader(self, options: str) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?{options}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA query_only = ON")
            changes.check_tables(connection, self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self) -> sqlite3.Connection:
        """A connection that writes; it makes the tables where there are none."""
        connection = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")
            changes.make_tables(connection, self.path)
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "fullfsync = ON"):
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _forget(self, change: Callable[[sqlite3.Connection], bool]) -> bool:
        """Delete something, then move all changes into the file itself and empty the journal, which holds it too.

        Where another process reads meanwhile, the journal is emptied by the next deletion, or when the store is closed.
        """
        done = bool(self.submit(change).result())
        query = "PRAGMA wal_checkpoint(TRUNCATE)"
        self._writer.submit(lambda connection: connection.execute(query).fetchall(), alone=True).result()
        return done


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise unreadable(path, error) from error


def _listener(row: Sequence[Any]) -> Listener:
    name, interface, native, group, answers, state = row
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(answers).items()}
    return Listener(name, interface, native, group, values, state)
