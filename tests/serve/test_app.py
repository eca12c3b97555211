"""What each address answers, and what it refuses."""

from __future__ import annotations

import asyncio
import csv
import io
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving_fakes import MODELS, sound
from starlette.requests import Request

from emobridge.serve import endpoints, uploads
from emobridge.serve.answers import MEDIA_TYPES
from emobridge.serve.conversion import CONVERTED_TYPES
from emobridge.serve.errors import Gone
from emobridge.serve.fields import PREDICTING
from emobridge.serve.records import Busy, EngineError, Limits, Lost, TooLong
from emobridge.settings import Answering, Diarizing

TOKEN = "a token for the tests"
SMALL = Limits(body=100_000, duration=2.0, streams=1)
FORM = b"multipart/form-data; boundary=b"


def predict(client, wav, path="/predict", name="call.wav", **options):
    data = options.pop("data", {})
    return client.post(path, files={"file": (name, wav)}, data=data, **options)


def test_a_recording_is_answered(client, wav):
    answer = predict(client, wav)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model"], body["seconds"], body["notes"]) == ("de", 1.0, ["a note"])
    (row,) = body["rows"]
    assert row["probabilities"] == {"anger": 0.75, "neutral": 0.25} and row["label"] == "anger"
    assert (row["id"], row["path"], row["start"], row["end"]) == ("call.wav", "call.wav", 0.0, 0.5)
    ((job, content),) = client.engine.jobs
    assert content == wav and job.settings == Answering() and job.language is None


def test_the_fields_of_a_form_are_the_settings(client, wav):
    data = {
        "model": "calls", "language": "de", "segments": "Windows", "window": "5", "hop": "2.5", "labels": "anger, x",
        "abstain_below": "0.4", "channels": "0,1", "detector": "",
    }  # fmt: skip
    answer = predict(client, wav, data=data).json()
    assert answer["model"] == "calls" and answer["rows"][0]["trained_on"] == "SYNTHETIC"
    ((job, _),) = client.engine.jobs
    assert (job.model, job.language, job.name) == ("calls", "de", "call.wav")
    assert job.settings == Answering(
        segments="windows", window=5.0, hop=2.5, labels=("anger", "x"), abstain_below=0.4, channels="0,1"
    )
    assert predict(client, wav, "/diarize", data={"shortest": "2", "cost": "0"}).status_code == 200
    assert client.engine.jobs[1][0].settings == Diarizing(shortest=2.0, cost=0.0)


@pytest.mark.parametrize(
    ("path", "data", "line"),
    [
        ("/predict", {"windw": "5"}, "unknown field 'windw': did you mean 'window'?"),
        ("/predict", {"adapt_online": "yes"}, "unknown field 'adapt_online'"),
        ("/predict", {"window": "five"}, "window: expected a number, got 'five'"),
        ("/predict", {"window": "nan"}, "window: expected a number above 0"),
        ("/predict", {"window": "0.0001"}, "window: expected 0.1 to 60 s in a service"),
        ("/predict", {"longest": "3600"}, "longest: expected 0.1 to 60 s in a service"),
        ("/predict", {"hop": "0.01"}, "hop: expected 0.1 to 60 s"),
        ("/predict", {"abstain_below": "1.5"}, "abstain_below: expected a probability"),
        ("/predict", {"segments": "windws"}, "unknown segments 'windws': did you mean 'windows'?"),
        ("/predict", {"channels": "left"}, "unknown choice of channels 'left'"),
        ("/predict", {"model": "dee"}, "unknown model 'dee': did you mean 'de'?"),
        ("/predict", {"language": "xx"}, "unknown language 'xx'"),
        ("/predict", {"labels": "an\x00ger"}, "fields: labels: expected text without control characters"),
        ("/diarize", {"segments": "windows"}, "unknown field 'segments'"),
        ("/diarize", {"shortest": "-1"}, "shortest: expected 0 or more"),
        ("/predict?form=csv", {}, "unknown query parameter 'form': did you mean 'format'?"),
        ("/predict?format=cvs", {}, "unknown format 'cvs': did you mean 'csv'?"),
        ("/predict?model=de", {}, "unknown query parameter 'model'"),
    ],
)
def test_what_is_not_as_expected_is_named(client, wav, path, data, line):
    answer = predict(client, wav, path, data=data)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(line) and set(answer.json()) == {"error"}
    assert list(client.folder.iterdir()) == []


