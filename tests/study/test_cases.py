"""From requests to cases: the same question is the same case in every command, and every option does something.

The tables here name every option of `Adapt`: a new option fails the tests until it stands in one.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from emobridge import registry
from emobridge.cache import Cache
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.options import read_options
from emobridge.settings import Adapt, Budget, default_of, options_of_record
from emobridge.study.cases import (
    DROPOUT,
    LEAST_FEATURES,
    REASONS,
    Decision,
    check_useful,
    choices_of_request,
    decide,
    draft,
    with_dropout,
)
from emobridge.study.grid import Grid, run_grid
from emobridge.study.prepare import resolve, start
from emobridge.study.run import Runner
from emobridge.study.train import Adapted, train
from emobridge.training.case import Case

END_TO_END = {"train": "end-to-end", "align": "none", "layer": "2", "normalise": "none"}
ADAPTERS = {**END_TO_END, "train": "adapters"}
# Options that no fit depends on, with another value and what must go with it.
NO_PART = {
    "source": ({}, "relative"),
    "target": ({}, "relative"),
    "pool": ({}, "closed"),
    "guard": ({}, False),
    "bundle": ({}, "baseline"),
    "harm_sign": ({}, "always"),
    "seeds": ({}, 7),
    "folds": ({}, 3),
    "transductive": ({}, True),
    "predefined": ({"folds": 0}, True),
    "serab": ({"folds": 0}, True),
    "share_speakers": ({}, True),
    "by_utterance": ({}, ("en",)),
    "halved": ({"patience": 5}, True),
    "out": ({}, "elsewhere"),
    "store": ({}, "there"),
    "jobs": ({}, 3),
    "cluster": ({}, "auto"),
    "device": ({}, "cpu"),
    "clips": ({}, False),
    "groups": ({}, ()),
    "age_groups": ({}, (40.0,)),
    "redact": ({}, True),
}
# Options that a fit depends on.
A_PART = {
    "labels": ({}, ("sadness", "anger")),
    "target_labels": ({}, "4"),
    "labelled": ({}, "list.csv"),
    "attributes": ({}, ("arousal",)),
    "attribute_range": ({"attributes": ("arousal",)}, "1..7"),
    "encoder": ({}, "logmel"),
    "encoder_options": ({}, ("padding=full",)),
    "engine": ({}, "onnx-int8"),
    "frames": ({}, "speech"),
    "layer": ({}, "2"),
    "prosody": ({}, not default_of(Adapt, "prosody")),
    "statistics": ({}, ("std",)),
    "normalise": ({}, "corpus"),
    "by_corpus": ({}, ("xx",)),
    "align": ({}, "none"),
    "method": ({}, "dann"),
    "method_options": ({}, ("interval=7",)),
    "head": ({}, "linear"),
    "head_options": ({}, ("input_dropout=0.5",)),
    "train": ({"align": "none", "layer": "2"}, "head"),
    "blocks": (END_TO_END, "1"),
    "adapters": (ADAPTERS, "bottleneck"),
    "adapter_options": (ADAPTERS, ("lora.r=2",)),
    "epochs": ({}, 9),
    "batch_size": ({}, 9),
    "learning_rate": ({}, 0.5),
    "decay": ({}, 0.5),
    "weight_decay": ({}, 0.5),
    "trace": ({}, True),
    "patience": ({}, 5),
    "validate": ({"patience": 5}, "both"),
    "validate_by": ({"patience": 5}, "ua"),
    "class_weights": ({}, False),
    "crop": (END_TO_END, 0.5),
    "encoder_rate": (END_TO_END, 0.5),
    "accumulate": (END_TO_END, 2),
    "checkpointing": (END_TO_END, True),
    "precision": (END_TO_END, "bf16"),
}


@pytest.fixture
def plain(recorded, tmp_path):
    """Options of a run of a second or less."""
    values = {"source": (str(recorded / "en.jsonl"),), "target": str(recorded / "xx.jsonl")}
    values |= {"labels": ("anger", "sadness"), "out": str(tmp_path / "run"), "store": str(tmp_path / "store")}
    return values | {"seeds": 2, "folds": 2, "epochs": 3}


@pytest.fixture
def request_of(plain, source):
    """A function that makes a request of a run whose encoder has three layers, and may be trained."""

    def make(**changes) -> Adapt:
        return Adapt.of(**{**plain, "encoder": str(source("whisper")), "method": "pseudo-labels", **changes})

    return make


def drafted(request: Adapt | Budget) -> tuple[Case, ...]:
    request = resolve(request)
    features = request.features
    return draft(request, load_encoder(features.encoder, **read_options(features.all_encoder_options)))


def decided(request: Adapt | Budget) -> Decision:
    return start(resolve(request), lambda speech: None, cache=Cache(None)).decision


def rewrite(path: Path, change) -> None:
    """A manifest's rows through `change`, which gets all of them."""
    rows = change([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def predictions_of(study: Adapted | Grid, only: str = "") -> list[tuple]:
    return [
        (part.method, system.case.target_labels, part.seed, part.side, part.rows.tolist(), part.probabilities.tolist())
        for system in study.answers
        for part in system.predicted
        if only in ("", part.method)
    ]


# ------------------------------------------------------------------ what is a part of a case


def test_every_option_is_classified():
    # The first takes the place of sources: see cli/test_adapt_from.py; the second is of budgets: see test_run.py. Fits
    # depend on what is in the folder of the third: see study/test_phones.py.
    apart = {"from_bundle", "items", "alignments"}
    assert set(NO_PART) | set(A_PART) | apart == set(options_of_record(Adapt)) and not set(NO_PART) & set(A_PART)


@pytest.mark.parametrize("name", NO_PART)
def test_no_fit_depends_on_it(request_of, recorded, monkeypatch, name):
    context, value = NO_PART[name]
    monkeypatch.chdir(recorded.parent)
    if value == "relative":
        path = f"{recorded.name}/../{recorded.name}/{'en' if name == 'source' else 'xx'}.jsonl"
        value = (path,) if name == "source" else path
    before, after = drafted(request_of(**context)), drafted(request_of(**context, **{name: value}))
    assert after[0].key == before[0].key
    others = {case.method.name: case.key for case in before}
    common = [case for case in after if case.method.name in others]
    assert len(common) >= 2 and all(case.key == others[case.method.name] for case in common)


@pytest.mark.parametrize("name", A_PART)
def test_a_fit_depends_on_it(request_of, recorded, name):
    context, value = A_PART[name]
    if name == "labelled":
        value = str(recorded / value)
        Path(value).write_text("id,path,emotion\nxx-a-anger-0,a.wav,anger\nxx-b-sadness-0,b.wav,sad\n")
    if name == "engine":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    before, after = drafted(request_of(**context)), drafted(request_of(**context, **{name: value}))
    assert after[-1].key != before[-1].key


# ------------------------------------------------------------------ one question, one answer


@pytest.mark.parametrize(
    "changes", [{}, {"target_labels": "4"}, {"normalise": "corpus", "align": "none"}, {"head": "linear"}]
)
def test_the_baseline_is_the_same_case_in_every_command(plain, changes):
    """A1: whatever method it is compared with, and where it is asked for."""
    head = changes.get("head", "auto")
    requests = [Adapt.of(**plain, **changes, method=name) for name in ("source-only", "dann", "pseudo-labels", "nnpm")]
    if head == "auto":  # the default method has a closed form, and linear has none
        requests.append(Adapt.of(**plain, **changes, method="auto"))
    lists = {"budgets": (changes.get("target_labels", "0"),), "normalisations": (changes.get("normalise", "speaker"),)}
    context = {name: value for name, value in changes.items() if name not in ("target_labels", "normalise")}
    for methods in (("dann",), ("pseudo-labels", "fluda")):
        requests.append(Budget.of(**plain, **context, **lists, methods=methods))
    if "target_labels" in changes:  # methods that cannot use labels refuse them
        requests = [request for request in requests if suited(request)]
        assert len(requests) >= 4
    baselines = [decided(request).cases[0] for request in requests]
    assert len(set(baselines)) == 1 and len({case.key for case in baselines}) == 1
    assert baselines[0].method.name == "source-only"
    assert baselines[0].head.name == ("discriminant" if head == "auto" else head)


def suited(request: Adapt | Budget) -> bool:
    try:
        drafted(request)
    except UserError:
        return False
    return True


def test_adapt_auto_and_budget_give_one_answer(plain, tmp_path):
    """Bit-equal predictions of the method and of the baseline, each command in a folder of its own."""
    values = {**plain, "epochs": 2}
    alone = train(Adapt.of(**values, method="blend"))
    values["out"] = str(tmp_path / "auto")
    auto = train(Adapt.of(**values, method="auto"))
    values["out"] = str(tmp_path / "budget")
    grid = run_grid(Budget.of(**values, methods=("blend",), budgets=("0",)))
    assert predictions_of(alone) == predictions_of(auto) == predictions_of(grid)
    assert alone.decision == auto.decision == grid.decision
    assert {part[0] for part in predictions_of(alone)} == {"source-only", "blend"}


def test_the_guard_measures_the_corpus_and_not_the_request(plain):
    """A2: the same information whatever method, head and training are asked for."""
    changes = ({}, {"head": "linear"}, {"method": "dann"}, {"epochs": 1, "learning_rate": 0.5}, {"target_labels": "4"},
               {"patience": 2}, {"align": "none"}, {"seeds": 1, "folds": 4}, {"method": "blend"})  # fmt: skip
    trained = {**plain, "method": "pseudo-labels"}
    measured = {decided(Adapt.of(**{**trained, **change})).varieties for change in changes}
    assert len(measured) == 1 and {found.corpus for found in next(iter(measured))} == {"en", "xx"}
    grid = Budget.of(**plain, methods=("dann", "fluda"), budgets=("4", "0"), normalisations=("none", "speaker"))
    assert decided(grid).varieties in measured


def test_a_guarded_corpus_is_normalised_by_corpus_in_every_case(plain, recorded):
    """The target's speakers show one emotion each: all cases know it, the baseline too, where speakers normalise."""
    sides = {"a": "anger", "b": "anger", "c": "sadness", "d": "sadness"}
    rewrite(recorded / "xx.jsonl", lambda rows: [row for row in rows if row["emotion"] == sides[row["speaker"]]])
    request = Budget.of(**plain, methods=("dann",), budgets=("0",), normalisations=("speaker", "corpus"))
    decision = decided(request)
    assert {found.corpus: found.is_low for found in decision.varieties if found.group == "speaker"} == {
        "en": False, "xx": True,
    }  # fmt: skip
    assert [(case.normalise, case.by_corpus) for case in decision.cases] == [
        ("speaker", ("xx",)), ("speaker", ("xx",)), ("corpus", ()), ("corpus", ()),
    ]  # fmt: skip
    off = decided(replace(request, features=replace(request.features, guard=False)))
    assert off.varieties == () and all(case.by_corpus == () for case in off.cases)
    stated = decided(replace(request, features=replace(request.features, by_corpus=("xx",))))
    assert [case.by_corpus for case in stated.cases] == [("xx",), ("xx",), ("xx",), ("xx",)]


def test_a_corpus_that_the_run_does_not_have_is_named(plain):
    with pytest.raises(UserError, match="unknown corpus of this run 'xy': did you mean 'xx'"):
        decided(Adapt.of(**plain, by_corpus=("xy",)))


def test_a_layer_is_chosen_by_the_baseline_alone(request_of):
    decisions = [decided(request_of(layer="auto", **change)) for change in ({}, {"method": "dann"}, {"epochs": 3})]
    assert len({decision.layer_scores for decision in decisions}) == 1 and len(decisions[0].layer_scores) == 3
    assert {case.layer for decision in decisions for case in decision.cases} == {decisions[0].cases[0].layer}
    assert decisions[0].cases[0].layer in ("0", "1", "2")


# ------------------------------------------------------------------ the order of rows, labels, audio


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "soft-pseudo-labels", "target_labels": "4"},
        {"method": "dann"},
        {"method": "fluda", "patience": 2},
        {"method": "source-only", "folds": 0, "share_speakers": True},
        pytest.param(
            {
                "method": "pseudo-labels",
                "encoder": "emotion-cnn",
                "train": "end-to-end",
                "align": "none",
                "layer": "0",
                "crop": 0.2,
                "epochs": 1,
            },
            marks=pytest.mark.slow,
        ),
    ],
    ids=["soft-pseudo-labels", "dann", "fluda", "shared", "end-to-end"],
)
def test_the_order_of_a_manifests_rows_changes_no_answer(plain, recorded, tmp_path, changes):
    """A11: bit by bit, the recogniser too."""
    before = train(Adapt.of(**{**plain, "seeds": 1, **changes}))
    for name in ("en", "xx"):
        rewrite(recorded / f"{name}.jsonl", lambda rows: np.random.default_rng(3).permutation(rows).tolist())
    after = train(Adapt.of(**{**plain, "seeds": 1, **changes, "out": str(tmp_path / "other")}))
    assert predictions_of(after) == predictions_of(before) and after.decision == before.decision
    first, second = before.recognizer.head.state_dict(), after.recognizer.head.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_shuffled_rows_are_read_from_the_cache(plain, recorded, monkeypatch):
    train(Adapt.of(**plain, method="dann"))
    rewrite(recorded / "xx.jsonl", lambda rows: rows[::-1])
    fits = []
    original = Runner.train
    monkeypatch.setattr(Runner, "train", lambda self, *more: fits.append(more) or original(self, *more))
    train(Adapt.of(**plain, method="dann"))
    assert len(fits) == 1, "the recogniser"


