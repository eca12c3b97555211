"""The models that a service is given: names and folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emobridge.errors import UserError

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
PLAIN_FOLDERS = ("bundle", "diarizer")  # that every run has: the folder above tells them apart


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model is, and what the service calls it."""

    name: str
    folder: str  # of a bundle, a diarizer or SpeechBrain's model; or a bundle of the hub, "user/name"
    encoder: str = ""  # where its encoder is now, if it has moved


def model_sources(words: Sequence[str], encoder: str = "") -> tuple[ModelSource, ...]:
    """The models of a command's words, FOLDER or NAME=FOLDER.

    Without a name it is that of the folder, and of run/bundle that of the run. encoder: where the encoder of all is
    now. Errors: UserError for no words, for a name of other characters, and for one that two models have.

    >>> [source.name for source in model_sources(["run/bundle", "de=other/bundle"])]
    ['run', 'de']
    """
    if not words:
        raise UserError("no model: give the folder of a bundle, or NAME=FOLDER for several")
    sources = [_source(word, encoder) for word in words]
    names = [source.name for source in sources]
    for source in sources:
        if names.count(source.name) > 1:
            raise UserError(f"{source.folder}: another model is called {source.name!r} too: give it as NAME=FOLDER")
    return tuple(sources)


def _source(word: str, encoder: str) -> ModelSource:
    name, equals, folder = word.partition("=")
    if not equals or not MODEL_NAME.fullmatch(name):
        if equals and not Path(word).exists():
            raise UserError(f"{word}: the name {name!r}: expected letters, digits, '.', '_' and '-', 64 at most")
        name, folder = _name_of(word), word
    if not folder:
        raise UserError(f"{word}: names no folder; expected NAME=FOLDER")
    return ModelSource(name, folder, encoder)


def _name_of(folder: str) -> str:
    path = Path(folder).resolve()
    name = path.parent.name if path.name in PLAIN_FOLDERS else path.name
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-_")[:64]
    if not MODEL_NAME.fullmatch(name):
        raise UserError(f"{folder}: gives the model no name; give it as NAME={folder}")
    return name