@pytest.mark.parametrize("form", [form for form in MEDIA_TYPES if form != "json"])
def test_formats_are_those_of_the_command(client, wav, form):
    by_name = predict(client, wav, f"/predict?format={form}")
    by_header = predict(client, wav, headers={"accept": f"{MEDIA_TYPES[form]};q=0.9, */*"})
    assert by_name.status_code == 200 and by_name.headers["content-type"].startswith(MEDIA_TYPES[form])
    assert by_name.text == by_header.text and "anger" in by_name.text


def test_a_table_a_textgrid_and_lines(client, wav):
    (row,) = csv.DictReader(io.StringIO(predict(client, wav, "/predict?format=csv").text))
    assert row["label"] == "anger" and row["p_neutral"] == "0.25"
    assert json.loads(predict(client, wav, "/predict?format=jsonl").text)["label"] == "anger"


def test_no_file_of_the_callers_name_is_looked_at(client, wav, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "call.wav").write_bytes(sound(2.0))
    assert "xmax = 1.0\n" in predict(client, wav, "/predict?format=textgrid").text, "as long as the upload"


def test_what_browsers_accept_is_json(client, wav):
    accept = "text/html,application/xhtml+xml,*/*;q=0.8"
    assert predict(client, wav, headers={"accept": accept}).headers["content-type"] == "application/json"


def test_models_and_health(client):
    listed = client.get("/models").json()["models"]
    assert [model["name"] for model in listed] == ["de", "calls"]
    assert listed[0] == {
        "name": "de", "kind": "recogniser", "labels": ["anger", "neutral"], "attributes": ["arousal"],
        "languages": ["de"], "encoder": "logmel", "synthetic": False,
    }  # fmt: skip
    assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (200, {"ready": 1, "workers": 1})
    client.engine.is_ready = False
    answer = client.get("/healthz")
    assert answer.status_code == 503 and answer.json() == {"ready": 0, "workers": 1, "error": "broken"}


