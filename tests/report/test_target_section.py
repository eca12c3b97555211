"""The target in a report: first of all where nothing scored it, after the scores where they do."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace

import pytest

from emobridge.report.model_card import model_card
from emobridge.report.page import page_of
from emobridge.report.target import ClassAnswers
from emobridge.report.terminal import lines_of
from emobridge.report.write import html, write_study


@pytest.fixture(scope="module")
def text(unlabelled) -> str:
    return html(page_of(unlabelled))


def test_without_scores_of_the_target_the_page_begins_with_the_target(unlabelled):
    page = page_of(unlabelled)
    assert page.lead.startswith("The target (calls, it) is 2.2 hours in 200 recordings (speakers not known, 80 % of")
    assert "learnt no label of it" in page.lead
    assert "answers anger 60.0 %, sadness 40.0 %; never happiness, neutral." in page.lead
    assert "0.72 on average, and below 0.5 for 40 of 200 recordings (20.0 %)" in page.lead
    assert page.lead.index("is not known") < page.lead.index("new speakers of the SOURCE")
    titles = [section.title for section in page.sections]
    captions = [block.table.caption for block in page.sections[0].blocks[:2]]
    assert captions == ["Answers by label, of 200 recordings", "Recordings by confidence of the answer"]
    assert titles[:3] == ["The target", "What to label next", "Scores on the source"]
    assert page.sections[1].code.splitlines() == [unlabelled.target.suggest, unlabelled.target.learn]


def test_the_terminal_and_the_model_card_begin_with_the_target_too(unlabelled):
    lines = lines_of(replace(unlabelled, synthetic=True))
    assert lines[0].startswith("SYNTHETIC speech. The target (calls, it) is ")
    assert lines[1].split() == ["anger", "120", "60.0", "%", "mean", "confidence", "0.80"]
    assert [line.split()[0] for line in lines[1:5]] == ["anger", "sadness", "happiness", "neutral"]
    start = lines.index("Scores on the SOURCE:")
    assert f"what to label next: {unlabelled.target.suggest}" in lines[:start]
    assert "**The target (calls, it) is" in model_card(unlabelled)


def test_where_the_target_was_scored_its_answers_follow_the_scores(record, findings):
    page = page_of(replace(record, target=replace(findings, to_label=(), labelled=1)))
    titles = [section.title for section in page.sections]
    assert titles.index("Scores") < titles.index("The target") < titles.index("Data")
    assert "What to label next" not in titles
    assert page.lead.startswith("On the target (")
    assert "learnt 1 label of it" in page.sections[titles.index("The target")].paragraphs[0]
    assert not any("The target (calls" in line for line in lines_of(replace(record, target=findings)))


def test_each_excerpt_can_be_played_and_is_in_the_page_alone(unlabelled, text, tmp_path):
    players = re.findall(r"<audio ([^>]*)></audio>", text)
    assert len(players) == 5 and all('controls preload="none"' in player for player in players)
    sounds = [base64.b64decode(re.search(r"base64,([^\"]+)", player)[1]) for player in players]
    assert sorted(sounds) == sorted(clip.excerpt for clip in unlabelled.target.clips)
    assert "personal data" in text and "--no-clips" in text
    write_study(tmp_path, unlabelled)
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert {row["excerpt"] for row in written["record"]["target"]["classes"][0]["surest"]} == {None}
    for name in ("report.json", "report.md"):
        assert "base64" not in (tmp_path / name).read_text(encoding="utf-8")


def test_without_excerpts_the_page_says_why_and_has_no_column_for_them(unlabelled):
    target = replace(unlabelled.target.without_audio(), left_out="excerpts were turned off (--no-clips)")
    page = html(page_of(replace(unlabelled, target=target)))
    assert "<audio" not in page and ">listen<" not in page and "Excerpts of recordings" not in page
    assert "excerpts were turned off (--no-clips)" in page and "calls/003.wav" in page


def test_attributes_alone_have_a_table_and_no_plot(unlabelled, findings):
    target = replace(findings, classes=(), confidence=(), to_label=(), suggest="", learn="")
    page = page_of(replace(unlabelled, labels=(), scores=(), target=target))
    section = page.sections[0]
    assert section.title == "The target" and "<svg" not in repr(section)
    assert "Predicted arousal is 3.25 in the median, and for four in five recordings from 1.50 to 5.00." in page.lead


def test_a_single_answer_is_no_plural(unlabelled, findings):
    only = (ClassAnswers("anger", 1, 0.9),)
    target = replace(findings, recordings=1, answered=1, classes=only, confidence=((0.9, 1),), speakers=1, hours=None)
    lead = page_of(replace(unlabelled, target=target)).lead
    assert "is 1 recording (1 speaker, 80 % of" in lead and "below 0.5 for 0 of 1 recording (0.0 %)" in lead
