"""A tiny study, for the tests of all that listens."""

from __future__ import annotations

from pathlib import Path

import pytest
from listening_chromium import chromium
from listening_studies import write_tiny_study


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
def browser():
    """A chromium; the test is skipped where there is none."""
    with chromium() as browser:
        yield browser
