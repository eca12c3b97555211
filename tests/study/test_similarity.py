"""`similarity`: only training speakers, phones of both sides, pseudo-labels, and what is written."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

import emobridge
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.data.speech import folds_of
from emobridge.errors import UserError
from emobridge.features.similarity import COMPARED_UNITS
from emobridge.settings import Data, Similarity, Split
from emobridge.study import similarity as study
from emobridge.study.reading import read_speech
from emobridge.study.similarity import GUESSED_EMOTIONS, TRUE_EMOTIONS, similarity

LABEL_SET = ("anger", "sadness")


@pytest.fixture
def compare(recorded, tiny_encoder, tmp_path):
    """A function that compares en.jsonl and xx.jsonl of `recorded`; options by name."""

    def run(**options):
        request = {"source": str(recorded / "en.jsonl"), "target": str(recorded / "xx.jsonl")}
        request |= {"encoder": str(tiny_encoder), "labels": LABEL_SET, "out": str(tmp_path / "out")}
        return similarity(**request | {"store": str(tmp_path / "store")} | options)

    return run


@pytest.fixture
def aligned(recorded):
    """A folder of CTM files: an "a" and a "t" in every recording."""
    folder = recorded / "phones"
    folder.mkdir()
    lines = []
    for name in ("en", "xx"):
        for row in read_manifest(recorded / f"{name}.jsonl"):
            lines += [f"{row.id} 1 0.02 0.10 a", f"{row.id} 1 0.12 0.05 t"]
    (folder / "all.ctm").write_text("\n".join(lines) + "\n")
    return folder


def held_out(recorded, seed=0):
    """Utterances of the speakers that are held out, of both sides."""
    data = Data(source=(str(recorded / "en.jsonl"),), target=str(recorded / "xx.jsonl"), labels=LABEL_SET)
    speech, _ = read_speech(data, LABEL_SET)
    fold = folds_of(speech, Split(seeds=1, folds=5), seed)[0]
    return [speech.utterances[row] for row in (*fold.source_test, *fold.target_test)]


def test_what_is_written(compare, tmp_path):
    found = compare()
    out = tmp_path / "out"
    names = {path.name for path in out.iterdir()}
    assert {"similarity.html", "similarity.md", "similarity.json", "similarity.csv", "layer-sets.json"} <= names
    assert (out / "figures" / "utterances-1.svg").exists()
    stored = json.loads((out / "layer-sets.json").read_text())
    assert stored["sets"] == found.record.sets and stored["rank by"] == "cosine of means"
    assert found.layers("AL") == "1+2" and set(found.record.sets) == {"utterance"}
    rows = list(csv.DictReader((out / "similarity.csv").open()))
    assert len(rows) == 2 * 2 and rows[0]["layer"] == "1" and float(rows[0]["cosine_of_means"]) <= 1
    assert found.lines[-1] == f"report: {out / 'similarity.html'}"
    assert Similarity.of(**{"source": "a", "target": "b"}).out == "similarity"


def test_held_out_speakers_never_enter(compare, recorded, tmp_path):
    """Their recordings may be anything, and change nothing; they are not even opened."""
    first = compare().record
    gone = held_out(recorded)
    for number, utterance in enumerate(gone):
        path = recorded / utterance.path
        assert recorded in path.parents
        path.write_bytes(b"") if number % 2 else path.unlink()
    again = compare(store=str(tmp_path / "fresh")).record
    assert len(gone) == 8 and again.rows == first.rows and again.sets == first.sets and not again.skipped
    same = {utterance.id for utterance in gone}
    other = next(seed for seed in range(1, 9) if {utterance.id for utterance in held_out(recorded, seed)} != same)
    assert compare(store=str(tmp_path / "fresh"), seed=other).record.skipped, "another seed holds others out"


def test_pseudo_labels_where_the_target_has_none(compare, recorded, monkeypatch):
    labelled = compare().record
    assert labelled.target_emotions == TRUE_EMOTIONS
    rows = [replace(row, emotion=None) for row in read_manifest(recorded / "xx.jsonl")]
    write_manifest(recorded / "new.jsonl", rows)
    unlabelled = compare(target=str(recorded / "new.jsonl")).record
    assert unlabelled.target_emotions == GUESSED_EMOTIONS
    counts = [sum(row.target for row in record.rows if row.layer == 1) for record in (labelled, unlabelled)]
    assert counts[1] == len(rows) and counts[0] < len(rows), "without labels nobody is scored, so all adapt"
    asked = compare(target_emotions="pseudo-labels").record
    assert (
        asked.target_emotions == GUESSED_EMOTIONS
        and sum(row.target for row in asked.rows if row.layer == 1) == counts[0]
    )
    with pytest.raises(UserError, match="has no labels: give --target-emotions pseudo-labels"):
        compare(target=str(recorded / "new.jsonl"), target_emotions="labels")


def test_pseudo_labels_do_not_look_at_target_labels(compare, recorded):
    """Wrong labels of the target change nothing but who is scored, which they do not here."""
    first = compare(target_emotions="pseudo-labels").record
    swapped = {"anger": "sadness", "sadness": "anger"}
    rows = [replace(row, emotion=swapped[row.emotion]) for row in read_manifest(recorded / "xx.jsonl")]
    write_manifest(recorded / "xx.jsonl", rows)
    assert compare(target_emotions="pseudo-labels").record.rows == first.rows
    assert compare().record.rows != first.rows


def test_phones_of_both_sides(compare, aligned):
    record = compare(alignments=str(aligned)).record
    assert [row.unit for row in record.rows if row.layer == 1][::2] == list(COMPARED_UNITS)
    assert set(record.sets) == {"utterance", "vowel", "consonant"}
    by_unit = {row.unit: row for row in record.rows}
    assert by_unit["a"].source and by_unit["a"].cosine_of_means == by_unit["vowel"].cosine_of_means
    assert not by_unit["i"].source and np.isnan(by_unit["i"].cosine_of_means)


def test_a_folder_of_alignments_that_is_not_there_stops_it_before_features(compare, tmp_path):
    with pytest.raises(UserError, match="no such folder of phone alignments"):
        compare(alignments=str(tmp_path / "nowhere"))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_no_common_phone(compare, aligned, recorded, capsys):
    path = aligned / "all.ctm"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if line.startswith("en") == line.endswith("a\n")))
    with pytest.raises(UserError, match=r"no phone is in both corpora: .*en.jsonl has a, vowel, .* has consonant"):
        compare(alignments=str(aligned))
    rows = [replace(row, phones=str(path)) for row in read_manifest(recorded / "en.jsonl")]
    write_manifest(recorded / "en.jsonl", rows)
    assert set(compare().record.sets) == {"utterance"}, "those of a manifest are no demand"
    assert "whole utterances alone are compared" in capsys.readouterr().err


def test_a_bad_file_is_skipped_and_listed(compare, recorded, aligned):
    data = {utterance.id for utterance in held_out(recorded)}
    bad = next(row for row in read_manifest(recorded / "en.jsonl") if row.id not in data)
    (recorded / bad.path).write_bytes(b"RIFF")
    record = compare(alignments=str(aligned)).record
    assert [line.split(":")[0] for line in record.skipped] == [bad.id]
    with pytest.raises(UserError):
        similarity(
            Similarity.of(
                source=str(recorded / "en.jsonl"), target=str(recorded / "xx.jsonl"), encoder="logmel", labels=LABEL_SET
            ),
            strict=True,
        )


def test_an_encoder_of_one_layer(compare):
    record = compare(encoder="logmel").record
    assert record.sets == {"utterance": {"GL": "0", "BL": "0", "WL": "0", "AL": "0"}}
    assert any("0 random sets" in line for line in record.warnings)


def test_blocks_change_nothing(compare, aligned, monkeypatch):
    first = compare(alignments=str(aligned)).record
    monkeypatch.setattr(study, "READ_TOGETHER", 1)
    again = compare(alignments=str(aligned)).record
    for row, same in zip(first.rows, again.rows):
        assert row.cosine_of_means == pytest.approx(same.cosine_of_means, nan_ok=True)
        assert row.cka == pytest.approx(same.cka, nan_ok=True)


def test_the_public_name_and_the_command(cli, recorded, tiny_encoder, tmp_path):
    assert emobridge.similarity is similarity
    words = ["similarity", recorded / "en.jsonl", recorded / "xx.jsonl", "--encoder", tiny_encoder]
    ran = cli(*words, "--labels", "anger,sadness", "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "utterance: GL 1+2, BL " in ran.out and "layer-sets.json" in {
        path.name for path in (tmp_path / "out").iterdir()
    }
    record = json.loads((tmp_path / "out" / "similarity.json").read_text())["record"]
    assert record["command"].startswith(
        f"emobridge similarity {recorded / 'en.jsonl'} {recorded / 'xx.jsonl'} --encoder"
    )
    ran = cli("similarity", recorded / "en.jsonl", recorded / "xx.jsonl")
    assert ran.code == 2 and ran.complaints[0].startswith("emobridge: similarity: expected --encoder ENCODER")
    ran = cli(*words, "--rank-by", "cosine")
    assert ran.code == 2 and "did you mean" in ran.err
