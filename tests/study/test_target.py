"""The findings of a run on its target: the recogniser's own answers, clips to listen to, what to label next."""

from __future__ import annotations

import io
import json
import shlex
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from emobridge.audit import hearing
from emobridge.bundle import Recognizer
from emobridge.data.audio import read_utterance
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError
from emobridge.inference.predict import predict
from emobridge.settings import Budget
from emobridge.study import target as target_module
from emobridge.study.adapt import adapt
from emobridge.study.cases import check_useful
from emobridge.study.suggest import suggest
from emobridge.study.target import Listing, encoded, loudest
from emobridge.types import Utterance


@pytest.fixture(autouse=True)
def _tones_are_speech(monkeypatch, tmp_path):
    """The recordings of these tests are tones, which no detector takes for speech: here all that sounds is.

    What is noted of them belongs to no other test.
    """
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(tmp_path / "cache"))

    def all_that_sounds(pieces, **_):
        return [(0.0, 1.0)] if any([np.any(piece) for piece in pieces]) else []  # to the end of the pieces

    for module in (target_module, hearing):
        monkeypatch.setattr(module, "speech_segments", all_that_sounds)


@pytest.fixture
def run(recorded):
    """A function that adapts to the recordings of xx, of which the manifest names no emotion."""
    rows = [replace(row, emotion=None) for row in read_manifest(recorded / "xx.jsonl")]
    write_manifest(recorded / "bare.jsonl", rows)
    options = {"source": [str(recorded / "en.jsonl")], "target": str(recorded / "bare.jsonl"), "seeds": 1, "folds": 2}
    options |= {"out": str(recorded / "run"), "store": str(recorded / "store"), "epochs": 3}
    return lambda **changes: adapt(**options | changes)


def findings(recorded):
    """The findings in the report of the run, without excerpts."""
    return json.loads((recorded / "run" / "report.json").read_text(encoding="utf-8"))["record"]["target"]


def test_the_findings_are_what_predict_answers(recorded, run):
    lines = run().lines
    target, rows = findings(recorded), list(read_manifest(recorded / "bare.jsonl"))
    predictions = list(predict(Recognizer.load(recorded / "run" / "bundle"), rows))
    counts = Counter(prediction.label for prediction in predictions)
    assert {answers["label"]: answers["count"] for answers in target["classes"] if answers["count"]} == dict(counts)
    by_id = {prediction.id: prediction for prediction in predictions}
    for answers in target["classes"]:
        listed = [*answers["surest"], *answers["least_sure"]]
        assert len({clip["id"] for clip in listed}) == len(listed) == min(6, answers["count"])
        for clip in listed:
            assert clip["confidence"] == pytest.approx(max(by_id[clip["id"]].probabilities), abs=1e-4)
            assert by_id[clip["id"]].label == clip["label"] == answers["label"]
        surest = [clip["confidence"] for clip in answers["surest"]]
        assert surest == sorted(surest, reverse=True)
    assert target["recordings"] == target["answered"] == 16 and target["speakers"] == 4 and target["labelled"] == 0
    assert target["hours"] == pytest.approx(16 * 0.3 / 3600)
    assert sum(n for _, n in target["confidence"]) == 16
    assert lines[1].startswith("The target (xx, xh) is 4.8 seconds in 16 recordings (4 speakers")
    written = json.loads((recorded / "run" / "report.json").read_text(encoding="utf-8"))["record"]
    assert [row["hours"] for row in written["corpora"]] == pytest.approx([16 * 0.3 / 3600] * 2)
    page = (recorded / "run" / "report.html").read_text(encoding="utf-8")
    assert page.count("<audio ") == sum(len(a["surest"] + a["least_sure"]) for a in target["classes"]) + 5


def test_what_to_label_next_is_what_suggest_lists_by_margin(recorded, run):
    run()
    target = findings(recorded)
    rows = list(read_manifest(recorded / "bare.jsonl"))
    listed = suggest(
        Recognizer.load(recorded / "run" / "bundle"), rows, by="margin", count=5, store=str(recorded / "store")
    )
    assert [clip["id"] for clip in target["to_label"]] == [row.utterance.id for row in listed]
    words = shlex.split(target["suggest"])
    assert words[:5] == ["emobridge", "suggest", str(recorded / "run" / "bundle"), "--on", str(recorded / "bare.jsonl")]
    assert f"--labelled {words[words.index('--out') + 1]}" in target["learn"]


