"""A published experiment as a record, read from a TOML file:

    paper, citation, tables, measure   what is repeated, and by what it is scored
    [corpora.NAME]                     each corpus by its name in the registry, with options of `scan`
    [probe]                            settings of `probe` that its studies share
    [[study]]                          its studies: a name each where there are several, and settings beside the shared
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
from emobridge.probe_settings import ProbeSettings
from emobridge.settings import from_mapping, read_mapping

Value = str | int | float | bool
KEYS = ("paper", "citation", "tables", "measure", "corpora", "probe", "study", "ours")
STUDY_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # it becomes a folder


@dataclass(frozen=True, slots=True)
class Material:
    """One corpus of a recipe."""

    corpus: str
    options: tuple[tuple[str, Value], ...] = ()  # of `scan`


@dataclass(frozen=True, slots=True)
class Part:
    """One study of a recipe."""

    name: str  # "" where it is the only one
    settings: ProbeSettings  # with names of corpora and encoders; `out` and `store` mean nothing here


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

    @property
    def encoders(self) -> tuple[str, ...]:
        """Those of all parts, and those that are trained from scratch."""
        return tuple(
            dict.fromkeys(one for part in self.parts for one in (*part.settings.encoders, *part.settings.scratch))
        )

    @property
    def heads(self) -> tuple[str, ...]:
        """Those of all parts."""
        return tuple(dict.fromkeys(one for part in self.parts for one in part.settings.heads))


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
        if key not in KEYS:
            raise UserError(f"{path}: {unknown('key', key, KEYS)}")
    for key in KEYS:
        if key not in values:
            raise UserError(f"{path}: the key {key!r} is missing")
    corpora = tuple(_material(path, *item) for item in _table(path, "corpora", values["corpora"]).items())
    return Recipe(
        path.stem,
        _text(path, "paper", values["paper"]),
        _text(path, "citation", values["citation"]),
        _words(path, "tables", values["tables"]),
        _text(path, "measure", values["measure"]),
        corpora,
        _parts(path, values["probe"], values["study"], tuple(one.corpus for one in corpora)),
        tuple((key, _text(path, f"ours.{key}", text)) for key, text in _table(path, "ours", values["ours"]).items()),
    )


def _material(path: Path, name: str, options: Any) -> Material:
    if name not in registry.names("corpora"):
        raise UserError(f"{path}: {unknown('corpus', name, registry.names('corpora'))}")
    for key, value in _table(path, f"corpora.{name}", options).items():
        if not isinstance(value, Value):
            raise UserError(f"{path}: corpora.{name}.{key}: expected a word, a number or a truth value, got {value!r}")
    return Material(name, tuple(options.items()))


def _parts(path: Path, shared: Any, studies: Any, corpora: tuple[str, ...]) -> tuple[Part, ...]:
    """The studies, each with its own and the shared settings; a study that names no corpora takes all."""
    if not isinstance(studies, list) or not studies:
        raise UserError(f"{path}: study: expected at least one [[study]]")
    shared = _table(path, "probe", shared)
    parts = [_part(path, {"corpora": list(corpora)} | shared | _table(path, "study", one)) for one in studies]
    for part in parts:
        if len(parts) > 1 and not STUDY_NAME.fullmatch(part.name):
            raise UserError(f"{path}: study: expected a name in small letters, such as 'by-speaker', got {part.name!r}")
        if sum(one.name == part.name for one in parts) > 1:
            raise UserError(f"{path}: study: two have the name {part.name!r}")
        for corpus in part.settings.corpora:
            if corpus not in corpora:
                raise UserError(f"{path}: study {part.name}: {unknown('corpus', corpus, corpora)}")
    return tuple(parts)


def _part(path: Path, values: dict[str, Any]) -> Part:
    name = _text(path, "study: name", values.pop("name", ""))
    where = f"{path}: study {name}".rstrip()
    for key in ("out", "store"):
        if key in values:
            raise UserError(f"{where}: {key} is for the command line to say, not for a recipe")
    try:
        return Part(name, from_mapping(values, where, ProbeSettings))
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
