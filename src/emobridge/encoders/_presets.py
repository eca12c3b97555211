"""Encoders of the hub by a short name, from presets.toml."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Preset:
    """One encoder of the hub, or one whose weights are elsewhere."""

    name: str
    hub: str  # id on the Hugging Face hub; "" where it is on none
    languages: tuple[str, ...]  # of its pre-training, BCP 47; "mul" is many
    layers: int  # transformer blocks
    width: int
    licence: str
    source: str  # who made it, of what
    revision: str = ""  # "" is the main branch
    family: str = ""  # the plug-in that reads its weights, where no hub holds them
    page: str = ""  # where to get these
    model_type: str = ""  # as its config.json names the architecture; "" is not known
    vocabulary: int = 0  # tokens of its decoder, as in config.json; 0 where it has none, or it is not known

    @property
    def where(self) -> str:
        """The id for `load_encoder`, with its revision if there is one; the page of weights that no hub holds."""
        return f"{self.hub}@{self.revision}" if self.revision else self.hub or self.page

    @property
    def place(self) -> str:
        """Where its weights are, in words."""
        return f"{self.where} on the hub" if self.hub else self.page


@cache
def presets() -> Mapping[str, Preset]:
    """Every preset by its name; reading them imports nothing heavy."""
    text = (resources.files("emobridge.encoders") / "presets.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text).items()
    return MappingProxyType(
        {name: Preset(**{**table, "name": name, "languages": tuple(table["languages"])}) for name, table in tables}
    )


def languages_of(source: object) -> tuple[str, ...]:
    """The languages that an encoder was pre-trained on, by a preset's name or its hub id, with or without a revision.

    ("mul",) is many languages; () is none, as of "logmel", or unknown, as of a folder.
    """
    word = str(source)
    if word in presets():
        return presets()[word].languages
    model = word.partition("@")[0]
    return next((preset.languages for preset in presets().values() if preset.hub and preset.hub == model), ())
