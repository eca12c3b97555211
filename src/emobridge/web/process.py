"""The process that serves an application: its port, its connections, and requests that never come."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from emobridge.errors import UserError

HEAD_SECONDS = 20.0  # for the head of a request to arrive
REST_SECONDS = 20.0  # for the rest of a body whose request is answered already
IDLE_SECONDS = 30  # after which a connection without a request is closed
MOST_CONNECTIONS = 2000
LARGEST_HEAD = 32 << 10  # bytes of a request's line and headers


def server_config(app: Any, *, end_seconds: int, websockets: str = "none", **options: Any) -> uvicorn.Config:
    """How uvicorn serves an application to people who may mean it ill.

    end_seconds: for answers that are under way when the server is stopped. websockets: uvicorn's name of what speaks
    them. options: further ones of uvicorn.Config.
    """
    return uvicorn.Config(
        app,
        http=PatientProtocol,
        ws=websockets,
        access_log=False,  # which has addresses
        log_level="error",
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=end_seconds,
        h11_max_incomplete_event_size=LARGEST_HEAD,
        **options,
    )


def address_of(host: str, bound: socket.socket) -> str:
    """The address of what is served on a socket, for browsers."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{bound.getsockname()[1]}/"


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


class JoinedWrites:
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


class PatientProtocol(H11Protocol):
    """HTTP that closes a connection whose request does not come: uvicorn waits for ever for it."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """Give the head of a request some time from its first byte, or from the start of the connection.

        So too the rest of a body whose request is answered: who sends it would not see the answer if it were not read.
        """
        is_rest = self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE
        if self.conn.their_state is not h11.IDLE and not is_rest:
            self._stop_watching()
        elif self._deadline is None:
            seconds = REST_SECONDS if is_rest else HEAD_SECONDS
            self._deadline = self.loop.call_later(seconds, self.transport.close)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
