"""A whole study in a real browser: from the consent to the end, over a reload, and a server that is killed."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from listening_chromium import assert_accessible, assert_fits, drag, mark_by_keyboard, play, send
from listening_studies import SECONDS, tiny_study, write_tiny_study

from emobridge.listening import tones
from emobridge.listening.results import listening_results
from emobridge.listening.store import ANSWERS_FILE, Store

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra `dev`")
TOKEN = "a token of the administration"
PREPARED = "#rate[data-prepared]"
ANSWERS = {"native": "de", "english": "ielts-6.5", "age": "25-34", "headphones": "yes"}


@dataclass
class Command:
    """`emobridge listening serve` of a study, as a process that can be killed and started again at its port."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "emobridge", "listening", "serve", str(self.folder)]
        command += ["--port", str(self.port), "--token", TOKEN]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)/", line)[1])

    def kill(self) -> None:
        """End the process without a chance to put anything in order (SIGKILL)."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def command(tmp_path):
    """The server of a study of four items, one of practice and one of attention, with a break in the middle."""
    study = tiny_study(1, ("de",), wants_confidence=True, block=2, title={"en": "Voices"})
    items = [item for item in study.items if item.kind != "practice" or item.id == "pa"]
    items = [replace(item, segment=(0.1, 0.4)) if item.kind == "item" else item for item in items]
    write_tiny_study(tmp_path, replace(study, items=tuple(items)))
    command = Command(tmp_path)
    command.start()
    yield command
    command.kill()


def step_of(page) -> str:
    return page.get_attribute("form[action='/step'] input[name=step]", "value")


def answer_questions(page) -> None:
    page.select_option("#native", ANSWERS["native"])
    page.select_option("[name=languages] >> nth=0", "it")
    page.select_option("[name='languages.level'] >> nth=0", "B2")
    page.select_option("#english", ANSWERS["english"])
    page.check(f"[name=age][value='{ANSWERS['age']}']")
    page.check(f"[name=headphones][value={ANSWERS['headphones']}]")
    send(page)


def pass_check(page, address: str) -> None:
    sound = page.request.get(address + page.get_attribute("audio", "src")).body()
    count = next(count for count in tones.COUNTS if tones.tones(count) == sound)
    page.check(f"[name=heard][value='{count}']")
    send(page)


def fill_in(page, *, by_keyboard: bool) -> None:
    """Play a recording, say that it is sad (key 4), and mark a part where the page asks for it."""
    page.wait_for_selector(PREPARED)
    play(page)
    if by_keyboard:
        page.keyboard.press("4")
    else:
        page.check("input[value=sadness]")
    if page.locator("#mark").count():
        (mark_by_keyboard if by_keyboard else drag)(page)
        page.check("input[name=confidence][value='0.75']")


def answer_all(page, look) -> list[str]:
    """Answer everything up to the last page, by mouse and keyboard in turn; the steps."""
    steps = []
    while page.locator("form[action='/step']").count():
        steps.append(step_of(page))
        look(page)
        if page.locator("#rate").count():
            fill_in(page, by_keyboard=len(steps) % 2 == 0)
        send(page)
    return steps


def assert_usable(page) -> None:
    assert_fits(page)
    assert_accessible(page)


@pytest.mark.parametrize("look", [lambda page: None, pytest.param(assert_usable, marks=pytest.mark.slow)])
def test_a_whole_study(real_browser, command, look):
    """Each item is answered once, whatever happens to the page and to the server. look: is called at each page."""
    page = real_browser.new_context(locale="en-GB").new_page()
    page.goto(command.address)
    assert page.text_content(".study") == "Voices"
    look(page)
    page.check("[name=consent]")
    send(page)
    look(page)
    answer_questions(page)
    look(page)
    pass_check(page, command.address)
    for step in ("practice-0", "item-0"):
        assert step_of(page) == step
        fill_in(page, by_keyboard=False)
        send(page)
    fill_in(page, by_keyboard=True)
    page.reload()
    assert step_of(page) == "item-1"
    fill_in(page, by_keyboard=True)
    command.kill()
    with pytest.raises(sync_api.Error, match="ERR_CONNECTION_REFUSED"):
        page.goto(f"{command.address}/step")
    command.start()
    page.goto(f"{command.address}/step")
    steps = answer_all(page, look)
    assert [step for step in steps if step.startswith("item")] == ["item-1", "item-2", "item-3", "item-4"]
    assert "break-0" in steps
    look(page)
    assert page.text_content("h1") == "Thank you!"
    look_at_the_administration(page, command.address)
    page.context.close()
    command.kill()
    assert_answers(command.folder)
    assert_scores(command.folder)


def look_at_the_administration(page, address: str) -> None:
    page.goto(f"{address}/admin")
    page.fill("#token", TOKEN)
    send(page)
    assert "5 / 5" in page.text_content("tbody tr")
    assert_fits(page)


def assert_answers(folder: Path) -> None:
    with Store(folder / ANSWERS_FILE) as store:
        [listener] = store.listeners()
        responses = store.responses()
    assert (listener.state, listener.native, listener.group) == ("finished", "de", "de")
    assert listener.answers == ANSWERS | {"languages": ("it:B2",)}
    assert sorted(response.item for response in responses) == ["c0", "idea0", "ideh0", "iden0", "ides0", "pa"]
    for response in responses:
        assert response.plays >= 1
        if response.item == "c0":
            assert response.emotion == "sadness" and response.segment is None
        else:
            assert response.confidence == 0.75
            start, end = response.segment
            assert (start, end) == (0.1, SECONDS - 0.1) or (0.1 < start < 0.2 and 0.3 < end < 0.4)  # keyboard or mouse


def assert_scores(folder: Path) -> None:
    """All was answered as sad: one emotion of four is right."""
    results = listening_results(study=str(folder), out=str(folder / "results"))
    [cell] = results.findings.cells
    [row] = results.findings.rows
    assert (cell.who, cell.language, cell.values) == ("listeners, native de", "de", (0.25,))
    assert (row.answers, row.failed, row.checks, row.excluded) == (4, 0, 1, "")
    assert cell.marks is not None
    assert (folder / "results" / "results.html").is_file()
