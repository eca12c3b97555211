"""What a request may bring, and from where."""

from __future__ import annotations

import asyncio

import pytest

from emobridge.web import requests
from emobridge.web.requests import Refusal, is_same_origin, read_body


class Request:
    """A request whose body comes piece by piece. wait: seconds before the last piece."""

    def __init__(self, *pieces, wait=0.0):
        self.pieces, self.wait = pieces, wait

    async def stream(self):
        for piece in self.pieces[:-1]:
            yield piece
        await asyncio.sleep(self.wait)
        yield self.pieces[-1]


def read(request, largest=10, seconds=5.0):
    return asyncio.run(read_body(request, largest=largest, seconds=seconds))


def test_a_body_of_the_largest_size():
    assert read(Request(b"0123456789")) == b"0123456789"
    assert read(Request(b"01234", b"", b"56789")) == b"0123456789"
    assert read(Request(b"")) == b""


def test_a_body_that_is_too_large_is_not_read_to_its_end():
    unread = Request(b"01234", b"567890", b"", wait=60)
    with pytest.raises(Refusal, match="413 too-large"):
        read(unread)


def test_a_body_that_never_ends_is_waited_for_only_so_long():
    with pytest.raises(Refusal, match="408 slow"):
        read(Request(b"step=", b"", wait=30), seconds=0.05)


def test_a_large_body_may_take_longer(monkeypatch):
    monkeypatch.setattr(requests, "LEAST_RATE", 100)
    assert len(read(Request(bytes(200), b"the end", wait=0.1), largest=1000, seconds=0.01)) == 207


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://proxy.example"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"origin": "http://testserver", "host": "testserver"}, True),
        ({"origin": "http://testserver:81", "host": "testserver"}, False),
        ({"origin": "https://evil.example", "host": "testserver"}, False),
        ({"origin": "null", "host": "testserver"}, False),
        ({"origin": "http://[", "host": "testserver"}, False),
        ({"origin": "", "host": ""}, False),
    ],
)
def test_what_comes_from_other_sites(headers, expected):
    assert is_same_origin(headers) is expected
