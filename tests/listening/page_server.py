"""A server of single pages of the listening test, for a browser: what is posted is kept, nothing is stored."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from threading import Thread
from urllib.parse import parse_qs

import numpy as np
import soundfile

from emobridge.listening.templates import STYLE_HASH

POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' '{STYLE_HASH}'; media-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
KINDS = {"html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript", "wav": "audio/wav"}
STATIC = resources.files("emobridge") / "listening" / "static"


def recording(seconds: float) -> bytes:
    """A WAV file of a tone that swells and fades."""
    time = np.arange(int(16_000 * seconds)) / 16_000
    sound = 0.4 * np.sin(2 * np.pi * 220 * time) * np.sin(np.pi * time / seconds)
    file = io.BytesIO()
    soundfile.write(file, sound, 16_000, format="WAV", subtype="PCM_16")
    return file.getvalue()


@dataclass
class PageServer:
    """Pages by path, and the forms that were posted: the path and the values of each field."""

    pages: dict[str, str] = field(default_factory=dict)
    audio: bytes = b""
    posts: list[tuple[str, Mapping[str, list[str]]]] = field(default_factory=list)
    address: str = ""

    def body(self, path: str) -> tuple[bytes, str] | None:
        """What is served at a path, and what kind of file that is."""
        if path in self.pages:
            return self.pages[path].encode(), "html"
        if path.startswith("/audio/"):
            return self.audio, "wav"
        if path.startswith("/static/") and (file := STATIC / path.removeprefix("/static/")).is_file():
            return file.read_bytes(), path.rpartition(".")[2]
        return None


@contextmanager
def serving(server: PageServer) -> Iterator[PageServer]:
    """The server at a free port of this machine, as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = server.body(self.path.partition("?")[0])
            if found is None:
                self.send_error(404)
                return
            body, kind = found
            part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start, end = (int(part[1]), int(part[2] or len(body) - 1)) if part else (0, len(body) - 1)
            self.send_response(206 if part else 200)
            if part:
                self.send_header("Content-Range", f"bytes {start}-{end}/{len(body)}")
            self.send_header("Content-Type", KINDS.get(kind, "text/plain"))
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(end + 1 - start))
            self.end_headers()
            self.wfile.write(body[start : end + 1])

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            server.posts.append((self.path, parse_qs(body, keep_blank_values=True)))
            self.send_response(303)
            self.send_header("Location", "/posted")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
        server.address = f"http://127.0.0.1:{http.server_address[1]}"
        try:
            yield server
        finally:
            http.shutdown()
