"""`emobridge suggest`, and `emobridge adapt --labelled`: what to label, there and back."""

from __future__ import annotations

import csv
import json

import pytest

from emobridge.cli.requests import SuggestRequest
from emobridge.settings import default_of
from emobridge.study.run import Runner
from emobridge.study.suggest import DEFAULT


@pytest.fixture
def unlabelled(recorded):
    """The target's manifest without labels, and the truth by id."""
    rows = [json.loads(line) for line in (recorded / "xx.jsonl").read_text().splitlines()]
    path = recorded / "new.jsonl"
    path.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "emotion"}) + "\n" for row in rows))
    return path, {row["id"]: row["emotion"] for row in rows}


@pytest.fixture
def listed(cli, finished, unlabelled, tmp_path):
    """A function that runs `suggest` on the unlabelled target."""

    def run(*more, out="l.csv", on=None):
        return cli("suggest", finished / "bundle", "--on", on or unlabelled[0], "--out", tmp_path / out, *more)

    return run


@pytest.fixture
def adapt(cli, recorded, unlabelled, tmp_path):
    """A function that runs a quick `adapt` on the unlabelled target with a list."""

    def run(*more, target=None, out="run", labelled="l.csv"):
        words = ["adapt", "--source", recorded / "en.jsonl", "--target", target or unlabelled[0], "--epochs", "3"]
        words += ["--labels", "anger,sadness", "--seeds", "1", "--folds", "2", "--out", tmp_path / out]
        return cli(*words, "--labelled", tmp_path / labelled, *more)

    return run


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fill(path, emotions):
    rows = read(path)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, tuple(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"emotion": emotions(row)} for row in rows)


def test_there_and_back(listed, adapt, unlabelled, tmp_path, monkeypatch):
    ran = listed("--count", "9", "--by", "margin")
    assert ran.code == 0 and not ran.complaints
    assert "l.csv: 9 of 16 unlabelled utterances, by margin" in ran.out and "(anger, sadness)" in ran.out
    rows = read(tmp_path / "l.csv")
    assert len({row["id"] for row in rows}) == 9 and not any(row["emotion"] for row in rows)
    assert [row["probability"] for row in rows] == sorted(row["probability"] for row in rows)
    _, truth = unlabelled
    fill(tmp_path / "l.csv", lambda row: truth[row["id"]] if row["id"] != rows[0]["id"] else "")
    runs, fit = [], Runner.fit
    monkeypatch.setattr(Runner, "fit", lambda self, *args: (runs.append((self, args[0])), fit(self, *args))[1])
    ran = adapt()
    assert ran.code == 0, ran.err
    filled = {row["id"]: row["emotion"] for row in read(tmp_path / "l.csv") if row["emotion"]}
    assert len(filled) == 8
    cases = {case.method.name: (runner, case) for runner, case in runs if case.target_labels != "0"}
    runner, case = cases["blend"]
    assert case.target_labels == "8" and runner.speech.visible == set(filled)
    pairs = zip(runner.speech.utterances, runner.speech.label.tolist())
    labels = {utterance.id: label for utterance, label in pairs}
    assert {name: ("anger", "sadness")[labels[name]] for name in filled} == filled
    assert {labels[name] for name in truth if name not in filled} == {-1}
    about = json.loads((tmp_path / "run" / "bundle" / "bundle.json").read_text())
    assert about["target_labels"] == "8"
    assert 'labelled = "' in (tmp_path / "run" / "settings.toml").read_text()


def test_one_of_one(listed, unlabelled, tmp_path):
    row = json.loads(unlabelled[0].read_text().splitlines()[0])
    path = str(unlabelled[0].parent / row["path"])
    (tmp_path / "one.jsonl").write_text(json.dumps(row | {"path": path}) + "\n")
    ran = listed("--count", "1", on=tmp_path / "one.jsonl")
    assert ran.code == 0 and "l.csv: 1 of 1 unlabelled utterances" in ran.out, ran.err
    assert len(read(tmp_path / "l.csv")) == 1


def test_the_default_is_that_of_the_function():
    assert default_of(SuggestRequest, "by") == DEFAULT


