"""What all pages of a listening test share: the study, the store, the language, and what an error looks like."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from typing import Any, ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from emobridge.listening import catalogue
from emobridge.listening.records import ListeningStudy
from emobridge.listening.security import LISTENER_COOKIE, secret_of
from emobridge.listening.store import Standing, Store
from emobridge.listening.writer import NotWrittenError
from emobridge.web.requests import UNREAD, Refusal

REFUSAL_REASONS = {404: "not-found", 405: "method"}  # of refusals that the framework makes
NOT_WRITTEN = 507  # Insufficient Storage
log = logging.getLogger("emobridge.listening")


class Site:
    """A study and its answers, and how a page about them is made. render: see `templates.render`."""

    REFUSALS: ClassVar[tuple[type[Exception], ...]] = (Refusal, HTTPException, NotWrittenError)

    def __init__(self, study: ListeningStudy, store: Store, render: Callable[..., str]) -> None:
        self.study, self.store, self.render = study, store, render

    def title(self, lang: str) -> str:
        """The title of the study in a language, "" where it has none."""
        return self.study.title.get(lang, "")

    def page(self, name: str, lang: str, code: int = 200, **context: Any) -> HTMLResponse:
        """A page in a language of the study. code: the status of HTTP."""
        return HTMLResponse(self.render(name, lang, title=self.title(lang), **context), code)

    def standing(self, request: Request) -> Standing | None:
        """Where the listener stands whose browser asks; None for somebody who has not begun."""
        secret = secret_of(request, LISTENER_COOKIE)
        return self.store.find(secret) if secret else None

    def language(self, request: Request, word: str = "") -> str:
        """The language of a page: the one that is chosen, by `word` or ?lang=, or what the browser likes best."""
        word = word or request.query_params.get("lang", "")
        if word in self.study.interface:
            return word
        return catalogue.best_language(request.headers.get("accept-language", ""), self.study.interface)

    async def write(self, change: Callable[[sqlite3.Connection], Any]) -> Any:
        """Let the store make a change; it is on the disk afterwards. Errors: NotWrittenError."""
        return await asyncio.wrap_future(self.store.submit(change))

    async def refused(self, request: Request, error: Exception) -> Response:
        """The page that says why a request is refused."""
        headers: dict[str, str] = {}
        if isinstance(error, Refusal):
            status, reason = error.status, error.reason
            headers = {408: UNREAD, 413: UNREAD, 429: {"retry-after": "10"}}.get(status, headers)
        elif isinstance(error, HTTPException):
            status, reason = error.status_code, REFUSAL_REASONS.get(error.status_code, "bad-form")
            headers = dict(error.headers or {})
        else:
            log.error("%s", error)
            status, reason = NOT_WRITTEN, "not-written"
        return self._error_page(request, status, reason, headers)

    def failed(self, request: Request, error: Exception) -> Response:
        """The page after an error that is the program's; the log gets its traceback, and nothing of the request."""
        log.error("a page failed", exc_info=error)
        return self._error_page(request, 500, "server", {})

    def _error_page(self, request: Request, status: int, reason: str, headers: dict[str, str]) -> Response:
        try:
            standing = self.standing(request)
        except Exception:  # what cannot be read now may be the reason for this page
            standing = None
        lang = standing.listener.interface if standing else self.language(request)
        if lang not in self.study.interface:  # of a listener, before the study changed
            lang = self.study.interface[0]
        response = self.page("error.html", lang, status, status=status, reason=reason)
        response.headers.update(headers)
        return response
