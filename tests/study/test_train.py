"""A whole run on tiny recordings: interruptions, layers, labels and bad files."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from emobridge.bundle import Recognizer
from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.encoders.logmel import Logmel
from emobridge.errors import UserError
from emobridge.features.normalisation import SHRINKAGE
from emobridge.inference.predict import predict
from emobridge.settings import Adapt
from emobridge.study import prepare as room
from emobridge.study import run as runs
from emobridge.study.cases import draft
from emobridge.study.prepare import resolve
from emobridge.study.train import Adapted, train
from emobridge.training import stages


@pytest.fixture
def settings(recorded, tmp_path):
    """Settings of a run of a second or less."""

    def make(**changes) -> Adapt:
        plain = {
            "source": (str(recorded / "en.jsonl"),),
            "target": str(recorded / "xx.jsonl"),
            "labels": ("anger", "sadness"),
            "out": str(tmp_path / "run"),
            "store": str(tmp_path / "store"),
            "method": "pseudo-labels",
        }
        plain |= {"seeds": 1, "folds": 2, "epochs": 4, "batch_size": 16, "learning_rate": 0.02}
        if changes.get("train", "frozen") == "frozen":
            plain["guard"] = False
        values = {**plain, **changes}
        if values["method"] in ("source-only", "pseudo-labels"):  # whose head would be solved, or compared with such
            values = {"head": "single", **values}
        return Adapt.of(**values)

    return make


def rewrite(path: Path, change) -> None:
    """Each row of a manifest through `change`, which may drop it by None."""
    rows = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if row is not None))


@pytest.fixture
def few(recorded):
    """Half of the recordings, for encoders that are trained: one of each speaker and emotion."""
    for side in ("en", "xx"):
        rewrite(recorded / f"{side}.jsonl", lambda row: row if row["id"].endswith("-0") else None)


def predictions(one: Adapted) -> list:
    return [part for system in one.answers for part in system.predicted]


def said(one: Adapted) -> list[tuple]:
    return [
        (part.method, part.seed, part.side, part.rows.tolist(), part.probabilities.tolist())
        for part in predictions(one)
    ]


def logs(one: Adapted) -> list:
    return [log for system in one.answers for log in system.logs]


@pytest.fixture
def fits(monkeypatch):
    """The method and the fold's scored rows of each fit."""
    titles = []
    original, original_start = runs.Runner.train, runs.start_fit

    def counted(self, case, seed, fold, key):
        titles.append((case.method.name, "fold" if fold.source_test else "everything"))
        return original(self, case, seed, fold, key)

    def started(case, *given):
        titles.append((case.method.name, "fold"))
        return original_start(case, *given)

    monkeypatch.setattr(runs.Runner, "train", counted)
    monkeypatch.setattr(runs, "start_fit", started)
    return titles


@pytest.fixture
def hurried(monkeypatch):
    """Nothing long may begin."""

    def long(*_, **__):
        raise AssertionError("this is long")

    monkeypatch.setattr(room.FeatureStore, "extract", long)


class Three(Logmel):
    """Three layers: the first says nothing, the second is log-mel, the third is noise of the clip's loudness."""

    name = "three"
    layers = 3

    def __init__(self) -> None:
        super().__init__()
        self.digest = hashlib.sha256(b"three").hexdigest()

    def encode(self, wave, lengths):
        hidden, frames = super().encode(wave, lengths)
        return torch.cat([hidden * 0, hidden, (hidden * 1e4).sin()]), frames


@pytest.fixture
def three(monkeypatch):
    monkeypatch.setattr(room, "load_encoder", lambda *_, **__: Three().eval())


def test_from_recordings_to_a_recogniser(settings, tmp_path):
    one = train(settings(epochs=30, method_options=("interval=10",)))
    assert [system.method for system in one.answers] == ["source-only", "pseudo-labels"]
    assert one.chosen == one.answers[-1].case and (one.chosen.layer, one.chosen.statistics) == ("0", ("mean", "std"))
    assert one.prepared.skipped == () and one.prepared.left_out == 0 and one.decision.layer_scores == ()
    assert len(one.speech.utterances) == 32 and one.speech.features.shape == (32, 1, 128)
    for each in predictions(one):
        right = each.probabilities.argmax(1) == one.speech.label[each.rows]
        assert len(each.rows) == 16 and right.mean() > 0.9, "high and loud against low is easy"
    loaded = Recognizer.load(one.recognizer.save(tmp_path / "bundle", "card"))
    x = torch.randn(3, 1, 128)
    assert torch.equal(
        *(each.probabilities(x, each.domain("xx"), ["a", "a", None]) for each in (loaded, one.recognizer))
    )


