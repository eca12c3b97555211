"""Defaults of emobridge that a recipe neither states nor names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emobridge import registry
from emobridge.options import options_of, read_options
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.defaults import unstated, with_defaults
from emobridge.recipes.recipe import read_recipe, recipe_names

TEXT = """
paper = "Somebody 2020"
citation = "Somebody (2020). Something."
tables = []
measure = "UA"
[corpora.ravdess]
[corpora.emodb]
[adapt]
source = ["ravdess"]
targets = ["emodb"]
encoders = ["emotion-cnn"]
labels = ["anger", "sadness"]
methods = ["dann"]
method_options = ["hidden=7"]
budgets = ["0"]
normalise = ["none"]
align = "none"
[[study]]
[ours]
decay = "as it is"
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "mine.toml").write_text(TEXT)
    return read_recipe(tmp_path / "mine.toml")


def lines_of(recipe):
    return dict(line.split(": ", 1) for line in unstated(recipe))


def test_what_is_stated_or_named_is_not_listed(recipe):
    lines = lines_of(recipe)
    assert "strength=0.3" in lines["method dann"] and "hidden" not in lines["method dann"], "hidden is stated"
    settings = lines["settings"].split(", ")
    assert not {"align=none", "decay=0.95"} & set(settings), "decay is explained in [ours]"
    assert {"learning_rate=0.001", "epochs=100"} <= set(settings)
    assert "crop" not in lines["settings"] and "encoder_rate" not in lines["settings"], "nothing trains the encoder"
    assert "seed" not in lines.get("encoder emotion-cnn", "")


def test_pages_get_it_as_a_choice(recipe):
    (*before, (key, text)) = with_defaults(recipe).ours
    assert tuple(before) == recipe.ours and key == "defaults" and "method dann: strength=0.3" in text
    assert with_defaults(with_defaults(recipe)) == with_defaults(recipe)


def test_a_recipe_that_states_everything_of_a_method(recipe):
    (study,) = recipe.studies
    request = study.settings.request
    words = tuple(f"{name}={value}" for name, value in options_of(registry.load("methods", "dann")).items())
    request = replace(request, system=replace(request.system, method_options=words))
    recipe = replace(recipe, studies=(replace(study, settings=replace(study.settings, request=request)),))
    assert "method dann" not in lines_of(recipe)


@pytest.mark.parametrize("name", recipe_names())
def test_no_option_of_a_method_or_head_is_without_a_word(name):
    """Each is stated by the study, explained in [ours], or among the defaults that every page lists."""
    recipe = read_recipe(name)
    lines, explained = lines_of(recipe), {key for key, _ in recipe.ours}
    for study in recipe.studies:
        settings = study.settings
        if isinstance(settings, AdaptStudy):
            systems = [("methods", method, settings.request.system.method_options) for method in settings.methods]
        else:
            systems = [("heads", head, settings.head_options) for head in settings.heads]
        for kind, plugin, stated in systems:
            for option in options_of(registry.load(kind, plugin)).keys() - {"layers", "views"}:
                listed = f"{option}=" in lines.get(f"{registry.KINDS[kind].singular} {plugin}", "")
                assert option in read_options(stated) or option in explained or listed, (study.name, plugin, option)
