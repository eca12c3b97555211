"""The server of a listening test: consent to end, resumption, wrong answers, administration."""

from __future__ import annotations

import csv
import io
import json
import sqlite3

import pytest
from fastapi.testclient import TestClient
from listening_browser import Browser, form_token, log_in

from emobridge.listening import changes, tones


def test_a_listener_goes_from_consent_to_the_end(browser):
    assert 'action="/start"' in browser.page("/")
    browser.begin("questions")
    seen = []
    while step := browser.step:
        if step.startswith(("item", "practice")):
            seen.append(browser.audio)
        assert browser.answer(step, emotion="sadness").url.path == "/step"
    assert len(seen) == len(set(seen)) == 21
    (listener,) = browser.store.listeners()
    assert (listener.state, listener.native, listener.group, listener.interface) == ("finished", "de", "de", "en")
    assert listener.answers["languages"] == ("en:C1",)
    responses = browser.store.responses()
    assert [f"/audio/{row.item}" for row in responses] == seen
    assert {(row.emotion, row.segment, row.plays) for row in responses if row.item != "c0"} == {
        ("sadness", (0.1, 0.25), 1)
    }
    assert [row.position for row in responses] == [*range(4), *range(17)]
    assert all(0 <= row.seconds < 60 for row in responses)
    assert listener.id in browser.page() and browser.get("/").url.path == "/step"
    assert browser.answer("item-16").status_code == 409


def test_a_new_server_goes_on_where_the_listener_was(site):
    first = site().begin("item-3")
    second = site()
    second.cookies = first.cookies
    assert second.step == "item-3" and second.audio == first.audio
    assert second.answer("item-3").status_code == 200 and second.step == "item-4"


NOT_WHOLE = (
    ({"emotion": ""}, "choose the emotion"),
    ({"emotion": "joy"}, "choose the emotion"),
    ({"plays": "0"}, "listen to the recording"),
    ({"plays": "-1"}, "listen to the recording"),
    ({"plays": "9" * 400}, "listen to the recording"),
    ({"start": "", "end": ""}, "mark one part"),
    ({"start": "0.3", "end": "0.2"}, "mark one part"),
    ({"start": "0.1", "end": "0.7"}, "mark one part"),
    ({"start": "-0.1"}, "mark one part"),
    ({"start": "nan"}, "mark one part"),
    ({"end": "1e999"}, "mark one part"),
    ({"emotion": "neutral", "end": ""}, "mark one part"),
)


def test_an_answer_that_is_not_whole_is_asked_for_again(browser):
    browser.begin()
    for fields, message in NOT_WHOLE:
        response = browser.answer("item-0", **fields)
        assert response.status_code == 422 and message in response.text, fields
    assert browser.step == "item-0" and len(browser.store.responses()) == 4


def test_what_may_be_absent_is(site):
    browser = site(wants_confidence=True).begin("practice-0")
    assert browser.answer(confidence="").status_code == 422
    assert browser.answer(confidence="1.5").status_code == 422
    assert browser.answer(emotion="neutral", start="", end="", plays="", confidence="0,25").status_code == 200
    (response,) = browser.store.responses()
    assert (response.segment, response.plays, response.confidence) == (None, 0, 0.25)


def test_an_attention_check_says_what_to_choose_and_takes_no_segment(browser):
    browser.begin()
    while browser.audio != "/audio/c0":
        assert "Sadness" in browser.page() and browser.answer().status_code == 200
    assert 'name="start"' not in browser.page()
    browser.answer(emotion="sadness", start="0.1", end="0.2")
    assert browser.store.responses()[-1].segment is None


def test_a_questionnaire_with_mistakes_comes_back_with_its_answers(browser):
    browser.begin("questions")
    response = browser.answer("questions", native="", age="25-35", languages="en")
    assert response.status_code == 422 and response.text.count('aria-invalid="true"') >= 1
    assert browser.step == "questions" and not browser.store.listeners()[0].answers
    assert browser.answer("questions").status_code == 200 and browser.step == "check"


