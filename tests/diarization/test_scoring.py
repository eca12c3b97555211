"""Timelines beside their references: what is scored, and what a reader is told."""

from __future__ import annotations

import pytest

from emobridge.diarization.references import WITHOUT_END, Reference, References
from emobridge.diarization.scoring import score_timelines
from emobridge.errors import UserError
from emobridge.scores.base import Condition
from emobridge.types import Prediction, Segment

LABELS = ("anger", "neutral")
CONDITION = Condition("r", "diarizer", "wavlm", "3", "none", "ravdess", "zed", "0", "test", "target")


def row(start, end, label, path="call.wav", id=""):
    shares = tuple(0.9 if name == label else 0.1 for name in LABELS)
    return Prediction(
        id or path, start, end, LABELS, shares if label else (), path=path, reason="" if label else "no speech"
    )


def reference(*segments, recording="call", speaker=None):
    return Reference(recording, tuple(Segment(*segment) for segment in segments), speaker=speaker)


def test_rows_are_scored_over_what_they_tile():
    rows = [row(3, 8, ""), row(0, 1, "neutral"), row(1, 3, "anger")]
    scored = score_timelines(rows, References("r", (reference((2, 4, "anger")),)))
    assert scored.evaluation.durations == (8.0,) and scored.evaluation.values()["EDER"] == pytest.approx(2 / 8)
    assert scored.boundaries.median == 1.0


def test_stretches_of_a_manifest_are_scored_by_themselves():
    rows = [row(10, 12, "anger", id="1"), row(12, 14, "neutral", id="1"), row(14, 15, "neutral", id="2")]
    scored = score_timelines(rows, References("r", (reference((0, 11, "anger"), (14.5, 30, "anger")),)))
    assert scored.recordings == (("call.wav", None),) * 2 and scored.evaluation.durations == (4.0, 1.0)
    assert scored.evaluation.values()["EDER"] == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert scored.evaluation.values()["EDER pooled"] == pytest.approx(1.5 / 5)


def test_a_reference_without_an_end_ends_with_its_recording():
    scored = score_timelines([row(0, 4, "anger")], References("r", (reference((0, WITHOUT_END, "anger")),)))
    assert scored.evaluation.durations == (4.0,) and scored.evaluation.values()["EDER"] == 0
    assert scored.notes == ()


def test_speakers_are_the_references_or_those_of_the_manifest():
    marks = (reference((0, 1, "anger"), speaker="anna"), reference((0, 1, "anger"), recording="b"))
    rows = [row(0, 4, "anger"), row(0, 4, "anger", "b.wav")]
    assert score_timelines(rows, References("r", marks)).evaluation.speakers == ("anna", None)
    named = score_timelines(rows, References("r", marks), speakers={"call.wav": None, "b.wav": "ben"})
    assert named.evaluation.speakers == ("anna", "ben")
    parts = [row(0, 2, "anger", id="1"), row(2, 4, "anger", id="2")]  # two who speak in one recording
    named = score_timelines(parts, References("r", marks), speakers={"1": "x", "2": "y"})
    assert named.evaluation.speakers == ("x", "y")


def test_what_is_not_scored_is_counted():
    references = References("r", (reference((0, 9, "anger")), reference(recording="unheard")), ("a note",))
    scored = score_timelines([row(0, 4, "anger"), row(0, 4, "anger", "other.wav")], references)
    assert scored.recordings == (("call.wav", None),)
    assert scored.notes == (
        "a note",
        "not scored, since the reference has nothing of them: 1 recording",
        "references that no recording here has: 1",
        "the reference goes on after the end of 1 recording (the first: call); what lies after it is cut off",
    )


def test_lines_and_rows_for_a_table():
    rows = [row(*part, f"{name}.wav") for name in "abc" for part in ((0, 2, "anger"), (2, 4, "neutral"))]
    marks = [reference((0, 1 + index, "anger"), recording=name, speaker=name) for index, name in enumerate("ab")]
    marks.append(reference(recording="c", speaker="c"))
    scored = score_timelines(rows, References("r", tuple(marks)))
    lines = scored.lines()
    assert " ".join(lines[0].split()) == "EDER, % over speakers missed false alarm overlap confusion n"
    assert lines[1].startswith("all, mean over utterances") and " 25.0 [" in lines[1] and lines[1].endswith("3")
    assert [line.split("  ")[0] for line in lines[1:7]] == [
        "all, mean over utterances", "all, pooled over time", "anger, mean over utterances",
        "neutral, mean over utterances", "anger, pooled over time", "neutral, pooled over time",
    ]  # fmt: skip
    assert {line[lines[0].index("missed") - 1 :][:1] for line in lines[:7]} == {" "}, "columns stand below each other"
    assert all(line[lines[0].index("missed")] != " " for line in lines[:7])
    assert lines[7].startswith("boundaries: 2 matched, median 0.50 s apart; 0 of the reference")
    names = {score.measure for score in scored.scores(CONDITION)}
    assert {"EDER", "EDER missed", "EDER pooled", "EDER pooled anger", "EDER neutral false alarm"} <= names


def test_a_timeline_that_tells_nothing_apart_says_so():
    scored = score_timelines([row(0, 4, "neutral")], References("r", (reference((1, 2, "anger")),)))
    lines = scored.lines()
    assert lines[0] == "warning: nothing is told apart: no emotion in any of 1 recording"
    assert lines[-1] == "boundaries: 0 matched; 2 of the reference without a match, 0 of the timeline"


def test_collar_and_neutral_are_passed_on():
    data = score_timelines([row(0, 4, "anger")], References("r", (reference((1, 4, "anger")),)), collar=0.5)
    assert data.evaluation.values()["EDER"] == pytest.approx(0.5 / 3)
    with pytest.raises(UserError, match="unknown use of neutral"):
        score_timelines([row(0, 4, "anger")], References("r", (reference(),)), neutral_as="clas")
