"""Predictions for files, folders and manifests."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from emobridge.bundle import Recognizer
from emobridge.data.audio import AudioError, read_audio
from emobridge.data.batching import pad
from emobridge.data.manifest import read_manifest
from emobridge.encoders.logmel import Logmel
from emobridge.errors import UserError
from emobridge.features.normalisation import moments
from emobridge.features.pooling import pool
from emobridge.features.store import FeatureStore
from emobridge.inference import predict, utterances_of, write_predictions
from emobridge.types import Prediction, Utterance

NOISE = np.random.default_rng(0).standard_normal(16000 * 47).astype(np.float32) * 0.1


@pytest.fixture(scope="module")
def recognizer(finished):
    return Recognizer.load(finished / "bundle")


@pytest.fixture(scope="module")
def by_corpus(recognizer):
    """The same weights, as if they had been trained without speaker normalisation."""
    spec = replace(recognizer.spec, normalise="corpus")
    return Recognizer(spec, recognizer.encoder, recognizer.domains, recognizer.head)


def test_a_prediction_is_what_head_and_moments_say(by_corpus, recorded):
    one = next(read_manifest(recorded / "xx.jsonl"))
    (said,) = predict(by_corpus, [one])
    wave, mask = pad([read_audio(one.path)])
    target = by_corpus.domains[-1]
    with torch.no_grad():
        x = pool(by_corpus.encoder(wave, mask), ("mean", "std"))[0]
        mean, deviation = moments(x, target, None)
        vector = (x - mean) / deviation
        wanted = by_corpus.head(vector[:, None], torch.ones(1, 1, dtype=torch.bool)).softmax(1)[0]
    assert (said.id, said.start, said.end, said.labels) == (one.id, 0.0, pytest.approx(0.3), ("anger", "sadness"))
    assert said.probabilities == pytest.approx(wanted.tolist(), abs=1e-6)


def test_predictions_of_a_saved_bundle_are_those_of_the_interface(recognizer, recorded):
    rows = list(read_manifest(recorded / "xx.jsonl"))
    features = FeatureStore(recorded / "store", recognizer.encoder).extract(rows).values
    speakers = [one.speaker for one in rows]
    wanted = recognizer.probabilities(torch.from_numpy(features), recognizer.domain("xx"), speakers)
    said = torch.tensor([one.probabilities for one in predict(recognizer, rows)])
    assert torch.allclose(said, wanted, atol=1e-5)


def test_the_domain_is_that_of_the_corpus_then_the_language_then_the_target(by_corpus, recorded):
    path = str(recorded / "en-a-anger-0.wav")
    plain = Utterance("u", "files", path)
    rows = [plain, replace(plain, language="xx"), replace(plain, language="en"), replace(plain, corpus="en")]
    target, also_target, source, also_source = (one.probabilities for one in predict(by_corpus, rows))
    assert target == also_target
    assert source == also_source
    assert target != source


def test_one_that_cannot_be_read_goes_to_on_skip_or_stops(by_corpus, recorded):
    rows = list(read_manifest(recorded / "xx.jsonl"))
    rows[1] = replace(rows[1], path=str(recorded / "missing.wav"))
    skipped = []
    said = list(predict(by_corpus, rows, on_skip=lambda *told: skipped.append(told)))
    assert [one.id for one in said] == [one.id for one in rows if one is not rows[1]]
    assert [name for name, _ in skipped] == [rows[1].id] and "missing.wav: no such file" in skipped[0][1]
    with pytest.raises(AudioError, match=r"missing\.wav"):
        list(predict(by_corpus, rows))


def test_without_speakers_predictions_come_while_the_rest_is_unread(by_corpus, recorded):
    rows = list(read_manifest(recorded / "xx.jsonl")) * 3
    done = []
    said = predict(by_corpus, rows, on_progress=lambda count, total: done.append((count, total)))
    next(said)
    assert done[-1] == (16, 48)
    assert len(list(said)) == 47 and done[-1] == (48, 48)


def test_a_speaker_is_normalised_by_all_that_is_given_of_it(recognizer, recorded):
    rows = [one for one in read_manifest(recorded / "xx.jsonl") if one.speaker in "ab"]
    together = {one.id: one.probabilities for one in predict(recognizer, rows)}
    a = [one for one in rows if one.speaker == "a"]
    for one in predict(recognizer, a):
        assert one.probabilities == pytest.approx(together[one.id], abs=1e-6)
    alone = next(predict(recognizer, a[:1])).probabilities
    nobody = next(predict(recognizer, [replace(a[0], speaker=None)])).probabilities
    assert len({alone, nobody, together[a[0].id]}) == 3


def test_a_speaker_of_many_utterances_is_one_speaker(recognizer, recorded):
    one = next(read_manifest(recorded / "xx.jsonl"))
    other = replace(one, path=str(recorded / "xx-a-sadness-0.wav"))
    said = list(predict(recognizer, [one] * 20 + [other] * 20))
    assert len({row.probabilities for row in said[:20]}) == 1
    assert len({row.probabilities for row in said[20:]}) == 1
    alone = next(predict(recognizer, [one] * 20)).probabilities[0]
    assert abs(said[0].probabilities[0] - alone) > 1e-3, "the last twenty are heard too"


def test_the_layer_is_that_of_the_bundle(by_corpus, recorded):
    class Stacked(Logmel):
        layers = 2

        def encode(self, wave, lengths):
            hidden, frames = super().encode(wave, lengths)
            return torch.cat([torch.zeros_like(hidden), hidden]), frames

    spec = replace(by_corpus.spec, layer="1")
    stacked = Recognizer(spec, Stacked(), by_corpus.domains, by_corpus.head)
    rows = list(read_manifest(recorded / "xx.jsonl"))[:3]
    for one, two in zip(predict(by_corpus, rows), predict(stacked, rows)):
        assert two.probabilities == pytest.approx(one.probabilities, abs=1e-6)


def test_many_without_speakers_do_not_touch_each_other(recognizer, recorded):
    rows = [replace(one, speaker=None) for one in read_manifest(recorded / "xx.jsonl")] * 2
    for one, said in zip(rows, predict(recognizer, rows)):
        assert said.probabilities == pytest.approx(next(predict(recognizer, [one])).probabilities, abs=1e-6)


def test_one_file_of_one_speaker(recognizer, recorded):
    """The speaker's moments are those of one utterance, mixed with the corpus's: nothing is divided by nothing."""
    for speakers in ("unknown", "file", "one"):
        (row,) = utterances_of([recorded / "xx-a-anger-0.wav"], speakers=speakers)
        (prediction,) = predict(recognizer, [row])
        assert sum(prediction.probabilities) == pytest.approx(1)
        assert prediction.label in recognizer.labels and prediction.end == pytest.approx(0.3)


def test_a_recogniser_of_one_label(made, recorded):
    (row, *_) = read_manifest(recorded / "xx.jsonl")
    (prediction,) = predict(made("it", labels=("anger",)), [replace(row, language="it")])
    assert prediction.probabilities == (1.0,) and prediction.label == "anger"


def test_nothing_in_nothing_out(recognizer):
    assert list(predict(recognizer, [])) == []


# ------------------------------------------------------------------ what is listened to


def test_a_folder_is_read_to_its_depths_and_hidden_files_are_not(tmp_path):
    for name in ("b/c/deep.wav", "a.flac", "b/A.WAV", ".hidden.wav", ".git/x.wav", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("txt"):
            (tmp_path / name).write_text("none")
        else:
            kind = "FLAC" if name.endswith("flac") else "WAV"
            soundfile.write(tmp_path / name, NOISE[:1600], 16000, format=kind)
    found = list(utterances_of([tmp_path]))
    assert sorted(one.path for one in found) == sorted(
        str(tmp_path / name) for name in ("a.flac", "b/A.WAV", "b/c/deep.wav")
    )
    assert all(one.id == one.path and (one.start, one.end) == (0.0, None) for one in found)


@pytest.mark.parametrize(
    ("seconds", "window", "cuts"),
    [
        (30.0, 10.0, [(0.0, 30.0)]),
        (31.0, 10.0, [(0, 10), (10, 20), (20, 31)]),
        (47.0, 10.0, [(0, 10), (10, 20), (20, 30), (30, 40), (40, 47)]),
        (36.0, 10.0, [(0, 10), (10, 20), (20, 30), (30, 36)]),
        (40.0, 20.0, [(0, 20), (20, 40)]),
        (31.0, 100.0, [(0, 31)]),
    ],
)
def test_what_is_long_is_cut_into_windows(by_corpus, tmp_path, seconds, window, cuts):
    path = tmp_path / "long.wav"
    soundfile.write(path, NOISE[: round(seconds * 16000)], 16000)
    answers = list(predict(by_corpus, utterances_of([path]), window=window))
    assert [(answer.start, answer.end) for answer in answers] == cuts
    assert {answer.id for answer in answers} == {str(path)}
    row = Utterance("row", "c", str(path), start=0.5, end=None)
    of_row = [(answer.start, answer.end) for answer in predict(by_corpus, [row], window=window)]
    assert len(of_row) in (len(cuts), len(cuts) - 1) and of_row[0][0] == 0.5 and of_row[-1][1] == seconds


def test_windows_are_predicted_each_by_itself(by_corpus, tmp_path):
    wave = NOISE.copy()
    wave[20 * 16000 : 30 * 16000] = 0.8 * np.sin(np.arange(160_000))
    soundfile.write(tmp_path / "long.wav", wave, 16000)
    said = list(predict(by_corpus, utterances_of([tmp_path / "long.wav"])))
    assert [(one.start, one.end) for one in said] == [(0, 10), (10, 20), (20, 30), (30, 40), (40, 47)]
    soundfile.write(tmp_path / "third.wav", wave[320_000:480_000], 16000)
    (alone,) = predict(by_corpus, utterances_of([tmp_path / "third.wav"]))
    assert said[2].probabilities == pytest.approx(alone.probabilities, abs=1e-3)
    assert abs(said[2].probabilities[0] - said[1].probabilities[0]) > 0.1


def test_speakers_and_languages_of_plain_files(recorded):
    files = [recorded / "en-a-anger-0.wav", recorded / "en-b-anger-0.wav"]
    for choice, names in (("unknown", {None}), ("file", set(map(str, files))), ("one", {"one"})):
        found = list(utterances_of(files, speakers=choice, language="it"))
        assert {one.speaker for one in found} == names
        assert {one.language for one in found} == {"it"}
    assert {one.language for one in utterances_of(files)} == {"und"}


def test_manifests_files_and_folders_together_in_the_order_given(recorded, tmp_path):
    (tmp_path / "folder").mkdir()
    soundfile.write(tmp_path / "folder" / "z.wav", NOISE[:1600], 16000)
    found = list(utterances_of([tmp_path / "folder", recorded / "xx.jsonl", recorded / "en-a-anger-0.wav"]))
    assert found[0].id == str(tmp_path / "folder" / "z.wav")
    assert found[1:-1] == list(read_manifest(recorded / "xx.jsonl"))
    assert found[-1].id == str(recorded / "en-a-anger-0.wav")


def test_a_table_is_read_without_its_labels_and_the_case_of_a_suffix_is_nothing(recorded, tmp_path):
    table = tmp_path / "calls.CSV"
    table.write_text("File;Label;offset;duration;lang\na.wav;grmpf;0,5;1,5;\nb.wav;;;;it\n")
    notes = []
    rows = list(utterances_of([table], language="de", on_note=notes.append))
    assert [(row.id, row.emotion, row.start, row.end, row.language) for row in rows] == [
        ("a@0.5", None, 0.5, 2.0, "de"),
        ("b", None, 0.0, None, "it"),
    ]
    assert any("semicolons between columns, decimal commas" in note for note in notes)
    manifest = recorded / "copy.JSONL"
    manifest.write_bytes((recorded / "xx.jsonl").read_bytes())
    assert list(utterances_of([manifest])) == list(read_manifest(recorded / "xx.jsonl"))
    manifest.unlink()


def test_a_bad_file_stops_or_is_skipped_before_anything_is_predicted(by_corpus, tmp_path):
    (tmp_path / "bad.wav").write_text("none")
    (tmp_path / "film.mp4").write_bytes(b"x")
    soundfile.write(tmp_path / "good.wav", NOISE[:1600], 16000)
    names = [os.fsdecode(b"caf\xe9.wav"), "new\nline.wav"]
    for name in names:
        (tmp_path / name).write_bytes((tmp_path / "good.wav").read_bytes())
    skipped = []
    answers = list(predict(by_corpus, utterances_of([tmp_path]), on_skip=lambda *pair: skipped.append(pair)))
    assert [answer.id for answer in answers] == [str(tmp_path / "good.wav")]
    assert sorted(skipped)[0][0] == str(tmp_path / "bad.wav")
    assert [name.rpartition("/")[2] for name, _ in sorted(skipped)[1:]] == [
        "caf\\udce9.wav",
        "film.mp4",
        "new\\nline.wav",
    ]
    assert all(reason.isprintable() and reason.startswith(name) for name, reason in skipped)
    with pytest.raises(AudioError, match=r"bad\.wav"):
        list(predict(by_corpus, utterances_of([tmp_path])))


def test_numbers_that_are_not_finite_poison_nobody(recognizer, recorded, tmp_path, monkeypatch):
    """A clip for which the encoder gives NaN is skipped; its speaker's other clips are answered as without it."""
    encode = Logmel.encode

    def sour(self, wave, lengths):
        hidden, frames = encode(self, wave, lengths)
        return torch.where((wave[:, 0] == 0.5)[None, :, None, None], torch.nan, hidden), frames

    monkeypatch.setattr(Logmel, "encode", sour)
    path = tmp_path / "sour.wav"
    soundfile.write(path, np.concatenate([[0.5], NOISE[:1600]]), 16000, subtype="FLOAT")
    rows = list(read_manifest(recorded / "xx.jsonl"))
    bad = replace(rows[0], id="sour", path=str(path))
    skipped = []
    answers = list(predict(recognizer, [bad, *rows], on_skip=lambda *pair: skipped.append(pair)))
    assert answers == list(predict(recognizer, rows))
    assert skipped == [("sour", f"{path}: encoder logmel gives numbers that are not finite (NaN or infinity)")]
    with pytest.raises(AudioError, match="not finite"):
        list(predict(recognizer, [*rows, bad]))


