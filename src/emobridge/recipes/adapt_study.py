"""A study of adaptation in a recipe: a grid of label budgets for each of its targets and encoders.

In TOML a study has the lists LIST_KEYS, the settings of `adapt` except GRID_KEYS, and optionally a table `published`:
for a method, the names under which `literature.published` has the numbers to print beside its own.

A study of several directions has `pairs` in place of source and targets: ["en > de", "en + it > de"], in names of
corpora; each pair becomes a study of its own, "NAME-en-to-de".
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from emobridge import registry
from emobridge.errors import UserError, unknown
from emobridge.settings import CHOICES, Settings, from_mapping

ARROW = ">"  # in a pair, between the corpora of the source and the target
LIST_KEYS = ("targets", "encoders", "methods", "budgets", "normalise")
GRID_KEYS = ("target", "encoder", "method", "target_labels", "labelled", "normalise", "out", "store")  # set per grid
STUDY_KEYS = ("published", "subsets")  # that no other settings have


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptStudy:
    """The grids of a study, with names of corpora and encoders in place of paths.

    base: what all grids share. Its `source` is the corpora that are trained on together; its fields of GRID_KEYS are
    not used.
    """

    base: Settings
    targets: tuple[str, ...]  # corpora
    encoders: tuple[str, ...]
    methods: tuple[str, ...]
    budgets: tuple[str, ...]  # numbers of labelled target utterances, and "all"
    normalise: tuple[str, ...]
    published: tuple[tuple[str, tuple[str, ...]], ...] = ()  # a method, and its names in literature.published
    subsets: int = 0  # of the test utterances, by which Welch's test compares systems; 0: no test

    @property
    def corpora(self) -> tuple[str, ...]:
        """The corpora of both sides."""
        return tuple(dict.fromkeys((*self.base.source, *self.targets)))


def read_study(values: dict[str, Any], where: str) -> AdaptStudy:
    """A study from plain values. Errors: UserError for an unknown or missing key, or an invalid value."""
    keys = {field.name for field in fields(Settings)} - set(GRID_KEYS) | {*LIST_KEYS, *STUDY_KEYS}
    for key in values:
        if key not in keys:
            raise UserError(f"{where}: {unknown('key', key, keys)}")
    lists = {key: _read_list(where, key, values) for key in LIST_KEYS}
    for key, choices in (("methods", registry.names("methods")), ("normalise", CHOICES["normalise"])):
        for name in lists[key]:
            if name not in choices:
                raise UserError(f"{where}: {key}: {unknown('name', name, choices)}")
    for amount in lists["budgets"]:
        if amount != "all" and not (amount.isascii() and amount.isdecimal()):
            raise UserError(f"{where}: budgets: expected numbers in quotes, or 'all', got {amount!r}")
    shared = {key: value for key, value in values.items() if key not in (*LIST_KEYS, *STUDY_KEYS)}
    base = from_mapping(shared | {"target": lists["targets"][0]}, where)
    overlap = sorted(set(base.source) & set(lists["targets"]))
    if overlap:
        raise UserError(f"{where}: {overlap[0]} is among the targets and in the source")
    subsets = values.get("subsets", 0)
    if type(subsets) is not int or subsets < 0 or subsets == 1:
        raise UserError(f"{where}: subsets: expected 2 or more, or 0 for no test, got {subsets!r}")
    published = _read_published(where, values.get("published", {}), lists["methods"])
    return AdaptStudy(base=base, published=published, subsets=subsets, **lists)


def expand_pairs(values: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """The values of a study for each of its `pairs`; a study without pairs comes back as it is.

    Errors: UserError for a malformed pair, and for a source or targets beside pairs.
    """
    if "pairs" not in values:
        return [values]
    for key in ("source", "targets"):
        if key in values:
            raise UserError(f"{where}: {key}: pairs name it already")
    studies = []
    for pair in _read_list(where, "pairs", values):
        first, arrow, target = (part.strip() for part in pair.partition(ARROW))
        source = [corpus.strip() for corpus in first.split("+")]
        if not (arrow and target and all(source)):
            raise UserError(f"{where}: pairs: expected a pair such as 'ravdess {ARROW} emodb', got {pair!r}")
        name = "-".join([*filter(None, [values.get("name")]), *source, "to", target]).replace("_", "-")
        shared = {key: value for key, value in values.items() if key != "pairs"}
        studies.append(shared | {"name": name, "source": source, "targets": [target]})
    return studies


def study_values(study: AdaptStudy) -> dict[str, Any]:
    """The settings of a study by their names in TOML, without `published`."""
    base = {field.name: getattr(study.base, field.name) for field in fields(Settings) if field.name not in GRID_KEYS}
    return {key: getattr(study, key) for key in LIST_KEYS} | base | {"subsets": study.subsets}


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


def _read_published(where: str, table: Any, methods: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(table, dict):
        raise UserError(f"{where}: published: expected a table, got {table!r}")
    choices = ("source-only", *methods)  # the baseline is always run
    for method in table:
        if method not in choices:
            raise UserError(f"{where}: published: {unknown('method', method, choices)}")
    return tuple((method, _read_list(f"{where}: published", method, table)) for method in table)