@pytest.mark.parametrize(
    "method", ["source-only", "pseudo-labels", "soft-pseudo-labels", "dann", "fluda", "nnpm", "multitask"]
)
def test_without_a_budget_no_target_label_matters(plain, recorded, tmp_path, method):
    """A10: a recogniser is the same with true labels, with wrong ones of any emotion, and with none.

    Only `--bundle auto` looks at the labels, to choose between the finished systems, and says so.
    """

    def heads() -> list[torch.Tensor]:
        values = {**plain, "seeds": 1, "out": str(tmp_path / str(len(recognizers)))}
        values |= {"bundle": "adapted"} if method != "source-only" else {}
        recognizer = train(Adapt.of(**values, method=method)).recognizer
        recognizers.append(recognizer)
        domain = recognizer.domains[-1]
        return [*recognizer.head.state_dict().values(), domain.mean, domain.deviation]

    recognizers: list = []
    true = heads()
    emotions = ("anger", "sadness", "fear", None)
    changes = [
        lambda rows: [{**row, "emotion": emotions[index % 4]} for index, row in enumerate(rows)],
        lambda rows: [{name: value for name, value in row.items() if name != "emotion"} for row in rows],
    ]
    for change in changes:
        rewrite(recorded / "xx.jsonl", change)
        other = heads()
        assert all(torch.equal(first, second) for first, second in zip(true, other, strict=True))
    plain_specs = [replace(recognizer.spec, temperature=1.0, source_temperature=1.0) for recognizer in recognizers]
    assert plain_specs[0] == plain_specs[1] == plain_specs[2]
    # Labels decide which utterances a fold scores, and so, a little, what its held-out source answers were adapted to.
    for name in ("temperature", "source_temperature"):
        values = [getattr(recognizer.spec, name) for recognizer in recognizers]
        assert values == pytest.approx([values[0]] * 3, rel=0.05)


