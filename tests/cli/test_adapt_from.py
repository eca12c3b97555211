"""`emobridge adapt --from`: a bundle goes to a new target without its source speech."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from emobridge.bundle import Recognizer
from emobridge.bundle.training_speech import LABEL_SEEN
from emobridge.study.adapt import adapt

SHORT = {"labels": ("anger", "sadness"), "seeds": 1, "folds": 2, "clips": False}


@pytest.fixture(scope="module")
def first(_recorded, tmp_path_factory) -> Path:
    """A run from en.jsonl to xx.jsonl with the default method."""
    out = tmp_path_factory.mktemp("first")
    sides = {"source": (str(_recorded / "en.jsonl"),), "target": str(_recorded / "xx.jsonl")}
    adapt(**sides, **SHORT, out=str(out), store=str(out.parent / "features"))
    return out


@pytest.fixture
def new_target(recorded) -> Path:
    """The recordings of xx as those of another corpus and language."""
    rows = [json.loads(line) for line in (recorded / "xx.jsonl").read_text().splitlines()]
    lines = [json.dumps(row | {"corpus": "yy", "language": "de", "id": f"yy-{row['id']}"}) for row in rows]
    (recorded / "yy.jsonl").write_text("\n".join(lines) + "\n")
    shutil.move(recorded / "en.jsonl", recorded / "gone.jsonl")
    return recorded / "yy.jsonl"


def run(cli, first, target, out, *words):
    command = ("adapt", "--from", first / "bundle", "--target", target, "--seeds", "1", "--folds", "2", "--no-clips")
    return cli(*command, "--out", out, "--store", first.parent / "features", *words)


def test_a_bundle_is_adapted_scored_and_saved(cli, first, new_target, tmp_path):
    ran = run(cli, first, new_target, tmp_path / "run")
    assert ran.code == 0, ran.err
    assert "no source speech was there: the moments of" in ran.out + (tmp_path / "run" / "report.md").read_text()
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    rows = scores["scores"] if isinstance(scores, dict) else scores
    assert {row["side"] for row in rows} == {"target"} and {row["method"] for row in rows} == {"source-only", "blend"}
    assert {(row["source"], row["target"]) for row in rows} == {("en", "yy")}
    before, after = (Recognizer.load(folder / "bundle") for folder in (first, tmp_path / "run"))
    assert after.spec.domains == (("en", "en"), ("yy", "de"))
    assert after.spec.labels == before.spec.labels and after.spec.layer == before.spec.layer
    assert "en (en, 16 utterances, speakers unknown)" in after.card and "yy (de, 16 utterances" in after.card
    _, earlier = after.card.split("## How well the recogniser did that was adapted")
    assert "| blend | source |" in earlier and "| blend | target |" in earlier
    trained, seen = (recognizer.last.training_speech.rows for recognizer in (before, after))
    labelled = trained[trained[:, LABEL_SEEN] == 1]
    assert len(seen) == len(labelled) + 16 and torch.equal(seen[: len(labelled)], labelled)
    assert torch.equal(after.last.source_moments.points, before.last.source_moments.points)
    again = run(cli, tmp_path / "run", new_target, tmp_path / "again")
    assert again.code == 0, again.err


def test_it_says_what_adaptation_with_the_source_says(first, new_target, recorded, tmp_path):
    """But for the half precision of the moments: both bundles are of all the speech."""
    store = str(first.parent / "features")
    shared = {"target": str(new_target), "store": store, **SHORT}
    free = adapt(from_bundle=str(first / "bundle"), **shared, out=str(tmp_path / "free"))
    beside = adapt(source=(str(recorded / "gone.jsonl"),), **shared, out=str(tmp_path / "beside"))
    assert free.chosen.method == beside.chosen.method
    ours, theirs = (adapted.recognizer.head.output.weight.flatten() for adapted in (free, beside))
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=0) > 0.999
    assert free.recognizer.spec.temperature >= 1
    measured = [
        {(row.corpus, row.group): row.variety.value for row in adapted.decision.varieties if row.variety}
        for adapted in (free, beside)
    ]
    assert measured[0]["yy", "speaker"] == pytest.approx(measured[1]["yy", "speaker"], abs=1e-4), "the same guard"


def test_labels_of_the_target_enter(cli, first, new_target, tmp_path):
    ran = run(cli, first, new_target, tmp_path / "run", "--target-labels", "4")
    assert ran.code == 0, ran.err
    assert json.loads((tmp_path / "run" / "bundle" / "bundle.json").read_text())["target_labels"] == "4"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--source", "gone.jsonl"), "--from: takes the place of --source: give one of them"),
        (("--labels", "anger,neutral"), "tells anger, sadness apart, and learns no others"),
        (("--normalise", "corpus"), "--normalise: corpus does not fit"),
        (("--statistic", "std"), "--statistics: std does not fit"),
        (("--attributes", "arousal"), "is adapted in its emotions alone"),
        (("--method", "soft-pseudo-labels"), "needs source speech, which --from does without"),
        (("--method", "fine-tuned"), "needs source speech, which --from does without"),
        (("--head", "single"), "needs source speech, which --from does without"),
    ],
)
def test_what_a_bundle_decides_or_cannot_do_is_refused(cli, first, new_target, tmp_path, words, expected):
    ran = run(cli, first, new_target, tmp_path / "run", *words)
    assert ran.code == 2
    assert len(ran.complaints) == 1 and expected in ran.complaints[0], ran.err


def test_a_bundle_without_moments_is_refused(cli, finished, recorded, tmp_path):
    ran = run(cli, finished, recorded / "xx.jsonl", tmp_path / "run")
    assert ran.code == 2 and len(ran.complaints) == 1, ran.err
    assert "has no moments of its source speech, since its head single was trained by gradients" in ran.complaints[0]


def test_a_target_that_was_trained_on_is_refused(cli, first, recorded, tmp_path):
    ran = run(cli, first, recorded / "en.jsonl", tmp_path / "run")
    assert ran.code == 2 and len(ran.complaints) == 1, ran.err
    assert "16 utterances of the target, or their speakers, were trained on" in ran.complaints[0]


def test_budget_adapts_no_bundle(cli, first, recorded, tmp_path):
    settings = tmp_path / "budget.toml"
    settings.write_text(f'from_bundle = "{first / "bundle"}"\ntarget = "{recorded / "xx.jsonl"}"\n')
    ran = cli("budget", "--settings", settings, "--out", tmp_path / "grid")
    assert ran.code == 2 and "only `adapt` adapts a bundle" in ran.err
