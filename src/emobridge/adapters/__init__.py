"""Adapters: small weights that are trained in an encoder whose own weights are frozen."""

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
from emobridge.files import is_readable, read_json, whole_file
from emobridge.options import make_plugin

ABOUT = "adapters.json"


class Adapters:
    """A set of adapters such as "lora+bottleneck+gating", attached to an encoder, and their options, "lora.r=8".

    Of several sets in an encoder at most one is active, `encoder.active_adapters`; the others have no effect (see
    `use_adapters`).
    """

    def __init__(self, encoder: Encoder, names: str, options: Sequence[str] = ()) -> None:
        """Errors: UserError for an unknown adapter or option, and for an encoder that one does not fit."""
        requested = names.split("+")
        for name in requested:
            if requested.count(name) > 1:
                raise UserError(f"adapters {names!r}: {name} occurs twice")
        by_adapter = _by_adapter(requested, options)
        kinds = {name: registry.load("adapters", name) for name in requested}
        order = sorted(requested, key=lambda name: not kinds[name].replaces)  # a replaced module would lose its hooks
        if encoder.active_adapters is not None:
            raise UserError(f"adapters {names!r}: {encoder.active_adapters.names} is active in that encoder already")
        self.encoder, self.names, self.options = encoder, "+".join(order), tuple(options)
        self.base = self.digest = encoder.digest  # of its own weights; of both from `update_digest` on
        taken = [adapters.key for adapters in encoder.inactive_adapters]
        self.key = next(key for key in (FIRST, *map("set{}".format, range(len(taken)))) if key not in taken)
        parts = [make_plugin(f"adapter {name}", kinds[name], by_adapter[name]) for name in order]
        self.parts: list[Adapter] = []
        trained = [weight for weight in encoder.parameters() if weight.requires_grad]
        encoder.requires_grad_(False)
        try:
            for part in parts:
                part.attach(encoder, self.key)
                self.parts.append(part)
        except UserError:
            self._remove()
            for weight in trained:
                weight.requires_grad_(True)
            raise
        encoder.active_adapters = self
        encoder.train(encoder.training)  # the adapters' dropout in the encoder's mode

    def detach(self) -> None:
        """Remove the adapters: the encoder is as it was, frozen. Other sets in it stay as they are."""
        other = self.encoder.active_adapters if self.encoder.active_adapters is not self else None
        if other is not None:
            other.deactivate()  # its hooks may be on modules that are removed
        self._remove()
        self._leave_inactive()
        if other is not None:
            other.activate()

    def _leave_inactive(self) -> None:
        others = (adapters for adapters in self.encoder.inactive_adapters if adapters is not self)
        self.encoder.inactive_adapters = tuple(others)

    def _remove(self) -> None:
        while self.parts:
            self.parts.pop().detach()
        self.encoder.active_adapters, self.encoder.digest = None, self.base

    def deactivate(self) -> None:
        """Stay in the encoder without effect. Errors: UserError while merged into its weights."""
        if self.merged:
            raise UserError(f"adapters {self.names!r} are merged into the encoder's weights: unmerge them first")
        for part in reversed(self.parts):
            part.deactivate()
        self.encoder.active_adapters, self.encoder.digest = None, self.base
        self.encoder.inactive_adapters = (*self.encoder.inactive_adapters, self)

    def activate(self) -> None:
        """Take effect again, in an encoder without active adapters."""
        for part in self.parts:
            part.activate()
        self.encoder.active_adapters, self.encoder.digest = self, self.digest
        self._leave_inactive()

    def update_digest(self) -> None:
        """Compute the digest of the encoder's weights with these; to be called when the training is over."""
        digest = hashlib.sha256(f"{self.base} {self.names} {self.options}".encode())
        for weight in self.parameters():
            digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
        self.digest = digest.hexdigest()
        if self.encoder.active_adapters is self:
            self.encoder.digest = self.digest

    def copy_to(self, encoder: Encoder) -> Adapters:
        """An active copy in another encoder of the same weights, which has no active adapters."""
        copy = Adapters(encoder, self.names, self.options)
        for new, weight in zip(copy.parameters(), self.parameters()):
            new.data.copy_(weight.data)
        copy.update_digest()
        return copy

    @property
    def merged(self) -> bool:
        """Whether they are added to the encoder's own weights."""
        return any(part.merged for part in self.parts if isinstance(part, Mergeable))

    def merge(self) -> None:
        """Add them to the encoder's own weights, for speed; `unmerge` subtracts them again.

        Errors: UserError for adapters that are no linear maps of one matrix: all but LoRA.
        """
        mergeable = [part for part in self.parts if isinstance(part, Mergeable)]
        for part in self.parts:
            if part not in mergeable:
                raise UserError(f"adapters {self.names!r}: {part.name} cannot be merged into an encoder's weights")
        for part in mergeable:
            part.merge()

    def unmerge(self) -> None:
        """Undo `merge`."""
        for part in self.parts:
            if isinstance(part, Mergeable):
                part.unmerge()

    def parameters(self) -> tuple[Any, ...]:
        """All weights that they train."""
        return tuple(weight for part in self.parts for weight in part.parameters())

    def save(self, folder: str | Path) -> Path:
        """Write weights, options and the digest of the encoder; LoRA in peft's own format. Returns the folder."""
        folder = Path(folder)
        for part in self.parts:
            part.save(folder)
        about = {"adapters": self.names, "options": self.options, "encoder": self.encoder.name}
        with whole_file(folder / ABOUT) as path:
            path.write_text(json.dumps(about | {"digest": self.base}, indent=2) + "\n", encoding="utf-8")
        return folder

    @classmethod
    def load(cls, folder: str | Path, encoder: Encoder) -> Adapters:
        """Adapters that `save`, or peft, wrote, in their encoder.

        Errors: UserError where they belong to another encoder, or do not fit.
        """
        folder = Path(folder)
        names, options = _read_about(folder, encoder)
        for name in names.split("+"):
            registry.load_listed("adapters", name, str(folder))
        try:
            adapters = cls(encoder, names, options)
        except UserError as error:
            raise UserError(f"{folder}: {error}") from error
        try:
            for part in adapters.parts:
                part.load(folder)
        except UserError:
            adapters.detach()
            raise
        return adapters


