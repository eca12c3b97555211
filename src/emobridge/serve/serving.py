"""The process of the service that speaks HTTP: it starts the engine, takes connections, and ends in order."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn
import websockets  # noqa: F401  # which uvicorn looks for only when it starts
from fastapi import FastAPI
from starlette.routing import BaseRoute

from emobridge.serve.app import make_service_app
from emobridge.serve.records import Engine, Limits
from emobridge.serve.service import Service
from emobridge.serve.sockets import LARGEST_MESSAGE
from emobridge.serve.uploads import upload_folder
from emobridge.web.process import address_of, allow_connections, listening_socket, server_config
from emobridge.web.tokens import check_token

LAST_SECONDS = 3  # for the last bytes of answers to leave
SENT_SECONDS = 2.0  # for answers that are there to be sent, once the engine has stopped


def run_service(
    engine: Engine,
    limits: Limits,
    *,
    token: str = "",
    names: Sequence[str] = (),
    host: str = "127.0.0.1",
    port: int = 8000,
    routes: Sequence[BaseRoute] = (),
    on_ready: Callable[[str], None],
) -> None:
    """Serve until the process is told to stop (SIGTERM, SIGINT): what is under way then ends within `limits.stop`.

    token, names, routes: as of `make_service_app`. port: 0 is any that is free. on_ready: is called with the address,
    when recordings would be answered.
    Errors: UserError for a short token, an address that cannot be used, and models that cannot be loaded.
    """
    if token:
        check_token(token)
    with listening_socket(host, port) as bound, upload_folder() as folder:
        allow_connections()
        logging.getLogger("emobridge.serve").addHandler(_log_handler())
        logging.getLogger("uvicorn.error").addFilter(_is_news)
        logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of each damaged form

        async def run() -> None:
            service = Service(engine, limits, folder)
            server = _Server(service, make_service_app(service, token=token, names=names, routes=routes))
            try:
                await engine.start()
                on_ready(address_of(host, bound))
                await server.serve(sockets=[bound])
            finally:
                await engine.stop()

        asyncio.run(run())


class _Server(uvicorn.Server):
    """Answers 503 while what is under way ends, and then stops."""

    def __init__(self, service: Service, app: FastAPI) -> None:
        sockets = {"ws_max_size": LARGEST_MESSAGE, "ws_per_message_deflate": False}
        super().__init__(server_config(app, end_seconds=LAST_SECONDS, websockets="websockets-sansio", **sockets))
        self._service = service
        self._stop: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came: the first begins the end, the second is the end."""
        if self._service.stopping.is_set():
            self.force_exit = self.should_exit = True
        else:
            self._service.stopping.set()
            self._loop.call_soon_threadsafe(self._begin_stop)

    def _begin_stop(self) -> None:
        self._stop = self._loop.create_task(self._stop_in_order())

    async def _stop_in_order(self) -> None:
        try:
            await self._service.engine.stop()
            deadline = self._loop.time() + SENT_SECONDS
            while self._service.under_way and self._loop.time() < deadline:
                await asyncio.sleep(0.05)
        finally:
            self.should_exit = True


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's log is not about a socket that was refused, which it takes for an error."""
    return "without completing handshake" not in record.getMessage()


def _log_handler() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    return handler
