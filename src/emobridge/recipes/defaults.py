"""What a recipe leaves to emobridge: the defaults of settings and plug-ins that its studies use and it does not state.

A default of the product must not enter a replication without a word. A recipe names its own choices in [ours]; whatever
it neither states nor names there is listed here, so that every page of it has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from emobridge import registry
from emobridge.encoders import presets
from emobridge.encoders.base import WEIGHT_OPTIONS
from emobridge.methods.base import BASELINE
from emobridge.options import options_of, read_options
from emobridge.probe.plan import study_conditions
from emobridge.probe.settings import ProbeSettings
from emobridge.recipes.adapt_study import GRID_KEYS, AdaptStudy
from emobridge.recipes.recipe import Recipe, RecipeStudy
from emobridge.settings import DATA, OUTPUT, Budget, flat_values, options_of_record, unmet_needs
from emobridge.study.cases import conditions_of_request

_KEY = "defaults"  # of [ours]
# Settings that change how long a study takes, or what lies beside its scores, and not these.
_TECHNICAL = frozenset({"engine", "disk", "frames", "accumulate", "checkpointing", "bundle", "harm_sign", "guard"})
_TECHNICAL_OPTIONS = frozenset({*WEIGHT_OPTIONS, "engine", "layers", "views", "width"})  # of plug-ins


def with_defaults(recipe: Recipe) -> Recipe:
    """The recipe with one choice more in `ours`, where its studies use defaults that it does not name."""
    lines = unstated(recipe)
    if not lines or _KEY in dict(recipe.ours):
        return recipe
    text = f"stated neither in the paper nor in the recipe, emobridge's own: {'; '.join(lines)}"
    return replace(recipe, ours=(*recipe.ours, (_KEY, text)))


def unstated(recipe: Recipe) -> tuple[str, ...]:
    """Such as "method dann: strength=0.3, hidden=100": settings and plug-ins, with the defaults that they run with."""
    explained = {name for name, _ in recipe.ours}
    defaults: dict[str, dict[str, None]] = {}
    for study in recipe.studies:
        for what, option, value in _defaults_of(study):
            if option not in explained:
                defaults.setdefault(what, {})[f"{option}={_shown(value)}"] = None
    return tuple(f"{what}: {', '.join(options)}" for what, options in defaults.items())


def _defaults_of(study: RecipeStudy) -> Iterator[tuple[str, str, Any]]:
    """What has it, its name and its value, for every option that the study uses and does not state."""
    settings = study.settings
    if isinstance(settings, ProbeSettings):
        yield from _settings_of(settings, study.unstated, study_conditions(settings))
        for name in settings.heads:
            yield from _options_of("heads", name, settings.head_options)
        for name in settings.scratch:
            yield from _options_of("encoders", name, settings.scratch_options)
        yield from _encoder_options(settings.encoders, settings.encoder_options)
        return
    request, system = settings.request, settings.request.system
    yield from _settings_of(request, study.unstated, conditions_of_request(request))
    for name in dict.fromkeys((BASELINE, *settings.methods)):
        yield from _options_of("methods", name, system.method_options)
    for name in _heads_of(settings):
        yield from _options_of("heads", name, system.head_options)
    if conditions_of_request(request)["adapters"]:
        for name in system.adapters.split("+"):
            yield from _options_of("adapters", name, (word.removeprefix(f"{name}.") for word in system.adapter_options))
    yield from _encoder_options(settings.encoders, request.features.encoder_options)


def _settings_of(
    request: ProbeSettings | Budget, unstated: Sequence[str], holds: Mapping[str, bool]
) -> Iterator[tuple[str, str, Any]]:
    """Of settings that the recipe does not state, those that decide scores."""
    options, values = options_of_record(type(request)), flat_values(request)
    excluded = _TECHNICAL | GRID_KEYS | set(unmet_needs(type(request), unstated, holds))
    for name in unstated:
        panel = options[name][1].metadata["panel"]
        if panel not in (DATA, OUTPUT) and name not in excluded and values[name] not in ((), ""):
            yield "settings", name, values[name]


def _options_of(kind: str, name: str, stated: Iterable[str]) -> Iterator[tuple[str, str, Any]]:
    plugin = registry.load(kind, name)
    known = {**read_options(stated)}
    options = dict(plugin.defaults) if kind == "encoders" else options_of(plugin)
    for option, value in options.items():
        if option not in known and option not in _TECHNICAL_OPTIONS:
            yield f"{registry.KINDS[kind].singular} {name}", option, value


def _encoder_options(encoders: Iterable[str], stated: Iterable[str]) -> Iterator[tuple[str, str, Any]]:
    """Of encoders whose plug-in is known without their weights."""
    for name in encoders:
        plugin = name if name in registry.names("encoders") else getattr(presets().get(name), "family", "")
        if plugin:
            yield from _options_of("encoders", plugin, stated)


def _heads_of(study: AdaptStudy) -> tuple[str, ...]:
    """The heads of its methods."""
    head = study.request.system.head
    methods = (BASELINE, *study.methods)
    heads = (registry.load("methods", name).head if head == "auto" else head for name in methods)
    return tuple(dict.fromkeys(name for name in heads if name in registry.names("heads")))


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
