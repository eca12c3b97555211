"""A tiny study, for the tests of all that listens."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from listening_browser import TOKEN, Browser
from listening_chromium import chromium
from listening_studies import tiny_study, write_tiny_study

from emobridge.listening.server import make_app
from emobridge.listening.store import Store


@pytest.fixture
def study_folder(tmp_path) -> Path:
    """The folder of the tiny study."""
    folder = tmp_path / "study"
    write_tiny_study(folder)
    return folder


@pytest.fixture
def good_answers() -> dict[str, str | tuple[str, ...]]:
    """Answers of a German listener whom no rule of the tiny study screens out."""
    return {"native": "de", "languages": ("en:C1",), "english": "C1", "age": "25-34", "headphones": "yes"}


@pytest.fixture(scope="module")  # its event loop would be in the way of other modules
def real_browser():
    """A chromium; the test is skipped where there is none."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def site(study_folder):
    """A function that makes a browser of the tiny study, or of a study that differs from it."""
    opened = ExitStack()

    def browser(**changes):
        study = tiny_study(**changes)
        if changes:
            write_tiny_study(study_folder, study)
        store = opened.enter_context(Store(study_folder / "answers.sqlite"))
        browser = opened.enter_context(Browser(make_app(study_folder, study, store, TOKEN)))
        browser.store, browser.study = store, study
        return browser

    with opened:
        yield browser


@pytest.fixture
def browser(site):
    return site()
