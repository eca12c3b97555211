"""Tokens that open what is not for everybody, and how often one may be tried."""

from __future__ import annotations

import hashlib
import secrets
import time

from emobridge.errors import UserError
from emobridge.web.requests import Refusal

SHORTEST_TOKEN, LONGEST_TOKEN = 16, 500  # characters
ATTEMPTS, ATTEMPT_SECONDS = 10, 6.0  # wrong tokens that may come at once, and how long it takes until another may


def check_token(token: str) -> str:
    """The token, if it is long enough that nobody guesses it. Errors: UserError."""
    if len(token) < SHORTEST_TOKEN:
        raise UserError(f"token: expected {SHORTEST_TOKEN} characters or more, got {len(token)}")
    if len(token) > LONGEST_TOKEN or not token.isprintable():
        raise UserError(f"token: expected one line of {LONGEST_TOKEN} characters at most")
    return token


def is_same_token(text: str, token: str) -> bool:
    """Whether a text is the token, found out in a time that does not depend on how much of it is right."""
    return secrets.compare_digest(digest(text), digest(token))


def digest(text: str) -> bytes:
    """The sha256 of a text (32 bytes), whatever a browser has put into it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class Attempts:
    """Wrong tokens, counted over all addresses, of which none is looked at."""

    def __init__(self) -> None:
        self._left = float(ATTEMPTS)
        self._last = time.monotonic()

    def check(self) -> None:
        """Errors: Refusal "too-many" (429) where too many came."""
        now = time.monotonic()
        self._left = min(float(ATTEMPTS), self._left + (now - self._last) / ATTEMPT_SECONDS)
        self._last = now
        if self._left < 1:
            raise Refusal(429, "too-many")

    def count(self) -> None:
        """Count a wrong one."""
        self._left -= 1
