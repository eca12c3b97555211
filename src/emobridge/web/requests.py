"""What a request may bring: a body of bounded size that comes in time, and from no page of another site."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit

from starlette.requests import Request

LEAST_RATE = 20_000  # bytes a second: a body that comes more slowly is not waited for
UNREAD = {"connection": "close"}  # headers of an answer to a body that was not read to its end


class Refusal(Exception):
    """A request that is answered with an error. reason: a word for the kind of error, or a line for the caller."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status, self.reason = status, reason


async def body_pieces(request: Request, *, largest: int, seconds: float) -> AsyncIterator[bytes]:
    """The body as it comes, whatever length the request states, or none.

    largest: bytes. seconds: that a body may take, and one more for every LEAST_RATE bytes of it.
    Errors: Refusal "too-large" (413) and "slow" (408); starlette's ClientDisconnect where the client has gone.
    """
    loop = asyncio.get_running_loop()
    deadline, size = loop.time() + seconds, 0
    pieces = request.stream().__aiter__()
    try:
        while True:
            wait = deadline + size / LEAST_RATE - loop.time()
            piece = await asyncio.wait_for(pieces.__anext__(), max(wait, 0.0))
            size += len(piece)
            if size > largest:
                raise Refusal(413, "too-large")
            yield piece
    except StopAsyncIteration:
        return
    except asyncio.TimeoutError as error:
        raise Refusal(408, "slow") from error


async def read_body(request: Request, *, largest: int, seconds: float) -> bytes:
    """The whole body. Errors: as `body_pieces`."""
    return b"".join([piece async for piece in body_pieces(request, largest=largest, seconds=seconds)])


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a request comes from a page of this server, or from no page, as far as the browser tells.

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
