"""Who may ask: not the pages of other sites, not who lacks the token, and nobody once the service stops."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from emobridge.serve.errors import error_response
from emobridge.serve.service import Service
from emobridge.web.requests import Refusal, is_same_origin
from emobridge.web.tokens import Attempts, is_same_token

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PUBLIC = ("/", "/healthz")  # whatever token is asked for; and what is below /static/
STOPPING = "the service is stopping"


class TokenCheck:
    """Knows the token. token: "" where everybody may ask."""

    def __init__(self, token: str) -> None:
        self.is_needed = bool(token)
        self._token = token
        self._attempts = Attempts()

    def check(self, text: str | None) -> None:
        """Errors: Refusal 401 for a wrong or missing token, 429 for many wrong ones.

        The right one always opens: whoever sends wrong ones must not shut others out.
        """
        if not self.is_needed or (text is not None and is_same_token(text, self._token)):
            return
        if text is None:
            raise Refusal(401, "this service asks for a token, as the header Authorization: Bearer TOKEN")
        self._attempts.check()
        self._attempts.count()
        raise Refusal(401, "the token is wrong")


class Guard:
    """Lets requests pass that may ask, and counts all of them.

    names: by which a service without a token may be called, beside addresses and localhost. routes: the addresses that
    are counted one by one.
    """

    def __init__(
        self, app: ASGIApp, service: Service, tokens: TokenCheck, names: Sequence[str], routes: Sequence[str]
    ) -> None:
        self.app, self._service, self._tokens = app, service, tokens
        self._names, self._routes = tuple(names), frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        route = scope["path"] if scope["path"] in self._routes else "other"

        async def send_counted(message: Message) -> None:
            if message["type"].endswith("response.start"):
                self._service.metrics.count_request(route, message["status"])
            elif message["type"] == "websocket.accept":
                self._service.metrics.count_request(route, 101)
            await send(message)

        try:
            self._check(HTTPConnection(scope))
        except Refusal as error:
            response = error_response(error)
            if scope["type"] == "websocket":
                await WebSocket(scope, receive, send_counted).send_denial_response(response)
            else:
                await response(scope, receive, send_counted)
            return
        with self._service.working():
            await self.app(scope, receive, send_counted)

    def _check(self, connection: HTTPConnection) -> None:
        if self._service.stopping.is_set():
            raise Refusal(503, STOPPING)
        headers, path = connection.headers, connection.scope["path"]
        is_reading = connection.scope.get("method") in ("GET", "HEAD")
        is_public = path in PUBLIC or path.startswith("/static/")
        if not is_reading and not is_same_origin(headers):
            raise Refusal(403, "the pages of other sites cannot use this service")
        if "origin" in headers or (is_reading and not is_public):  # browsers name the origin of all but what is read
            self._check_name(headers)
        if not is_public:
            text = bearer(headers)
            if text is not None or connection.scope["type"] == "http":  # a socket may bring it in its first message
                self._tokens.check(text)

    def _check_name(self, headers: Headers) -> None:
        """Errors: Refusal (403) for a name that may be another site's, at a service without a token.

        The page of such a site may call this machine by a name of its own, which a browser then takes for one origin:
        what a browser may have sent must call it by an address, localhost, or one of the names.
        """
        host = host_name(headers.get("host", ""))
        if not self._tokens.is_needed and not is_own_name(host) and host not in self._names:
            raise Refusal(403, "this service does not know itself by that name: see --hostname")


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token in the header Authorization; None where there is none."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def host_name(host: str) -> str:
    """The name in a Host header, without its port, in lower case.

    >>> host_name("Localhost:8000"), host_name("[::1]:8000")
    ('localhost', '::1')
    """
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.rstrip(".").lower()


def is_own_name(name: str) -> bool:
    """Whether a name can be no other site's: an IP address, or localhost.

    >>> [is_own_name(name) for name in ("127.0.0.1", "::1", "localhost", "evil.example", "")]
    [True, True, True, False, False]
    """
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
