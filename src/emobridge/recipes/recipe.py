"""A published experiment as a record, read from a TOML file:

    paper, citation, tables, measure   what is repeated, and by what it is scored
    [corpora.NAME]                     each corpus by its name in the registry, with options of `scan`
    [probe] or [adapt]                 settings of `probe`, or of `recipes.adapt_study`, that its studies share
    [[study]]                          its studies: a name each where there are several, and settings beside the shared
    sample                             if wanted, of [adapt]: utterances of each emotion that a corpus enters with
    [[counts]]                         if wanted: `corpora`, and how many utterances of each emotion they have together
    [ours]                             each choice that the paper leaves open or makes otherwise, in a sentence

Names of corpora and encoders stand in the place of manifests and weights, which `analysis.replication` puts in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from emobridge import registry
from emobridge.errors import UserError, unknown
from emobridge.probe.settings import ProbeSettings
from emobridge.recipes.adapt_study import AdaptStudy, adapt_study, spread
from emobridge.settings import from_mapping, read_mapping

Value = str | int | float | bool
KEYS = ("paper", "citation", "tables", "measure", "corpora", "study", "ours")
KINDS = ("probe", "adapt")  # of which a recipe has one
STUDY_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # it becomes a folder


@dataclass(frozen=True, slots=True)
class Material:
    """One corpus of a recipe."""

    corpus: str
    options: tuple[tuple[str, Value], ...] = ()  # of `scan`


@dataclass(frozen=True, slots=True)
class Counts:
    """How many utterances of each emotion some corpora have together."""

    corpora: tuple[str, ...]
    emotions: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One study of a recipe."""

    name: str  # "" where it is the only one
    settings: ProbeSettings | AdaptStudy  # with names of corpora and encoders; `out` and `store` mean nothing here

    @property
    def encoders(self) -> tuple[str, ...]:
        """Those that it listens with, and those that it trains from scratch."""
        asked = self.settings
        return asked.encoders if isinstance(asked, AdaptStudy) else (*asked.encoders, *asked.scratch)

    @property
    def systems(self) -> tuple[str, ...]:
        """What it compares: methods, or heads."""
        return self.settings.methods if isinstance(self.settings, AdaptStudy) else self.settings.heads


@dataclass(frozen=True, slots=True)
class Recipe:
    """A published experiment, before any machine has a say in it."""

    name: str
    paper: str  # as `recipes.published` has it
    citation: str
    tables: tuple[str, ...]  # of the paper
    measure: str
    corpora: tuple[Material, ...]
    parts: tuple[Part, ...]
    ours: tuple[tuple[str, str], ...]  # what is chosen, and how
    counts: tuple[Counts, ...] = ()  # of the corpora that the paper had
    sample: int = 0  # utterances of each emotion that a corpus enters with, drawn once; 0 is all

    @property
    def adapts(self) -> bool:
        """Whether its studies are grids of label budgets; those of others are layer-wise."""
        return isinstance(self.parts[0].settings, AdaptStudy)

    @property
    def encoders(self) -> tuple[str, ...]:
        """Those of all parts, and those that are trained from scratch."""
        return tuple(dict.fromkeys(one for part in self.parts for one in part.encoders))

    @property
    def systems(self) -> tuple[str, ...]:
        """The methods, or heads, of all parts."""
        return tuple(dict.fromkeys(one for part in self.parts for one in part.systems))


def names() -> tuple[str, ...]:
    """The recipes that come with emobridge."""
    files = (Path(str(file)) for file in resources.files("emobridge.recipes").iterdir())
    return tuple(sorted(path.stem for path in files if path.suffix == ".toml"))


def read_recipe(name: str | Path) -> Recipe:
    """A recipe by its name, or one of yours by the path of its file, which ends in .toml.

    Errors: UserError for an unknown name; for a key that is misspelt or missing, a value that no study could have, or a
    corpus that the registry does not know, naming the file.
    """
    path = Path(name)
    if path.suffix != ".toml":
        if str(name) not in names():
            raise unknown("recipe", str(name), names())
        path = Path(str(resources.files("emobridge.recipes").joinpath(f"{name}.toml")))
    values = read_mapping(path)
    for key in values:
        if key not in (known := (*KEYS, *KINDS, "counts", "sample")):
            raise UserError(f"{path}: {unknown('key', key, known)}")
    for key in KEYS:
        if key not in values:
            raise UserError(f"{path}: the key {key!r} is missing")
    kinds = [kind for kind in KINDS if kind in values]
    if len(kinds) != 1:
        raise UserError(f"{path}: expected one of [probe] and [adapt], got {' and '.join(kinds) or 'neither'}")
    if "counts" in values and kinds == ["probe"]:
        raise UserError(f"{path}: counts: are checked for [adapt] only")
    sample = values.get("sample", 0)
    if type(sample) is not int or sample < 0 or (sample and kinds == ["probe"]):
        raise UserError(f"{path}: sample: expected a number, with [adapt] ([probe] has its own), got {sample!r}")
    corpora = tuple(_material(path, *item) for item in _table(path, "corpora", values["corpora"]).items())
    parts = _parts(path, kinds[0], values, tuple(one.corpus for one in corpora))
    return Recipe(
        path.stem,
        _text(path, "paper", values["paper"]),
        _text(path, "citation", values["citation"]),
        _words(path, "tables", values["tables"]),
        _text(path, "measure", values["measure"]),
        corpora,
        parts,
        tuple((key, _text(path, f"ours.{key}", text)) for key, text in _table(path, "ours", values["ours"]).items()),
        _counts(path, values.get("counts", []), parts, tuple(one.corpus for one in corpora)),
        sample,
    )


