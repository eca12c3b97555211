"""The administration of a listening test: how far the listeners are, the export, the deletion of one of them."""

from __future__ import annotations

from collections import Counter

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from emobridge.listening.export import as_csv, as_json
from emobridge.listening.security import (
    ADMIN_COOKIE,
    Administration,
    field_of,
    read_form,
    secret_of,
    set_secret,
)
from emobridge.listening.site import Site
from emobridge.web.requests import Refusal
from emobridge.web.tokens import is_same_token

EXPORT_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


class Office:
    """The pages of the administration."""

    def __init__(self, site: Site, administration: Administration) -> None:
        self.site, self.administration = site, administration

    async def show(self, request: Request) -> Response:
        """How far the listeners are, or the form for the token."""
        form_token = self.administration.form_token(secret_of(request, ADMIN_COOKIE))
        if form_token is None:
            return self.site.page("admin_login.html", self.site.language(request), wrong=False)
        return await run_in_threadpool(self._overview, request, form_token)

    def _overview(self, request: Request, form_token: str, *, unknown: bool = False) -> Response:
        study, answered = self.site.study, self.site.store.answered()
        count = sum(item.kind != "practice" for item in study.items)
        listeners = self.site.store.listeners()
        rows = [
            {"id": row.id, "state": row.state, "group": row.group, "interface": row.interface}
            | {"done": answered.get(row.id, 0), "count": count}
            for row in listeners
        ]
        counts = dict(Counter(row.state for row in listeners))
        context = {"listeners": rows, "counts": counts, "form_token": form_token, "unknown": unknown}
        return self.site.page("admin.html", self.site.language(request), code=404 if unknown else 200, **context)

    async def log_in(self, request: Request) -> Response:
        """Open a session for who has the token."""
        secret = self.administration.log_in(field_of(await read_form(request), "token"))
        if secret is None:
            return self.site.page("admin_login.html", self.site.language(request), code=403, wrong=True)
        response = RedirectResponse("/admin", 303)
        set_secret(response, request, ADMIN_COOKIE, secret)
        return response

    async def log_out(self, request: Request) -> Response:
        """End the session."""
        await self._form(request)
        self.administration.log_out(secret_of(request, ADMIN_COOKIE))
        return RedirectResponse("/admin", 303)

    async def delete(self, request: Request) -> Response:
        """Delete a listener and all of their answers."""
        form = await self._form(request)
        if field_of(form, "sure") != "yes":
            raise Refusal(422, "sure")
        if not await run_in_threadpool(self.site.store.delete, field_of(form, "listener")):
            return await run_in_threadpool(self._overview, request, field_of(form, "form_token"), unknown=True)
        return RedirectResponse("/admin", 303)

    async def export(self, request: Request) -> Response:
        """All that is there, as CSV or JSON."""
        if self.administration.form_token(secret_of(request, ADMIN_COOKIE)) is None:
            raise Refusal(403, "forbidden")
        return await run_in_threadpool(self._export, request.url.path.rpartition(".")[2])

    async def export_listener(self, request: Request) -> Response:
        """All that is there about one listener, as JSON."""
        form = await self._form(request)
        listener = field_of(form, "listener")
        if all(row.id != listener for row in self.site.store.listeners()):
            return await run_in_threadpool(self._overview, request, field_of(form, "form_token"), unknown=True)
        return await run_in_threadpool(self._export, "json", listener)

    def _export(self, form: str, listener: str = "") -> Response:
        """listener: the only one, "" is all."""
        listeners = [row for row in self.site.store.listeners() if listener in ("", row.id)]
        write = {"csv": as_csv, "json": as_json}[form]
        text = write(self.site.study, listeners, self.site.store.responses())
        headers = {"content-disposition": f'attachment; filename="{"listener" if listener else "answers"}.{form}"'}
        return Response(text, headers=headers, media_type=EXPORT_TYPES[form])

    async def _form(self, request: Request) -> dict[str, list[str]]:
        """The fields of a form that a page of this session sent. Errors: Refusal for another one."""
        form = await read_form(request)
        token = self.administration.form_token(secret_of(request, ADMIN_COOKIE))
        if token is None or not is_same_token(field_of(form, "form_token"), token):
            raise Refusal(403, "forbidden")
        return form
