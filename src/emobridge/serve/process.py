"""A worker process as the engine sees it: started, spoken to without blocking, and ended."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

from emobridge.serve.messages import MESSAGE_SIZE, ToWorker, packed, unpacked
from emobridge.serve.worker import PRELOADED, WorkerSetup, run_worker

EXIT_SECONDS = 2.0  # that a worker has to end when nothing is under way
START = "forkserver" if sys.platform == "linux" else "spawn"  # libraries of macOS do not bear to be forked


class WorkerProcess:
    """One process. Its messages go to `on_message`; when it is no more, `on_end` is called once."""

    def __init__(self, setup: WorkerSetup, on_message: Callable[[Any], None], on_end: Callable[[], None]) -> None:
        self.setup, self.on_message, self.on_end = setup, on_message, on_end
        self._process: Any = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The number of the process."""
        return None if self._process is None else self._process.pid

    @property
    def how_it_ended(self) -> str:
        """A few words for messages."""
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"signal {-code}"
        return f"exit code {code}"

    async def start(self) -> None:
        """Start the process; its first message tells whether it is ready. Errors: OSError."""
        context: Any = multiprocessing.get_context(START)
        here, there = socket.socketpair()
        self._process = context.Process(target=run_worker, args=(there, self.setup), name="emobridge-worker")
        try:
            with _preloading(context, self.setup):
                await asyncio.shield(asyncio.to_thread(self._process.start))
        finally:
            there.close()
        atexit.register(self._process.kill)  # where nobody stops the engine, Python would wait for the process
        reader, self._writer = await asyncio.open_connection(sock=here)
        self._reading = asyncio.create_task(self._read(reader))

    def send(self, message: ToWorker) -> None:
        """Send a message; to a process that is no more it is lost. What sends much bounds what is under way."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(packed(message))

    def kill(self) -> None:
        """End the process at once; `on_end` follows."""
        if self._process is not None:
            self._process.kill()

    async def wait(self, seconds: float = EXIT_SECONDS) -> None:
        """Wait until the process has ended, and after some seconds end it."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.ended.wait(), seconds)
            return
        self.kill()
        await self.ended.wait()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                size = MESSAGE_SIZE.unpack(await reader.readexactly(MESSAGE_SIZE.size))[0]
                self.on_message(unpacked(await reader.readexactly(size)))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            await asyncio.shield(self._reap())

    async def _reap(self) -> None:
        """Take leave of the process, which has closed its end or is no more."""
        self._process.kill()
        await asyncio.to_thread(self._process.join)
        atexit.unregister(self._process.kill)
        if self._writer is not None:
            self._writer.close()
        self.ended.set()
        self.on_end()


@contextlib.contextmanager
def _preloading(context: Any, setup: WorkerSetup) -> Iterator[None]:
    """Within the block a process may be started that later ones are forked from, which imports what they need."""
    if START != "forkserver":
        yield
        return
    context.set_forkserver_preload(["emobridge.serve.preload"])
    os.environ[PRELOADED] = json.dumps([[source.name, source.folder, source.encoder] for source in setup.sources])
    try:
        yield
    finally:
        os.environ.pop(PRELOADED, None)
