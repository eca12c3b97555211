"""The protocol of adapters, and what they share.

An adapter trains small weights in an encoder whose own are frozen. `attach` adds its weights, `detach` removes them and
leaves the encoder as it was. In between it is active, or has no effect while another one is. `save` writes its weights
and options to a folder, `load` reads the weights back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emobridge.encoders.base import TORCH_HINT, TRAINABLE_ENGINES, Encoder, Trunk
from emobridge.errors import UserError, unknown
from emobridge.files import DAMAGE, is_readable, unreadable, whole_file

FIRST = "default"  # key of the first set of adapters in an encoder: peft's own default


class Adapter(Protocol):
    """An adapter. One file an adapter, one class a file; its options are keyword parameters."""

    name: str
    replaces: bool  # whether it replaces modules, and so is attached before those that hook into them

    def attach(self, encoder: Encoder, key: str = FIRST) -> None:
        """Add the adapter's weights to the encoder, and activate it. At first it changes nothing, or little.

        key: letters and digits that distinguish it from others of its kind in the same encoder.
        Errors: UserError for an encoder that it does not fit.
        """

    def deactivate(self) -> None:
        """Leave the weights in the encoder, without effect."""

    def activate(self) -> None:
        """Take effect again."""

    def detach(self) -> None:
        """Remove the weights from the encoder."""

    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The weights that it trains."""

    def save(self, folder: Path) -> None:
        """Write weights and options."""

    def load(self, folder: Path) -> None:
        """Read weights that `save` wrote into an adapter that is attached. Errors: UserError where they do not fit."""


@runtime_checkable
class Mergeable(Protocol):
    """An adapter whose weights can be added to the encoder's own."""

    merged: bool

    def merge(self) -> None:
        """Add them to the encoder's weights."""

    def unmerge(self) -> None:
        """Subtract them again."""


@runtime_checkable
class Routable(Protocol):
    """An adapter of which several can share one forward pass, each for clips of its own."""

    key: str

    def routed(self, keys: Sequence[str | None]) -> AbstractContextManager[None]:
        """Within the block each clip of a batch goes through the adapter with its key, of `keys` (B,); None is none.

        The encoder must be in evaluation mode, without an active adapter.
        """


class ModuleAdapter:
    """An adapter whose weights are one module: a subclass has `attach`, `activate` and `deactivate`."""

    name: ClassVar[str]
    replaces = False
    joins_layers = False  # whether the encoder then yields a single layer, made of all

    encoder: Encoder
    module: nn.Module

    def add(self, encoder: Encoder, key: str, module: nn.Module) -> None:
        """Add the module to the encoder: it is then moved, trained and saved with it."""
        self.encoder, self.module = encoder, module
        self.attribute = self.name if key == FIRST else f"{self.name}_{key}"
        encoder.add_module(self.attribute, module)

    def deactivate(self) -> None:
        raise NotImplementedError

    def detach(self) -> None:
        self.deactivate()
        delattr(self.encoder, self.attribute)

    def parameters(self) -> tuple[nn.Parameter, ...]:
        return tuple(self.module.parameters())

    def save(self, folder: Path) -> None:
        with whole_file(self._file(folder)) as temporary:
            save_file(self.module.state_dict(), temporary)

    def load(self, folder: Path) -> None:
        tensors = read_weights(self._file(folder))
        check_shapes(self.name, self.module.state_dict(), tensors, self._file(folder))
        self.module.load_state_dict(tensors)

    def _file(self, folder: Path) -> Path:
        return folder / f"{self.name}.safetensors"


def trunk_of(thing: str, encoder: Encoder) -> Trunk:
    """The encoder's transformer blocks, for a thing such as "adapter lora".

    Errors: UserError where it has none, or an engine that cannot be trained.
    """
    trunk = encoder.trunk()
    if trunk is None:
        raise UserError(f"{thing}: encoder {encoder.name} has no transformer blocks; whisper and hf-ssl have")
    if encoder.engine_choice not in TRAINABLE_ENGINES:
        raise UserError(f"{thing}: engine {encoder.engine_choice} cannot be trained; {TORCH_HINT}")
    return trunk


def parse_indices(thing: str, option: str | int | None, count: int) -> tuple[int, ...]:
    """The numbers in an option such as "3+4+5", each below `count`; all of them for None.

    Errors: UserError that names the thing, such as "block of adapter lora", for any other.
    """
    valid = tuple(map(str, range(count)))
    numbers = valid if option is None else str(option).split("+")
    for number in numbers:
        if number not in valid:
            raise unknown(thing, number, valid)
    return tuple(map(int, numbers))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Errors: UserError where there is no such file, or it cannot be read."""
    if not is_readable(path):
        raise UserError(f"{path}: not there; weights in other formats than safetensors are not read")
    try:
        return load_file(path)
    except (OSError, MemoryError, *DAMAGE) as error:
        raise unreadable(path, error) from error


def check_shapes(name: str, weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor], where: Path) -> None:
    """Check that tensors from the file `where` have the names and shapes of the adapter's weights.

    Errors: UserError that names the first that has not.
    """
    for key, weight in weights.items():
        if key not in tensors:
            raise UserError(f"{where}: adapter {name}: the tensor {key!r} is missing")
        if tensors[key].shape != weight.shape:
            shapes = f"has shape {tuple(tensors[key].shape)}, expected {tuple(weight.shape)}"
            raise UserError(f"{where}: adapter {name}: the tensor {key!r} {shapes}: of another rank or base model")
    for key in tensors:
        if key not in weights:
            raise UserError(f"{where}: adapter {name}: unknown tensor {key!r}: of another base model")
