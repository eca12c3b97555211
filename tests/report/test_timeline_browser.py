"""The page of a call in a browser: it plays from any point, by mouse and by keyboard, and fits."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile
from sounds import RATE, syllables

from emobridge.diarization.call import call_records
from emobridge.report.timeline import write_timeline_page
from emobridge.types import Prediction

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
STATE = "[...document.querySelectorAll('audio')].map(sound => [sound.currentTime, sound.paused])"


@pytest.fixture
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium")
    with playwright.sync_playwright() as context:
        chromium = context.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture
def page_of_calls(tmp_path):
    """Two calls of two channels, of a minute and of 20 s, each with a stretch every 5 s."""
    rows, labels = [], ("anger", "neutral")
    for name, count in (("first_call_" * 8, 12), ("second", 4)):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, np.tile(np.stack([syllables(5), np.zeros(5 * RATE)], 1), (count, 1)), RATE)
        for k in range(count):
            shares = (0.9 - k / 20, 0.1 + k / 20)
            rows.append(Prediction(name, 5 * k, 5 * k + 3, labels, shares, path=str(path), channel=k % 2))
    return write_timeline_page(tmp_path / "calls.html", call_records(rows, tmp_path / "calls.html"))


def test_a_page_plays_and_fits(browser, page_of_calls):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(viewport={"width": 390, "height": 844})
    problems, requests = [], []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_of_calls.as_uri())

    head, sound = page.locator(".playhead").first, page.locator("audio").first
    head.focus()
    for key, place in (("PageUp", 10), ("ArrowRight", 11), ("n", 15), ("p", 10), ("End", 60), ("Home", 0)):
        page.keyboard.press(key)
        assert float(head.get_attribute("aria-valuenow")) == pytest.approx(place), key
    page.keyboard.press("n")
    assert head.get_attribute("aria-valuetext") == "0:05.0, channel 0: none; channel 1: anger 0.85"
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('audio').currentTime > 5.2")
    page.keyboard.press("Space")
    assert sound.evaluate("sound => sound.paused")

    page.locator(".call select").first.select_option("20")
    assert page.locator(".time").first.evaluate("time => time.clientWidth") > 3 * 340
    page.locator("input.shares").first.check()
    assert page.locator(".call").first.locator(".lane").count() == 4

    page.locator(".call").nth(1).locator(".wave").first.click()  # its middle
    page.wait_for_function("document.querySelectorAll('audio')[1].currentTime > 9")
    button = page.locator(".call").first.locator(".moments button").first
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    page.wait_for_function("document.querySelectorAll('audio')[1].paused")
    page.evaluate("document.querySelector('audio').currentTime = 2.8")
    page.wait_for_function("document.querySelector('audio').paused")
    (first, _), (second, _) = page.evaluate(STATE)
    assert first == pytest.approx(3, abs=0.3) and second >= 9, "a moment ends, and only one recording plays"
    assert button.get_attribute("aria-pressed") == "false"

    page.locator("summary").first.click()
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not [rule["id"] for rule in axe.run(page).response["violations"]]
    assert not problems and [url for url in requests if not url.startswith("data:")] == [page_of_calls.as_uri()]
