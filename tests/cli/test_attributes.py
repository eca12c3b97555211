"""Arousal, valence and dominance from the command line: learnt, told and scored."""

from __future__ import annotations

import csv
import itertools
import json
from dataclasses import replace

import pytest

from emobridge.data.manifest import read_manifest, write_manifest

QUICK = ("--seeds", "1", "--folds", "2", "--epochs", "3")
BOTH = ("--attributes", "arousal,valence", "--attribute-range", "1..7")


@pytest.fixture
def rated(recorded):
    """en.jsonl and xx.jsonl with arousal and valence on 1..7: anger is aroused, and of low valence."""
    for name in ("en", "xx"):
        rows = [
            replace(one, arousal=(6.0 if one.emotion == "anger" else 2.0) + place % 3 / 3, valence=2.0 + place % 5)
            for place, one in enumerate(read_manifest(recorded / f"{name}.jsonl"))
        ]
        write_manifest(recorded / f"{name}.jsonl", rows)
    return recorded


def adapt(folder, *more):
    words = ("adapt", "--source", folder / "en.jsonl", "--target", folder / "xx.jsonl", *QUICK, "--out", folder / "run")
    return (*words, *more)


def test_beside_the_emotions(rated, cli):
    done = cli(*adapt(rated, *BOTH, "--method", "pseudo-labels"))
    assert done.code == 0, done.err
    assert "UA over anger, sadness" in done.out and "CCC of arousal, in [-1, 1]" in done.out
    scores = json.loads((rated / "run" / "scores.json").read_text())
    found = {(row["method"], row["side"], row["measure"]) for row in scores if row["seed"] == "all"}
    for method in ("source-only", "pseudo-labels"):
        for side in ("source", "target"):
            assert {(method, side, name) for name in ("UA", "CCC arousal", "CCC valence", "CCC mean")} <= found
    report = (rated / "run" / "report.md").read_text()
    assert "## Attributes" in report and "no label of the target" in report
    assert "arousal, valence of the utterances whose labels it saw" in report
    done = cli("predict", rated / "run" / "bundle", rated / "xx.jsonl")
    said = [json.loads(line) for line in done.out.splitlines()]
    assert all(set(row["attributes"]) == {"arousal", "valence"} and row["label"] for row in said)
    assert 0 < sum(row["attributes"]["arousal"] for row in said) / len(said) < 8, "on the scale 1..7"
    done = cli("evaluate", rated / "run" / "bundle", "--on", rated / "xx.jsonl", "--out", rated / "scores.json")
    assert done.code == 0 and "CCC arousal" in done.out and "UA" in done.out


def test_alone(rated, cli):
    done = cli(*adapt(rated, *BOTH, "--labels", "none", "--method", "source-only"))
    assert done.code == 0, done.err
    assert "UA" not in done.out and "CCC of valence" in done.out
    scores = json.loads((rated / "run" / "scores.json").read_text())
    measures = {row["measure"] for row in scores}
    assert {name for name in measures if not name.startswith(("group ", "gap "))} == {
        "CCC arousal", "CCC valence", "CCC mean",
    }  # fmt: skip
    assert "gap CCC mean gender=female minus male" in measures
    assert "UA" not in (rated / "run" / "report.md").read_text()
    done = cli("predict", rated / "run" / "bundle", rated / "xx.jsonl", "--format", "csv")
    assert done.out.splitlines()[0] == (
        "id,path,channel,start,end,language,arousal,valence,answered_by,statistics,unfamiliarity,reason"
    )
    done = cli("evaluate", rated / "run" / "bundle", "--on", rated / "xx.jsonl", "--out", rated / "scores.json")
    assert done.code == 0 and "CCC mean" in done.out and "UA" not in done.out
    done = cli("suggest", rated / "run" / "bundle", "--on", rated / "xx.jsonl", "--out", rated / "list.csv")
    assert done.code == 2 and "tells attributes alone" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--attributes", "arousal", "--attribute-range", "1..5"), "arousal is 6; expected a value in 1..5"),
        (("--attributes", "arousal"), "which range they were rated on is not known"),
        (("--attributes", "arousel"), "unknown attribute 'arousel': did you mean 'arousal'?"),
        (("--attributes", "dominance", "--attribute-range", "1..7"), "no utterance whose dominance is known"),
        ((*BOTH, "--labels", "none"), "method blend goes by emotions, and labels are none"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_heard(rated, cli, monkeypatch, words, message):
    monkeypatch.setattr("emobridge.features.store.FeatureStore.extract", None)
    done = cli(*adapt(rated, *words))
    assert done.code == 2 and message in done.err and len(done.complaints) == 1


@pytest.mark.parametrize("alone", [False, True])
def test_label_budgets_are_scored_by_attribute(rated, cli, alone):
    words = (*adapt(rated, *BOTH)[1:], "--methods", "source-only,dann", "--budgets", "0,2")
    done = cli("budget", *words, *(("--labels", "none") if alone else ()))
    assert done.code == 0, done.err
    with (rated / "run" / "cells.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["seed"] == "all"]
    expected = {"CCC arousal", "CCC valence", "CCC mean"}
    expected |= set() if alone else {"UA", "WA", "F1 macro", "F1 weighted"}
    for method, amount, side in itertools.product(("source-only", "dann"), ("0", "2"), ("target", "source")):
        values = {row["measure"]: float(row["value"]) for row in rows
                  if (row["method"], row["target_labels"], row["side"]) == (method, amount, side)}  # fmt: skip
        assert set(values) == expected and all(-1 <= value <= 1 for value in values.values())
    page = (rated / "run" / "budget.md").read_text()
    curves = page[page.index("## Scores by label budget") : page.index("## Difference from source-only")]
    assert "CCC valence by number of labelled target utterances" in curves
    assert "CCC arousal minus that of source-only with the same labels" in page
    arousal = next(row for row in rows if row["measure"] == "CCC arousal" and row["side"] == "target")
    assert f"{float(arousal['value']):.3f} (" in page, "as it is, and not in per cent"
    assert ("UA" in page) != alone
