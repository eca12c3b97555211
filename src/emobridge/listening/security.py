"""What keeps the server of a listening test safe, whatever a browser or somebody else sends.

Forms of bounded size from its pages alone, cookies that no script sees, and the administration. What every server needs
is in `emobridge.web`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from emobridge.listening.templates import STYLE_HASH
from emobridge.web.requests import Refusal, is_same_origin, read_body
from emobridge.web.tokens import Attempts, check_token, digest, is_same_token

if TYPE_CHECKING:
    from starlette.responses import Response

LARGEST_BODY = 32 << 10  # bytes of a form
LONGEST_FIELD = 500  # characters
MOST_FIELDS = 200  # of a form
BODY_SECONDS = 20.0  # for a form to arrive
LONGEST_COOKIE = 200  # characters
LISTENER_COOKIE, ADMIN_COOKIE = "listener", "admin"
COOKIE_DAYS = 60  # in which a listener may go on
MOST_SESSIONS = 10  # of the administration at once
POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", f"style-src 'self' '{STYLE_HASH}'", "media-src 'self'",
        "connect-src 'self'", "img-src 'self' data:", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
    )
)  # fmt: skip
PERMISSIONS = "camera=(), geolocation=(), microphone=()"


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
        body = await read_body(request, largest=LARGEST_BODY, seconds=BODY_SECONDS)
    except ClientDisconnect as error:  # nobody reads the answer
        raise Refusal(400, "bad-form") from error
    return parse_form(body)


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


class Administration:
    """Who may see the pages of the administration: browsers that gave the token.

    Their sessions end with the server. Attempts are counted over all addresses, of which none is looked at.
    """

    def __init__(self, token: str) -> None:
        self._token = check_token(token)
        self._sessions: dict[bytes, str] = {}  # digest of the secret: token of the forms
        self._attempts = Attempts()

    def log_in(self, token: str) -> str | None:
        """The secret of a new session; None for a wrong token. Errors: Refusal for too many attempts."""
        self._attempts.check()
        if not is_same_token(token, self._token):
            self._attempts.count()
            return None
        secret = secrets.token_urlsafe(32)
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[digest(secret)] = secrets.token_urlsafe(32)
        return secret

    def form_token(self, secret: str) -> str | None:
        """The token that the forms of a session carry; None where there is no such session."""
        return self._sessions.get(digest(secret))

    def log_out(self, secret: str) -> None:
        """End a session."""
        self._sessions.pop(digest(secret), None)
