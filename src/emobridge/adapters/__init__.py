"""Adapters: small weights that are trained in an encoder whose own stay as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emobridge import registry
from emobridge.adapters._base import Adapter, Mergeable
from emobridge.encoders._base import Encoder
from emobridge.errors import UserError, unknown
from emobridge.files import whole_file
from emobridge.options import made

ABOUT = "adapters.json"


class Adapters:
    """Adapters such as "lora+bottleneck+gating", attached to an encoder, and their options, "lora.r=8"."""

    def __init__(self, encoder: Encoder, names: str, words: Sequence[str] = ()) -> None:
        """Errors: UserError for an unknown adapter or option, and where the encoder has no place for one."""
        wanted = names.split("+")
        for name in wanted:
            if wanted.count(name) > 1:
                raise UserError(f"adapters {names!r}: {name} stands twice")
        options = _by_adapter(wanted, words)
        kinds = {name: registry.load("adapters", name) for name in wanted}
        order = sorted(wanted, key=lambda name: not kinds[name].replaces)  # hooks would go with what is replaced
        if encoder.fitted is not None:
            raise UserError(f"adapters {names!r}: {encoder.fitted.names} is in that encoder already")
        self.encoder, self.names, self.words = encoder, "+".join(order), tuple(words)
        self.base = encoder.digest  # of its own weights alone
        parts = [made(f"adapter {name}", kinds[name], options[name]) for name in order]
        self.parts: list[Adapter] = []
        trained = [weight for weight in encoder.parameters() if weight.requires_grad]
        encoder.requires_grad_(False)
        try:
            for part in parts:
                part.attach(encoder)
                self.parts.append(part)
        except UserError:
            self.detach()
            for weight in trained:
                weight.requires_grad_(True)
            raise
        encoder.fitted = self
        encoder.train(encoder.training)  # what came in, its dropout too, is as the encoder is

    def detach(self) -> None:
        """Take all out; the encoder is what it was, frozen."""
        while self.parts:
            self.parts.pop().detach()
        self.encoder.fitted = None

    def merge(self) -> None:
        """Let the encoder's own weights take them in, for speed; `unmerge` takes them out again.

        Errors: UserError where there is one that is no linear map beside another: bottleneck and gating.
        """
        mergeable = [part for part in self.parts if isinstance(part, Mergeable)]
        for part in self.parts:
            if part not in mergeable:
                raise UserError(f"adapters {self.names!r}: {part.name} cannot be merged into an encoder's weights")
        for one in mergeable:
            one.merge()

    def unmerge(self) -> None:
        """After `merge`: train, or take them out, again."""
        for part in self.parts:
            if isinstance(part, Mergeable):
                part.unmerge()

    def parameters(self) -> tuple[Any, ...]:
        """All that they train."""
        return tuple(weight for part in self.parts for weight in part.parameters())

    def save(self, folder: str | Path) -> Path:
        """Write weights, options and what they belong to; LoRA in peft's own format."""
        folder = Path(folder)
        for part in self.parts:
            part.save(folder)
        about = {"adapters": self.names, "options": self.words, "encoder": self.encoder.name}
        with whole_file(folder / ABOUT) as path:
            path.write_text(json.dumps(about | {"digest": self.base}, indent=2) + "\n", encoding="utf-8")
        return folder

    @classmethod
    def load(cls, folder: str | Path, encoder: Encoder) -> Adapters:
        """Adapters that `save`, or peft, wrote, in the encoder that they belong to.

        Errors: UserError where they belong to another one, or do not fit.
        """
        folder = Path(folder)
        if (folder / ABOUT).is_file():
            try:
                about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
                names, words, digest = about["adapters"], about["options"], about["digest"]
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{folder / ABOUT}: cannot be read ({error})") from error
            if digest != encoder.digest:
                raise UserError(f"{folder}: adapters of another base model ({about.get('encoder')}, {digest[:12]})")
        elif (folder / "adapter_config.json").is_file():
            from emobridge.adapters.lora import read_config

            names, words = "lora", [f"lora.{name}={value}" for name, value in read_config(folder).items()]
        else:
            raise UserError(f"{folder}: no adapters there; expected {ABOUT}, or adapter_config.json of peft")
        adapters = cls(encoder, names, words)
        try:
            for part in adapters.parts:
                part.load(folder)
        except UserError:
            adapters.detach()
            raise
        return adapters


def _by_adapter(names: Sequence[str], words: Sequence[str]) -> dict[str, list[str]]:
    """Words such as "lora.r=8" under the adapter's name, without it; where there is one adapter, "r=8" will do."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for word in words:
        name, dot, rest = word.partition("=")[0].partition(".")
        if not dot and len(names) == 1:
            found[names[0]].append(word)
        elif not dot or name not in found:
            raise unknown("adapter in option", name, [f"{one}.NAME=VALUE" for one in names])
        else:
            found[name].append(f"{rest}={word.partition('=')[2]}")
    return found
