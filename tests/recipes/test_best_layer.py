"""The layer that an adaptation takes from a layer-wise study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError
from emobridge.probe.units import Outcome, ProbeUnit
from emobridge.recipes.best_layer import best_layer, layer_study, with_best_layer
from emobridge.recipes.recipe import read_recipe
from emobridge.recipes.replication import Run
from emobridge.types import Utterance


def outcome(layers, losses, corpus="c") -> Outcome:
    nothing = np.zeros((len(layers), 2))
    unit = ProbeUnit("e", "pretrained", corpus, "none", "single", tuple(layers))
    return Outcome(unit, (), nothing, nothing, np.asarray(losses, dtype=float))


def test_the_layer_with_the_lowest_mean_validation_loss_is_the_best():
    first = outcome("01", [[0.0, 0.1], [0.9, 0.5]])
    second = outcome(("2", "10"), [[0.8, 0.2], [0.3, 0.9]])
    assert best_layer([first, second]) == "2", "never layer 0, which no block changes"
    other = outcome(("1", "2", "10"), [[0.1, 0.1], [0.9, 0.9], [0.0, 0.1]], "d")
    assert best_layer([first, second, other]) == "10", "the mean over corpora"
    assert best_layer([outcome(("2", "1"), [[0.5, 0.5], [0.5, 0.5]])]) == "1", "of equals the first"
    for lacking in (outcome("0", [[0.1, 0.1]]), outcome("1", [[np.nan, np.nan]])):
        with pytest.raises(UserError, match="no validation loss of a layer from 1 on"):
            best_layer([lacking])


@pytest.fixture
def grid(tmp_path):
    """A study of Han et al., and its grid from PAVOQUE to ESD on manifests without audio."""
    study = next(part for part in read_recipe("han2024-adaptation").studies if part.name == "lora-pavoque-to-esd")
    paths = {}
    for corpus, speakers in (("pavoque", 1), ("esd", 4)):
        rows = [
            Utterance(f"{corpus}-{emotion}-{n}", corpus, "a.wav", speaker=str(n % speakers), emotion=emotion)
            for emotion in ("anger", "sadness")
            for n in range(4)
        ]
        paths[corpus] = str(tmp_path / f"{corpus}.jsonl")
        write_manifest(paths[corpus], rows)
        write_manifest(tmp_path / f"{corpus}-items.jsonl", rows[::4])
    request = study.settings.request
    data = replace(request.data, source=(paths["pavoque"],), target=paths["esd"])
    data = replace(data, items=tuple(str(tmp_path / f"{corpus}-items.jsonl") for corpus in paths))
    split = replace(request.split, by_utterance=("pavoque",), folds=3)
    request = replace(request, data=data, split=split, features=replace(request.features, encoder="here"))
    return study, request


def test_the_study_is_that_of_the_other_recipe(grid, tmp_path):
    study, request = grid
    settings = layer_study(study.settings, request, "wav2vec2-base-de", tmp_path / "layers")
    paper = next(part for part in read_recipe("han2024-layers").studies if part.name == "one-speaker").settings
    assert settings.encoders == ("wav2vec2-base-de=here",) and settings.by_utterance == ("pavoque",)
    assert (settings.epochs, settings.batch_size, settings.split) == (100, 32, "halved")
    assert (settings.folds, settings.floors, settings.layers) == (3, False, ("all",))
    for name in ("learning_rates", "weight_decay", "eps", "patience", "heads", "normalise", "class_weights"):
        assert getattr(settings, name) == getattr(paper, name)
    assert settings.out == str(tmp_path / "layers" / "pavoque-wav2vec2-base-de")
    ids = {row.id for row in read_manifest(settings.corpora[0])}
    assert len(ids) == 6 and not ids & {"pavoque-anger-0", "pavoque-sadness-0"}, "what is kept apart chooses no layer"
    more_folds = replace(request, split=replace(request.split, folds=9))
    longer = layer_study(study.settings, more_folds, "here", tmp_path)
    assert (longer.folds, longer.encoders) == (5, ("here",))


def test_a_study_that_names_its_layer_runs_no_other(grid, tmp_path):
    study, request = grid
    own = replace(study, settings=replace(study.settings, layer_from=""))
    run = Run("title", request, (), own, "esd", "here")
    assert with_best_layer(run, tmp_path, "x") is run


def test_a_recipe_without_such_a_study_is_named(grid, tmp_path):
    study, request = grid
    for name, message in (
        ("dasaro2024", "recipe dasaro2024: has no layer-wise study of pavoque"),
        ("agarla2024", "recipe agarla2024: has no layer-wise study of pavoque"),
        ("han2024-layer", "did you mean 'han2024-layers'"),
    ):
        with pytest.raises(UserError, match=message):
            layer_study(replace(study.settings, layer_from=name), request, "here", tmp_path)
