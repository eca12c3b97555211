"""What somebody may send to the server of a listening test who means it ill: a test for each."""

from __future__ import annotations

import csv
import io
import re
import secrets
import sqlite3
import time

import pytest
from fastapi.testclient import TestClient
from listening_browser import TOKEN, Browser, form_token, log_in
from listening_studies import tiny_study

from emobridge.errors import UserError
from emobridge.listening.records import Listener
from emobridge.listening.security import Administration, parse_form
from emobridge.listening.server import make_app
from emobridge.listening.store import Store
from emobridge.web import tokens
from emobridge.web.requests import Refusal

SCRIPT = "<script>alert(1)</script>"
QUERY = "x'); DROP TABLE responses; --"
FORMULA = "=HYPERLINK(1)"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def fields_and_pages(browser):
    """All that is stored, and where the listener stands."""
    return browser.store.listeners(), browser.store.responses(), browser.step


OUTSIDE = (
    "/audio/../study.json",
    "/audio/..%2fstudy.json",
    "/audio/%2e%2e/answers.sqlite",
    "/audio/..%5canswers.sqlite",
    "/audio/%2fetc%2fpasswd",
    "/audio/c0.wav",
    "/audio/",
    "/static/../records.py",
    "/static/..%2frecords.py",
    "/static/%2e%2e/%2e%2e/errors.py",
    "/static//etc/passwd",
    "/static/%00",
    "/audio/%00",
    "/static/vendor",
    "/study.json",
    "/answers.sqlite",
    "/docs",
    "/openapi.json",
    "/admin/../answers.sqlite",
)


def test_no_path_leads_out_of_the_pages(browser):
    browser.begin()
    for path in OUTSIDE:
        response = browser.get(path)
        assert response.status_code == 404 and "<html" in response.text, path
        assert "frame-ancestors" in response.headers["content-security-policy"]


def test_bodies_and_fields_are_bounded(browser):
    browser.begin()
    before = fields_and_pages(browser)

    def parts():
        for _ in range(40):
            yield b"step=" + b"a" * 1000 + b"&"

    for path in ("/start", "/step", "/withdraw", "/admin", "/admin/delete", "/admin/export.json"):
        large = browser.post(path, content=b"emotion=" + b"a" * 40_000, headers=FORM)
        chunked = browser.post(path, content=parts(), headers=FORM)
        field = browser.post(path, content=b"emotion=" + b"a" * 501, headers=FORM)
        many = browser.post(path, content=b"a=1&" * 300, headers=FORM)
        assert [response.status_code for response in (large, chunked, field, many)] == [413, 413, 413, 400]
    assert fields_and_pages(browser) == before


def test_what_is_no_form_is_refused(browser):
    browser.begin()
    for kind in ("multipart/form-data; boundary=x", "application/json", "text/plain", ""):
        response = browser.post("/step", content=b'{"step": "item-0"}', headers={"content-type": kind})
        assert response.status_code == 415
    for body in (b"step=%ff%fe", b"step=\xff", b"step=item-0&step=item-0&emotion=anger"):
        assert browser.post("/step", content=body, headers=FORM).status_code in (400, 409)
    assert browser.answer(start=["0.1", "0.2"]).status_code == 400
    assert browser.step == "item-0"


def test_a_forged_cookie_is_somebody_who_has_not_begun(browser):
    browser.begin()
    listener = browser.store.listeners()[0]
    before = browser.store.responses()
    for cookie in ("", "x", QUERY, "a" * 5000, "\x7f", secrets.token_urlsafe(32), listener.id):
        other = TestClient(browser.app, cookies={"listener": cookie, "admin": cookie})
        assert other.get("/step").url.path == "/"
        assert other.post("/step", data={"step": "item-0", "emotion": "anger"}).status_code == 403
        assert other.post("/withdraw", data={"sure": "yes"}).status_code == 403
        assert other.get("/admin/export.csv").status_code == 403
        fields = {"listener": listener.id, "sure": "yes", "form_token": cookie}
        assert other.post("/admin/delete", data=fields).status_code in (403, 413)
    assert browser.store.responses() == before and browser.store.listeners() == [listener]