def test_audio_that_was_replaced_is_heard_again(plain, recorded, monkeypatch):
    """D3: other audio of the same size and time of modification, where an encoder is trained on it."""
    changes = {"encoder": "emotion-cnn", "train": "end-to-end", "align": "none", "layer": "0", "crop": 0.2}
    request = Adapt.of(**{**plain, **changes, "seeds": 1, "epochs": 1, "method": "source-only"})
    for name in ("en", "xx"):
        rewrite(recorded / f"{name}.jsonl", lambda rows: [row for row in rows if row["id"].endswith("-0")])
    before = predictions_of(train(request))
    fits = []
    original = Runner.train
    monkeypatch.setattr(Runner, "train", lambda self, *more: fits.append(more) or original(self, *more))
    assert predictions_of(train(request)) == before and len(fits) == 1, "the recogniser alone"
    path = recorded / "en-a-anger-0.wav"
    status, (wave, rate) = path.stat(), soundfile.read(path)
    soundfile.write(path, wave[::-1] * 0.3, rate)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    del fits[:]
    after = predictions_of(train(request))
    assert len(fits) == 3 and after != before, "every fold trains on it or is scored on it"
    os.utime(path)
    del fits[:]
    assert predictions_of(train(request)) == after and len(fits) == 1, "a touch throws nothing away"


