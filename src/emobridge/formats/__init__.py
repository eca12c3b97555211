"""Formats: one file each, which reads and writes the manifests of another tool of the field.

A format is a module with `read(path, *, intake, **options)`, which hands raw rows to a `data.intake.Intake` and yields
its utterances. A format that is written has `write(path, utterances, **options)`, which returns the path that it wrote,
and LOSES: the fields of `Utterance` that the format cannot hold. Its docstring has the layout and its source. Values
are checked as those of a manifest are; of audio no more than the header is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from emobridge import registry
from emobridge.data.intake import Reading, open_reading
from emobridge.data.manifest import EXTRA, raw_values, to_utterance
from emobridge.data.tally import Tally
from emobridge.errors import UserError
from emobridge.formats._segments import LabelledStretch
from emobridge.formats._shared import filled
from emobridge.options import parameters_of, typed_options
from emobridge.types import Utterance


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of `export`."""

    path: Path
    count: int  # utterances
    lost: tuple[str, ...]  # fields of Utterance that had values and that the format cannot hold


def import_(name: str, path: str | Path, **options: object) -> Reading:
    """The utterances at `path` in the format `name`, with absolute audio paths; `lines()` says what was read.

    Errors: UserError for an unknown format or option at once; while iterating, one that names `file:row` or `file:key`.
    """
    module = registry.load("formats", name)
    return open_reading(f"read of the format {name!r}", module.read, Path(path), options)


def export(name: str, path: str | Path, utterances: Iterable[Utterance], **options: object) -> Exported:
    """Write `utterances` to `path` in the format `name`. All are in memory at once, about 550 bytes each.

    Errors: UserError for an unknown format or option, for a format that is only read, for no utterances, for one that a
    manifest would refuse, and for a value that would mean something else in the format.
    """
    module = registry.load("formats", name)
    if not is_written(module):
        raise UserError(f"the format {name!r} is only read; formats that are written: {', '.join(written_formats())}")
    options = typed_options(f"write of the format {name!r}", options, parameters_of(module.write))
    here, seen = os.getcwd(), set[str]()
    rows = [
        to_utterance(raw_values(utterance), f"{path}:{number}", here, seen)
        for number, utterance in enumerate(utterances, 1)
    ]
    if not rows:
        raise UserError(f"{path}: no utterances to write")
    fields = dict.fromkeys(EXTRA[:-1] if field.startswith(EXTRA) else field for field in filled(rows))
    lost = tuple(field for field in fields if field in module.LOSES)
    return Exported(module.write(Path(path), rows, **options), len(rows), lost)


def read_stretches(file: Path, tally: Tally, tier: str | None = None) -> tuple[str, list[LabelledStretch]]:
    """The recording that a file of an annotation tool is of, by its path or bare name, and its stretches as they stand.

    file: a TextGrid, an .eaf of ELAN or a label track of Audacity (.txt); the recording need not be there. tally:
    counts what is left out. tier: those with the emotions, joined by commas, by default those with "emo" in their name.
    Errors: UserError naming the file for what is none of these, and as the formats.
    """
    suffix = file.suffix.lower()
    if suffix == ".textgrid":
        return file.stem, registry.load("formats", "textgrid").stretches(file, tier, tally)
    if suffix == ".eaf":
        recording, stretches = registry.load("formats", "elan").stretches(file, tier, tally)
        return recording or file.stem, stretches
    return file.stem, list(registry.load("formats", "audacity").stretches(file, tally))


def is_written(module: ModuleType) -> bool:
    """Whether a format, as `registry.load` gives it, is written too."""
    return hasattr(module, "write") and hasattr(module, "LOSES")


def written_formats() -> tuple[str, ...]:
    """The names of the formats that `export` writes."""
    return tuple(name for name in registry.names("formats") if is_written(registry.load("formats", name)))
