"""The report: one file that loads nothing, well-formed, complete, stamped where synthetic, escaped everywhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from emobridge.report.page import page_of
from emobridge.report.record import CurvePoint
from emobridge.report.table_files import with_file_names
from emobridge.report.write import escaped, html, markdown, write_study
from emobridge.scores.files import read_scores

VOID = {"meta", "br", "hr", "img", "input", "link", "wbr"}


class Page(HTMLParser):
    """Checks that tags nest, and collects what a test asks about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.captions: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("caption", "figcaption"):
            self.captions.append("")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] in ("caption", "figcaption"):
            self.captions[-1] += data


@pytest.fixture(scope="module")
def folder(record, tmp_path_factory, drawing):
    folder = tmp_path_factory.mktemp("report")
    with drawing():
        assert write_study(folder, record) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def text(folder) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_it_is_well_formed_and_every_id_is_its_own(text):
    page = Page(text)
    assert len(page.ids) == len(set(page.ids)) > 50
    drawings = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(drawings) == 9  # class x 2 sides, confusion x 2 systems, speakers, confidence, space, layers, loss terms
    for drawing in drawings:
        ElementTree.fromstring(drawing)
        assert "#123456" not in drawing and "currentColor" in drawing


def test_it_loads_nothing(text):
    for tag, attributes in Page(text).tags:
        assert tag not in ("link", "img", "iframe", "object", "image"), tag
        assert tag != "script" or attributes in ({}, {"type": "application/json"})
        for name, value in attributes.items():
            if tag == "audio" and name == "src":
                assert value.startswith("data:audio/mpeg;base64,")
            elif name in ("src", "href", "xlink:href", "data", "action"):
                files = re.fullmatch(r"tables/report-\d\d[a-z0-9-]*\.(csv|tex)", value or "")
                assert (value or "").startswith("#") or (tag == "a" and files), (tag, name, value)
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) <= {"#"}


def test_links_inside_the_drawings_lead_somewhere(text):
    ids = set(Page(text).ids)
    used = set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text))
    assert used and used <= ids


def test_all_four_files_tell_the_same(record, folder, text):
    ua = [row for row in record.scores if row.measure == "UA" and row.seed == "all" and row.side == "target"]
    assert len(ua) == 2
    told = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    for row in ua:
        cell = f"{100 * row.value:.1f} ({100 * row.low:.1f} to {100 * row.high:.1f})"
        assert cell in re.sub("</?span>", "", text) and cell in (folder / "report.md").read_text(encoding="utf-8")
        assert cell in json.dumps(told["sections"])
    assert read_scores(folder / "scores.json") == record.scores
    assert told["record"]["method"] == "pseudo-labels"
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles == [section["title"] for section in told["sections"]]
    assert titles == re.findall(r"^## (.*)$", (folder / "report.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sum(len(section["tables"]) for section in told["sections"]) == len(re.findall("<table[ >]", text))
    assert not list(folder.glob(".*"))


def test_sections_say_what_the_record_says(record, text):
    for words in (*record.systems[1].saw, record.held_out, record.command, "run/bundle", "the same audio"):
        assert words.replace("'", "&#39;") in text, words
    assert "nnpm (reimplemented)" in text and "89.0 %" in text
    assert "as published, not measured here" in text
    assert "16b10Wb.wav" in text


def test_synthetic_is_in_every_caption_or_in_none(record, synthetic):
    page, plain = Page(html(page_of(synthetic))), html(page_of(record))
    assert len(page.captions) > 15
    assert all(caption.startswith("SYNTHETIC") for caption in page.captions)
    assert "synthetic" not in plain.lower()
    captions = re.findall(r"^\*(.+)\*$", markdown(page_of(synthetic)), flags=re.MULTILINE)
    told = [caption for caption in captions if not caption.startswith("*")]
    assert len(told) > 10 and all(caption.startswith("SYNTHETIC") for caption in told)


HOSTILE = '<script>alert("x")</script>&"\' $\\frac{1$ |`*[a](http://evil)'


@pytest.mark.usefixtures("drawn")
def test_names_are_escaped(record):
    corpora = (replace(record.corpora[0], corpus=HOSTILE), *record.corpora[1:])
    confusion = replace(record.confusions[0], labels=(HOSTILE, *record.confusions[0].labels[1:]), method=HOSTILE)
    hostile = replace(record, name=HOSTILE, corpora=corpora, confusions=(confusion,), command=HOSTILE)
    page = page_of(hostile)
    text = html(page)
    assert len([tag for tag, _ in Page(text).tags if tag == "script"]) == 2, "the points and what turns them"
    assert text.count("&lt;script&gt;alert") >= 5
    for drawing in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
        ElementTree.fromstring(drawing)
    rows = [line for line in markdown(page).splitlines() if "| source |" in line and "alert" in line]
    assert len(rows) == 1 and "&lt;script>" in rows[0] and "\\|" in rows[0] and "\\[a\\]" in rows[0]
    assert escaped("a\nb") == "a b"


def test_an_almost_empty_run_still_has_a_report(record, tmp_path):
    bare = replace(
        record, scores=(), differences=(), confusions=(), calibrations=(), curves=(), layer_choice=(), audit=None,
        floors=(), space=None, warnings=(), published=(), skipped=(), settings=(), versions=(), bundle="", systems=(),
        corpora=(),
    )  # fmt: skip
    text = write_study(tmp_path, bare).read_text(encoding="utf-8")
    Page(text)
    assert "nothing was scored" in text
    assert "No published number" in text
    assert "<svg" not in text


def test_a_loss_that_diverged_keeps_the_json_valid(record, tmp_path):
    broken = replace(record, curves=(CurvePoint("a", 0, "loss", 1.0), CurvePoint("a", 1, "loss", float("nan"))))
    write_study(tmp_path, broken)
    told = json.loads((tmp_path / "report.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert told["record"]["curves"][1]["value"] is None


@pytest.mark.usefixtures("drawn")
def test_the_same_record_makes_the_same_page(record, text):
    assert html(with_file_names(page_of(record), "report")) == text