def test_the_cookie_is_for_this_server_alone_and_the_file_has_none_of_it(browser, tmp_path):
    response = browser.post("/start", data={"consent": "yes"}, follow_redirects=False)
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Secure" not in cookie
    secret = browser.cookies["listener"]
    assert len(secret) >= 40
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("answers.sqlite*"))
    assert secret.encode() not in content and b"testclient" not in content
    over_https = Browser(browser.app, base_url="https://study.example")
    assert "Secure" in over_https.post("/start", data={"consent": "yes"}, follow_redirects=False).headers["set-cookie"]


def test_answers_again_and_ahead_change_nothing(browser):
    browser.begin("item-1")
    before = fields_and_pages(browser)
    fields = {"emotion": "anger", "start": "0", "end": "0.2"}
    for step in ("item-0", "item-2", "questions", "check", "break-0", "end", SCRIPT, QUERY, "", "item-01", "ITEM-1"):
        assert browser.post("/step", data={"step": step, **fields}).status_code == 409
    assert browser.post("/step", data=fields).status_code == 409
    assert fields_and_pages(browser) == before


TEXTS = (SCRIPT, QUERY, FORMULA, "\x00", "é\u202e", "%", "' OR '1'='1")


def test_script_and_sql_in_all_fields_do_nothing(browser):
    browser.begin("questions")
    log_in(browser)
    token = form_token(browser)
    for text in TEXTS:
        for name in ("native", "languages", "languages.level", "english", "age", "headphones", "gender"):
            response = browser.answer("questions", **{name: text})
            assert response.status_code == 422 and SCRIPT not in response.text
        for path, field in (("/start", "lang"), ("/start", "consent"), ("/withdraw", "sure")):
            assert SCRIPT not in browser.post(path, data={field: text}).text
        for path in ("/", "/step", "/nowhere"):
            assert SCRIPT not in browser.get(path, params={"lang": text}, headers={"accept-language": "x"}).text
        for path in ("/admin/delete", "/admin/export.json"):
            response = browser.post(path, data={"listener": text, "sure": "yes", "form_token": token})
            assert response.status_code == 404 and SCRIPT not in response.text
    browser.go_on()
    fields = {"step": "item-0", "emotion": "anger", "start": "0", "end": "0.2"}
    for text in TEXTS:
        for name in (*fields, "plays"):
            response = browser.post("/step", data={**fields, name: text})
            assert response.status_code in (409, 422) and SCRIPT not in response.text
    assert SCRIPT not in browser.post("/admin", data={"token": SCRIPT}).text
    assert len(browser.store.responses()) == 4 and len(browser.store.listeners()) == 1


def test_what_another_program_wrote_is_escaped(browser):
    """No form can bring it in; another program, or a study file, could."""
    browser.begin()
    browser.answer()
    (listener,) = browser.store.listeners()
    texts = (SCRIPT, FORMULA, FORMULA, f'{{"age": "{FORMULA}", "x": "{SCRIPT}"}}')
    query = "UPDATE listeners SET state = ?, listener_group = ?, native = ?, answers = ?"
    browser.store.submit(lambda connection: connection.execute(query, texts)).result()
    assert browser.store.listeners()[0] == Listener(
        listener.id, "en", FORMULA, FORMULA, {"age": FORMULA, "x": SCRIPT}, SCRIPT
    )
    log_in(browser)
    page = browser.get("/admin").text
    assert SCRIPT not in page and "&lt;script&gt;" in page
    rows = list(csv.DictReader(io.StringIO(browser.get("/admin/export.csv").text)))
    assert {(row["group"], row["native"], row["question.age"]) for row in rows} == {(f"'{FORMULA}",) * 3}
    export = browser.get("/admin/export.json")
    assert (
        export.headers["content-type"] == "application/json" and "attachment" in export.headers["content-disposition"]
    )