def test_audio_that_was_replaced_is_heard_again_by_a_frozen_encoder(plain, recorded):
    request = Adapt.of(**{**plain, "seeds": 1, "epochs": 1, "method": "source-only"})
    before = predictions_of(train(request))
    path = recorded / "en-a-anger-0.wav"
    status, (wave, rate) = path.stat(), soundfile.read(path)
    soundfile.write(path, wave[::-1] * 0.3, rate)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert predictions_of(train(request)) != before


# ------------------------------------------------------------------ what a case is recognizers of


def test_options_are_the_methods_and_not_the_baselines(plain):
    baseline, case = drafted(
        Adapt.of(**plain, method="pseudo-labels", method_options=("threshold=0.9", "rebalance=no"))
    )
    assert case.make_method().threshold == 0.9 and not case.make_method().rebalance
    assert dict(baseline.method.options) == {"rebalance": False}, "what it has in common with the method"
    with pytest.raises(UserError, match="unknown option of method pseudo-labels 'treshold': did you mean 'threshold'"):
        drafted(Adapt.of(**plain, method="pseudo-labels", method_options=("treshold=0.9",)))
    with pytest.raises(UserError, match="did you mean 'pseudo-labels'"):
        drafted(Adapt.of(**plain, method="pseudo-label"))


