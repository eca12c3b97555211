"""A whole run on tiny recordings: interruptions, layers, labels and bad files."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
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
from emobridge.settings import Settings
from emobridge.study import adapt as room
from emobridge.study import run as runs
from emobridge.study.adapt import Adapted, adapt
from emobridge.training import stages


@pytest.fixture
def settings(recorded, tmp_path):
    """Settings of a run of a second or less."""

    def make(**changes) -> Settings:
        plain = {
            "source": (str(recorded / "en.jsonl"),),
            "target": str(recorded / "xx.jsonl"),
            "labels": ("anger", "sadness"),
            "out": str(tmp_path / "run"),
            "store": str(tmp_path / "store"),
            "method": "pseudo-labels",
        }
        plain |= {"seeds": 1, "folds": 2, "epochs": 4, "batch_size": 16, "learning_rate": 0.02, "guard": False}
        return Settings(**{**plain, **changes})

    return make


def rewrite(path: Path, change) -> None:
    """Each row of a manifest through `change`, which may drop it by None."""
    rows = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if row is not None))


def said(one: Adapted) -> list[tuple]:
    return [
        (each.method, each.seed, each.side, each.rows.tolist(), each.probabilities.tolist()) for each in one.predicted
    ]


@pytest.fixture
def fits(monkeypatch):
    titles = []
    original = stages.fit

    def counted(*given, checkpoint=None, **named):
        titles.append(checkpoint.stem.split("-", 1)[1] if checkpoint else "choosing")
        return original(*given, checkpoint=checkpoint, **named)

    monkeypatch.setattr(stages, "fit", counted)
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
    one = adapt(settings(epochs=30, method_options=("interval=10",)))
    assert one.systems == ("source-only", "pseudo-labels")
    assert (one.settings.layer, one.settings.statistics) == ("0", ("mean",))
    assert one.skipped == () and one.left_out == 0 and one.layer_scores == ()
    assert len(one.speech.utterances) == 32 and one.speech.features.shape == (32, 1, 64)
    for each in one.predicted:
        right = each.probabilities.argmax(1) == one.speech.label[each.rows]
        assert len(each.rows) == 16 and right.mean() > 0.9, "high and loud against low is easy"
    loaded = Recognizer.load(one.recognizer.save(tmp_path / "bundle", "card"))
    x = torch.randn(3, 1, 128)
    assert torch.equal(
        *(each.probabilities(x, each.domain("xx"), ["a", "a", None]) for each in (loaded, one.recognizer))
    )


def test_a_second_run_reads_the_work_of_the_first(settings, fits):
    first = adapt(settings())
    assert len(fits) == 2 * 2 + 1 and fits[-1] == "final"
    del fits[:]
    second = adapt(settings())
    assert said(second) == said(first) and second.log == first.log
    assert fits == ["final"], "only the recogniser, which is not written down"
    for name, tensor in first.recognizer.head.state_dict().items():
        assert torch.equal(tensor, second.recognizer.head.state_dict()[name])
    del fits[:]
    adapt(settings(learning_rate=0.03))
    assert len(fits) == 5, "other settings are another run"


KILLED = """
import functools, json, os, signal, sys
from emobridge import settings
from emobridge.study import adapt as adaptation
from emobridge.study import run as runs
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
adaptation.adapt(settings.from_mapping(json.loads(sys.argv[1])))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is of POSIX")
def test_a_run_that_is_killed_and_begun_again_says_the_same(settings, fits):
    """Twice: in the middle of the second fit, and of the third."""
    options = settings(epochs=6, method_options=("interval=2",))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for epochs in (9, 10):
        command = [sys.executable, "-c", KILLED, json.dumps(asdict(options)), str(epochs)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == -signal.SIGKILL, done.stderr
    work = Path(options.out) / "work"
    assert len(list(work.glob("*.safetensors"))) == 2 and len(list(work.glob("*.checkpoint"))) == 1
    torch.set_num_threads(1)
    again = adapt(options)
    assert fits == ["pseudo-labels-seed0-fold0", "pseudo-labels-seed0-fold1", "final"]
    assert not list(work.glob("*.checkpoint")) and not list(work.glob(".*"))
    whole = adapt(replace(options, out=options.out + "-whole"))
    assert said(again) == said(whole) and again.log == whole.log


def test_the_layer_is_the_best_of_the_source(settings, three):
    one = adapt(settings(epochs=20, layer="auto"))
    scores = dict(one.layer_scores)
    assert list(scores) == ["0", "1", "2"] and scores["1"] == max(scores.values()) > scores["0"]
    assert one.settings.layer == one.recognizer.spec.layer == "1"
    three_layers = adapt(settings(epochs=20))
    assert three_layers.settings.layer == "0+1+2" and three_layers.layer_scores == ()
    assert torch.equal(three_layers.speech.features[:, 1], one.speech.features[:, 0])


def test_the_choice_of_a_layer_does_not_look_at_the_target(settings, three, recorded):
    """Neither at its labels nor at its audio."""
    before = adapt(settings(layer="auto"))

    def swapped(row):
        return {**row, "emotion": {"anger": "sadness", "sadness": "anger"}[row["emotion"]]}

    rewrite(recorded / "xx.jsonl", swapped)
    assert adapt(settings(layer="auto")).layer_scores == before.layer_scores
    rewrite(recorded / "xx.jsonl", lambda row: {**row, "emotion": None} if "b-" in row["id"] else None)
    assert adapt(settings(layer="auto")).layer_scores == before.layer_scores
    rewrite(recorded / "en.jsonl", swapped)
    rewrite(recorded / "en.jsonl", lambda row: {**row, "emotion": "anger" if "a-" in row["id"] else row["emotion"]})
    assert adapt(settings(layer="auto")).layer_scores != before.layer_scores, "at the source it does"


def test_a_layer_is_chosen_with_a_budget_of_labels_too(settings, three):
    assert adapt(settings(target_labels="2")).layer_scores == adapt(settings()).layer_scores


def test_a_layer_by_name(settings, three):
    one = adapt(settings(layer="2"))
    assert one.layer_scores == () and one.settings.layer == "2"
    with pytest.raises(UserError, match=r"unknown layer of encoder three '3' \(one of 0, 1, 2, auto, middle\)"):
        adapt(settings(layer="3"))


@pytest.mark.parametrize("statistics", [("mean",), ("std",), ("mean", "std")])
def test_the_statistics_that_were_asked_for(settings, statistics):
    one = adapt(settings(statistics=statistics, epochs=1))
    both = adapt(settings(statistics=("mean", "std"), epochs=1)).speech.features
    parts = {"mean": both[..., :64], "std": both[..., 64:]}
    assert torch.equal(one.speech.features, torch.cat([parts[name] for name in statistics], -1))
    assert one.recognizer.spec.statistics == statistics
    assert one.recognizer.domains[0].mean.shape == (1, 64 * len(statistics))


def test_an_unknown_statistic_names_the_nearest(settings):
    with pytest.raises(UserError, match="unknown statistic of encoder logmel 'means': did you mean 'mean'"):
        adapt(settings(statistics=("means",)))


def test_a_target_without_labels(settings, recorded):
    rewrite(recorded / "xx.jsonl", lambda row: {key: value for key, value in row.items() if key != "emotion"})
    one = adapt(settings())
    assert {each.side for each in one.predicted} == {"source"}
    assert one.recognizer.spec.domains[-1] == ("xx", "xx")
    with pytest.raises(UserError, match=r"target_labels: a budget of 5 .*: expected 0, for"):
        adapt(settings(target_labels="5"))


def test_a_target_without_speakers_is_adapted_to(settings, recorded):
    rewrite(recorded / "xx.jsonl", lambda row: {**row, "speaker": None, "emotion": None})
    assert adapt(settings()).recognizer


def test_files_that_cannot_be_read_are_skipped_and_listed(settings, recorded):
    (recorded / "en-a-anger-0.wav").write_bytes(b"no audio")
    (recorded / "xx-b-sadness-1.wav").unlink()
    one = adapt(settings())
    assert {name for name, _ in one.skipped} == {"en-a-anger-0", "xx-b-sadness-1"}
    assert all(str(recorded) in reason for _, reason in one.skipped)
    assert len(one.speech.utterances) == len(one.speech.features) == len(one.speech.label) == 30
    truth = [("anger", "sadness").index(each.emotion) for each in one.speech.utterances]
    assert one.speech.label.tolist() == truth, "rows still belong together"


@pytest.mark.parametrize("side", ["en", "xx"])
def test_a_side_that_cannot_be_read_at_all(settings, recorded, side):
    for path in recorded.glob(f"{side}-*.wav"):
        path.unlink()
    with pytest.raises(UserError, match=f"no audio of one side can be read; the first reason: .*{side}-"):
        adapt(settings())


@pytest.mark.parametrize("amount", ["0", "4", "all"])
def test_target_labels_are_seen_within_the_budget(settings, amount, monkeypatch):
    seen = []
    original = stages.fit

    def noted(task, *given, **named):
        seen.append(task.labelled_target)
        return original(task, *given, **named)

    monkeypatch.setattr(stages, "fit", noted)
    one = adapt(settings(target_labels=amount, method="source-only"))
    counts = [0 if few is None else len(few.rows) for few in seen]
    expected = {"0": [0] * 3, "4": [4] * 3, "all": [8, 8, 16]}[amount]
    assert counts == expected, "of two folds and of the recogniser"
    assert one.recognizer.spec.target_labels == amount


def test_all_labels_leave_nothing_to_pseudo_label(settings):
    one = adapt(settings(target_labels="all", method_options=("interval=2",)))
    shares = [point.value for _, point in one.log if point.term == "pseudo-labelled share"]
    assert shares and not any(shares)
    assert one.recognizer.spec.target_labels == "all"


def test_an_open_pool_adapts_to_other_emotions_too(settings, recorded):
    rewrite(recorded / "xx.jsonl", lambda row: {**row, "emotion": "fear"} if row["id"].endswith("-1") else row)
    closed, opened = adapt(settings()), adapt(settings(pool="open"))
    assert (closed.left_out, opened.left_out) == (8, 0)
    assert (len(closed.speech.utterances), len(opened.speech.utterances)) == (24, 32)
    for one in (closed, opened):
        scored = next(each for each in one.predicted if each.side == "target")
        assert len(scored.rows) == 8


def test_labels_may_be_spelt_otherwise(settings):
    one = adapt(settings(labels=("Angry", "sad"), epochs=1))
    assert one.settings.labels == one.recognizer.labels == ("anger", "sadness")


def test_an_encoder_that_is_trained_too(settings, tmp_path):
    options = settings(
        encoder="emotion-cnn", train="end-to-end", align="none", layer="0", crop=0.3, epochs=2, learning_rate=0.001
    )
    one = adapt(options)
    assert said(adapt(options)) == said(one)
    assert one.recognizer.spec.trained and {each.side for each in one.predicted} == {"source", "target"}
    assert all(np.isfinite(each.probabilities).all() for each in one.predicted)
    loaded = Recognizer.load(one.recognizer.save(tmp_path / "bundle", "card"))
    x = torch.randn(2, 128)
    assert torch.equal(*(each.probabilities(x, each.domains[0], None) for each in (loaded, one.recognizer)))
    for name, tensor in one.recognizer.encoder.state_dict().items():
        assert torch.equal(tensor, loaded.encoder.state_dict()[name])


@pytest.mark.parametrize("adapters", ["lora", "bottleneck+gating"])
def test_adapters_are_trained_and_nothing_else_of_the_encoder(settings, source, tmp_path, adapters):
    small = ("r=2",) if adapters == "lora" else ("bottleneck.reduction=4",)
    layer = "1" if adapters == "lora" else "0"  # gating leaves one
    short = {"layer": layer, "align": "none", "crop": 0.3, "epochs": 2, "learning_rate": 0.01}
    options = settings(encoder=source("whisper"), train="adapters", adapters=adapters, adapter_options=small, **short)
    one = adapt(options)
    assert said(adapt(options)) == said(one), "what is finished is read"
    fitted = one.recognizer.encoder.active_adapters
    assert fitted.names == adapters and one.settings.layer == layer
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


def test_adapters_that_do_not_fit_are_told_before_anything_long(settings, source):
    with pytest.raises(UserError, match="unknown adapter 'lra'"):
        adapt(settings(encoder=source("whisper"), train="adapters", adapters="lra", layer="1", align="none"))
    with pytest.raises(UserError, match="unknown layer of encoder whisper '1'"):
        adapt(settings(encoder=source("whisper"), train="adapters", adapters="gating", layer="1", align="none"))
    with pytest.raises(UserError, match="encoder emotion-cnn has no transformer blocks"):
        adapt(settings(encoder="emotion-cnn", train="adapters", layer="0", align="none"))


def test_what_is_scored_end_to_end_is_normalised_as_what_was_trained_on(settings, monkeypatch):
    seen = []
    original = runs.said
    monkeypatch.setattr(runs, "said", lambda model, inputs, rows: seen.append(inputs) or original(model, inputs, rows))
    adapt(settings(encoder="emotion-cnn", train="end-to-end", align="none", layer="0", crop=0.3, epochs=1))
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


@pytest.mark.parametrize("train", ["frozen", "end-to-end"])
def test_bad_files_are_skipped_in_either_way_of_training_or_stop_a_strict_run(settings, recorded, train):
    (recorded / "en-a-anger-0.wav").write_bytes(b"no audio")
    asked = settings(encoder="emotion-cnn", train=train, align="none", layer="0", crop=0.3)
    one = adapt(asked)
    assert [name for name, _ in one.skipped] == ["en-a-anger-0"]
    assert len(one.speech.utterances) == len(one.speech.label) == 31
    with pytest.raises(UserError, match=r"en-a-anger-0\.wav: cannot be read") as caught:
        adapt(asked, strict=True)
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
        adapt(settings(**change))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.usefixtures("hurried")
def test_one_speaker_is_a_mistake_unless_speakers_may_be_shared(settings, recorded):
    rewrite(recorded / "en.jsonl", lambda row: row if row["speaker"] == "a" else None)
    with pytest.raises(UserError, match="2 folds need 2 speakers, but there are 1"):
        adapt(settings())
    with pytest.raises(AssertionError, match="this is long"):
        adapt(settings(share_speakers=True))


@pytest.mark.usefixtures("hurried")
def test_a_budget_above_the_labels_is_a_mistake(settings):
    with pytest.raises(UserError, match="target_labels: a budget of 9 labelled utterances: expected 0 to 8"):
        adapt(settings(target_labels="9"))


@pytest.mark.parametrize(("layers", "middle"), [(1, "0"), (2, "0+1"), (3, "0+1+2"), (5, "1+2+3"), (7, "2+3+4")])
def test_the_middle_layers(settings, layers, middle):
    encoder = Three().eval()
    encoder.layers = layers
    assert room._completed(settings(), encoder).layer == middle
