"""The page of the service, which answers a recording or a microphone in the browser: its routes.

The page calls the same endpoints as any other client. It is whole in memory: a request opens no file.
"""

from __future__ import annotations

from importlib import resources

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from emobridge.serve.records import Limits

STATIC_SECONDS = 600  # that a browser may keep a script or a style sheet
TYPES = {"js": "text/javascript", "css": "text/css"}
# What the page shares with the page of `diarize`.
REPORT_FILES = ("style.css", "timeline.css", "timeline.js")


def page_routes(limits: Limits) -> list[Route]:
    """The routes of the page: `/` and `/static/NAME`, which hold nothing of the models."""
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
    ]


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