def _read_about(folder: Path, encoder: Encoder) -> tuple[str, list[str]]:
    """The names and the options of the adapters in a folder. Errors: UserError as `Adapters.load`."""
    path = folder / ABOUT
    if not is_readable(path):
        if not is_readable(folder / "adapter_config.json"):
            raise UserError(f"{folder}: no adapters there; expected {ABOUT}, or adapter_config.json of peft")
        from emobridge.adapters.lora import read_peft_config

        return "lora", [f"lora.{name}={value}" for name, value in read_peft_config(folder).items()]
    about = read_json(path)
    if not isinstance(about, dict):
        raise UserError(f"{path}: cannot be read (expected a JSON object)")
    options = about.get("options")
    for key in ("adapters", "digest"):
        if not isinstance(about.get(key), str):
            raise UserError(f"{path}: cannot be read ({key}: expected text)")
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise UserError(f"{path}: cannot be read (options: expected a list of texts)")
    if not encoder.has_digest(about["digest"]):
        raise UserError(f"{folder}: adapters of another base model ({about.get('encoder')}, {about['digest'][:12]})")
    return about["adapters"], options


@contextlib.contextmanager
def use_adapters(encoder: Encoder, adapters: Adapters | None) -> Iterator[None]:
    """Within the block these of the encoder's adapters are active, or none for None; afterwards the same as before.

    Errors: UserError where others are merged into its weights.
    """
    before = encoder.active_adapters
    switch_adapters(encoder, adapters)
    try:
        yield
    finally:
        switch_adapters(encoder, before)


def switch_adapters(encoder: Encoder, adapters: Adapters | None) -> None:
    """Make these of the encoder's adapters active, or none for None.

    Errors: UserError where others are merged into its weights.
    """
    if encoder.active_adapters is adapters:
        return
    if encoder.active_adapters is not None:
        encoder.active_adapters.deactivate()
    if adapters is not None:
        adapters.activate()


def _by_adapter(names: Sequence[str], options: Sequence[str]) -> dict[str, list[str]]:
    """The options of each adapter: "lora.r=8" is "r=8" of lora, and "r=8" that of the only adapter."""
    by_adapter: dict[str, list[str]] = {name: [] for name in names}
    for option in options:
        name, dot, key = option.partition("=")[0].partition(".")
        if not dot and len(names) == 1:
            by_adapter[names[0]].append(option)
        elif not dot or name not in by_adapter:
            raise unknown("adapter in option", name, [f"{adapter}.NAME=VALUE" for adapter in names])
        else:
            by_adapter[name].append(f"{key}={option.partition('=')[2]}")
    return by_adapter