def test_tokens_are_compared_in_constant_time(monkeypatch):
    compared = []

    def compare(first, second):
        compared.append((len(first), len(second)))
        return first == second

    monkeypatch.setattr(tokens.secrets, "compare_digest", compare)
    administration = Administration(TOKEN)
    for wrong in ("", "a", TOKEN[:-1], TOKEN + "x", "é" * 400):
        assert administration.log_in(wrong) is None
    secret = administration.log_in(TOKEN)
    assert secret and tokens.is_same_token("x", administration.form_token(secret)) is False
    assert compared == [(32, 32)] * 7, "digests are of one length, whatever the token's"


def test_logins_are_bounded_over_all_addresses(browser, monkeypatch):
    now = [time.monotonic()]
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now[0])
    administration = Administration(TOKEN)
    for _ in range(tokens.ATTEMPTS):
        assert administration.log_in("wrong") is None
    with pytest.raises(Refusal, match="429"):
        administration.log_in(TOKEN)
    now[0] += tokens.ATTEMPT_SECONDS
    assert administration.log_in(TOKEN)
    statuses = [log_in(browser, f"wrong {number}").status_code for number in range(tokens.ATTEMPTS + 1)]
    assert statuses == [403] * tokens.ATTEMPTS + [429]


@pytest.mark.parametrize("token", ["", "short", "a" * 15, "line\n" * 8, "a" * 501])
def test_a_token_that_is_no_secret_is_refused(token):
    with pytest.raises(UserError, match=r"^token: expected"):
        make_app("study", tiny_study(), Store("answers.sqlite"), token)


def test_all_answers_have_the_security_headers(browser):
    browser.begin()
    script = "/static/vendor/wavesurfer.esm.js"
    for path in ("/", "/step", "/admin", "/nowhere", script, "/healthz", "/audio/c0"):
        headers = browser.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["form-action"] == policy["connect-src"] == "'self'"
        assert not re.search("unsafe|\\*|http:|https:", headers["content-security-policy"])
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == ("public, max-age=600" if path == script else "no-store")


def test_no_page_has_a_script_or_a_style_of_its_own(browser):
    pages = [browser.get("/").text]
    browser.post("/start", data={"consent": "yes"})
    while step := browser.step:
        pages.append(browser.page())
        browser.answer(step)
    log_in(browser)
    pages += [browser.page(), browser.get("/admin").text, browser.get("/nowhere").text]
    for page in pages:
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=\"/static/)", page)
        assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", page), "nothing comes from another server"


def test_an_answer_from_another_site_changes_nothing(browser):
    browser.begin()
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        assert browser.answer(headers=headers).status_code == 403
    assert len(browser.store.responses()) == 4
    assert browser.answer(headers={"origin": "http://testserver"}).status_code == 200


def test_other_methods_are_refused(browser):
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "POST", "TRACE"):
        response = browser.request(method, "/healthz")
        assert response.status_code == 405 and response.headers["allow"]


def test_an_odd_form_is_read_or_refused():
    assert parse_form(b"") == {}
    assert parse_form(b"a=%C3%A9&a=+&b") == {"a": ["é", " "], "b": [""]}
    for body in (b"a=%ff", "a=é".encode(), b"&".join([b"a=1"] * 201)):
        with pytest.raises(Refusal, match="400"):
            parse_form(body)


def test_the_file_of_answers_is_as_it_was_after_all_this(browser, tmp_path):
    browser.begin("questions")
    browser.answer("questions", native=QUERY)
    connection = sqlite3.connect(next(tmp_path.rglob("answers.sqlite")))
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT COUNT(*) FROM responses").fetchone() == (0,)
    connection.close()