# ------------------------------------------------------------------ files


ROWS = (
    Prediction('a, "b"', 0.0, 1.23456, ("anger", "sadness"), (0.25, 0.75)),
    Prediction("ü", 10.0, 20.0, ("anger", "sadness"), (0.5, 0.5)),
)


def test_json_lines(tmp_path):
    assert write_predictions(ROWS, tmp_path / "p.jsonl") == 2
    first, second = map(json.loads, (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines())
    probabilities = {"anger": 0.25, "sadness": 0.75}
    wanted = {"id": 'a, "b"', "start": 0.0, "end": 1.235, "label": "sadness", "probabilities": probabilities}
    assert first == wanted
    assert (second["id"], second["label"]) == ("ü", "anger"), "of equally probable labels the first"


def test_csv(tmp_path):
    assert write_predictions(ROWS, tmp_path / "p.csv", form="csv", synthetic=True) == 2
    assert (tmp_path / "p.csv").read_text(encoding="utf-8").splitlines() == [
        "id,start,end,label,p_anger,p_sadness,trained_on",
        '"a, ""b""",0.0,1.235,sadness,0.25,0.75,SYNTHETIC',
        "ü,10.0,20.0,anger,0.5,0.5,SYNTHETIC",
    ]


def test_a_file_is_whole_or_as_it_was(tmp_path):
    def breaking():
        yield ROWS[0]
        raise AudioError("b.wav: no such file")

    (tmp_path / "p.jsonl").write_text("earlier\n")
    with pytest.raises(AudioError):
        write_predictions(breaking(), tmp_path / "p.jsonl")
    with pytest.raises(UserError, match="nothing predicted"):
        write_predictions([], tmp_path / "p.jsonl")
    with pytest.raises(UserError, match="did you mean 'csv'"):
        write_predictions(ROWS, tmp_path / "p.jsonl", form="cvs")
    assert [path.name for path in tmp_path.iterdir()] == ["p.jsonl"]
    assert (tmp_path / "p.jsonl").read_text() == "earlier\n"