def test_silence_is_not_listed_and_no_clips_leaves_the_voices_out(recorded, run):
    for path in recorded.glob("xx-a-*.wav"):
        soundfile.write(path, np.zeros(4800), 16000)
    run(clips=False)
    target = findings(recorded)
    listed = [clip for answers in target["classes"] for clip in (*answers["surest"], *answers["least_sure"])]
    assert listed and not any(clip["id"].startswith("xx-a-") for clip in (*listed, *target["to_label"]))
    assert target["without_speech"] == 4 and "--no-clips" in target["left_out"]
    assert target["answered"] == sum(answers["count"] for answers in target["classes"]) == 12, "silence is no answer"
    assert "<audio" not in (recorded / "run" / "report.html").read_text(encoding="utf-8")


def test_labels_that_were_learnt_from_are_counted_and_not_suggested(recorded, run):
    rows = list(read_manifest(recorded / "xx.jsonl"))
    write_manifest(recorded / "bare.jsonl", [row if index < 8 else replace(row, emotion=None)
                                             for index, row in enumerate(rows)])  # fmt: skip
    run(target_labels="all")
    target = findings(recorded)
    assert target["labelled"] == 8
    assert {clip["id"] for clip in target["to_label"]} <= {row.id for row in rows[8:]}


def test_attributes_alone_have_percentiles(recorded, run):
    for name in ("en", "bare"):
        rows = list(read_manifest(recorded / f"{name}.jsonl"))
        rated = [replace(row, arousal=float(index % 5) if name == "en" else None) for index, row in enumerate(rows)]
        write_manifest(recorded / f"{name}.jsonl", rated)
    run(labels=[], attributes=["arousal"], attribute_range="0..4", method="source-only")
    target = findings(recorded)
    assert target["classes"] == target["to_label"] == [] and target["suggest"] == ""
    (arousal,) = target["attributes"]
    assert arousal["low"] <= arousal["median"] <= arousal["high"]


def test_the_loudest_stretch_is_cut_and_can_be_read_again():
    wave = np.zeros(160_000, dtype=np.float32)
    wave[80_000:96_000] = 2 * np.sin(np.arange(16_000) / 5)  # beyond full scale, as a mix may be
    cut = loudest(wave, 2.0)
    assert len(cut) == 32_000 and np.abs(cut).sum() == pytest.approx(np.abs(wave).sum())
    assert len(loudest(wave[:100], 2.0)) == 100
    sound, rate = soundfile.read(io.BytesIO(encoded(cut)))
    assert rate == 16_000 and abs(len(sound) - 32_000) < 4000 and 0.5 < np.abs(sound).max() <= 1.1


def test_excerpts_stop_at_the_bound_and_files_that_vanished_are_passed_over(recorded, monkeypatch):
    rows = list(read_manifest(recorded / "xx.jsonl"))
    (recorded / "xx-a-anger-0.wav").unlink()
    size = len(encoded(read_utterance(rows[1])))
    monkeypatch.setattr(target_module, "MOST_BYTES", int(2.5 * size))
    listing = Listing(rows, np.tile([0.75, 0.25], (len(rows), 1)), ("anger", "sadness"), embed=True)
    clips = listing.first(range(len(rows)), 4)
    assert [clip.id for clip in clips] == [row.id for row in rows[1:5]]
    assert [clip.excerpt is not None for clip in clips] == [True, True, False, False]
    assert "left out" in listing.left_out
    assert listing.first([], 3) == ()
    lost = Listing([Utterance("x", "c", "nowhere.wav")], np.array([[1.0]]), ("anger",), embed=True)
    assert lost.first([0], 3) == ()


def test_a_budget_has_no_clips_to_leave_out():
    with pytest.raises(UserError, match="--no-clips: does nothing here, since only the report of `adapt`"):
        check_useful(Budget.of(source=["en.jsonl"], target="xx.jsonl", clips=False))