def test_who_breaks_a_rule_is_thanked_and_takes_no_part(browser):
    browser.begin("questions")
    browser.answer("questions", english="B1")
    assert browser.store.listeners()[0].state == "screened out"
    assert browser.step is None and browser.answer("practice-0").status_code == 409
    assert browser.get("/audio/c0").status_code == 404


def test_a_wrong_count_of_tones_plays_others(browser):
    browser.begin("check")
    first = browser.audio
    assert browser.answer("check", heard="1").status_code == 422
    assert browser.step == "check" and browser.audio != first
    assert browser.answer("check").status_code == 200 and browser.step == "practice-0"


def test_a_step_is_answered_once_and_in_order(browser):
    browser.begin()
    for step in ("item-1", "practice-3", "end", "", "break-0"):
        assert browser.answer(step or "x").status_code == 409
    assert browser.answer("item-0").status_code == 200
    before = browser.store.responses()
    assert browser.answer("item-0", emotion="sadness").status_code == 409
    assert browser.store.responses() == before and browser.step == "item-1"


def test_sound_of_the_current_step_alone_in_parts_and_by_head(browser):
    browser.begin()
    audio, other = browser.audio, browser.store.plan(browser.store.listeners()[0].id)[8].item
    whole = browser.get(audio)
    assert whole.headers["content-type"] == "audio/wav" and whole.content[:4] == b"RIFF"
    part = browser.get(audio, headers={"range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, whole.content[4:12])
    head = browser.head(audio)
    assert head.headers["content-length"] == str(len(whole.content)) and not head.content
    assert browser.get(f"/audio/{other}").status_code == 404
    assert browser.get("/audio/check").status_code == 404
    assert TestClient(browser.app).get(audio).status_code == 404


def test_tones_come_in_parts_too(browser):
    browser.begin("check")
    whole = browser.get(browser.audio).content
    part = browser.get(browser.audio, headers={"range": "bytes=0-1"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (
        206,
        whole[:2],
        f"bytes 0-1/{len(whole)}",
    )
    assert len({len(tones.tones(count)) for count in tones.COUNTS}) == 1


@pytest.mark.parametrize(
    ("header", "status", "part"),
    [
        ("", 200, b"abcdef"),
        ("bytes=4-", 206, b"ef"),
        ("bytes=-2", 206, b"ef"),
        ("bytes=-9", 206, b"abcdef"),
        ("bytes=0-99", 206, b"abcdef"),
        ("bytes=6-", 416, b""),
        ("bytes=3-1", 416, b""),
        ("bytes=-", 200, b"abcdef"),
        ("bytes=0-1,3-4", 200, b"abcdef"),
        ("lines=1-2", 200, b"abcdef"),
    ],
)
def test_ranges(header, status, part):
    assert tones.part_of(b"abcdef", header)[:2] == (status, part)


def test_consent_is_needed_and_begins_once(browser):
    assert browser.post("/start", data={"lang": "de"}).status_code == 422
    assert not browser.store.listeners()
    browser.begin("check")
    assert browser.post("/start", data={"consent": "yes"}).url.path == "/step"
    assert len(browser.store.listeners()) == 1


def test_the_language_is_chosen_or_the_browsers(browser):
    assert 'lang="de"' in browser.page("/?lang=de")
    assert '<html lang="it"' in browser.get("/", headers={"accept-language": "fr, it;q=0.5"}).text
    assert '<html lang="en"' in browser.page("/?lang=xx")
    browser.post("/start", data={"consent": "yes", "lang": "zh"})
    assert '<html lang="zh' in browser.page() and '<html lang="zh' in browser.get("/nowhere").text
    assert browser.store.listeners()[0].interface == "zh"


def test_withdrawal_deletes_the_answers(browser):
    browser.begin("item-2")
    assert browser.post("/withdraw").status_code in (415, 422)
    assert browser.post("/withdraw", data={"sure": "no"}).status_code == 422
    assert len(browser.store.responses()) == 6
    assert browser.post("/withdraw", data={"sure": "yes"}).status_code == 200
    (listener,) = browser.store.listeners()
    assert (listener.state, listener.answers, browser.store.responses()) == ("withdrawn", {}, [])
    assert browser.step is None and browser.answer("item-2").status_code == 409


def test_items_that_the_study_has_no_more_are_passed(site):
    browser = site().begin("item-2")
    gone = [step.item for step in browser.store.plan(browser.store.listeners()[0].id)[8:11]]
    assert len([item for item in gone if item]) == 3
    items = tuple(item for item in browser.study.items if item.id not in gone)
    later = site(items=items)
    later.cookies = browser.cookies
    assert later.step == "item-5"
    while step := later.step:
        assert later.answer(step).status_code == 200
    assert later.store.listeners()[0].state == "finished" and len(later.store.responses()) == 18


def test_a_full_disk_says_so_and_the_next_try_works(browser, monkeypatch):
    browser.begin()
    before, write = browser.store.responses(), changes.record_response

    def record_on_a_full_disk(*arguments):
        def change(connection):
            assert write(*arguments)(connection)
            raise sqlite3.OperationalError("database or disk is full")

        return change

    with monkeypatch.context() as patch:
        patch.setattr(changes, "record_response", record_on_a_full_disk)
        response = browser.answer()
        assert response.status_code == 507 and "could not be saved" in response.text
        assert browser.step == "item-0" and browser.store.responses() == before
    assert browser.answer().status_code == 200 and browser.step == "item-1"


def test_an_error_of_the_program_is_a_page_that_tells_nothing(browser, monkeypatch, caplog):
    browser.begin()

    def fail(*arguments):
        raise RuntimeError("the inside")

    monkeypatch.setattr(changes, "record_response", fail)
    response = browser.answer()
    assert response.status_code == 500 and "Something went wrong" in response.text and "inside" not in response.text
    assert response.headers["content-security-policy"] and "the inside" in caplog.text
    assert "testclient" not in caplog.text and browser.cookies["listener"] not in caplog.text


def test_the_administration_shows_exports_and_deletes(browser):
    browser.begin("item-3")
    (listener,) = browser.store.listeners()
    assert browser.get("/admin/export.csv").status_code == 403
    assert log_in(browser, "wrong").status_code == 403 and listener.id not in browser.page("/admin")
    assert log_in(browser).status_code == 200
    page = browser.page("/admin")
    assert listener.id in page and "3 / 17" in page
    rows = list(csv.DictReader(io.StringIO(browser.page("/admin/export.csv"))))
    assert len(rows) == 7 and {row["listener"] for row in rows} == {listener.id}
    assert rows[0]["kind"] == "practice" and rows[0]["question.languages"] == "en:C1" and rows[4]["start"] == "0.1"
    values = json.loads(browser.page("/admin/export.json"))
    assert len(values["listeners"][0]["responses"]) == 7 and values["listeners"][0]["answers"]["age"] == "25-34"
    other = Browser(browser.app)
    other.post("/start", data={"consent": "yes"})
    fields = {"listener": listener.id, "sure": "yes", "form_token": form_token(browser)}
    one = browser.post("/admin/export.json", data=fields).json()
    assert [row["id"] for row in one["listeners"]] == [listener.id]
    assert browser.post("/admin/delete", data=fields | {"sure": ""}).status_code == 422
    assert browser.post("/admin/delete", data=fields | {"listener": "nobody"}).status_code == 404
    assert browser.post("/admin/delete", data=fields | {"form_token": "forged"}).status_code == 403
    assert other.post("/admin/delete", data=fields).status_code == 403
    assert len(browser.store.listeners()) == 2
    assert browser.post("/admin/delete", data=fields).status_code == 200
    assert len(browser.store.listeners()) == 1 and not browser.store.responses()
    assert browser.get("/step").url.path == "/", "a deleted listener is somebody who has not begun"
    assert browser.post("/admin/logout", data=fields).status_code == 200
    assert browser.get("/admin/export.json").status_code == 403
