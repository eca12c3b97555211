"""The section of the feature space in the three formats."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from shutil import which
from xml.etree import ElementTree

import pytest

from emobridge.report.page import page_of
from emobridge.report.space import NOT_STORED
from emobridge.report.write import html, markdown, write_study

HOSTILE = '</script><script>alert("x")</script>&'


def section(record):
    return next((one for one in page_of(record).sections if one.title == "Feature space"), None)


def points(text):
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', text)
    return json.loads(data)


def test_the_numbers_are_in_all_three_formats_and_the_points_in_the_page_alone(record, tmp_path):
    text = write_study(tmp_path, record).read_text(encoding="utf-8")
    markup, told = (tmp_path / "report.md").read_text(encoding="utf-8"), (tmp_path / "report.json").read_text()
    for row in ("| after: logits | 4 | 0.070 | 0.310 | undefined |", "| after: logits | 50.0 | 20.0 | 10.0 |"):
        assert row in markup
    assert "canvas" not in markup
    assert all(re.search(rf"<td[^>]*>{cell}</td>", text) for cell in ("after: logits", "undefined"))
    assert json.loads(told)["record"]["space"]["spaces"][0]["points"] == []
    assert json.loads(told)["record"]["space"]["spaces"][0]["by_speaker"] is None
    found = points(text)
    assert [one["points"] for one in found["spaces"]] == [[list(p) for p in s.points] for s in record.space.spaces]
    names = [name for name, _ in found["emotions"]]
    groups = [(None if e < 0 else names[e], found["languages"][own]) for e, own in found["groups"]]
    assert groups == list(zip(record.space.emotions, record.space.languages))
    assert found["first"] == 2


def test_how_many_were_measured_and_that_they_were_adapted_to_is_said(record):
    table, _ = section(record).blocks
    for words in (
        "40 of 90 utterances, drawn at random",
        "none of these utterances was held out",
        "Euclidean",
        "the picture alone",
    ):
        assert words in table.caption
    whole = replace(record, space=replace(record.space, utterances=40))
    assert "of all utterances" in section(whole).blocks[0].caption


def test_names_end_no_script(record):
    hostile = replace(record.space, languages=(HOSTILE, "de") * 20)
    text = html(page_of(replace(record, space=hostile)))
    assert points(text)["languages"] == [HOSTILE, "de"]
    assert text.count("<script") == text.count("</script>") == 2
    assert HOSTILE not in text


def test_the_page_has_no_address_to_load_from(record):
    text = html(page_of(record))
    script = text[text.rindex("<script>") :]
    assert not re.search(r"https?:|fetch|XMLHttp|import|innerHTML|eval", script)


@pytest.mark.usefixtures("drawn")
def test_the_still_drawing_names_emotions_and_languages(record):
    svg = section(record).blocks[1].svg
    texts = {
        "".join(node.itertext()).strip() for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")
    }
    assert {"before: features", "after: logits", "anger", "unlabelled", "en", "de"} <= texts
    assert "features as trained on" not in texts
    assert svg.count("<use ") >= 2 * 40


def test_a_trained_encoder_says_that_there_is_none(record):
    bare = replace(record, space=None)
    assert section(bare) is None and "<canvas" not in html(page_of(bare)) and "<script" not in html(page_of(bare))
    trained = replace(bare, encoder_trained=True)
    assert NOT_STORED in markdown(page_of(trained))


@pytest.mark.skipif(which("node") is None, reason="no node")
def test_the_script_is_valid(record, tmp_path):
    text = html(page_of(record))
    file = tmp_path / "cloud.js"
    file.write_text(text[text.rindex("<script>") + 8 : text.rindex("</script>")], encoding="utf-8")
    assert subprocess.run(["node", "--check", file], check=False).returncode == 0


def test_how_unfamiliar_the_target_is_to_the_source(record):
    text = " ".join(section(replace(record, space=replace(record.space, unfamiliar=(0.874, 0.06)))).paragraphs)
    assert "To the source alone 87.4 % of the target's utterances are unfamiliar" in text
    assert "With each corpus standardised by itself it is 6.0 %" in text
    assert "unfamiliar" not in " ".join(
        section(replace(record, space=replace(record.space, unfamiliar=None))).paragraphs
    )
