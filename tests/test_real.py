"""Real speech and real weights through the command line: they are there only where EMOBRIDGE_SHARED points to them."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from emobridge.data.manifest import read_manifest, write_manifest

FOUR = "anger,happiness,neutral,sadness"


@pytest.mark.parametrize(
    ("corpus", "folder", "count", "speakers", "language", "emotions"),
    [
        ("ravdess", "ravdess", 1440, 24, "en", {"neutral": 96} | dict.fromkeys(("anger", "calm", "surprise"), 192)),
        ("emodb", "emodb", 362, 10, "de", {"anger": 127, "neutral": 79, "happiness": 71, "sadness": 62}),
        ("emovo", "emovo", 588, 6, "it", dict.fromkeys(("anger", "happiness", "disgust", "surprise"), 84)),
    ],
)
def test_scan(shared, cli, tmp_path, corpus, folder, count, speakers, language, emotions):
    out = tmp_path / f"{corpus}.jsonl"
    done = cli("scan", corpus, shared / "corpora" / folder, "-o", out)
    facts = f"{count:,} utterances; {count:,} labelled, {speakers} speakers, 1 language"
    assert (done.code, done.out) == (0, f"{out}: {facts}\n")
    rows = list(read_manifest(out))
    assert len(rows) == len({one.id for one in rows}) == count
    assert len({one.speaker for one in rows}) == speakers
    assert {one.language.split("-")[0] for one in rows} == {language}
    found = Counter(one.emotion for one in rows)
    assert emotions.items() <= found.items()


def test_constructed_attributes_of_real_speech(shared, cli, tmp_path):
    """Women's F0 is higher, and in RAVDESS anger is louder than sadness; not so in this EmoDB."""
    for corpus in ("ravdess", "emodb"):
        assert cli("scan", corpus, shared / "corpora" / corpus, "-o", tmp_path / f"{corpus}.jsonl").code == 0
        kept = list(read_manifest(tmp_path / f"{corpus}.jsonl"))[::7]
        write_manifest(tmp_path / "some.jsonl", kept)
        done = cli("constructed", tmp_path / "some.jsonl", "-o", tmp_path / "made.jsonl")
        assert done.code == 0, done.err
        assert f"{len(kept)} utterances of {corpus}-constructed\nCONSTRUCTED, no ratings" in done.out
        made = list(read_manifest(tmp_path / "made.jsonl"))
        assert sum(one.valence is None for one in made) < 0.02 * len(made)

        def mean(attribute, rows=made, **about):
            chosen = [one for one in rows if all(getattr(one, key) == value for key, value in about.items())]
            return sum(getattr(one, attribute) or 0.0 for one in chosen) / len(chosen)

        if corpus == "ravdess":
            assert mean("arousal", emotion="anger") > mean("arousal", emotion="sadness") + 0.4
        assert mean("valence", gender="female") > mean("valence", gender="male") + 0.25


@pytest.fixture
def some(shared, cli, tmp_path):
    """Manifests of a few speakers: ravdess.jsonl and emodb.jsonl, four emotions."""
    for corpus, people, most in (("ravdess", 8, 3), ("emodb", 6, 4)):
        whole = tmp_path / f"whole-{corpus}.jsonl"
        assert cli("scan", corpus, shared / "corpora" / corpus, "-o", whole).code == 0
        rows = [one for one in read_manifest(whole) if one.emotion in FOUR.split(",")]
        chosen = sorted({one.speaker for one in rows})[:people]
        taken: Counter = Counter()
        kept = []
        for one in rows:
            taken[one.speaker, one.emotion] += 1
            if one.speaker in chosen and taken[one.speaker, one.emotion] <= most:
                kept.append(one)
        write_manifest(tmp_path / f"{corpus}.jsonl", kept)
    return tmp_path


def test_english_to_german_with_whisper(shared, cli, some):
    words = ("adapt", "--source", some / "ravdess.jsonl", "--target", some / "emodb.jsonl", "--labels", FOUR)
    words += ("--encoder", shared / "weights" / "whisper-tiny.en", "--layer", "2", "--store", some / "store")
    done = cli(*words, "--seeds", "1", "--folds", "2", "--out", some / "run")
    assert done.code == 0, done.err
    rows = json.loads((some / "run" / "scores.json").read_text())
    ua = {(row["method"], row["side"]): row for row in rows if (row["measure"], row["seed"]) == ("UA", "all")}
    for row in ua.values():
        assert row["low"] > 0.25, f"{row['method']} on the {row['side']}: {row['value']:.3f} is not above chance"
    assert ua["blend", "target"]["value"] > 0.4
    report = (some / "run" / "report.md").read_text()
    assert "Agarla et al. 2024" in report and "SYNTHETIC" not in report
    card = (some / "run" / "bundle" / "README.md").read_text()
    assert "CC BY-NC-SA 4.0" in card, "the terms of RAVDESS go with the weights"

    bundle = some / "run" / "bundle"
    scored = cli("evaluate", bundle, "--on", some / "emodb.jsonl", "--store", some / "store", "--out", some / "s.json")
    assert scored.code == 0, scored.err
    on_all = next(
        row for row in json.loads((some / "s.json").read_text()) if (row["measure"], row["seed"]) == ("UA", "all")
    )
    assert on_all["low"] > 0.25

    lines = (some / "emodb.jsonl").read_text().splitlines()
    speaker = json.loads(lines[0])["speaker"]
    (some / "one.jsonl").write_text("".join(line + "\n" for line in lines if json.loads(line)["speaker"] == speaker))
    said = cli("predict", bundle, some / "one.jsonl")
    assert said.code == 0, said.err
    truth = {one.id: one.emotion for one in read_manifest(some / "one.jsonl")}
    heard = {row["id"]: row["label"] for row in map(json.loads, said.out.splitlines())}
    assert heard.keys() == truth.keys()
    assert sum(heard[name] == truth[name] for name in truth) > len(truth) / 3


