"""Every page of the listening test with values, and a server of them for a browser, which keeps what is posted."""

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

from emobridge.listening.catalogue import INTERFACES, text
from emobridge.listening.records import Question
from emobridge.listening.templates import STYLE_HASH, render

POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' '{STYLE_HASH}'; media-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
KINDS = {"html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript", "wav": "audio/wav"}
QUESTIONS = (
    Question("native", "language"),
    Question("languages", "languages", required=False),
    Question("english", "choice", ("none", "A1", "A2", "B1", "B2", "C1", "C2", "ielts-6.5", "native")),
    Question("age", "choice", ("0-17", "18-24", "65+")),
    Question("gender", "choice", ("female", "male", "other"), required=False),
    Question("headphones", "choice", ("yes", "no")),
    Question("years", "number", required=False),  # that the catalogue has no text for
)
SECONDS = 0.9  # of the recording
STATIC = resources.files("emobridge") / "listening" / "static"


def recording(seconds: float) -> bytes:
    """A WAV file of a tone that swells and fades."""
    time = np.arange(int(16_000 * seconds)) / 16_000
    sound = 0.4 * np.sin(2 * np.pi * 220 * time) * np.sin(np.pi * time / seconds)
    file = io.BytesIO()
    soundfile.write(file, sound, 16_000, format="WAV", subtype="PCM_16")
    return file.getvalue()


def pages_in(lang: str) -> dict[str, tuple[str, dict]]:
    """Every page that a study has: its template and what it is filled with, by a name of the page."""
    emotions = [(emotion, text(lang, f"emotion.{emotion}")) for emotion in ("anger", "happiness", "neutral", "sadness")]
    rate = {"step": "item-3", "audio": "/audio/x1", "emotions": emotions, "position": 3, "count": 48, "kind": "item"}
    rate |= {"wants_segment": True, "wants_confidence": True, "seconds": SECONDS}
    questions = {"step": "questions", "questions": QUESTIONS}
    answers = {"native": "fr", "languages": ("en:C1", "it:A2"), "years": "<3", "age": "18-24"}
    errors = {"age": "required", "native": "language", "languages": "language", "years": "number"}
    check = {"step": "check", "audio": "/audio/check", "choices": ("2", "3", "4", "5")}
    listener = {"id": "k3f9x2aa", "state": "active", "group": "de", "interface": "de", "done": 3, "count": 48}
    admin = {"listeners": [listener] * 3, "counts": {"active": 3, "screened out": 0}, "form_token": "f0"}
    long = "Wahrnehmungsuntersuchung" * 5
    values = {"emotion": "anger", "start": "0.2", "end": "0.6", "confidence": "0.5"}
    return {
        "consent": ("consent.html", {"consent": "", "languages": INTERFACES, "count": 48, "error": "consent"}),
        "questions": ("questions.html", questions),
        "questions-wrong": ("questions.html", questions | {"answers": answers, "errors": errors}),
        "check": ("check.html", check),
        "check-wrong": ("check.html", check | {"wrong": True}),
        "rate": ("rate.html", rate),
        "rate-plain": ("rate.html", rate | {"wants_segment": False, "wants_confidence": False, "kind": "practice"}),
        "rate-wrong": ("rate.html", rate | {"error": "segment", "values": values}),
        "rate-long": ("rate.html", rate | {"title": long, "emotions": [*emotions, (long, long)], "asked": long}),
        "rate-asked": ("rate.html", rate | {"asked": emotions[0][1], "wants_segment": False}),
        "break": ("break.html", {"step": "break-0", "done": 16, "count": 48}),
        "end": ("end.html", {"listener": "k3f9x2aa"}),
        "screened": ("screened.html", {}),
        "withdrawn": ("withdrawn.html", {}),
        "error": ("error.html", {"status": 409, "reason": "not-current"}),
        "error-admin": ("error.html", {"status": 403, "reason": "forbidden"}),
        "error-first": ("error.html", {"status": 403, "reason": "no-listener"}),
        "admin_login": ("admin_login.html", {"wrong": True}),
        "admin": ("admin.html", admin | {"unknown": True}),
        "admin-long": ("admin.html", admin | {"listeners": [dict.fromkeys(listener, long)], "title": long}),
        "admin-empty": ("admin.html", admin | {"listeners": []}),
    }


@dataclass
class PageServer:
    """Each page at /LANGUAGE/NAME, and the forms that were posted: the path and the values of each field."""

    audio: bytes
    posts: list[tuple[str, Mapping[str, list[str]]]] = field(default_factory=list)
    address: str = ""

    def body(self, path: str) -> tuple[bytes, str] | None:
        """What is served at a path, and what kind of file that is."""
        lang, _, name = path.removeprefix("/").partition("/")
        if lang in INTERFACES and name in (pages := pages_in(lang)):
            template, context = pages[name]
            return render(template, lang, **context).encode(), "html"
        if path == "/posted":
            return b'<link rel="icon" href="data:,">', "html"
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
