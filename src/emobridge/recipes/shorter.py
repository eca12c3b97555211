"""A recipe with fewer epochs than it has, for a look in less time; what it then runs is not what was published."""

from __future__ import annotations

from dataclasses import replace

from emobridge import registry
from emobridge.options import options_of, read_options
from emobridge.probe.settings import ProbeSettings
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.recipe import Recipe, RecipeStudy
from emobridge.settings import Budget

LABELLING_INTERVAL = "interval"  # epochs between two labellings, an option of methods that have pseudo-labels


def with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe with so many epochs in every study; `ours` says so.

    Methods label as often as they did: their interval is shortened in proportion.
    """
    studies = tuple(replace(study, settings=_shortened(study, epochs)) for study in recipe.studies)
    before = sorted({_epochs_of(study) for study in recipe.studies} - {epochs})
    if not before:
        return recipe
    text = f"{epochs} in place of {' or '.join(map(str, before))}, as was asked for: NOT THE PUBLISHED TRAINING"
    pairs = [(_interval_of(old), _interval_of(new)) for old, new in zip(recipe.studies, studies)]
    if changed := dict.fromkeys(pair for pair in pairs if pair[0] != pair[1]):
        text += "; pseudo-labels are made every " + " and ".join(
            f"{new} epochs in place of {old}" for old, new in changed
        )
    return replace(recipe, studies=studies, ours=(("epochs", text), *recipe.ours))


def _shortened(study: RecipeStudy, epochs: int) -> ProbeSettings | AdaptStudy:
    settings = study.settings
    if not isinstance(settings, AdaptStudy):
        return replace(settings, epochs=epochs)
    request = settings.request
    interval = _interval_of(study)
    system = request.system
    if interval:
        others = tuple(pair for pair in system.method_options if LABELLING_INTERVAL not in read_options([pair]))
        shorter = max(1, round(interval * epochs / request.training.epochs))
        system = replace(system, method_options=(*others, f"{LABELLING_INTERVAL}={shorter}"))
    request = replace(request, system=system, training=replace(request.training, epochs=epochs))
    return replace(settings, request=request)


def _epochs_of(study: RecipeStudy) -> int:
    settings = study.settings
    return settings.request.training.epochs if isinstance(settings, AdaptStudy) else settings.epochs


def _interval_of(study: RecipeStudy) -> int:
    """The epochs between two labellings; 0 of a study without pseudo-labels."""
    if not isinstance(study.settings, AdaptStudy):
        return 0
    request: Budget = study.settings.request
    defaults = [options_of(registry.load("methods", name)) for name in request.methods]
    own = [options[LABELLING_INTERVAL] for options in defaults if LABELLING_INTERVAL in options]
    return int(read_options(request.system.method_options).get(LABELLING_INTERVAL, own[0])) if own else 0
