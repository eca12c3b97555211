"""The routes of the page: what it loads is there and nothing else is, and nothing in it is inline."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from emobridge.serve.errors import HANDLED, refused
from emobridge.serve.records import Limits
from emobridge.serve.site import page_routes


@pytest.fixture(scope="module")
def client():
    app = FastAPI(routes=page_routes(Limits(body=2_500_000, duration=90)), openapi_url=None)
    for kind in HANDLED:
        app.add_exception_handler(kind, refused)
    return TestClient(app)


def test_the_page_has_no_script_and_no_style_of_its_own(client):
    text = client.get("/").text
    tags, attributes = [], []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, pairs: (tags.append(tag), attributes.extend(pairs))
    parser.feed(text)
    assert "style" not in tags and not re.search(r"<script(?![^>]* src=)", text)
    assert not [name for name, _ in attributes if name == "style" or name.startswith("on")]
    assert "At most 2.5 MB and 1.5 minutes" in text


def test_all_that_the_page_loads_is_there(client):
    waiting, loaded = ["/"], set()
    while waiting:
        path = waiting.pop()
        loaded.add(path)
        response = client.get(path)
        assert response.status_code == 200, path
        names = re.findall(r'(?:static|\.)/([a-z]+\.(?:js|css))"', response.text)
        waiting += [f"/static/{name}" for name in names if f"/static/{name}" not in loaded]
        text = response.text.replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(", text), path
        if path != "/":
            assert response.headers["cache-control"] == "public, max-age=600"
            kind = "text/javascript" if path.endswith(".js") else "text/css"
            assert response.headers["content-type"].startswith(kind)
    assert {"/static/page.js", "/static/timeline.js", "/static/samples.js", "/static/style.css"} <= loaded


@pytest.mark.parametrize("name", ["none.js", "../site.py", "%2e%2e/site.py", "..%2fsite.py", ""])
def test_no_other_file_is_served(client, name):
    assert client.get(f"/static/{name}").status_code == 404
