"""The service with its page, for a browser of tests: the application at a free port of this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import uvicorn

from emobridge.serve.app import make_service_app
from emobridge.serve.records import Engine, Limits
from emobridge.serve.service import Service
from emobridge.serve.site import page_routes
from emobridge.web.process import address_of, listening_socket, server_config


@contextmanager
def serving(engine: Engine, limits: Limits, token: str = "") -> Iterator[str]:
    """Serve as long as the context lasts; yields the address."""
    with tempfile.TemporaryDirectory() as folder, listening_socket("127.0.0.1", 0) as bound:
        app = make_service_app(Service(engine, limits, Path(folder)), token=token, routes=page_routes(limits))
        server = uvicorn.Server(server_config(app, end_seconds=1, websockets="websockets-sansio"))
        thread = Thread(target=server.run, args=([bound],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield address_of("127.0.0.1", bound)
        finally:
            server.should_exit = True
            thread.join()