@pytest.mark.parametrize("amount", ["25", "all"])
def test_a_method_that_cannot_use_target_labels_says_so(plain, monkeypatch, amount):
    monkeypatch.setattr(registry.load("methods", "pseudo-labels"), "takes", frozenset())
    assert drafted(Adapt.of(**plain, method="pseudo-labels"))
    with pytest.raises(UserError, match="method pseudo-labels cannot use target labels: give --target-labels 0"):
        drafted(Adapt.of(**plain, method="pseudo-labels", target_labels=amount))


@pytest.mark.parametrize("method", ["pseudo-labels", "soft-pseudo-labels", "fluda", "nnpm"])
def test_a_method_that_goes_by_emotions_says_so(plain, method):
    with pytest.raises(UserError, match=f"method {method} goes by emotions, and labels are none"):
        drafted(Adapt.of(**{**plain, "labels": (), "attributes": ("arousal",), "method": method}))


@pytest.mark.parametrize("normalisations", [("speaker+text",), ("none", "speaker+text")])
def test_a_budget_refuses_what_works_on_stored_features_only(request_of, plain, source, normalisations):
    values = {**plain, "encoder": str(source("whisper")), "methods": ("source-only",), "budgets": ("0",)}
    with pytest.raises(
        UserError, match="'speaker\\+text' and by_corpus work on frozen features, not with --train head"
    ):
        drafted(Budget.of(**values, train="head", layer="1", align="none", normalisations=normalisations))


@pytest.mark.parametrize(("width", "share"), [(50, 0.0), (100, 0.0), (200, 0.5), (500, 0.8), (768, 0.8), (10_000, 0.8)])
def test_dropout_leaves_enough_features(width, share):
    from toys import case_of

    case = with_dropout(case_of(head="single"), width)
    assert dict(case.head.options)["input_dropout"] == share
    assert width * (1 - share) >= min(width, LEAST_FEATURES) - 1e-6 and share <= DROPOUT
    stated = case_of(head="single", head_options=("input_dropout=0.1",))
    assert with_dropout(stated, width) == stated
    staged = replace(case_of(head="single"), train="stages")
    assert with_dropout(staged, width) == staged, "a paper's own recipe is left as it is"


def test_the_baseline_comes_first_and_once(plain):
    for method, expected in (("dann", ["source-only", "dann"]), ("source-only", ["source-only"])):
        assert [choice.method for choice in choices_of_request(Adapt.of(**plain, method=method))] == expected


# ------------------------------------------------------------------ options that do nothing