def test_a_second_run_reads_the_work_of_the_first(settings, fits):
    first = train(settings())
    folds = [("source-only", "fold"), ("pseudo-labels", "fold")] * 2  # what they share of a fold is computed once
    assert fits == [*folds, ("pseudo-labels", "everything")]
    del fits[:]
    second = train(settings())
    assert said(second) == said(first) and logs(second) == logs(first)
    assert fits == [("pseudo-labels", "everything")], "only the recogniser, which is not written down"
    for name, tensor in first.recognizer.head.state_dict().items():
        assert torch.equal(tensor, second.recognizer.head.state_dict()[name])
    del fits[:]
    train(settings(learning_rate=0.03))
    assert len(fits) == 5, "other settings are another run"
    del fits[:]
    train(settings(method="dann"))
    del fits[:]
    train(settings(method="fluda"))
    assert [name for name, _ in fits] == ["fluda"] * 3, "the baseline beside another method is read (A8)"


KILLED = """
import functools, json, os, signal, sys
from emobridge.settings import Adapt, from_mapping
from emobridge.study.train import train
from emobridge.training import stages
from emobridge.training import loop as training

stages.Plan = functools.partial(training.Plan, checkpoint_every=0)
plain, epochs = training._epoch, []

def epoch(*arguments):
    epochs.append(0)
    if len(epochs) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(*arguments)

training._epoch = epoch
train(from_mapping(json.loads(sys.argv[1]), "test", Adapt))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is of POSIX")
@pytest.mark.slow
def test_a_run_that_is_killed_and_begun_again_says_the_same(settings, fits):
    """Twice: in the middle of the fits of the first system, and of those of the second."""
    options = settings(epochs=6, method_options=("interval=2",))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for epochs in (3, 8):
        command = [sys.executable, "-c", KILLED, json.dumps(asdict(options)), str(epochs)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == -signal.SIGKILL, done.stderr
    work = Path(options.output.out) / "work"
    assert len(list(work.glob("*.safetensors"))) == 2 and len(list(work.glob("*.checkpoint"))) == 2
    torch.set_num_threads(1)
    again = train(options)
    assert fits == [("pseudo-labels", "fold")] * 2 + [("pseudo-labels", "everything")]
    assert not list(work.glob("*.checkpoint")) and not list(work.glob(".*"))
    whole = train(settings(epochs=6, method_options=("interval=2",), out=options.output.out + "-whole"))
    assert said(again) == said(whole) and logs(again) == logs(whole)


def test_the_layer_is_the_best_of_the_source(settings, three):
    one = train(settings(epochs=20, layer="auto"))
    scores = dict(one.decision.layer_scores)
    assert list(scores) == ["0", "1", "2"] and scores["1"] == max(scores.values()) > scores["0"]
    assert one.chosen.layer == one.recognizer.spec.layer == "1"
    three_layers = train(settings(epochs=20))
    assert three_layers.chosen.layer == "0+1+2" and three_layers.decision.layer_scores == ()
    assert torch.equal(three_layers.speech.features, one.speech.features), "both hold all three"
    chosen = three_layers.speech.at("1").features
    assert chosen.shape == (32, 1, 128) and torch.equal(chosen[:, 0], one.speech.features[:, 1])


def test_the_choice_of_a_layer_does_not_look_at_the_target(settings, three, recorded):
    """Neither at its labels nor at its audio."""
    before = train(settings(layer="auto"))

    def swapped(row):
        return {**row, "emotion": {"anger": "sadness", "sadness": "anger"}[row["emotion"]]}

    rewrite(recorded / "xx.jsonl", swapped)
    assert train(settings(layer="auto")).decision.layer_scores == before.decision.layer_scores
    rewrite(recorded / "xx.jsonl", lambda row: {**row, "emotion": None} if "b-" in row["id"] else None)
    assert train(settings(layer="auto")).decision.layer_scores == before.decision.layer_scores
    rewrite(recorded / "en.jsonl", swapped)
    rewrite(recorded / "en.jsonl", lambda row: {**row, "emotion": "anger" if "a-" in row["id"] else row["emotion"]})
    assert train(settings(layer="auto")).decision.layer_scores != before.decision.layer_scores, "at the source it does"


def test_a_layer_is_chosen_with_a_budget_of_labels_too(settings, three):
    few, none = (train(settings(layer="auto", target_labels=amount)) for amount in ("2", "0"))
    assert few.decision.layer_scores == none.decision.layer_scores != ()


def test_a_layer_by_name(settings, three):
    one = train(settings(layer="2"))
    assert one.decision.layer_scores == () and one.chosen.layer == "2"
    with pytest.raises(UserError, match=r"unknown layer of encoder three '3' \(one of 0, 1, 2, all, auto, middle\)"):
        train(settings(layer="3"))


@pytest.mark.parametrize("statistics", [("mean",), ("std",), ("mean", "std")])
def test_the_statistics_that_were_asked_for(settings, statistics):
    one = train(settings(statistics=statistics, epochs=1))
    both = train(settings(statistics=("mean", "std"), epochs=1)).speech.features
    parts = {"mean": both[..., :64], "std": both[..., 64:]}
    assert torch.equal(one.speech.features, torch.cat([parts[name] for name in statistics], -1))
    assert one.recognizer.spec.statistics == statistics
    assert one.recognizer.domains[0].mean.shape == (1, 64 * len(statistics))


def test_an_unknown_statistic_names_the_nearest(settings):
    with pytest.raises(UserError, match="unknown statistic of encoder logmel 'means': did you mean 'mean'"):
        train(settings(statistics=("means",)))


def test_a_target_without_labels(settings, recorded):
    rewrite(recorded / "xx.jsonl", lambda row: {key: value for key, value in row.items() if key != "emotion"})
    one = train(settings())
    assert {each.side for each in predictions(one)} == {"source"}
    assert one.recognizer.spec.domains[-1] == ("xx", "xh")
    with pytest.raises(UserError, match=r"target_labels: a budget of 5 .*: expected 0, for"):
        train(settings(target_labels="5"))


def test_a_target_without_speakers_is_adapted_to(settings, recorded):
    rewrite(recorded / "xx.jsonl", lambda row: {**row, "speaker": None, "emotion": None})
    assert train(settings()).recognizer


def test_files_that_cannot_be_read_are_skipped_and_listed(settings, recorded):
    (recorded / "en-a-anger-0.wav").write_bytes(b"no audio")
    (recorded / "xx-b-sadness-1.wav").unlink()
    one = train(settings())
    assert {name for name, _ in one.prepared.skipped} == {"en-a-anger-0", "xx-b-sadness-1"}
    assert all(str(recorded) in reason for _, reason in one.prepared.skipped)
    assert len(one.speech.utterances) == len(one.speech.features) == len(one.speech.label) == 30
    truth = [("anger", "sadness").index(each.emotion) for each in one.speech.utterances]
    assert one.speech.label.tolist() == truth, "rows still belong together"


@pytest.mark.parametrize("side", ["en", "xx"])
def test_a_side_that_cannot_be_read_at_all(settings, recorded, side):
    for path in recorded.glob(f"{side}-*.wav"):
        path.unlink()
    with pytest.raises(UserError, match=f"no audio of one side can be read; the first reason: .*{side}-"):
        train(settings())


@pytest.mark.parametrize("amount", ["0", "4", "all"])
def test_target_labels_are_seen_within_the_budget(settings, amount, monkeypatch):
    seen = []
    original = stages.build

    def noted(*given, **named):
        built = original(*given, **named)
        seen.append(built.task.labelled_target)
        return built

    monkeypatch.setattr(stages, "build", noted)
    one = train(settings(target_labels=amount, method="source-only"))
    counts = [0 if few is None else len(few.rows) for few in seen]
    expected = {"0": [0] * 3, "4": [4] * 3, "all": [8, 8, 16]}[amount]
    assert counts == expected, "of two folds and of the recogniser"
    assert one.recognizer.spec.target_labels == amount


def test_all_labels_leave_nothing_to_pseudo_label(settings):
    one = train(settings(target_labels="all", method_options=("interval=2",)))
    shares = [point.value for log in logs(one) for point in log.points if point.term == "pseudo-labelled share"]
    assert shares and not any(shares)
    assert one.recognizer.spec.target_labels == "all"


def test_an_open_pool_adapts_to_other_emotions_too(settings, recorded):
    rewrite(recorded / "xx.jsonl", lambda row: {**row, "emotion": "fear"} if row["id"].endswith("-1") else row)
    closed, opened = train(settings(pool="closed")), train(settings())
    assert (closed.prepared.left_out, opened.prepared.left_out) == (8, 0)
    assert (len(closed.speech.utterances), len(opened.speech.utterances)) == (24, 32)
    for one in (closed, opened):
        scored = next(each for each in predictions(one) if each.side == "target")
        assert len(scored.rows) == 8


def test_labels_may_be_spelt_otherwise(settings):
    one = train(settings(labels=("Angry", "sad"), epochs=1))
    assert one.request.data.labels == one.chosen.labels == one.recognizer.labels == ("anger", "sadness")


def test_an_encoder_that_is_trained_too(settings, tmp_path):
    options = settings(
        encoder="emotion-cnn", train="end-to-end", align="none", layer="0", crop=0.3, epochs=2, learning_rate=0.001
    )
    one = train(options)
    assert said(train(options)) == said(one)
    assert one.recognizer.spec.trained and {each.side for each in predictions(one)} == {"source", "target"}
    assert all(np.isfinite(each.probabilities).all() for each in predictions(one))
    loaded = Recognizer.load(one.recognizer.save(tmp_path / "bundle", "card"))
    x = torch.randn(2, 128)
    assert torch.equal(*(each.probabilities(x, each.domains[0], None) for each in (loaded, one.recognizer)))
    measured = [prediction.unfamiliarity for prediction in predict(loaded, one.speech.utterances)]
    assert np.median(measured) < 0.8
    assert max(measured[:4]) < loaded.last.unfamiliarity(loaded.normalised(x + 100, loaded.domains[0], None)).min()
    for name, tensor in one.recognizer.encoder.state_dict().items():
        assert torch.equal(tensor, loaded.encoder.state_dict()[name])


@pytest.mark.parametrize(
    "adapters", ["lora", pytest.param("bottleneck+gating", marks=pytest.mark.slow), "bottleneck+layer-sum"]
)
@pytest.mark.usefixtures("few")
def test_adapters_are_trained_and_nothing_else_of_the_encoder(settings, source, tmp_path, adapters):
    small = ("r=2",) if adapters == "lora" else ("bottleneck.reduction=4",)
    layer = "0" if "layer-sum" in adapters else "1"  # a sum of layers leaves one
    short = {"layer": layer, "align": "none", "crop": 0.3, "epochs": 2, "learning_rate": 0.01}
    options = settings(encoder=source("whisper"), train="adapters", adapters=adapters, adapter_options=small, **short)
    one = train(options)
    assert said(train(options)) == said(one), "what is finished is read"
    fitted = one.recognizer.encoder.active_adapters
    assert fitted.names == adapters and one.chosen.layer == layer
    assert any(weight.abs().max() > 0 for weight in fitted.parameters())
    stock = load_encoder(source("whisper")).state_dict()
    own = one.recognizer.encoder.state_dict()
    shared = [name for name in stock if name in own]
    assert shared and all(torch.equal(stock[name], own[name]) for name in shared)
    loaded = Recognizer.load(one.recognizer.save(tmp_path / "bundle", "card"))
    wave = pad([np.random.default_rng(0).standard_normal(4000).astype(np.float32)])
    with torch.no_grad():
        assert torch.equal(loaded.encoder(*wave).hidden, one.recognizer.encoder(*wave).hidden)
        assert (loaded.encoder(*wave).hidden[-1] - load_encoder(source("whisper"))(*wave).hidden[-1]).abs().max() > 1e-5
    assert loaded.encoder.digest != loaded.spec.digest, "features of other adapters are others in the store"


LAYERED = {"method": "source-only", "head": "layer-transformer", "align": "none", "layer": "all"}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"normalise": "none", "train": "head"},
        {"normalise": "none", "train": "end-to-end", "head_options": ("maps=none",)},
        {"normalise": "none", "train": "adapters", "adapter_options": ("r=2",)},
        {"head": "single", "train": "end-to-end"},
    ],
    ids=["frozen", "head", "end-to-end", "adapters", "vectors"],
)
@pytest.mark.usefixtures("few")
def test_all_layers_side_by_side_are_trained_saved_and_answer(settings, source, tmp_path, changes):
    recordings = {"crop": 0.3, "epochs": 2, "learning_rate": 0.001} if "train" in changes else {"epochs": 2}
    one = train(settings(encoder=source("whisper"), **{**LAYERED, **recordings, **changes}))
    assert one.chosen.layer == "1+2", "the input of the first block is no layer of a block"
    if one.chosen.head.name == "layer-transformer":
        assert dict(one.chosen.head.options)["layers"] == 2
    assert all(np.isfinite(each.probabilities).all() for each in predictions(one))
    loaded = Recognizer.load(one.recognizer.save(tmp_path / "bundle", "card"))
    answers = [
        [row.probabilities for row in predict(which, one.speech.utterances)] for which in (loaded, one.recognizer)
    ]
    np.testing.assert_allclose(*answers, atol=1e-6)
    assert np.ptp(answers[0], axis=0).max() > 0


def test_one_layer_is_all_that_a_sum_leaves(settings, source):
    with pytest.raises(UserError, match="layer: 1\\+2: adapters layer-sum leave the encoder a single layer: name one"):
        train(settings(encoder=source("whisper"), **{**LAYERED, "train": "adapters", "adapters": "layer-sum"}))


def test_adapters_that_do_not_fit_are_told_before_anything_long(settings, source):
    with pytest.raises(UserError, match="unknown adapter 'lra'"):
        train(settings(encoder=source("whisper"), train="adapters", adapters="lra", layer="1", align="none"))
    with pytest.raises(UserError, match="unknown layer of encoder whisper '1'"):
        train(settings(encoder=source("whisper"), train="adapters", adapters="layer-sum", layer="1", align="none"))
    with pytest.raises(UserError, match="encoder emotion-cnn has no transformer blocks"):
        train(settings(encoder="emotion-cnn", train="adapters", layer="0", align="none"))


@pytest.mark.usefixtures("few")
def test_what_is_scored_end_to_end_is_normalised_as_what_was_trained_on(settings, monkeypatch):
    seen = []
    original = runs.outputs
    monkeypatch.setattr(
        runs, "outputs", lambda model, inputs, rows: seen.append(inputs) or original(model, inputs, rows)
    )
    train(settings(encoder="emotion-cnn", train="end-to-end", align="none", layer="0", crop=0.3, epochs=1))
    assert len(seen) == 4
    for inputs in seen:
        assert inputs.domains is inputs.learner.domains
        x = inputs.pooled(range(len(inputs.utterances)))
        domain = inputs.domains[0]
        torch.testing.assert_close(
            domain.mean, inputs.learner.pooled(np.flatnonzero(inputs.learner.domain_of == 0)).mean(0)
        )
        speaker = [row for row, one in enumerate(inputs.utterances) if one.speaker == inputs.utterances[0].speaker]
        speaker = [row for row in speaker if inputs.domain_of[row] == 0]
        mean = (len(speaker) * x[speaker].mean(0) + SHRINKAGE * domain.mean) / (len(speaker) + SHRINKAGE)
        torch.testing.assert_close(inputs.mean[0], mean, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changes", [{}, {"train": "end-to-end", "crop": 0.3}])
@pytest.mark.usefixtures("few")
def test_bad_files_are_skipped_in_either_way_of_training_or_stop_a_strict_run(settings, recorded, changes):
    (recorded / "en-a-anger-0.wav").write_bytes(b"no audio")
    asked = settings(encoder="emotion-cnn", align="none", layer="0", **changes)
    one = train(asked)
    assert [name for name, _ in one.prepared.skipped] == ["en-a-anger-0"]
    assert len(one.speech.utterances) == len(one.speech.label) == 15
    with pytest.raises(UserError, match=r"en-a-anger-0\.wav: cannot be read") as caught:
        train(asked, strict=True)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "pseudo-label"}, "did you mean 'pseudo-labels'"),
        ({"method_options": ("threshold=2",)}, "threshold: expected 0 <= threshold < 1, got 2"),
        ({"head": "linaer"}, "did you mean 'linear'"),
        ({"head_options": ("input_dropuot=0.1",)}, "did you mean 'input_dropout'"),
        ({"encoder": "logmal"}, "did you mean 'logmel'"),
        ({"encoder_options": ("seed=1",)}, "takes no options"),
        ({"labels": ("anger", "angr")}, "unknown emotion label 'angr'"),
        ({"train": "end-to-end", "align": "none", "layer": "0"}, "encoder logmel has nothing to train"),
    ],
)
@pytest.mark.usefixtures("hurried")
def test_mistakes_are_found_before_anything_long_begins(settings, change, message):
    with pytest.raises(UserError, match=message) as caught:
        train(settings(**change))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.usefixtures("hurried")
def test_one_speaker_is_a_mistake_unless_speakers_may_be_shared(settings, recorded):
    rewrite(recorded / "en.jsonl", lambda row: row if row["speaker"] == "a" else None)
    with pytest.raises(UserError, match="2 folds need 2 speakers, but there are 1"):
        train(settings())
    with pytest.raises(AssertionError, match="this is long"):
        train(settings(share_speakers=True))


@pytest.mark.usefixtures("hurried")
def test_a_budget_above_the_labels_is_a_mistake(settings):
    with pytest.raises(UserError, match="target_labels: a budget of 9 labelled utterances: expected 0 to 8"):
        train(settings(target_labels="9"))


@pytest.mark.parametrize(("layers", "middle"), [(1, "0"), (2, "0+1"), (3, "0+1+2"), (5, "1+2+3"), (7, "2+3+4")])
def test_the_middle_layers(settings, layers, middle):
    encoder = Three().eval()
    encoder.layers = layers
    assert {case.layer for case in draft(resolve(settings()), encoder)} == {middle}
