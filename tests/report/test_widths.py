"""Pages fit a telephone and a small laptop: by their style sheet, and measured where there is a Chromium."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from emobridge.audit.findings import Audit
from emobridge.audit.hearing import Sound
from emobridge.audit.rows import ValueCount
from emobridge.report.blocks import Page, Section, Table
from emobridge.report.page import page_of
from emobridge.report.record import StudyRecord
from emobridge.report.write import html

LONG = "/srv/recordings_of_the_call_centre/2026-11-28/" + "channel_0_" * 9 + ".wav"
STYLE = (Path(importlib.import_module("emobridge.report").__file__).parent / "style.css").read_text(encoding="utf-8")


def audit_record() -> StudyRecord:
    sound = Sound(LONG, 12, 12, 60.0, 1.0, 9.0, -20.0, 3.0)
    counts = tuple(ValueCount(LONG, "emotion", name, 3) for name in ("anger", "happiness", "neutral", "sadness"))
    audit = Audit((sound,), counts, (), ())
    return StudyRecord(
        kind="audit", name=f"Audit of {LONG}", command=f"emobridge audit {LONG}", created="", audit=audit
    )


def wide_page() -> Page:
    """A table of many columns, and settings whose values are long paths."""
    columns = tuple(f"{amount}: {side}" for amount in (0, 25, 50, 100, "all") for side in ("target", "source"))
    cells = ("soft-pseudo-labels", "speaker+text", *["66.7 (61.2 to 71.9)"] * 10)  # those of a budget's defaults
    table = Table("Scores " * 30, ("method", "normalisation", *columns), (cells,))
    settings = Table("Settings", ("setting", "value"), (("source", LONG), ("nothing", "")))
    return Page(LONG, LONG, LONG, (LONG,), (Section(LONG, (LONG,), (LONG,), (table, settings), LONG),))


@pytest.fixture(scope="module")
def pages(record, unlabelled, drawing) -> dict[str, str]:
    """Pages by name, with names and paths that do not break by themselves."""
    long_ids = replace(unlabelled.target, to_label=tuple(replace(c, id=LONG) for c in unlabelled.target.to_label))
    records = {
        "labelled": replace(record, target=unlabelled.target, name=LONG, command=f"emobridge adapt --source {LONG}"),
        "unlabelled": replace(unlabelled, target=long_ids, skipped=(f"{LONG}: is empty",)),
        "audit": audit_record(),
    }
    with drawing():
        return {name: html(page_of(study)) for name, study in records.items()} | {"wide": html(wide_page())}


def test_every_table_has_a_box_to_scroll_in_and_a_visible_edge(pages):
    for page in pages.values():
        body = page.split("<body>")[1]
        assert body.count('<div class="still scroll"><svg') == body.count("<svg")
        assert body.count('<div class="scroll">\n<table') == len(re.findall(r"<table[ >]", body)) > 0
    box = re.search(r"\.scroll \{(.*?)\}", STYLE, flags=re.DOTALL)[1]
    assert "overflow-x: auto" in box and "max-width: 100%" in box and "var(--shade)" in box


def test_what_does_not_break_by_itself_is_made_to(pages):
    rules = dict(re.findall(r"^([^{}@/\n]+) \{([^{}]*)\}", STYLE, flags=re.MULTILINE))
    assert "max-width: 100%" in rules["select, audio"]
    assert "white-space: pre-wrap" in rules["pre"] and "overflow-wrap: anywhere" in rules["pre"]
    assert "overflow-wrap: anywhere" in rules["p, li, a, h1, h2, caption, figcaption, summary"]
    cell = re.search(r"<td[^>]*>(<span>/<wbr>srv/.*?)</td>", pages["wide"])[1]
    assert re.sub("<.*?>", "", cell) == LONG, "breaks change no text"


def test_pages_fit_in_a_browser(pages, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    measured = importlib.import_module("pages")
    chromium = measured.browser()
    if chromium is None:
        pytest.skip("no Chromium")
    for fit in measured.fits(pages, chromium):
        assert fit.taken <= fit.width and not fit.out, fit
        assert not fit.cut or fit.width < 1280, fit
