"""The service as an ASGI application: which address is answered by what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute

import emobridge
from emobridge.serve import openapi
from emobridge.serve.endpoints import Endpoints
from emobridge.serve.errors import HANDLED, failed, refused
from emobridge.serve.guard import Guard, TokenCheck
from emobridge.serve.service import Service
from emobridge.serve.sockets import ROUTE, Streams
from emobridge.web.headers import SecurityHeaders

PAGE_POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:",
        "media-src 'self' blob:", "connect-src 'self'", "form-action 'none'", "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)  # fmt: skip
PAGE_PERMISSIONS = "camera=(), geolocation=(), microphone=(self)"


def make_service_app(
    service: Service, *, token: str = "", names: Sequence[str] = (), routes: Sequence[BaseRoute] = ()
) -> FastAPI:
    """The application of a service, for any ASGI server with a single process. Who calls starts and stops the engine.

    token: that callers must give; "" is none. names: by which browsers may call a service without a token, beside
    addresses and localhost. routes: further ones, as of its page.
    """
    endpoints, tokens = Endpoints(service), TokenCheck(token)
    app = FastAPI(
        title="emobridge",
        version=emobridge.__version__,
        description="Emotions in speech: recordings in, labels with probabilities out.",
        docs_url=None,  # its page loads scripts of another site
        redoc_url=None,
        exception_handlers=dict.fromkeys(HANDLED, refused),
    )
    _add(app, "/predict", "POST", endpoints.predict, openapi.predicting())
    _add(app, "/diarize", "POST", endpoints.diarize, openapi.diarizing())
    _add(app, "/convert", "POST", endpoints.convert, openapi.converting())
    _add(app, "/models", "GET", endpoints.models, openapi.models_listing())
    _add(app, "/healthz", "GET", endpoints.healthz, openapi.health())
    _add(app, "/metrics", "GET", endpoints.metrics, openapi.counters())
    app.router.routes += [WebSocketRoute(ROUTE, Streams(service, tokens).serve), *routes]
    counted = [path for route in app.router.routes if "{" not in (path := getattr(route, "path", "{"))]
    app.add_middleware(Guard, service=service, tokens=tokens, names=names, routes=counted)
    app.add_middleware(
        SecurityHeaders, policy=PAGE_POLICY, permissions=PAGE_PERMISSIONS, on_error=failed
    )  # around the other
    return app


def _add(app: FastAPI, path: str, method: str, endpoint: Callable[..., Any], about: dict[str, Any]) -> None:
    app.add_api_route(path, endpoint, methods=[method], response_class=Response, response_model=None, **about)