PROSODY = not default_of(Adapt, "prosody")
PROSODY_FLAG = "--prosody" if PROSODY else "--no-prosody"
USELESS = [
    ({"prosody": PROSODY, "encoder": "prosody"}, PROSODY_FLAG, "frozen encoder"),
    ({"prosody": PROSODY, "method": "fine-tuned"}, PROSODY_FLAG, "frozen encoder"),
    ({"prosody": PROSODY, **END_TO_END, "train": "head"}, PROSODY_FLAG, "frozen encoder"),
    ({"prosody": PROSODY, **ADAPTERS}, PROSODY_FLAG, "frozen encoder"),
    ({"attribute_range": "1..7"}, "--attribute-range", "attributes"),
    ({"by_corpus": ("xx",), "normalise": "corpus"}, "--by-corpus", "speaker normalisation"),
    ({"guard": False, "normalise": "none"}, "--no-guard", "speaker normalisation"),
    ({"guard": False, **END_TO_END, "normalise": "speaker"}, "--no-guard", "speaker normalisation"),
    ({"blocks": "1"}, "--blocks", "end-to-end"),
    ({"blocks": "1", **ADAPTERS}, "--blocks", "end-to-end"),
    ({"blocks": "1", "method": "lora", "normalise": "none"}, "--blocks", "end-to-end"),
    ({"adapters": "bottleneck"}, "--adapters", "adapters"),
    ({"adapters": "bottleneck", **END_TO_END}, "--adapters", "adapters"),
    ({"adapter_options": ("r=2",)}, "--adapter-option", "adapters"),
    ({"adapter_options": ("r=2",), "method": "fine-tuned"}, "--adapter-option", "adapters"),
    ({"bundle": "adapted", "method": "source-only"}, "--bundle", "adaptation"),
    ({"harm_sign": "always", "method": "source-only"}, "--harm-sign", "adaptation"),
    ({"alignments": "grids", "method": "dann"}, "--alignments", "phones"),
    ({"validate_by": "ua"}, "--validate-by", "patience"),
    ({"batch_size": 9}, "--batch-size", "gradients"),
    ({"trace": True}, "--trace", "gradients"),
    ({"learning_rate": 0.1, "method": "source-only"}, "--learning-rate", "gradients"),
    ({"decay": 0.5, "method": "pseudo-labels", "head": "ridge"}, "--decay", "gradients"),
    ({"weight_decay": 1e-5}, "--weight-decay", "gradients"),
    ({"patience": 2}, "--patience", "gradients"),
    ({"halved": True}, "--halved", "patience"),
    ({"items": ("i.jsonl",)}, "--items", "folds of a budget"),
    ({"crop": 1.0}, "--crop", "recordings"),
    ({"encoder_rate": 1e-5}, "--encoder-rate", "end-to-end"),
    ({"encoder_rate": 1e-5, **ADAPTERS}, "--encoder-rate", "end-to-end"),
    ({"encoder_rate": 1e-5, "method": "auto"}, "--encoder-rate", "end-to-end"),
    ({"accumulate": 2}, "--accumulate", "trained encoder"),
    ({"accumulate": 2, **END_TO_END, "train": "head"}, "--accumulate", "trained encoder"),
    ({"checkpointing": True}, "--checkpointing", "trained encoder"),
    ({"precision": "bf16"}, "--precision", "trained encoder"),
]
USEFUL = [
    {"prosody": PROSODY, "method": "source-only"},
    {"prosody": PROSODY, "method": "auto"},
    {"attribute_range": "1..7", "attributes": ("arousal",)},
    {"by_corpus": ("xx",), "normalise": "speaker"},
    {"guard": False, "normalise": "speaker+text"},
    {"blocks": "1", **END_TO_END},
    {"blocks": "1", "method": "fine-tuned"},
    {"adapters": "bottleneck", **ADAPTERS},
    {"adapter_options": ("r=2",), "method": "lora"},
    {"bundle": "baseline"},
    {"harm_sign": "never"},
    {"alignments": "grids", "method": "layer-anchoring"},
    {"halved": True, "patience": 2, "method": "dann"},
    {"weight_decay": 0.1, "method": "dann"},
    {"validate_by": "ua", "patience": 2, "method": "dann"},
    {"batch_size": 9, "learning_rate": 0.1, "decay": 0.5, "trace": True, "method": "source-only", "head": "single"},
    {"crop": 1.0, **END_TO_END, "train": "head"},
    {"encoder_rate": 1e-5, "method": "ft-lora"},
    {"accumulate": 2, **ADAPTERS},
    {"checkpointing": True, "method": "lora"},
    {"precision": "fp32", "method": "lora"},
]


