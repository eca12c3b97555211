"""The process that serves a listening test: what is checked before, the port, and the end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from emobridge.errors import UserError, count_noun
from emobridge.files import unreadable
from emobridge.listening.records import ListeningStudy
from emobridge.listening.security import check_token
from emobridge.listening.server import make_app
from emobridge.listening.store import ANSWERS_FILE, Store
from emobridge.listening.study import check_recordings, read_study

LOCK_FILE = "answers.lock"  # in the folder of a study; who serves it holds it
HEAD_SECONDS = 20.0  # for the head of a request to arrive
IDLE_SECONDS = 30  # after which a connection without a request is closed
END_SECONDS = 5  # for answers that are under way when the server is stopped
MOST_CONNECTIONS = 2000
MOST_NAMES = 10  # items that a note names


def serve(
    folder: str | Path,
    token: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_ready: Callable[[str], None],
    on_note: Callable[[str], None],
) -> None:
    """Serve the study of a folder until the process is stopped.

    port: 0 is any that is free. on_ready: is called with the address, when connections are taken. on_note: is called
    with what the user should know of the answers that are there already.
    Errors: UserError for a short token, a bad study, a recording that is missing, answers that cannot be read or
    written, a study that another server serves, and a port that cannot be used.
    """
    folder = Path(folder)
    check_token(token)
    study = read_study(folder)
    check_recordings(folder, study)
    with locked(folder / LOCK_FILE), Store(folder / ANSWERS_FILE) as store, listening_socket(host, port) as bound:
        store.prepare()
        for note in notes_on(study, store):
            on_note(note)
        allow_connections()
        logging.getLogger("emobridge.listening").addHandler(_log_handler())
        config = uvicorn.Config(
            make_app(folder, study, store, token),
            http=_PatientProtocol,
            ws="none",
            access_log=False,  # which has addresses
            log_level="error",
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=END_SECONDS,
            h11_max_incomplete_event_size=32 << 10,
        )
        gc.collect()
        gc.freeze()  # what is here stays: no collection looks through it again
        address = f"[{host}]" if ":" in host else host
        on_ready(f"http://{address}:{bound.getsockname()[1]}/")
        uvicorn.Server(config).run(sockets=[bound])


def notes_on(study: ListeningStudy, store: Store) -> Iterator[str]:
    """What does not fit together in the answers that are there and the study as it is now."""
    items = {item.id for item in study.items}
    if gone := sorted(store.planned_items() - items):
        answered = {row.item for row in store.responses()}
        names = ", ".join(f"{item}{' (answered)' if item in answered else ''}" for item in gone[:MOST_NAMES])
        more = f" and {len(gone) - MOST_NAMES:,} more" if len(gone) > MOST_NAMES else ""
        yield (
            f"{store.path}: {count_noun(len(gone), 'item')} of listeners' orders, which the study has no more, will be "
            f"passed over: {names}{more}"
        )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file against other processes. The system lets go of it when the process ends, however it ends.

    Errors: UserError where another process holds it.
    """
    try:
        file = path.open("ab")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    with file:
        _lock(file, path)
        yield


def _lock(file: BinaryIO, path: Path) -> None:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise _served_already(path) from error
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _served_already(path) from error
    except OSError as error:  # a network disk without locks, on which SQLite is not safe either
        raise unreadable(path, error) from error


def _served_already(path: Path) -> UserError:
    return UserError(f"{path.parent}: another server serves this study already; one study has one server")


@contextlib.contextmanager
def listening_socket(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that is bound to an address. Errors: UserError for a port in use, and a host that is not this one."""
    if not 0 <= port <= 65535:
        raise UserError(f"--port: expected 0 to 65535, got {port}")
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UserError(f"--host {host}: no such host ({getattr(error, 'strerror', None) or error})") from error
    family, kind, protocol, _, address = addresses[0]
    with socket.socket(family, kind, protocol) as bound:  # without its protocol asyncio lets small packets wait 40 ms
        if os.name == "posix":  # elsewhere it lets two servers have one port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(address)
            bound.listen(1)  # so that a port which another process listens on is found out now
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise UserError(f"port {port} of {host} is in use; choose another with --port") from error
            raise UserError(f"port {port} of {host} cannot be used ({error.strerror or error})") from error
        yield bound


def allow_connections() -> None:
    """Let the process have as many files open as connections may come, as far as the system allows."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        enough = MOST_CONNECTIONS + 200
        if soft != resource.RLIM_INFINITY and soft < enough:
            most = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _log_handler() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    return handler


class _JoinedWrites:
    """A transport that sends what is written in one turn of the loop at once: head and body in one packet."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.write(b"".join(parts))

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _PatientProtocol(H11Protocol):
    """HTTP that closes a connection whose request does not come: uvicorn waits for ever for the rest of a head."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_JoinedWrites(transport, self.loop))  # type: ignore[arg-type]
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Give the head of a request some time from its first byte, or from the start of the connection."""
        if self.conn.their_state is not h11.IDLE:
            self._stop_watching()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
