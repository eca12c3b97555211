"""A recipe with fewer epochs says so, and labels as often."""

from __future__ import annotations

from emobridge.options import read_options
from emobridge.recipes.recipe import read_recipe
from emobridge.recipes.shorter import with_epochs


def test_fewer_epochs_label_as_often_and_say_so():
    recipe = read_recipe("agarla2024")
    shorter = with_epochs(recipe, 20)
    for before, after in zip(recipe.studies, shorter.studies, strict=True):
        old, new = before.settings.request, after.settings.request
        assert (old.training.epochs, new.training.epochs) == (100, 20)
        options = read_options(new.system.method_options)
        if any(name.endswith("pseudo-labels") for name in new.methods):
            assert options.pop("interval") == "6"
            assert read_options(old.system.method_options) == options | {"interval": "30"}
        else:
            assert new.system == old.system
    text = dict(shorter.ours)["epochs"]
    assert "20 in place of 100" in text and "every 6 epochs in place of 30" in text and "NOT THE PUBLISHED" in text
    assert dict(shorter.ours).items() >= dict(recipe.ours).items()
    assert with_epochs(recipe, 100) == recipe


def test_a_label_is_made_every_epoch_at_least_and_layer_wise_studies_are_shortened_too():
    interval = read_options(with_epochs(read_recipe("agarla2024"), 1).studies[1].settings.request.system.method_options)
    assert interval["interval"] == "1"
    probes = with_epochs(read_recipe("dasaro2024"), 3)
    assert all(study.settings.epochs == 3 for study in probes.studies)
    assert "pseudo" not in dict(probes.ours)["epochs"]
