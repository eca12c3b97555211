"""A study of adaptation in a recipe: a grid of label budgets for each of its targets and encoders.

In TOML it has the lists of LISTS, the settings of `adapt` but those of VARIED, and if need be a table `beside`: of a
method the words by which `recipes.published` calls those whose numbers belong beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from emobridge import registry
from emobridge.errors import UserError, unknown
from emobridge.settings import CHOICES, Settings, from_mapping

LISTS = ("targets", "encoders", "methods", "budgets", "normalise")
VARIED = ("target", "encoder", "method", "target_labels", "labelled", "normalise", "out", "store")  # of each grid


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

    @property
    def corpora(self) -> tuple[str, ...]:
        """Those of both sides."""
        return tuple(dict.fromkeys((*self.base.source, *self.targets)))


def adapt_study(values: dict[str, Any], where: str) -> AdaptStudy:
    """A study from plain values. Errors: UserError for an unknown or missing key, or a value that no study has."""
    known = {field.name for field in fields(Settings)} - set(VARIED) | {*LISTS, "beside"}
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
    rest = {key: value for key, value in values.items() if key not in (*LISTS, "beside")}
    base = from_mapping(rest | {"target": lists["targets"][0]}, where)
    both = sorted(set(base.source) & set(lists["targets"]))
    if both:
        raise UserError(f"{where}: {both[0]} is among the targets and in the source")
    return AdaptStudy(base=base, beside=_beside(where, values.get("beside", {}), lists["methods"]), **lists)


def plain(study: AdaptStudy) -> dict[str, Any]:
    """The settings of a study by the names that they have in TOML, but `beside`."""
    shared = {field.name: getattr(study.base, field.name) for field in fields(Settings) if field.name not in VARIED}
    return {key: getattr(study, key) for key in LISTS} | shared


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
