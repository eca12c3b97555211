"""Adapters: small weights that are trained in an encoder whose own stay as they are."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emobridge import registry
from emobridge.adapters.base import FIRST, Adapter, Mergeable
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError, unknown
from emobridge.files import whole_file
from emobridge.options import make_plugin

ABOUT = "adapters.json"


class Adapters:
    """A set of adapters such as "lora+bottleneck+gating", attached to an encoder, and their options, "lora.r=8".

    Of several sets in an encoder at most one is active, `encoder.active_adapters`; the others have no effect (see
    `use_adapters`).
    """

    def __init__(self, encoder: Encoder, names: str, words: Sequence[str] = ()) -> None:
        """Errors: UserError for an unknown adapter or option, and where the encoder has no place for one."""
        wanted = names.split("+")
        for name in wanted:
            if wanted.count(name) > 1:
                raise UserError(f"adapters {names!r}: {name} stands twice")
        options = _by_adapter(wanted, words)
        kinds = {name: registry.load("adapters", name) for name in wanted}
        order = sorted(wanted, key=lambda name: not kinds[name].replaces)  # hooks would go with what is replaced
        if encoder.active_adapters is not None:
            raise UserError(f"adapters {names!r}: {encoder.active_adapters.names} is at work in that encoder already")
        self.encoder, self.names, self.words = encoder, "+".join(order), tuple(words)
        self.base = self.digest = encoder.digest  # of its own weights alone; of them with these, see `settle`
        taken = [one.key for one in encoder.inactive_adapters]
        self.key = next(key for key in (FIRST, *map("set{}".format, range(len(taken)))) if key not in taken)
        parts = [make_plugin(f"adapter {name}", kinds[name], options[name]) for name in order]
        self.parts: list[Adapter] = []
        trained = [weight for weight in encoder.parameters() if weight.requires_grad]
        encoder.requires_grad_(False)
        try:
            for part in parts:
                part.attach(encoder, self.key)
                self.parts.append(part)
        except UserError:
            self._out()
            for weight in trained:
                weight.requires_grad_(True)
            raise
        encoder.active_adapters = self
        encoder.train(encoder.training)  # what came in, its dropout too, is as the encoder is

    def detach(self) -> None:
        """Take all out; the encoder is what it was, frozen. Others that are in it stay, at work or resting."""
        other = self.encoder.active_adapters if self.encoder.active_adapters is not self else None
        if other is not None:
            other.deactivate()  # its hooks may be on modules that go
        self._out()
        self.encoder.inactive_adapters = tuple(one for one in self.encoder.inactive_adapters if one is not self)
        if other is not None:
            other.activate()

    def _out(self) -> None:
        while self.parts:
            self.parts.pop().detach()
        self.encoder.active_adapters, self.encoder.digest = None, self.base

    def deactivate(self) -> None:
        """Stay in the encoder without effect. Errors: UserError while merged into its weights."""
        if self.merged:
            raise UserError(f"adapters {self.names!r} are merged into the encoder's weights: no others can work there")
        for part in reversed(self.parts):
            part.deactivate()
        self.encoder.active_adapters, self.encoder.digest = None, self.base
        self.encoder.inactive_adapters = (*self.encoder.inactive_adapters, self)

    def activate(self) -> None:
        """Take effect again, in an encoder in which all others rest."""
        for part in self.parts:
            part.activate()
        self.encoder.active_adapters, self.encoder.digest = self, self.digest
        self.encoder.inactive_adapters = tuple(one for one in self.encoder.inactive_adapters if one is not self)

    def update_digest(self) -> None:
        """Note that training is over: from here on what the encoder says is told by a digest of all weights."""
        said = hashlib.sha256(f"{self.base} {self.names} {self.words}".encode())
        for weight in self.parameters():
            said.update(weight.detach().cpu().contiguous().numpy().tobytes())
        self.digest = said.hexdigest()
        if self.encoder.active_adapters is self:
            self.encoder.digest = self.digest

    def copy_to(self, encoder: Encoder) -> Adapters:
        """A copy in another encoder of the same weights, where all others rest; it is at work there."""
        copy = Adapters(encoder, self.names, self.words)
        for own, given in zip(copy.parameters(), self.parameters()):
            own.data.copy_(given.data)
        copy.update_digest()
        return copy

    @property
    def merged(self) -> bool:
        """Whether the encoder's own weights hold them."""
        return any(part.merged for part in self.parts if isinstance(part, Mergeable))

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


@contextlib.contextmanager
def use_adapters(encoder: Encoder, wanted: Adapters | None) -> Iterator[None]:
    """The encoder with these of its adapters at work in the block, None for none at all; afterwards as before.

    Errors: UserError where others are merged into its weights.
    """
    before = encoder.active_adapters
    if before is not wanted:
        _swap(encoder, wanted)
    try:
        yield
    finally:
        if encoder.active_adapters is not before:
            _swap(encoder, before)


def _swap(encoder: Encoder, wanted: Adapters | None) -> None:
    if encoder.active_adapters is not None:
        encoder.active_adapters.deactivate()
    if wanted is not None:
        wanted.activate()


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
