"""The server of a listening test, as an ASGI application: which address is answered by what."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from emobridge.listening import templates
from emobridge.listening.admin import Office
from emobridge.listening.records import ListeningStudy
from emobridge.listening.security import PERMISSIONS, POLICY, Administration
from emobridge.listening.site import Site
from emobridge.listening.store import Store
from emobridge.listening.visits import Visits
from emobridge.web.headers import SecurityHeaders

SCRIPT_SECONDS = 600  # that a browser may keep a script or the style


def make_app(
    folder: str | Path,
    study: ListeningStudy,
    store: Store,
    token: str,
    *,
    render: Callable[..., str] = templates.render,
) -> FastAPI:
    """The application that serves a study, for any ASGI server with a single process.

    folder: of the study, with its recordings. token: of the administration. render: makes the pages, see
    `templates.render`. Who calls closes the store. Errors: UserError for a short token.
    """
    mimetypes.add_type("text/javascript", ".js")  # of which not all systems know
    site = Site(study, store, render)
    visits, office = Visits(site, Path(folder)), Office(site, Administration(token))
    routes = [
        Route("/", visits.first, methods=["GET"]),
        Route("/start", visits.start, methods=["POST"]),
        Route("/step", visits.show_step, methods=["GET"]),
        Route("/step", visits.answer_step, methods=["POST"]),
        Route("/audio/{item}", visits.sound, methods=["GET"]),
        Route("/withdraw", visits.withdraw, methods=["POST"]),
        Route("/admin", office.show, methods=["GET"]),
        Route("/admin", office.log_in, methods=["POST"]),
        Route("/admin/logout", office.log_out, methods=["POST"]),
        Route("/admin/delete", office.delete, methods=["POST"]),
        Route("/admin/export.csv", office.export, methods=["GET"]),
        Route("/admin/export.json", office.export, methods=["GET"]),
        Route("/admin/export.json", office.export_listener, methods=["POST"]),
        Route("/healthz", _healthy, methods=["GET"]),
        Mount("/static", _Static(directory=Path(templates.__file__).with_name("static"))),
    ]
    headers = Middleware(SecurityHeaders, policy=POLICY, permissions=PERMISSIONS, on_error=site.failed)
    handlers: Any = dict.fromkeys(Site.REFUSALS, site.refused)
    return FastAPI(routes=routes, openapi_url=None, middleware=[headers], exception_handlers=handlers)


async def _healthy(request: Request) -> Response:
    return PlainTextResponse("ok\n")


class _Static(StaticFiles):
    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers["cache-control"] = f"public, max-age={SCRIPT_SECONDS}"
        return response
