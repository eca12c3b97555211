"""A plan decides units, pairs, seeds and frames once, for the study and for its estimate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emobridge.errors import UserError
from emobridge.probe import plan as module
from emobridge.probe.plan import plan_study, validates
from emobridge.probe.run import probe


def test_units_by_corpus_norm_and_head(asked):
    plan = plan_study(asked(normalise=("none", "speaker"), layers=("last",)))
    (part,) = plan.encoders
    assert len(part.units) == len(set(part.units)) == 2 * 2 * 3
    assert {unit.head: (unit.layers, unit.all_layers) for unit in part.units} == {
        "single": (("2",), False), "nonlinear": (("2",), False), "multilayer": (("1", "2"), True),
    }, "the layers of the blocks, without what the first block sees"  # fmt: skip
    assert part.tested_on("en") == ("en", "xx")


def test_the_study_does_what_the_plan_says(asked):
    settings = asked(floors=True, settings=("mono", "cross"))
    plan = plan_study(settings)
    assert [unit for part in plan.encoders for unit in part.units] == [
        outcome.unit for outcome in probe(settings).outcomes
    ]


def test_floors_take_one_seed(asked):
    seeds = {part.encoder.title: part.settings.seeds for part in plan_study(asked(floors=True)).encoders}
    assert seeds == {"wb": 2, "wb with random weights": 1, "logmel": 1}


def test_frames_are_stored_streamed_or_not_needed(asked):
    def frames(**changes):
        return plan_study(asked(**changes)).encoders[0].frames

    assert (
        frames() == "stored"
        and frames(disk=0.0) == "streamed"
        and frames(disk=0.0, heads=("single",), head_options=()) == "none"
    )
    assert frames(frames="streamed") == "streamed" and frames(frames="stored", disk=0.0) == "stored"


def test_many_weights_are_trained_a_few_layers_at_a_time(asked, monkeypatch):
    """With room for one layer, each is a unit of its own; results are those of one unit."""
    settings = asked(heads=("linear",), head_options=("hidden=8",), corpora=asked().corpora[:1])
    whole = probe(settings).outcomes
    monkeypatch.setattr(module, "WEIGHT_LIMIT", 1)
    apart = probe(replace(settings, out=settings.out + "-apart")).outcomes
    assert [outcome.unit.layers for outcome in apart] == [("0",), ("1",), ("2",)]
    for index, outcome in enumerate(apart):
        for part, of_all in zip(outcome.predictions, whole[0].predictions):
            assert abs(part.probabilities[0] - of_all.probabilities[index]).max() < 1e-5


def test_no_pair_of_the_settings_is_told_before_anything_is_computed(asked, tmp_path):
    with pytest.raises(UserError, match="no pair of these corpora is cross for these encoders"):
        plan_study(asked(corpora=asked().corpora[:1], settings=("cross",), floors=True))
    assert not (tmp_path / "features").exists()


def test_a_corpus_twice(asked, recorded):
    with pytest.raises(UserError, match="two manifests are of the corpus en"):
        plan_study(asked(corpora=(str(recorded / "en.jsonl"), f"{recorded}/./en.jsonl")))


def test_a_head_that_is_more_than_a_map_is_refused_before_anything_is_computed(asked, tmp_path):
    with pytest.raises(UserError, match="head ensemble: is more than the map that `probe` solves: give adapt"):
        plan_study(asked(heads=("ensemble",), head_options=()))
    assert not (tmp_path / "features").exists()


def test_an_encoder_without_its_weights(asked, tiny_encoder, tmp_path):
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    (lacking / "config.json").write_text((tiny_encoder / "config.json").read_text())
    with pytest.raises(UserError, match="holds no weights"):
        plan_study(asked(encoders=(str(lacking),)))


@pytest.mark.parametrize(
    ("changes", "expected"), [({}, False), ({"patience": 1, "folds": 3}, True), ({"split": "80/10/10"}, True)]
)
def test_which_studies_have_validation_parts(asked, changes, expected):
    assert validates(asked(**changes)) is expected
