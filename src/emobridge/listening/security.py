"""What keeps the server of a listening test safe, whatever a browser or somebody else sends.

Security headers on all answers, bodies and fields of bounded size, forms from its pages alone, tokens compared in
constant time. No address of anybody is looked at or stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import ClientDisconnect, Request

from emobridge.errors import UserError
from emobridge.listening.templates import STYLE_HASH

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 32 << 10  # bytes of a form
LONGEST_FIELD = 500  # characters
MOST_FIELDS = 200  # of a form
BODY_SECONDS = 20.0  # for a form to arrive
LONGEST_COOKIE = 200  # characters
SHORTEST_TOKEN = 16  # characters of the administration's token
LISTENER_COOKIE, ADMIN_COOKIE = "listener", "admin"
COOKIE_DAYS = 60  # in which a listener may go on
LOGINS, LOGIN_SECONDS = 10, 6.0  # that may come at once, and how long it takes until another may come
POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", f"style-src 'self' '{STYLE_HASH}'", "media-src 'self'",
        "connect-src 'self'", "img-src 'self' data:", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
    )
)  # fmt: skip
SECURITY_HEADERS = (
    (b"content-security-policy", POLICY.encode("ascii")),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # "no-referrer" would hide the origin of our forms from us
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)


class Refusal(Exception):
    """A request that is answered with an error page. reason: a key of the message catalogue under `error.`"""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status, self.reason = status, reason


class SecurityHeaders:
    """Adds the security headers to all answers; what does not say how long it may be stored is not stored.

    on_error: makes the answer where the application fails.
    """

    def __init__(self, app: ASGIApp, on_error: Callable[[Request, Exception], Response]) -> None:
        self.app, self.on_error = app, on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = [*message.get("headers", ()), *SECURITY_HEADERS]
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


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a form that one of our pages sent, with all values of each.

    Errors: Refusal for a form of another page, a body that is no form, and one that is too large or too slow.
    """
    if not is_same_origin(request.headers):
        raise Refusal(403, "forbidden")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refusal(415, "bad-form")
    try:
        body = await asyncio.wait_for(_read_body(request), BODY_SECONDS)
    except asyncio.TimeoutError as error:
        raise Refusal(408, "slow") from error
    except ClientDisconnect as error:  # nobody reads the answer
        raise Refusal(400, "bad-form") from error
    return parse_form(body)


async def _read_body(request: Request) -> bytes:
    """At most LARGEST_BODY bytes, whatever length the request states, or none."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            raise Refusal(413, "too-large")
    return bytes(body)


def parse_form(body: bytes) -> dict[str, list[str]]:
    """The fields of an URL-encoded form. Errors: Refusal for what is none, and for too many or too long fields."""
    form: dict[str, list[str]] = {}
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError as error:  # UnicodeDecodeError too
        raise Refusal(400, "bad-form") from error
    for name, value in pairs:
        if len(name) > LONGEST_FIELD or len(value) > LONGEST_FIELD:
            raise Refusal(413, "too-large")
        form.setdefault(name, []).append(value)
    return form


def field_of(form: Mapping[str, Sequence[str]], name: str) -> str:
    """The value of a field that a form has at most once, "" where it is absent. Errors: Refusal for several."""
    values = form.get(name, ())
    if len(values) > 1:
        raise Refusal(400, "bad-form")
    return values[0].strip() if values else ""


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a form comes from a page of this server, as far as the browser tells.

    Browsers say so by themselves over https and on this machine (Sec-Fetch-Site); else the origin must have the host
    that was called. What says neither is no browser that holds somebody's cookies, or one that keeps SameSite.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    except ValueError:
        return False


def secret_of(request: Request, name: str) -> str:
    """The secret in a cookie, "" where there is none, or one that cannot be ours."""
    secret = request.cookies.get(name, "")
    return secret if len(secret) <= LONGEST_COOKIE else ""


def set_secret(response: Response, request: Request, name: str, secret: str, *, days: int | None = None) -> None:
    """Give a browser a secret, which no script and no other site's page can use. days: None is until it is closed."""
    response.set_cookie(
        name,
        secret,
        max_age=None if days is None else days * 24 * 3600,
        path="/" if name == LISTENER_COOKIE else "/admin",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def check_token(token: str) -> str:
    """The token, if it is long enough that nobody guesses it. Errors: UserError."""
    if len(token) < SHORTEST_TOKEN:
        raise UserError(f"token: expected {SHORTEST_TOKEN} characters or more, got {len(token)}")
    if len(token) > LONGEST_FIELD or not token.isprintable():
        raise UserError(f"token: expected one line of {LONGEST_FIELD} characters at most")
    return token


class Administration:
    """Who may see the pages of the administration: browsers that gave the token.

    Their sessions end with the server. Attempts are counted over all addresses, of which none is looked at.
    """

    def __init__(self, token: str) -> None:
        self._token = check_token(token)
        self._sessions: dict[bytes, str] = {}  # digest of the secret: token of the forms
        self._logins = float(LOGINS)
        self._last = time.monotonic()

    def log_in(self, token: str) -> str | None:
        """The secret of a new session; None for a wrong token. Errors: Refusal for too many attempts."""
        now = time.monotonic()
        self._logins = min(float(LOGINS), self._logins + (now - self._last) / LOGIN_SECONDS)
        self._last = now
        if self._logins < 1:
            raise Refusal(429, "too-many")
        if not is_same_token(token, self._token):
            self._logins -= 1
            return None
        secret = secrets.token_urlsafe(32)
        while len(self._sessions) >= LOGINS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[_digest(secret)] = secrets.token_urlsafe(32)
        return secret

    def form_token(self, secret: str) -> str | None:
        """The token that the forms of a session carry; None where there is no such session."""
        return self._sessions.get(_digest(secret))

    def log_out(self, secret: str) -> None:
        """End a session."""
        self._sessions.pop(_digest(secret), None)


def is_same_token(text: str, token: str) -> bool:
    """Whether a text is the token, found out in a time that does not depend on how much of it is right."""
    return secrets.compare_digest(_digest(text), _digest(token))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
