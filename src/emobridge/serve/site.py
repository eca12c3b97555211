"""The page of the service, which answers a recording or a microphone in the browser: its routes.

The page calls the same endpoints as any other client. It is whole in memory: a request opens no file.
"""

from __future__ import annotations

import asyncio
from importlib import resources

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from emobridge.serve.conversion import CONVERTED_TYPES, convert, read_answer
from emobridge.serve.records import Busy, Limits
from emobridge.web.requests import read_body

STATIC_SECONDS = 600  # that a browser may keep a script or a style sheet
LARGEST_ANSWER = 12_000_000  # bytes of JSON that is converted, about 25,000 rows
ANSWER_SECONDS = 60.0  # for it to arrive
MOST_CONVERSIONS = 8  # at a time; more are answered 429
CONVERSION_RETRY = 1.0  # s
TYPES = {"js": "text/javascript", "css": "text/css"}
# What the page shares with the page of `diarize`.
REPORT_FILES = ("style.css", "timeline.css", "timeline.js")


def page_routes(limits: Limits) -> list[Route]:
    """The routes of the page: `/`, `/static/NAME`, and `/convert`, which makes files of answers.

    The first two hold nothing of the models; whoever asks for a token asks for it at `/convert` too.
    """
    page, files = _page(limits), _static_files()

    async def index(request: Request) -> Response:
        return HTMLResponse(page)

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            raise HTTPException(404)
        keep = {"cache-control": f"public, max-age={STATIC_SECONDS}"}
        return Response(files[name], media_type=TYPES[name.rpartition(".")[2]], headers=keep)

    return [
        Route("/", index, methods=["GET"]),
        Route("/static/{name}", static, methods=["GET"]),
        Route("/convert", Converter().answer, methods=["POST"]),
    ]


class Converter:
    """Makes files of answers, a bounded number at a time."""

    def __init__(self) -> None:
        self._running = 0

    async def answer(self, request: Request) -> Response:
        """The rows of an answer in the format that `?format=` names. Errors: Refusal, UserError, Busy."""
        form = request.query_params.get("format", "")
        if self._running >= MOST_CONVERSIONS:
            raise Busy(CONVERSION_RETRY)
        self._running += 1
        try:
            body = await read_body(request, largest=LARGEST_ANSWER, seconds=ANSWER_SECONDS)
            text = await asyncio.to_thread(lambda: convert(read_answer(body), form))
        finally:
            self._running -= 1
        return Response(text, media_type=CONVERTED_TYPES[form])


def _page(limits: Limits) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("emobridge.serve", "pages"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("index.html").render(limits=limits)


def _static_files() -> dict[str, bytes]:
    """The scripts and style sheets by name."""
    package = resources.files("emobridge")
    own = {file.name: file.read_bytes() for file in (package / "serve" / "static").iterdir()}
    return own | {name: (package / "report" / name).read_bytes() for name in REPORT_FILES}
