"""Formats: one file each, which reads and writes the manifests of another tool of the field.

A format is a module with `read(path, **options)`, which yields utterances, `write(path, utterances, **options)`, which
returns the path that it wrote, and LOSES: the fields of `Utterance` that the format cannot hold. Its docstring has the
layout and its source. Values are checked as those of a manifest are; audio is never decoded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emobridge import registry
from emobridge.data.manifest import COLUMNS, to_utterance
from emobridge.errors import UserError
from emobridge.formats._shared import filled
from emobridge.options import parameters_of, typed_options
from emobridge.types import Utterance


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of `export`."""

    path: Path
    count: int  # utterances
    lost: tuple[str, ...]  # fields of Utterance that had values and that the format cannot hold


def import_(name: str, path: str | Path, **options: object) -> Iterator[Utterance]:
    """The utterances at `path` in the format `name`, with absolute audio paths.

    Errors: UserError for an unknown format or option at once; while iterating, one that names `file:row` or `file:key`.
    """
    module = registry.load("formats", name)
    utterances: Iterator[Utterance] = module.read(Path(path), **_options(name, module.read, options))
    return utterances


def export(name: str, path: str | Path, utterances: Iterable[Utterance], **options: object) -> Exported:
    """Write `utterances` to `path` in the format `name`.

    Errors: UserError for an unknown format or option, for no utterances, for one that a manifest would refuse, and for
    a value that would mean something else in the format.
    """
    module = registry.load("formats", name)
    options = _options(name, module.write, options)
    here, seen = os.getcwd(), set[str]()
    rows = [
        to_utterance({key: getattr(utterance, key) for key in COLUMNS}, f"{path}:{number}", here, seen)
        for number, utterance in enumerate(utterances, 1)
    ]
    if not rows:
        raise UserError(f"{path}: no utterances to write")
    lost = tuple(field for field in filled(rows) if field in module.LOSES)
    return Exported(module.write(Path(path), rows, **options), len(rows), lost)


def _options(name: str, function: Callable[..., Any], options: Mapping[str, object]) -> dict[str, Any]:
    return typed_options(f"{function.__name__} of the format {name!r}", options, parameters_of(function))