def test_the_audit_finds_the_recording_that_ravdess_holds_twice(shared, cli, tmp_path):
    rows = tmp_path / "ravdess.jsonl"
    assert cli("scan", "ravdess", shared / "corpora" / "ravdess", "-o", rows).code == 0
    kept = [one for one in read_manifest(rows) if one.speaker in ("07", "7", "actor07", "Actor_07")]
    assert len(kept) == 60
    write_manifest(tmp_path / "seven.jsonl", kept)
    done = cli("audit", tmp_path / "seven.jsonl", "--out", tmp_path / "audit")
    assert done.code == 0, done.err
    assert "03-01-03-01-02-01-07 = 03-01-03-01-02-02-07" in done.out


@pytest.mark.slow
def test_f0_of_new_speakers_is_regressed_from_frozen_features(shared, cli, tmp_path):
    """CONSTRUCTED targets, no ratings: "valence" is F0, which an encoder of speech keeps. Women and men are on both
    sides, so that it varies, and speakers are not normalised, which would take that away.
    """
    whole = tmp_path / "emodb.jsonl"
    assert cli("scan", "emodb", shared / "corpora" / "emodb", "-o", whole).code == 0
    write_manifest(tmp_path / "some.jsonl", list(read_manifest(whole))[::2])
    assert cli("constructed", tmp_path / "some.jsonl", "-o", tmp_path / "made.jsonl").code == 0
    rows = list(read_manifest(tmp_path / "made.jsonl"))
    people = sorted({one.speaker for one in rows})
    for name, chosen in (("one", people[::2]), ("two", people[1::2])):
        write_manifest(tmp_path / f"{name}.jsonl", [one for one in rows if one.speaker in chosen])
    words = ("adapt", "--source", tmp_path / "one.jsonl", "--target", tmp_path / "two.jsonl", "--labels", "none")
    words += ("--attributes", "valence", "--method", "source-only", "--normalise", "none", "--align", "none")
    words += ("--encoder", shared / "weights" / "whisper-tiny.en", "--layer", "2", "--store", tmp_path / "store")
    done = cli(*words, "--seeds", "1", "--folds", "2", "--epochs", "30", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    found = {row["side"]: row for row in scores if (row["measure"], row["seed"]) == ("CCC valence", "all")}
    assert found["target"]["value"] > 0.4 and found["target"]["low"] > 0.3
    assert "CONSTRUCTED. CCC of valence" in done.out and "warning: CONSTRUCTED attributes" in done.out


@pytest.mark.parametrize(
    ("target", "every", "least"),
    [
        ("emovo", 3, 0.41),
        pytest.param("emovo", 1, 0.45, marks=pytest.mark.slow),
        pytest.param("emodb", 1, 0.56, marks=pytest.mark.slow),
    ],
)
def test_the_encoder_that_needs_no_weights_works_in_another_language(shared, cli, tmp_path, target, every, least):
    """C22: with each clip's level in its features it had 0.27 and 0.28, about chance; see default-encoder.md.

    every: of a third of the clips it learns less, and is still far from chance.
    """
    manifests = {}
    for corpus in ("ravdess", target):
        manifests[corpus] = tmp_path / f"{corpus}.jsonl"
        assert cli("scan", corpus, shared / "corpora" / corpus, "-o", manifests[corpus]).code == 0
        rows = [row for row in read_manifest(manifests[corpus]) if row.emotion in FOUR.split(",")]
        write_manifest(manifests[corpus], rows[::every])
    options = ["--method", "source-only", "--labels", FOUR, "--seeds", "1", "--store", tmp_path / "store", "--no-clips"]
    done = cli(
        "adapt", "--source", manifests["ravdess"], "--target", manifests[target], *options, "--out", tmp_path / "run"
    )
    assert done.code == 0, done.err
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    (ua,) = [row["value"] for row in scores if (row["side"], row["measure"], row["seed"]) == ("target", "UA", "all")]
    assert ua >= least
    assert "the guard normalises" not in done.out, "each speaker shows all emotions"