def test_a_second_round_keeps_the_first_and_goes_on(listed, unlabelled, tmp_path):
    assert listed("--count", "5").code == 0
    fill(tmp_path / "l.csv", lambda row: unlabelled[1][row["id"]])
    first = read(tmp_path / "l.csv")
    assert listed("--count", "4", "--labelled", tmp_path / "l.csv", out="m.csv").code == 0
    second = read(tmp_path / "m.csv")
    assert [(row["id"], row["emotion"]) for row in second[:5]] == [(row["id"], row["emotion"]) for row in first]
    assert len({row["id"] for row in second}) == 9 and not any(row["emotion"] for row in second[5:])


def test_labels_of_one_speaker_train_and_score_nothing(listed, adapt, unlabelled, tmp_path):
    assert listed("--count", "16").code == 0
    fill(tmp_path / "l.csv", lambda row: unlabelled[1][row["id"]] if row["speaker"] == "a" else "")
    ran = adapt()
    assert ran.code == 0, ran.err
    sides = {row["side"] for row in json.loads((tmp_path / "run" / "scores.json").read_text())}
    assert sides == {"source"}
    assert json.loads((tmp_path / "run" / "bundle" / "bundle.json").read_text())["target_labels"] == "4"


def test_a_list_that_is_being_filled_in_is_safe(listed, tmp_path):
    assert listed("--count", "2").code == 0
    assert listed("--count", "3").code == 0, "nothing is lost: nothing was filled in"
    fill(tmp_path / "l.csv", lambda row: "anger")
    before = (tmp_path / "l.csv").read_bytes()
    ran = listed("--count", "2")
    assert ran.code == 2 and len(ran.complaints) == 1
    assert "l.csv: 3 emotions are filled in there and would be lost: give another --out" in ran.complaints[0]
    assert (tmp_path / "l.csv").read_bytes() == before


BAD_SUGGEST = {
    "an unknown strategy": (("--by", "margins"), "unknown strategy 'margins': did you mean 'margin'?"),
    "none at all": (("--count", "0"), "count: expected 1 or more, got 0"),
    "a list of another kind": (("--labelled", "list.jsonl"), "list.jsonl: expected a list that ends in .csv"),
}


@pytest.mark.parametrize("case", BAD_SUGGEST)
def test_a_mistake_is_one_line(listed, tmp_path, case):
    more, message = BAD_SUGGEST[case]
    ran = listed(*more)
    assert ran.code == 2 and len(ran.complaints) == 1 and message in ran.complaints[0], ran.err
    assert not (tmp_path / "l.csv").exists()


def test_a_target_that_is_labelled_whole(listed, recorded, tmp_path):
    ran = listed(on=recorded / "xx.jsonl")
    assert ran.code == 2 and "nothing to suggest" in ran.complaints[0] and not (tmp_path / "l.csv").exists()


BAD_ADAPT = {
    "nothing filled in": ("{id},a.wav,", "l.csv: nothing is filled in"),
    "a misspelt emotion": ("{id},a.wav,sadnes", "l.csv:2: unknown emotion label 'sadnes': did you mean 'sadness'?"),
    "an emotion of no label": (
        "{id},a.wav,fear",
        "l.csv:2: 'fear' is not among the labels of this run, anger, sadness",
    ),
    "an unknown id": ("{id}x,a.wav,anger", "has no utterance 'xx-a-anger-0x': did you mean 'xx-a-anger-0'?"),
    "an id twice": ("{id},a.wav,anger\n{id},a.wav,anger", "l.csv:3: the id 'xx-a-anger-0' is labelled twice"),
}


@pytest.mark.parametrize("case", BAD_ADAPT)
def test_a_bad_list_is_one_line(adapt, tmp_path, case):
    content, message = BAD_ADAPT[case]
    (tmp_path / "l.csv").write_text("id,path,emotion\n" + content.format(id="xx-a-anger-0") + "\n")
    ran = adapt()
    assert ran.code == 2 and len(ran.complaints) == 1 and message in ran.complaints[0], ran.err


def test_a_label_against_the_manifests(adapt, recorded, tmp_path):
    (tmp_path / "l.csv").write_text("id,path,emotion\nxx-a-anger-0,a.wav,sadness\n")
    ran = adapt(target=recorded / "xx.jsonl")
    assert ran.code == 2 and "'xx-a-anger-0' is sadness here, and anger in" in ran.complaints[0]
