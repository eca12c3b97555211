"""Security headers on all answers, also where the application fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.requests import Request

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # "no-referrer" would hide the origin of our own forms from us
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class SecurityHeaders:
    """Adds the security headers to all answers; what does not say how long it may be stored is not stored.

    policy: the Content-Security-Policy. permissions: the Permissions-Policy. on_error: makes the answer where the
    application fails before it has begun one.
    """

    def __init__(
        self, app: ASGIApp, policy: str, permissions: str, on_error: Callable[[Request, Exception], Response]
    ) -> None:
        self.app, self.on_error = app, on_error
        own = ((b"content-security-policy", policy), (b"permissions-policy", permissions))
        self._headers = (*((name, value.encode("ascii")) for name, value in own), *SECURITY_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = [*message.get("headers", ()), *self._headers]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = headers
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:
            if started:
                raise
            await self.on_error(Request(scope), error)(scope, receive, send_with_headers)