def metrics(client):
    """The values of all metrics by name and labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(row.name, *sorted(row.labels.values())): row.value for family in families for row in family.samples}


def test_the_metrics_count(client, wav):
    predict(client, wav)
    predict(client, wav, data={"x": "y"})
    client.get("/nowhere")
    client.get("/nowhere/else")
    values = metrics(client)
    assert values["emobridge_requests_total", "/predict", "200"] == 1
    assert values["emobridge_requests_total", "/predict", "422"] == 1
    assert values["emobridge_requests_total", "404", "other"] == 2
    assert values["emobridge_answer_seconds_count", "/predict"] == 1
    assert values["emobridge_sound_seconds_total", "/predict"] == 1.0
    assert (values["emobridge_workers",], values["emobridge_ready",], values["emobridge_restarts_total",]) == (1, 1, 0)
    assert not {name for name, *_ in values if name.startswith(("python", "process"))}


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (Busy(3.2), 429, "the service is busy; try again later"),
        (TooLong("the answer took more than 600 s"), 413, "the answer took more than 600 s"),
        (Lost("the process died\nand so did the next"), 503, "the process died\\nand so did the next"),
        (EngineError("a defect"), 500, "a defect"),
        (ValueError("a secret of the program"), 500, "the service failed; its log has the reason"),
    ],
)
def test_errors_of_the_engine(client, wav, error, status, line):
    client.engine.error = error
    answer = predict(client, wav)
    assert (answer.status_code, answer.json()) == (status, {"error": line})
    assert answer.headers.get("retry-after") == {429: "4", 503: "1"}.get(status)
    assert list(client.folder.iterdir()) == [] and answer.headers["x-content-type-options"] == "nosniff"


def test_a_busy_service_does_not_read_the_body(client, wav):
    client.engine.error = Busy(1.0)
    assert predict(client, b"no sound", data={"x": "y"}).status_code == 429
    client.engine.error = None
    assert predict(client, wav).status_code == 200


def test_uploads_at_once_are_bounded(client, wav, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_UPLOADS", 0)
    assert predict(client, wav).status_code == 429


def test_limits(site, wav):
    client = site(SMALL)
    assert predict(client, sound(2.0)).status_code == 200
    answer = predict(client, sound(2.5))
    assert answer.status_code == 413 and "2.5 s of sound" in answer.json()["error"]
    answer = predict(client, bytes(100_001))
    assert answer.status_code == 413 and "larger than 100,000 bytes" in answer.json()["error"]
    assert predict(client, bytes(100_000)).status_code == 422, "as large as it may be, and no sound"


@pytest.mark.parametrize(("method", "path"), [("GET", "/predict"), ("POST", "/models"), ("TRACE", "/"), ("PUT", "/x")])
def test_other_addresses_and_methods(client, method, path):
    answer = client.request(method, path)
    assert answer.status_code in (404, 405) and set(answer.json()) == {"error"}


# Who may ask.


def test_a_token(site, wav):
    client = site(token=TOKEN)
    for headers in ({}, {"authorization": "Basic abc"}, {"authorization": f"Bearer {TOKEN}x"}):
        for path in ("/models", "/metrics", "/openapi.json", "/nowhere"):
            answer = client.get(path, headers=headers)
            assert answer.status_code in (401, 429)
        answer = predict(client, wav, headers=headers)
        assert answer.status_code in (401, 429) and not client.engine.jobs
    assert client.get("/healthz").status_code == 200
    good = {"authorization": f"bearer {TOKEN}"}
    assert client.get("/models", headers=good).status_code == 200 and predict(client, wav, headers=good).is_success


def test_wrong_tokens_are_bounded_and_shut_nobody_out(site):
    client = site(token=TOKEN)
    statuses = [client.get("/models", headers={"authorization": f"Bearer {n}"}).status_code for n in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert client.get("/models", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    answer = client.get("/models")
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:8000"}, 200),
        ({"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:8001"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        # A name of another site that leads here, as its page sends it: DNS rebinding.
        ({"origin": "http://evil.example:8000", "host": "evil.example:8000"}, 403),
        ({"origin": "http://evil.example", "host": "evil.example", "sec-fetch-site": "same-origin"}, 403),
        ({"origin": "http://localhost:8000", "host": "LOCALHOST:8000"}, 200),
        ({"origin": "http://[::1]:8000", "host": "[::1]:8000"}, 200),
        ({"origin": "http://lab.example", "host": "lab.example"}, 200),
        ({"host": "anything.example"}, 200),  # no browser: it names its origin
    ],
)
def test_pages_of_other_sites(site, wav, headers, status):
    client = site(names=["lab.example"])
    assert predict(client, wav, headers=headers).status_code == status
    assert len(client.engine.jobs) == (status == 200)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("localhost", True),
        ("lab.example", True),
        ("evil.example", False),
    ],
)
def test_what_is_read_is_for_known_names_too(site, method, host, known):
    """A browser names no origin with what it reads, so the name alone tells DNS rebinding."""
    client = site(names=["lab.example"])
    for path in ("/models", "/metrics", "/openapi.json", "/nowhere"):
        assert (client.request(method, path, headers={"host": host}).status_code != 403) == known, path
    assert client.request(method, "/healthz", headers={"host": host}).status_code != 403, "it tells nothing of anybody"
    headers = {"host": host, "authorization": f"Bearer {TOKEN}"}
    assert site(token=TOKEN).get("/models", headers=headers).status_code == 200


def test_a_service_with_a_token_has_any_name(site, wav):
    headers = {"origin": "https://a.example", "host": "a.example", "authorization": f"Bearer {TOKEN}"}
    assert predict(site(token=TOKEN), wav, headers=headers).status_code == 200
    assert predict(site(token=TOKEN), wav, headers=headers | {"host": "b.example"}).status_code == 403


def test_all_answers_have_the_headers_of_the_page(client, wav):
    for answer in (client.get("/models"), client.get("/nowhere"), predict(client, wav), predict(client, b"")):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "microphone=(self)" in answer.headers["permissions-policy"]
        assert answer.headers["cache-control"] == "no-store"


def test_a_service_that_stops_refuses_everything(client, wav):
    client.service.stopping.set()
    for answer in (client.get("/healthz"), client.get("/models"), predict(client, wav)):
        assert (answer.status_code, answer.json()) == (503, {"error": "the service is stopping"})


# Clients that leave.


def test_an_answer_whose_client_left_is_given_up(client, wav):
    engine = client.engine

    async def leave():
        engine.slow = asyncio.Event()
        messages = [{"type": "http.request", "body": body_of(wav), "more_body": False}]
        left = asyncio.Event()

        async def receive():
            if messages:
                return messages.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        scope = {
            "type": "http", "method": "POST", "path": "/predict", "headers": [(b"content-type", FORM)],
            "query_string": b"", "server": ("127.0.0.1", 8000), "scheme": "http",
        }  # fmt: skip
        answering = asyncio.create_task(client.service.answer_upload(Request(scope, receive), PREDICTING))
        while not engine.jobs:
            await asyncio.sleep(0)
        assert len(list(client.folder.iterdir())) == 1
        left.set()
        with pytest.raises(Gone):
            await answering

    asyncio.run(leave())
    assert engine.cancelled == 1 and list(client.folder.iterdir()) == []


def body_of(wav):
    return b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + wav + b"\r\n--b--\r\n"


# Conversions.


def test_conversion_over_http(client):
    rows = [{"start": 0, "end": 1, "label": "anger", "probabilities": {"anger": 1.0}}]
    answer = {"name": "a.wav", "seconds": 1.0, "rows": rows}
    response = client.post("/convert?format=csv", json=answer)
    assert response.headers["content-type"].startswith("text/csv") and "anger" in response.text
    for query, body, line in (("?format=x", answer, "format"), ("", answer, "format"), ("?format=csv", {}, "name")):
        response = client.post(f"/convert{query}", json=body)
        assert response.status_code == 422 and line in response.json()["error"]
    assert client.get("/convert").status_code == 405


def test_conversions_are_bounded(client, monkeypatch):
    monkeypatch.setattr(endpoints, "MOST_CONVERSIONS", 0)
    response = client.post("/convert?format=csv", json={})
    assert response.status_code == 429 and response.headers["retry-after"] == "1"
    monkeypatch.setattr(endpoints, "MOST_CONVERSIONS", 1)
    monkeypatch.setattr(endpoints, "LARGEST_ANSWER", 10)
    for _ in range(3):  # one that is refused gives up its place
        assert client.post("/convert?format=csv", json={"name": "a.wav"}).status_code == 413


# The document.


def test_the_document_has_all_fields_and_statuses(client):
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {"/predict", "/diarize", "/convert", "/models", "/healthz", "/metrics"}
    post = document["paths"]["/predict"]["post"]
    assert set(post["responses"]) == {"200", "400", "401", "403", "408", "413", "415", "422", "429", "503"}
    fields = post["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert fields["segments"]["enum"] == ["auto", "speech", "windows", "whole"]
    assert fields["window"] == {
        "type": "number", "description": "Length of --segments windows in seconds.", "exclusiveMinimum": 0,
        "maximum": 60.0, "default": 10.0,
    }  # fmt: skip
    example = post["responses"]["200"]["content"]["application/json"]["example"]
    row = predict(client, sound(1.0)).json()["rows"][0]
    assert set(example["rows"][0]) == set(row) - {"reason"}, "which is null where there is a label"
    model = document["paths"]["/models"]["get"]["responses"]["200"]["content"]["application/json"]["example"]
    assert set(model["models"][0]) == {name for name in MODELS[0].__slots__}


def test_the_document_has_the_conversion(client):
    post = client.get("/openapi.json").json()["paths"]["/convert"]["post"]
    (form,) = post["parameters"]
    assert form["required"] and form["schema"]["enum"] == list(CONVERTED_TYPES)
    given = post["requestBody"]["content"]["application/json"]
    assert "$defs" not in given["schema"] and "$ref" not in json.dumps(post)
    for name in CONVERTED_TYPES:
        answer = client.post(f"/convert?format={name}", json=given["example"])
        assert (
            answer.status_code == 200
            and answer.headers["content-type"].partition(";")[0] in (post["responses"]["200"]["content"])
        )


def test_docs_of_another_site_are_not_there(client):
    for path in ("/docs", "/redoc"):
        assert client.get(path).status_code == 404


def test_a_lone_byte_is_a_limit(site):
    assert predict(site(Limits(body=1)), b"ab").status_code == 413
    assert predict(site(Limits(body=1)), b"a").status_code == 422