def _material(path: Path, name: str, options: Any) -> Material:
    if name not in registry.names("corpora"):
        raise UserError(f"{path}: {unknown('corpus', name, registry.names('corpora'))}")
    for key, value in _table(path, f"corpora.{name}", options).items():
        if not isinstance(value, Value):
            raise UserError(f"{path}: corpora.{name}.{key}: expected a word, a number or a truth value, got {value!r}")
    return Material(name, tuple(options.items()))


def _counts(path: Path, tables: Any, parts: tuple[Part, ...], corpora: tuple[str, ...]) -> tuple[Counts, ...]:
    """What is counted; the emotions are those that some study tells apart."""
    labels = {one for part in parts if isinstance(part.settings, AdaptStudy) for one in part.settings.base.labels}
    if not isinstance(tables, list):
        raise UserError(f"{path}: counts: expected [[counts]], got {tables!r}")
    found = []
    for table in tables:
        values = dict(_table(path, "counts", table))
        names = _words(path, "counts: corpora", values.pop("corpora", None))
        for name in names:
            if name not in corpora:
                raise UserError(f"{path}: counts: {unknown('corpus', name, corpora)}")
        for emotion, count in values.items():
            if emotion not in labels:
                raise UserError(f"{path}: counts of {', '.join(names)}: {unknown('emotion', emotion, labels)}")
            if type(count) is not int:
                raise UserError(f"{path}: counts of {', '.join(names)}: {emotion}: expected a number, got {count!r}")
        found.append(Counts(names, tuple(values.items())))
    return tuple(found)


def _parts(path: Path, kind: str, values: dict[str, Any], corpora: tuple[str, ...]) -> tuple[Part, ...]:
    """The studies, each with its own and the shared settings; a study of `probe` that names no corpora takes all."""
    studies = values["study"]
    if not isinstance(studies, list) or not studies:
        raise UserError(f"{path}: study: expected at least one [[study]]")
    shared = ({"corpora": list(corpora)} if kind == "probe" else {}) | _table(path, kind, values[kind])
    tables = [shared | _table(path, "study", one) for one in studies]
    if kind == "adapt":
        tables = [
            one for values in tables for one in spread(values, f"{path}: study {values.get('name', '')}".rstrip())
        ]
    parts = [_part(path, kind, one) for one in tables]
    for part in parts:
        if len(parts) > 1 and not STUDY_NAME.fullmatch(part.name):
            raise UserError(f"{path}: study: expected a name in small letters, such as 'by-speaker', got {part.name!r}")
        if sum(one.name == part.name for one in parts) > 1:
            raise UserError(f"{path}: study: two have the name {part.name!r}")
        for corpus in part.settings.corpora:
            if corpus not in corpora:
                raise UserError(f"{path}: study {part.name}: {unknown('corpus', corpus, corpora)}")
    return tuple(parts)


def _part(path: Path, kind: str, values: dict[str, Any]) -> Part:
    name = _text(path, "study: name", values.pop("name", ""))
    where = f"{path}: study {name}".rstrip()
    for key in ("out", "store"):
        if key in values:
            raise UserError(f"{where}: {key} is for the command line to say, not for a recipe")
    try:
        settings = from_mapping(values, where, ProbeSettings) if kind == "probe" else adapt_study(values, where)
        return Part(name, settings)
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error


def _text(path: Path, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UserError(f"{path}: {key}: expected a text, got {value!r}")
    return value


def _words(path: Path, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise UserError(f"{path}: {key}: expected a list of words, got {value!r}")
    return tuple(value)


def _table(path: Path, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{path}: {key}: expected a table, got {value!r}")
    return value
