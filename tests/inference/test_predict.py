"""Predictions for files, folders and manifests."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from emobridge.bundle import Recognizer
from emobridge.data.audio import AudioError, read_audio, read_utterance
from emobridge.data.batching import pad
from emobridge.data.manifest import read_manifest
from emobridge.encoders.logmel import Logmel
from emobridge.errors import UserError
from emobridge.features.normalisation import moments
from emobridge.features.pooling import pool
from emobridge.features.store import FeatureStore
from emobridge.inference.features import encode, stored_features
from emobridge.inference.output import write_predictions
from emobridge.inference.predict import predict
from emobridge.inference.sources import utterances_of
from emobridge.settings import Answering
from emobridge.types import Prediction, Utterance

pytestmark = pytest.mark.usefixtures("all_speech")
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
    assert done == [(0, 15)], "seconds of 48 clips of 0.3 s"
    assert len(list(said)) == 47 and done[-1] == (14, 15)


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


class Deep(Logmel):
    """An encoder of four layers that notes the last one that it is asked for."""

    layers = 4

    def __init__(self):
        super().__init__()
        self.last_layers = []

    def encode(self, wave, lengths):
        self.last_layers.append(self.last_layer)
        hidden, frames = super().encode(wave, lengths)
        return torch.cat([hidden * (layer + 1) for layer in range(self.last_layer + 1)]), frames


@pytest.mark.parametrize(("layer", "last"), [("0", 0), ("2", 2), ("1+0", 1), ("0+3", 3)])
def test_layers_behind_the_last_one_that_is_read_are_not_computed(by_corpus, recorded, tmp_path, layer, last):
    rows = list(read_manifest(recorded / "xx.jsonl"))[:3]
    encoder = Deep()
    recognizer = SimpleNamespace(encoder=encoder, spec=replace(by_corpus.spec, layer=layer))
    features = encode(recognizer, waves(rows), [None] * 3)
    assert encoder.last_layers == [last] and encoder.last_layer == 3
    with torch.no_grad():
        every = pool(encoder(*pad(waves(rows))), encoder.statistics)
    for row, values in enumerate(features):
        assert torch.equal(values, every[list(map(int, layer.split("+"))), row])
    stored, _ = stored_features(recognizer, rows, [[None]] * 3, tmp_path)
    assert set(encoder.last_layers[2:]) == {last}
    for row, values in stored[None].items():
        torch.testing.assert_close(values, features[row], atol=1e-4, rtol=1e-4)


def waves(rows):
    return [read_utterance(row) for row in rows]


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


@pytest.mark.parametrize(
    ("seconds", "window", "cuts"),
    [
        (15.0, 10.0, [(0, 15)]),
        (30.0, 10.0, [(0, 10), (10, 20), (20, 30)]),
        (31.0, 10.0, [(0, 10), (10, 20), (20, 31)]),
        (47.0, 10.0, [(0, 10), (10, 20), (20, 30), (30, 40), (40, 47)]),
        (36.0, 10.0, [(0, 10), (10, 20), (20, 30), (30, 36)]),
        (40.0, 20.0, [(0, 20), (20, 40)]),
        (31.0, 100.0, [(0, 31)]),
    ],
)
def test_what_is_cut_into_windows(by_corpus, tmp_path, seconds, window, cuts):
    path = tmp_path / "long.wav"
    soundfile.write(path, NOISE[: round(seconds * 16000)], 16000)
    settings = Answering(segments="windows", window=window)
    answers = list(predict(by_corpus, utterances_of([path]), settings))
    assert [(answer.start, answer.end) for answer in answers] == cuts
    assert {answer.id for answer in answers} == {str(path)}
    row = Utterance("row", "c", str(path), start=0.5, end=None)
    of_row = [(answer.start, answer.end) for answer in predict(by_corpus, [row], settings)]
    assert len(of_row) in (len(cuts), len(cuts) - 1) and of_row[0][0] == 0.5 and of_row[-1][1] == seconds


def test_windows_are_predicted_each_by_itself(by_corpus, tmp_path):
    wave = NOISE.copy()
    wave[20 * 16000 : 30 * 16000] = 0.8 * np.sin(np.arange(160_000))
    soundfile.write(tmp_path / "long.wav", wave, 16000)
    windows = Answering(segments="windows")
    said = list(predict(by_corpus, utterances_of([tmp_path / "long.wav"]), windows))
    assert [(one.start, one.end) for one in said] == [(0, 10), (10, 20), (20, 30), (30, 40), (40, 47)]
    soundfile.write(tmp_path / "third.wav", wave[320_000:480_000], 16000)
    (alone,) = predict(by_corpus, utterances_of([tmp_path / "third.wav"]))
    assert said[2].probabilities == pytest.approx(alone.probabilities, abs=1e-3)
    assert abs(said[2].probabilities[0] - said[1].probabilities[0]) > 0.1


def test_a_bad_file_stops_or_is_skipped(by_corpus, tmp_path):
    (tmp_path / "bad.wav").write_text("none")
    (tmp_path / "film.mp4").write_bytes(b"x")
    soundfile.write(tmp_path / "good.wav", NOISE[:1600], 16000)
    names = [os.fsdecode(b"caf\xe9.wav"), "new\nline.wav"]
    for name in names:
        (tmp_path / name).write_bytes((tmp_path / "good.wav").read_bytes())
    skipped = []
    answers = list(predict(by_corpus, utterances_of([tmp_path]), on_skip=lambda *pair: skipped.append(pair)))
    assert [answer.path for answer in answers] == [str(tmp_path / "good.wav")]
    assert [name for name, _ in sorted(skipped)] == [
        f"{tmp_path.name}/{name}" for name in ("bad.wav", "caf\\udce9.wav", "film.mp4", "new\\nline.wav")
    ]
    assert all(reason.isprintable() and name.rpartition("/")[2] in reason for name, reason in skipped)
    with pytest.raises(AudioError, match=r"bad\.wav"):
        list(predict(by_corpus, utterances_of([tmp_path])))


def test_numbers_that_are_not_finite_poison_nobody(recognizer, recorded, tmp_path, monkeypatch):
    """A clip for which the encoder gives NaN has no label; its speaker's other clips are answered as without it."""
    encode = Logmel.encode

    def sour(self, wave, lengths):
        hidden, frames = encode(self, wave, lengths)
        return torch.where((wave[:, 0] == 0.5)[None, :, None, None], torch.nan, hidden), frames

    monkeypatch.setattr(Logmel, "encode", sour)
    path = tmp_path / "sour.wav"
    soundfile.write(path, np.concatenate([[0.5], NOISE[:8000]]), 16000, subtype="FLOAT")
    rows = list(read_manifest(recorded / "xx.jsonl"))
    bad = replace(rows[0], id="sour", path=str(path))
    skipped = []
    answers = list(predict(recognizer, [bad, *rows], on_skip=lambda *pair: skipped.append(pair)))
    assert answers[1:] == list(predict(recognizer, rows)) and not skipped
    assert (answers[0].id, answers[0].label, answers[0].reason) == ("sour", None, "not finite")
    alone = list(predict(recognizer, [bad, *rows], Answering(statistics="stored")))
    assert [row.reason for row in alone] == ["not finite", *[""] * 16]


# ------------------------------------------------------------------ files


ROWS = (Prediction('a, "b"', 0.0, 1.23456, ("anger", "sadness"), (0.25, 0.75)),)


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
