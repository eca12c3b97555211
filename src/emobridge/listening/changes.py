"""What may change in the file of answers: its tables, and one function for each change.

A function here makes a change for `Writer.submit`: it gets the connection, within a transaction, and returns whether it
changed anything. A step is answered once: who is not at it, or is no more "active", changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from emobridge.errors import UserError
from emobridge.listening.records import Listener, Response
from emobridge.listening.steps import END, ListeningStep

TABLES_VERSION = 1  # of the tables
ANSWER_TABLES = """
CREATE TABLE listeners (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never drawn again, so that no two listeners share an order
    id TEXT NOT NULL UNIQUE,
    secret BLOB NOT NULL UNIQUE,  -- SHA-256
    interface TEXT NOT NULL,
    native TEXT NOT NULL DEFAULT '',
    listener_group TEXT NOT NULL DEFAULT '',
    answers TEXT NOT NULL DEFAULT '{}',  -- to the questionnaire, JSON
    state TEXT NOT NULL DEFAULT 'active',
    reached INTEGER NOT NULL DEFAULT 0,  -- number of the step in the plan
    since REAL NOT NULL  -- when that step was reached, s since 1970
);
CREATE TABLE plan (
    listener TEXT NOT NULL REFERENCES listeners (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    step TEXT NOT NULL,
    item TEXT,
    PRIMARY KEY (listener, number),
    UNIQUE (listener, item)
);
CREATE TABLE responses (
    listener TEXT NOT NULL REFERENCES listeners (id) ON DELETE CASCADE,
    step TEXT NOT NULL,
    item TEXT NOT NULL,
    emotion TEXT NOT NULL,
    segment_start REAL,
    segment_end REAL,
    confidence REAL,
    plays INTEGER NOT NULL,
    seconds REAL NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (listener, step),
    UNIQUE (listener, item)
);
"""
_AT_STEP = "id = ? AND reached = ? AND state = 'active'"


def make_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in an empty file. Errors: UserError for a file that holds something else."""
    try:
        if not connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
            connection.executescript(
                f"BEGIN IMMEDIATE; {ANSWER_TABLES} PRAGMA user_version = {TABLES_VERSION}; COMMIT;"
            )
    except sqlite3.OperationalError:  # such as a full disk
        raise
    except sqlite3.DatabaseError as error:
        raise UserError(f"{path}: is not a file of answers ({error})") from error
    check_tables(connection, path)


def check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is none of answers, or of another version. Errors: UserError."""
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise UserError(f"{path}: is not a file of answers ({error})") from error
    if version != TABLES_VERSION or not {"listeners", "plan", "responses"} <= names:
        hint = f"version {version}" if "responses" in names else "another program's tables"
        raise UserError(f"{path}: expected a file of answers of version {TABLES_VERSION}, got {hint}")


def secret_digest(secret: str) -> bytes:
    """What the file holds of a listener's secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def add_listener(
    secret: str, interface: str, draw: Callable[[int], Sequence[ListeningStep]]
) -> Callable[[sqlite3.Connection], Listener]:
    """A new listener with a random id. draw: the steps by the number of the listener, from 1."""

    def change(connection: sqlite3.Connection) -> Listener:
        listener = Listener(secrets.token_hex(6), interface=interface)
        number = connection.execute(
            "INSERT INTO listeners (id, secret, interface, since) VALUES (?, ?, ?, ?)",
            (listener.id, secret_digest(secret), interface, time.time()),
        ).lastrowid
        assert number is not None
        rows = [(listener.id, turn, step.name, step.item or None) for turn, step in enumerate(draw(number))]
        connection.executemany("INSERT INTO plan (listener, number, step, item) VALUES (?, ?, ?, ?)", rows)
        return listener

    return change


def answer_questions(listener: Listener, reached: int) -> Callable[[sqlite3.Connection], bool]:
    """The answers, the native language, the group and the state of a listener, who goes on where that is "active"."""

    def change(connection: sqlite3.Connection) -> bool:
        answers = json.dumps(dict(listener.answers), ensure_ascii=False)
        facts = (listener.native, listener.group, answers, listener.id, reached)
        query = f"UPDATE listeners SET native = ?, listener_group = ?, answers = ? WHERE {_AT_STEP}"
        return connection.execute(query, facts).rowcount == 1 and _pass(
            connection, listener.id, reached, listener.state
        )

    return change


def record_response(reached: int, response: Response) -> Callable[[sqlite3.Connection], bool]:
    """What a listener answered to the item of the step `reached`; its item and position are those of the plan."""

    def change(connection: sqlite3.Connection) -> bool:
        if not _pass(connection, response.listener, reached):
            return False
        start, end = response.segment or (None, None)
        facts = (response.emotion, start, end, response.confidence, response.plays, response.seconds, response.position)
        inserted = connection.execute(
            "INSERT INTO responses SELECT listener, step, item, ?, ?, ?, ?, ?, ?, ? FROM plan "
            "WHERE listener = ? AND number = ? AND item = ?",
            (*facts, response.listener, reached, response.item),
        )
        if inserted.rowcount != 1:
            raise ValueError(f"{response.item}: is not the item of step {reached} of listener {response.listener}")
        return True

    return change


def advance_listener(listener: str, reached: int) -> Callable[[sqlite3.Connection], bool]:
    """A listener passes the step `reached`, which has no answer, such as a break."""
    return lambda connection: _pass(connection, listener, reached)


def withdraw_listener(listener: str) -> Callable[[sqlite3.Connection], bool]:
    """All answers of a listener go; that there was one stays."""

    def change(connection: sqlite3.Connection) -> bool:
        query = (
            "UPDATE listeners SET state = 'withdrawn', native = '', listener_group = '', answers = '{}' WHERE id = ?"
        )
        if connection.execute(query, (listener,)).rowcount != 1:
            return False
        connection.execute("DELETE FROM responses WHERE listener = ?", (listener,))
        connection.execute("DELETE FROM plan WHERE listener = ?", (listener,))
        return True

    return change


def delete_listener(listener: str) -> Callable[[sqlite3.Connection], bool]:
    """A listener goes, with the plan and all answers."""
    return lambda connection: connection.execute("DELETE FROM listeners WHERE id = ?", (listener,)).rowcount == 1


def _pass(connection: sqlite3.Connection, listener: str, reached: int, state: str = "active") -> bool:
    """Whether the listener stood at this step; then the next is reached, and the last of all ends the way."""
    query = "SELECT step FROM plan WHERE listener = ? AND number = ?"
    after = connection.execute(query, (listener, reached + 1)).fetchone()
    if state == "active" and (after is None or after[0] == END):
        state = "finished"
    query = f"UPDATE listeners SET reached = ?, since = ?, state = ? WHERE {_AT_STEP}"
    return connection.execute(query, (reached + 1, time.time(), state, listener, reached)).rowcount == 1
