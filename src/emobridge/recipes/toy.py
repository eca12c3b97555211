"""`recipe run --toy`: every study of a recipe from end to end in minutes, on fabricated corpora and tiny encoders.

It shows that the studies, their tables, figures and pages work; NO NUMBER OF IT IS A RESULT. The names of its corpora
begin with TOY_PREFIX, by which every page says SYNTHETIC before each table. What a toy run cuts, it cuts here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from emobridge import registry
from emobridge.data.manifest import read_manifest
from emobridge.encoders import presets
from emobridge.options import options_of, read_options
from emobridge.probe.settings import ProbeSettings
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.recipe import CorpusCounts, Recipe, RecipeStudy
from emobridge.recipes.toy_corpora import fabricate_corpora
from emobridge.recipes.toy_encoders import fabricate_encoders
from emobridge.settings import Budget

_EPOCHS = 2  # the second with pseudo-labels of the first
_FOLDS = 2
_FOLDS_THAT_VALIDATE = 3  # one trains, one validates, one tests
_LARGEST_BUDGET = 100  # target labels
_SCALED_BUDGET = 20  # what the largest one becomes where it is above that
_CROP = 0.4  # s, longer than the fabricated clips, which would repeat themselves in a longer one
_ENGINE = "torch"  # of encoders as small as these another one takes longer to make than it saves
# Sizes of encoders that are trained from scratch, by their options.
_SCRATCH = {"max_length": 64, "hidden_size": 8, "layers": 2, "heads": 2}
_SCRATCH_TRAINING = (f"epochs={_EPOCHS}", "batch_size=32", "accumulate=1")
TOY_NOTE = (
    "TOY run, NO NUMBER IS A RESULT: fabricated corpora, tiny encoders with random weights, "
    f"{_EPOCHS} epochs, one seed unless --seeds says otherwise, at most {_LARGEST_BUDGET} target labels (larger "
    "budgets are scaled down). Published numbers stand beside to show where they would be"
)

LISTENERS_NOTE = (
    "TOY run, NO NUMBER IS A RESULT: fabricated corpora, simulated listeners who answer by a rule, fewer items. "
    "Published numbers stand beside to show where they would be"
)
_ITEMS = 4  # of each emotion and language, in a listening test


def narrow_settings(recipe: Recipe) -> Recipe:
    """The recipe with everything cut that makes its studies long; what they compare stays whole."""
    tests = tuple(
        replace(test, request=replace(test.request, per_emotion=min(test.request.count, _ITEMS), attention=0))
        for test in recipe.listening
    )
    return replace(recipe, studies=tuple(map(_narrow_study, recipe.studies)), listening=tests)


def fabricate(recipe: Recipe, folder: Path) -> tuple[Recipe, dict[str, Path], dict[str, Path]]:
    """Make in `folder` what a narrowed recipe needs: its corpora and encoders, by name, where they are not there yet.

    The recipe comes back with the counts of the fabricated corpora in the place of the published ones.
    """
    manifests = fabricate_corpora(recipe, folder / "corpora")
    encoders = fabricate_encoders(
        (name for study in recipe.studies for name in study.settings.encoders), folder / "encoders"
    )
    return replace(recipe, counts=tuple(_count(counts, manifests) for counts in recipe.counts)), manifests, encoders


def _count(counts: CorpusCounts, manifests: Mapping[str, Path]) -> CorpusCounts:
    """What the fabricated corpora have in the place of the published counts; as they are where a corpus is left out."""
    if not manifests.keys() >= set(counts.corpora):
        return counts
    rows = [row for name in counts.corpora for row in read_manifest(manifests[name])]
    emotions, splits = Counter(row.emotion for row in rows), Counter(row.split for row in rows)
    return CorpusCounts(
        counts.corpora,
        tuple((emotion, emotions[emotion]) for emotion, _ in counts.emotions),
        counts.utterances and len(rows),
        counts.classes and len(emotions),
        tuple((split, splits[split]) for split, _ in counts.splits),
    )


def _narrow_study(study: RecipeStudy) -> RecipeStudy:
    settings = study.settings
    if isinstance(settings, AdaptStudy):
        has_engines = all(name in presets() and presets()[name].model_type for name in settings.encoders)
        request = _narrow_grid(settings.request, has_engines=has_engines)
        return replace(study, settings=replace(settings, request=request))
    return replace(study, settings=_narrow_probe(settings))


def _narrow_grid(request: Budget, *, has_engines: bool) -> Budget:
    split, training, system = request.split, request.training, request.system
    return replace(
        request,
        budgets=_scaled(request.budgets),
        subsets=min(request.subsets, 2),
        features=replace(request.features, engine=_ENGINE if has_engines else request.features.engine),
        system=replace(system, method_options=_options_of_methods(request.methods, system.method_options)),
        split=replace(split, seeds=1, folds=min(split.folds, _FOLDS)),
        training=replace(
            training, epochs=min(training.epochs, _EPOCHS), crop=min(training.crop, _CROP), precision="fp32"
        ),
    )


def _narrow_probe(settings: ProbeSettings) -> ProbeSettings:
    least = _FOLDS_THAT_VALIDATE if settings.split == "folds" and settings.patience else _FOLDS
    has = {option for name in settings.scratch for option in options_of(registry.load("encoders", name))}
    stated = read_options(settings.scratch_options)
    sizes = {**stated, **{option: value for option, value in _SCRATCH.items() if option in has}}
    return replace(
        settings,
        engine=_ENGINE,
        seeds=1,
        folds=min(settings.folds, least),
        epochs=min(settings.epochs, _EPOCHS),
        scratch_training=(*settings.scratch_training, *_SCRATCH_TRAINING) if settings.scratch else (),
        scratch_options=tuple(f"{option}={value}" for option, value in sizes.items()),
    )


def _scaled(budgets: tuple[str, ...]) -> tuple[str, ...]:
    """Budgets of which none is above _LARGEST_BUDGET; they keep their proportions, as far as they stay different."""
    largest = max((int(amount) for amount in budgets if amount != "all"), default=0)
    factor = math.ceil(largest / _SCALED_BUDGET) if largest > _LARGEST_BUDGET else 1
    scaled = (amount if amount == "all" else str(math.ceil(int(amount) / factor)) for amount in budgets)
    return tuple(dict.fromkeys(scaled))


def _options_of_methods(methods: tuple[str, ...], options: tuple[str, ...]) -> tuple[str, ...]:
    """The options, with pseudo-labels of every epoch for the methods that have an `interval`."""
    has_interval = any("interval" in options_of(registry.load("methods", name)) for name in methods)
    others = tuple(option for option in options if "interval" not in read_options([option]))
    return (*others, "interval=1") if has_interval else options
