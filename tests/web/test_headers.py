"""Headers of all answers, whatever the application does."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from emobridge.web.headers import SecurityHeaders


def stored(request):
    return PlainTextResponse("stored", headers={"cache-control": "public"})


def failing(request):
    raise RuntimeError("a failure")


def failing_midway(request):
    def pieces():
        yield "begun"
        raise RuntimeError("too late for another answer")

    return StreamingResponse(pieces())


@pytest.fixture
def client():
    def failed(request, error):
        return PlainTextResponse(f"{request.url.path}: {error}", 500)

    routes = [Route("/stored", stored), Route("/failing", failing), Route("/midway", failing_midway)]
    headers = Middleware(SecurityHeaders, policy="default-src 'none'", permissions="camera=()", on_error=failed)
    with TestClient(Starlette(routes=routes, middleware=[headers])) as client:
        yield client


def test_every_answer_has_the_headers(client):
    for path, status, storage in (
        ("/stored", 200, "public"),
        ("/failing", 500, "no-store"),
        ("/nowhere", 404, "no-store"),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["cache-control"]) == (status, storage)
        assert answer.headers["content-security-policy"] == "default-src 'none'"
        assert answer.headers["permissions-policy"] == "camera=()"
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["x-frame-options"] == "DENY"


def test_a_failure_is_answered_by_the_application(client):
    assert client.get("/failing").text == "/failing: a failure"


def test_an_answer_that_has_begun_is_not_answered_twice(client):
    with pytest.raises(RuntimeError, match="too late"):
        client.get("/midway")
