"""A study of adaptation in a recipe: a grid of label budgets for each of its targets and encoders.

In TOML it has the lists of LISTS, the settings of `adapt` but those of VARIED, and if need be a table `beside`: of a
method the words by which `recipes.published` calls those whose numbers belong beside it.

A study of several directions has `pairs` in place of source and targets: ["en > de", "en + it > de"], by corpora; it
becomes a study for each, "NAME-en-to-de".
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from emobridge import registry
from emobridge.errors import UserError, unknown
from emobridge.settings import CHOICES, Settings, from_mapping

ARROW = ">"  # in a pair, between the corpora of the source and the target
LISTS = ("targets", "encoders", "methods", "budgets", "normalise")
VARIED = ("target", "encoder", "method", "target_labels", "labelled", "normalise", "out", "store")  # of each grid
OWN = ("beside", "subsets")  # of a study alone


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptStudy:
    """The grids of a study, with names of corpora and encoders.

    base: what all grids share; its `source` is the corpora that are trained on together, and what VARIED names means
    nothing here.
    """

    base: Settings
    targets: tuple[str, ...]  # corpora
    encoders: tuple[str, ...]
    methods: tuple[str, ...]
    budgets: tuple[str, ...]  # numbers of labelled target utterances, and "all"
    normalise: tuple[str, ...]
    beside: tuple[tuple[str, tuple[str, ...]], ...] = ()  # a method, and the published ones beside it
    subsets: int = 0  # of the test utterances, by which Welch's test compares systems; 0 makes none

    @property
    def corpora(self) -> tuple[str, ...]:
        """Those of both sides."""
        return tuple(dict.fromkeys((*self.base.source, *self.targets)))


def adapt_study(values: dict[str, Any], where: str) -> AdaptStudy:
    """A study from plain values. Errors: UserError for an unknown or missing key, or a value that no study has."""
    known = {field.name for field in fields(Settings)} - set(VARIED) | {*LISTS, *OWN}
    for key in values:
        if key not in known:
            raise UserError(f"{where}: {unknown('key', key, known)}")
    lists = {key: _list(where, key, values) for key in LISTS}
    for key, choices in (("methods", registry.names("methods")), ("normalise", CHOICES["normalise"])):
        for word in lists[key]:
            if word not in choices:
                raise UserError(f"{where}: {key}: {unknown('name', word, choices)}")
    for word in lists["budgets"]:
        if word != "all" and not (word.isascii() and word.isdecimal()):
            raise UserError(f"{where}: budgets: expected numbers in quotes, or 'all', got {word!r}")
    rest = {key: value for key, value in values.items() if key not in (*LISTS, *OWN)}
    base = from_mapping(rest | {"target": lists["targets"][0]}, where)
    both = sorted(set(base.source) & set(lists["targets"]))
    if both:
        raise UserError(f"{where}: {both[0]} is among the targets and in the source")
    subsets = values.get("subsets", 0)
    if type(subsets) is not int or subsets < 0 or subsets == 1:
        raise UserError(f"{where}: subsets: expected 2 or more, or 0 for no test, got {subsets!r}")
    beside = _beside(where, values.get("beside", {}), lists["methods"])
    return AdaptStudy(base=base, beside=beside, subsets=subsets, **lists)


def spread(values: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """The values of a study for each of its `pairs`; where it has none, as they are.

    Errors: UserError for a pair that is none, and for a source or targets beside pairs.
    """
    if "pairs" not in values:
        return [values]
    for key in ("source", "targets"):
        if key in values:
            raise UserError(f"{where}: {key}: pairs name it already")
    found = []
    for words in _list(where, "pairs", values):
        first, arrow, target = (part.strip() for part in words.partition(ARROW))
        source = [name.strip() for name in first.split("+")]
        if not (arrow and target and all(source)):
            raise UserError(f"{where}: pairs: expected a pair such as 'ravdess {ARROW} emodb', got {words!r}")
        name = "-".join([*filter(None, [values.get("name")]), *source, "to", target]).replace("_", "-")
        rest = {key: value for key, value in values.items() if key != "pairs"}
        found.append(rest | {"name": name, "source": source, "targets": [target]})
    return found


def plain(study: AdaptStudy) -> dict[str, Any]:
    """The settings of a study by the names that they have in TOML, but `beside`."""
    shared = {field.name: getattr(study.base, field.name) for field in fields(Settings) if field.name not in VARIED}
    return {key: getattr(study, key) for key in LISTS} | shared | {"subsets": study.subsets}


def _list(where: str, key: str, values: dict[str, Any]) -> tuple[str, ...]:
    if key not in values:
        raise UserError(f"{where}: the key {key!r} is missing")
    words = values[key]
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise UserError(f"{where}: {key}: expected a list of words, got {words!r}")
    for word in words:
        if words.count(word) > 1:
            raise UserError(f"{where}: {key}: {word} stands twice")
    return tuple(words)


def _beside(where: str, value: Any, methods: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: beside: expected a table, got {value!r}")
    choices = ("source-only", *methods)  # which is run in any case
    for method in value:
        if method not in choices:
            raise UserError(f"{where}: beside: {unknown('method', method, choices)}")
    return tuple((method, _list(f"{where}: beside", method, value)) for method in value)
