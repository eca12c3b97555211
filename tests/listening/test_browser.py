"""The pages of the listening test in a real browser: looks, keyboard, mouse, touch, and what is sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from listening_chromium import (
    END,
    START,
    assert_accessible,
    assert_fits,
    drag,
    play,
    wait_until_heard,
)
from listening_pages import SECONDS, PageServer, pages_in, recording, serving

from emobridge.listening.catalogue import INTERFACES

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra `dev`")
PREPARED = "#rate[data-prepared]"


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    with serving(PageServer(recording(SECONDS))) as server:
        yield server


@pytest.fixture
def opened(real_browser, server):
    """A function that opens a page by its name; what the browser complains of fails the test."""
    complaints = []
    contexts = []

    def open_page(name: str, lang: str = "en", **options):
        context = real_browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{server.address}/{lang}/{name}")
        if name.startswith("rate") and options.get("java_script_enabled", True):
            page.wait_for_selector(PREPARED)
        return page

    server.posts.clear()
    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def fields(server) -> dict[str, str]:
    """The form that was posted, once."""
    [(path, values)] = server.posts
    assert path == "/step"
    return {name: value for name, [value] in values.items()}


def wait_until_stopped(page, *, plays: int) -> None:
    """Wait until the recording was played so often, and plays no more."""
    sync_api.expect(page.locator("[name=plays]")).to_have_value(str(plays))
    sync_api.expect(page.locator("#play")).to_have_text("Play")


def visit_all(page, lang: str) -> Iterator[None]:
    """Every page of a language, one after another."""
    address = page.url.rpartition("/")[0].rpartition("/")[0]
    for name in pages_in(lang):
        page.goto(f"{address}/{lang}/{name}")
        yield


def test_no_page_scrolls_sideways(opened):
    page = opened("consent")
    for _ in visit_all(page, "de"):  # whose words are the longest
        assert_fits(page)


@pytest.mark.slow
@pytest.mark.parametrize("lang", INTERFACES)
def test_no_page_of_any_language_is_hard_to_use(opened, lang):
    page = opened("consent", lang)
    for _ in visit_all(page, lang):
        assert_fits(page)
        assert_accessible(page)


def test_by_mouse(opened, server):
    page = opened("rate")
    assert page.is_disabled("#send")
    box = page.locator("#waveform").bounding_box()
    page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + 9)
    page.click("#play")
    wait_until_stopped(page, plays=1)
    assert "listen to the end" in page.text_content("#todo")  # what was played is not the recording
    play(page)
    page.check("input[name=confidence][value='0.75']")
    page.check("input[value=neutral]")
    assert page.is_enabled("#send")  # what is neutral has no part to mark
    page.check("input[value=sadness]")
    assert page.text_content("#todo") == "Still to do: mark a part"
    drag(page, 0.7, 0.9)
    drag(page, 0.2, 0.6)  # replaces the first
    assert page.locator(START).count() == 1
    assert page.text_content("#marked") == "Marked: 0.2 to 0.5 seconds"
    assert_accessible(page)
    page.dblclick("#send")
    page.wait_for_url("**/posted")
    posted = fields(server)
    assert 0.1 < float(posted.pop("start")) < 0.25 and 0.5 < float(posted.pop("end")) < 0.6
    assert posted == {"step": "item-3", "plays": "2", "emotion": "sadness", "confidence": "0.75"}


def test_by_keyboard(opened, server):
    page = opened("rate")
    page.keyboard.press("Space")  # the play button has the focus
    wait_until_heard(page)
    page.keyboard.press("2")
    assert page.is_checked("input[value=happiness]")
    page.locator("#mark").press("Enter")
    start, end = page.locator(START), page.locator(END)
    scrolled = page.locator("#waveform [part=scroll]").evaluate("part => [part.scrollWidth, part.clientWidth]")
    assert scrolled[0] == scrolled[1]
    assert start.evaluate("handle => handle.getRootNode().activeElement === handle")
    assert start.get_attribute("aria-label") == "Start of the marked part"
    for key in ("ArrowRight", "ArrowUp", "ArrowRight", "ArrowLeft"):
        start.press(key)
    assert start.get_attribute("aria-valuenow") == "0.20"
    assert start.get_attribute("aria-valuetext") == "0.2 seconds"
    page.keyboard.press("Tab")
    assert end.evaluate("handle => handle.getRootNode().activeElement === handle")
    end.press("Shift+ArrowLeft")  # a second back: no further than the start
    assert end.get_attribute("aria-valuenow") == "0.30" == end.get_attribute("aria-valuemin")
    end.press("End")
    assert end.get_attribute("aria-valuenow") == "0.90" == end.get_attribute("aria-valuemax")
    end.press("ArrowLeft")
    start.press("Home")
    page.locator("input[name=confidence]").first.press("Space")
    assert page.text_content("#todo") == "Everything is there. You can continue."
    page.locator("#send").press("Enter")
    page.wait_for_url("**/posted")
    assert fields(server) == {
        "step": "item-3", "plays": "1", "emotion": "happiness", "start": "0.000", "end": "0.800", "confidence": "0",
    }  # fmt: skip


def test_by_touch_a_part_is_marked_resized_and_played_and_no_more(opened):
    page = opened("rate", has_touch=True, is_mobile=True, viewport={"width": 390, "height": 800})
    session = page.context.new_cdp_session(page)
    box = page.locator("#waveform").bounding_box()

    def touch(kind: str, share: float | None = None) -> None:
        point = {"x": box["x"] + (share or 0) * box["width"], "y": box["y"] + box["height"] / 2}
        points = [] if share is None else [point]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.2)
    page.wait_for_timeout(120)  # of a touch, wavesurfer.js takes no move in the first 100 ms
    for share in (0.25, 0.3, 0.4, 0.5):
        touch("touchMove", share)
    touch("touchEnd")
    assert page.text_content("#marked") == "Marked: 0.2 to 0.5 seconds"
    touch("touchStart", 0.5)  # the end of the part
    page.wait_for_timeout(120)
    for share in (0.6, 0.7, 0.8):
        touch("touchMove", share)
    touch("touchEnd")
    assert page.text_content("#marked") == "Marked: 0.2 to 0.7 seconds"
    page.tap("#play-part")
    wait_until_stopped(page, plays=1)
    assert 0.65 < page.evaluate("document.querySelector('#audio').currentTime") < SECONDS
    assert "listen to the end" in page.text_content("#todo")


def test_after_a_mistake_the_answers_are_there_and_the_mistake_has_the_focus(opened):
    page = opened("rate-wrong")
    assert page.text_content("#marked") == "Marked: 0.2 to 0.6 seconds"
    assert page.is_checked("input[value=anger]")
    assert page.evaluate("document.activeElement.className") == "mistake"


def test_without_script_the_form_is_sent_all_the_same(opened, server):
    page = opened("rate", java_script_enabled=False)
    assert page.is_hidden(".player")
    page.check("input[value=anger]")
    page.fill("input[name=start]", "0.25")
    page.fill("input[name=end]", "0.75")
    page.check("input[name=confidence][value='0.5']")
    page.click("#send")
    assert fields(server) == {
        "step": "item-3", "plays": "", "emotion": "anger", "start": "0.25", "end": "0.75", "confidence": "0.5",
    }  # fmt: skip


def open_with_broken_audio(real_browser, server, kind: str):
    """The page of a recording where what a kind of request gets is no audio. kind: "media" plays, "fetch" draws."""
    page = real_browser.new_page()

    def answer(route) -> None:
        if route.request.resource_type == kind:
            route.fulfill(body=b"RIFF", content_type="audio/wav")
        else:
            route.fallback()

    page.route("**/audio/**", answer)
    page.goto(f"{server.address}/en/rate")
    return page


def test_a_recording_that_cannot_be_played(real_browser, server):
    page = open_with_broken_audio(real_browser, server, "media")
    sync_api.expect(page.locator("#todo")).to_have_text("The recording cannot be played. Please load this page again.")
    assert page.is_disabled("#send")
    page.close()


@pytest.mark.slow
def test_of_a_recording_that_cannot_be_drawn_the_ends_of_a_part_are_typed(real_browser, server):
    server.posts.clear()
    page = open_with_broken_audio(real_browser, server, "fetch")
    page.wait_for_selector("input[name=start]")
    play(page)
    page.keyboard.press("1")
    page.fill("input[name=start]", "0.1")
    page.fill("input[name=end]", "0.4")
    page.check("input[name=confidence][value='1']")
    page.click("#send")
    page.wait_for_url("**/posted")
    assert fields(server) == {
        "step": "item-3", "plays": "1", "emotion": "anger", "start": "0.1", "end": "0.4", "confidence": "1",
    }  # fmt: skip
    page.close()


def test_languages_have_names_in_the_language_of_the_page(opened):
    options = opened("questions", "de").locator("#native option").all_text_contents()
    assert options[:6] == [
        "Bitte wählen",
        "Englisch",
        "Deutsch",
        "Italienisch",
        "Chinesisch",
        "Abkhazian",
    ]  # the last has no name in this browser
    assert "Französisch" in options and options[-1] == "Eine Sprache, die hier nicht steht"
    assert options.index("Baskisch") < options.index("Ungarisch") < options.index("Zulu")
