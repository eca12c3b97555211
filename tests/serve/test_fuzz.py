"""Requests that nobody should send, a few of those of benchmarks/serve_fuzz.py, and that the check can fail."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from serving_process import running

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def serve_fuzz(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("serve_fuzz")


def test_no_request_is_answered_as_the_document_does_not_say(serve_fuzz):
    lines = []
    with running() as (_, port):
        assert serve_fuzz.fuzz(f"http://127.0.0.1:{port}/", 40, 0, lines.append, patience=1.0) == []
    assert int(lines[-1].split()[-1]) == 40 + len(serve_fuzz.malicious_recordings())
    seen = {int(line.split()[-2]) for line in lines if line.startswith("damaged") and "answer" not in line}
    assert {200, 400, 422} <= seen


def test_what_is_wrong_is_found(serve_fuzz, monkeypatch):
    monkeypatch.setattr(serve_fuzz, "is_well", lambda address: False)
    monkeypatch.setattr(serve_fuzz, "malicious_recordings", lambda: {"a zip": (b"PK", 422)})
    monkeypatch.setattr(serve_fuzz, "send_bytes", lambda *a: serve_fuzz.UNANSWERED)
    monkeypatch.setattr(
        serve_fuzz, "schema_statuses", lambda *a: (serve_fuzz.Counter({("GET /x", 500): 1}), ["GET /x: 500"])
    )
    monkeypatch.setattr(serve_fuzz, "damaged_statuses", lambda *a: serve_fuzz.Counter({("damaged bytes", 504): 1}))
    assert serve_fuzz.fuzz("http://127.0.0.1/", 2, 0, lambda line: None) == [
        "a good upload is not answered at the start",
        "a zip: status none, expected 422",
        "GET /x: status 500",
        "damaged bytes: status 504",
        "not in the document: GET /x: 500",
        "not in the document: damaged bytes: 504",
        "a good upload is not answered at the end",
    ]


def test_damage_is_of_many_kinds(serve_fuzz):
    draw, good = serve_fuzz.random.Random(0), serve_fuzz.good_request("a")
    requests = {serve_fuzz.damaged(good, draw) for _ in range(100)}
    assert len(requests) > 90 and good not in requests
    assert serve_fuzz.with_its_length(good) == good
    assert serve_fuzz.with_its_length(b"x\r\ncontent-length: 9\r\n\r\nab") == b"x\r\ncontent-length: 2\r\n\r\nab"
