"""A study of adaptation in a recipe: a grid of label budgets for each of its targets and encoders.

In TOML a study has the lists LIST_KEYS and the settings of `adapt` except GRID_KEYS; LAYER_FROM in place of `layer`
names a recipe of layer-wise studies, whose best layer is taken.

A study of several directions has `pairs` in place of source and targets: ["en > de", "en + it > de"], in names of
corpora; each pair becomes a study of its own, "NAME-en-to-de". The source "others" is all other corpora of the recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emobridge import registry
from emobridge.errors import UserError, unknown
from emobridge.settings import Budget, choices_of, flat_values, from_mapping, is_budget, options_of_record

ARROW = ">"  # in a pair, between the corpora of the source and the target
OTHERS = "others"  # in a pair, for all corpora but the target
LAYER_FROM = "layer_from"
LIST_KEYS = ("targets", "encoders", "methods", "budgets", "normalise")
# What each grid has of its own, and what the lists replace.
GRID_KEYS = frozenset(
    {"target", "encoder", "method", "target_labels", "labelled", "normalisations", "stages"}
    | {"out", "store", "jobs", "cluster"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptStudy:
    """The grids of a study, with names of corpora and encoders.

    request: what all grids share; its sources are the corpora that are trained on together, its target and its encoder
    are the first of the lists.
    """

    request: Budget
    targets: tuple[str, ...]  # corpora
    encoders: tuple[str, ...]
    layer_from: str = ""  # a recipe of layer-wise studies that chooses the layer, see `best_layer`

    @property
    def source(self) -> tuple[str, ...]:
        """The corpora that are trained on together."""
        return self.request.data.source

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that are compared with the baseline."""
        return self.request.methods

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions that are told apart."""
        return self.request.data.labels or ()

    @property
    def corpora(self) -> tuple[str, ...]:
        """Those of both sides."""
        return tuple(dict.fromkeys((*self.source, *self.targets)))


def read_adapt_study(values: dict[str, Any], where: str) -> AdaptStudy:
    """A study from plain values. Errors: UserError for an unknown or missing key, or a value that no study has."""
    keys = set(options_of_record(Budget)) - GRID_KEYS | {*LIST_KEYS, LAYER_FROM}
    for key in values:
        if key not in keys:
            raise UserError(f"{where}: {unknown('key', key, keys)}")
    lists = {key: _read_list(where, key, values) for key in LIST_KEYS}
    for key, choices in (("methods", registry.names("methods")), ("normalise", choices_of("normalise"))):
        for word in lists[key]:
            if word not in choices:
                raise UserError(f"{where}: {key}: {unknown('name', word, choices)}")
    for word in lists["budgets"]:
        if not is_budget(word):
            raise UserError(f"{where}: budgets: expected numbers in quotes, or 'all', got {word!r}")
    layer_from = values.get(LAYER_FROM, "")
    if not isinstance(layer_from, str) or (layer_from and "layer" in values):
        raise UserError(f"{where}: {LAYER_FROM}: expected a recipe's name in the place of layer, got {layer_from!r}")
    shared = {key: value for key, value in values.items() if key not in (*LIST_KEYS, LAYER_FROM)}
    shared |= {"methods": lists["methods"], "budgets": lists["budgets"], "normalisations": lists["normalise"]}
    request = from_mapping(shared | {"target": lists["targets"][0], "encoder": lists["encoders"][0]}, where, Budget)
    if request.data.labels is None:
        raise UserError(f"{where}: the key 'labels' is missing")
    both = sorted(set(request.data.source) & set(lists["targets"]))
    if both:
        raise UserError(f"{where}: {both[0]} is among the targets and in the source")
    return AdaptStudy(request=request, targets=lists["targets"], encoders=lists["encoders"], layer_from=layer_from)


def expand_pairs(values: dict[str, Any], where: str, corpora: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The values of a study for each of its `pairs`; a study without pairs comes back as it is.

    corpora: of the recipe, which OTHERS stands for but for the target.
    Errors: UserError for a malformed pair, and for a source or targets beside pairs.
    """
    if "pairs" not in values:
        return [values]
    for key in ("source", "targets"):
        if key in values:
            raise UserError(f"{where}: {key}: pairs name it already")
    if not isinstance(values.get("name", ""), str):
        raise UserError(f"{where}: name: expected a text, got {values['name']!r}")
    studies = []
    for pair in _read_list(where, "pairs", values):
        first, arrow, target = (part.strip() for part in pair.partition(ARROW))
        source = [corpus.strip() for corpus in first.split("+")]
        if not (arrow and target and all(source)):
            raise UserError(f"{where}: pairs: expected a pair such as 'ravdess {ARROW} emodb', got {pair!r}")
        name = "-".join([*filter(None, [values.get("name")]), *source, "to", target]).replace("_", "-")
        shared = {key: value for key, value in values.items() if key != "pairs"}
        if source == [OTHERS]:
            source = [corpus for corpus in corpora if corpus != target]
        studies.append(shared | {"name": name, "source": source, "targets": [target]})
    return studies


def study_values(study: AdaptStudy) -> dict[str, Any]:
    """The settings of a study by their names in TOML."""
    values = {name: value for name, value in flat_values(study.request).items() if name not in GRID_KEYS}
    values["normalise"] = study.request.normalisations
    if study.layer_from:
        values[LAYER_FROM] = study.layer_from
        del values["layer"]
    return {"targets": study.targets, "encoders": study.encoders} | values


def _read_list(where: str, key: str, values: dict[str, Any]) -> tuple[str, ...]:
    if key not in values:
        raise UserError(f"{where}: the key {key!r} is missing")
    items = values[key]
    if not isinstance(items, list) or not items or not all(isinstance(item, str) for item in items):
        raise UserError(f"{where}: {key}: expected a list of words, got {items!r}")
    for item in items:
        if items.count(item) > 1:
            raise UserError(f"{where}: {key}: {item} stands twice")
    return tuple(items)
