"""A browser for tests of the listening test's pages, and what a listener does in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    f"--{argument}"
    for argument in (
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
    )
]
WIDTHS = (390, 1280)  # px
START, END = "[part~=region-handle-left]", "[part~=region-handle-right]"  # of the marked part


@contextmanager
def chromium(*arguments: str) -> Iterator:
    """A browser of Playwright; skips the test where there is none. arguments: further ones, without their dashes."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra `dev`")
    if CHROMIUM is None:
        pytest.skip("needs chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*ARGUMENTS, *(f"--{argument}" for argument in arguments)]
        )
        yield browser
        browser.close()


def wait_until_heard(page) -> None:
    """The policy of the pages forbids the script that Playwright waits with, so this waits for what is shown."""
    from playwright.sync_api import expect

    expect(page.locator("#todo")).not_to_contain_text("listen to the end")


def play(page) -> None:
    """Play the recording to its end."""
    page.click("#play")
    wait_until_heard(page)


def send(page) -> None:
    """Press the button that sends the form of the page."""
    with page.expect_navigation():
        page.click("main form button:not([type=button])")


def drag(page, start: float = 0.3, end: float = 0.7) -> None:
    """Drag across the waveform, from one share of its width to another."""
    page.locator("#waveform").scroll_into_view_if_needed()
    box = page.locator("#waveform").bounding_box()
    x, y = box["x"], box["y"] + box["height"] / 2
    page.mouse.move(x + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(x + (start + end) / 2 * box["width"], y, steps=4)
    page.mouse.move(x + end * box["width"], y, steps=4)
    page.mouse.up()


def mark_by_keyboard(page) -> None:
    """Mark a part that begins 0.1 s after the start of the recording and ends 0.1 s before its end."""
    page.locator("#mark").press("Enter")
    page.locator(START).press("ArrowRight")
    page.locator(END).press("ArrowLeft")


def assert_fits(page) -> None:
    """The page does not scroll sideways at any width."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        scroll, client = page.evaluate("(({scrollWidth: s, clientWidth: c}) => [s, c])(document.documentElement)")
        assert scroll <= client, (page.url, width)


def assert_accessible(page) -> None:
    """axe-core finds nothing serious or critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python, of `dev`")
    rules = axe.Axe().run(page).response["violations"]
    serious = [rule for rule in rules if rule["impact"] in ("serious", "critical")]
    assert not [(rule["id"], node["html"]) for rule in serious for node in rule["nodes"]], page.url