@pytest.mark.parametrize(("changes", "flag", "reason"), USELESS)
@pytest.mark.parametrize("run", [check_useful, resolve, train], ids=["check", "resolve", "train"])
def test_an_option_that_does_nothing_is_refused(plain, changes, flag, reason, run):
    with pytest.raises(UserError) as caught:
        run(Adapt.of(**{**plain, **changes}))
    assert str(caught.value) == f"{flag}: does nothing here, since {REASONS[reason]}"
    assert not Path(plain["out"]).exists(), "before anything is done"


@pytest.mark.parametrize("changes", USEFUL)
def test_an_option_that_does_something_is_not(plain, changes):
    check_useful(Adapt.of(**{**plain, **changes}))


def test_every_option_that_needs_something_is_tried():
    needs = {name: item.metadata["needs"] for name, (_, item) in options_of_record(Adapt).items()}
    always = {"clips", "from_bundle"}  # they do something in every `adapt`
    conditional = {name for name, need in needs.items() if need} - always
    assert set(needs.values()) - {""} == set(REASONS)
    refused = {name for changes, _, _ in USELESS for name in changes}
    assert conditional <= refused | {"validate"} and conditional <= {name for changes in USEFUL for name in changes} | {
        "validate",
        "items",  # of `budget` alone
    }
    with pytest.raises(UserError, match="give patience above 0 too"):
        Adapt.of(source=["a"], target="b", validate="both")


def test_clips_do_nothing_in_a_budget(plain):
    values = {name: value for name, value in plain.items() if name not in ("method", "target_labels", "normalise")}
    with pytest.raises(UserError, match="only the report of `adapt` has clips"):
        check_useful(Budget.of(**values, methods=("dann",), budgets=("0",), clips=False))


def test_an_option_that_is_spelled_out_is_asked_for_though_it_is_the_default(plain):
    request = Adapt.of(**plain)
    check_useful(request)
    for name in ("adapters", "precision", "validate", "crop"):
        with pytest.raises(UserError, match=f"--{name}: does nothing here"):
            check_useful(request, ["seeds", name])


def test_a_budget_refuses_the_words_of_adapt(plain):
    for name, value, several in (
        ("method", "dann", "methods"),
        ("target_labels", "4", "budgets"),
        ("normalise", "none", "normalisations"),
    ):
        with pytest.raises(UserError, match=f"{name}: does nothing here; budget takes {several}, a list"):
            check_useful(Budget.of(**plain, **{name: value}))
    check_useful(
        Budget.of(**plain, methods=("dann", "lora"), crop=1.0, normalisations=("none", "speaker"), guard=False)
    )


def test_decide_needs_no_progress(plain):
    request = resolve(Adapt.of(**plain))
    started = start(request, lambda speech: None, cache=Cache(None))
    again = decide(request, started.prepared.drafts, started.prepared.encoder, started.runner)
    assert again == started.decision


# ------------------------------------------------------------------ adapters sit where the head can see them


@pytest.mark.parametrize(
    ("adapters", "own", "added"),
    [
        ("lora", (), ("lora.blocks=0",)),
        ("lora+bottleneck+gating", (), ("lora.blocks=0", "bottleneck.blocks=0", "gating.blocks=0")),
        ("lora+gating", ("lora.blocks=0+1",), ("gating.blocks=0",)),
        ("lora", ("blocks=1",), ()),
        ("lora+layer-sum", (), ()),
    ],
)
def test_adapters_sit_in_the_blocks_up_to_the_layer(request_of, adapters, own, added):
    """Han et al. 2025: behind the layer that the head sees nothing is trained."""
    request = request_of(method="lora", normalise="none", layer="1", adapters=adapters, adapter_options=own)
    assert drafted(request)[-1].adapter_options == (*own, *added)
    last = request_of(method="lora", normalise="none", layer="2", adapters=adapters, adapter_options=own)
    assert drafted(last)[-1].adapter_options == own, "all blocks, as before"


def test_no_adapter_changes_the_input_of_the_first_block(request_of):
    with pytest.raises(UserError, match="layer: 0 is the input of the first block, which no gating changes"):
        drafted(request_of(method="lora", normalise="none", layer="0", adapters="gating"))
