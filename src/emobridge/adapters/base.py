"""What adapters share.

An adapter is fitted to an encoder whose own weights are frozen: `attach` puts its weights in, `detach` takes them out,
and the encoder is again what it was. In between it may `rest`, without effect, beside others that `work`. Its weights
and options go to a folder with `save` and come back with `load`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emobridge.encoders.base import Encoder, Trunk
from emobridge.errors import UserError, unknown
from emobridge.files import whole_file

FIRST = "default"  # key of the first set of adapters in an encoder; peft's word, so that names are as they always were


class Adapter(Protocol):
    """An adapter. One file an adapter, one class a file; its options are keyword parameters."""

    name: str
    replaces: bool  # whether it puts modules in others' place, and so comes before those that hook into them

    def attach(self, encoder: Encoder, key: str = FIRST) -> None:
        """Put the adapter's weights into the encoder. They begin such that the encoder says what it said, or nearly.

        key: tells it from others of its kind that rest in the encoder; letters and figures.
        Errors: UserError where the encoder has no place for it.
        """

    def deactivate(self) -> None:
        """Stay in the encoder without effect."""

    def activate(self) -> None:
        """Take effect again."""

    def detach(self) -> None:
        """Take them out again."""

    def parameters(self) -> tuple[nn.Parameter, ...]:
        """What it trains."""

    def save(self, folder: Path) -> None:
        """Write weights and options."""

    def load(self, folder: Path) -> None:
        """Read weights that `save` wrote into an adapter that is attached. Errors: UserError where they do not fit."""


@runtime_checkable
class Mergeable(Protocol):
    """An adapter whose weights the encoder's own can take in."""

    merged: bool

    def merge(self) -> None:
        """Take them in."""

    def unmerge(self) -> None:
        """Take them out again."""


@runtime_checkable
class Routable(Protocol):
    """An adapter of which several, each with its own clips, can share one forward pass."""

    key: str

    def routed(self, keys: Sequence[str | None]) -> AbstractContextManager[None]:
        """Within the block the clip in each row of a batch goes through the adapter of its key; None: through none.

        Takes an encoder in evaluation mode in which all adapters rest.
        """


def trunk_of(thing: str, encoder: Encoder) -> Trunk:
    """The encoder's transformer blocks, which a thing such as "adapter lora" asks for.

    Errors: UserError where it has none, or an engine that cannot be trained.
    """
    trunk = encoder.trunk()
    if trunk is None:
        raise UserError(f"{thing}: encoder {encoder.name} has no transformer blocks; whisper and hf-ssl have")
    if "engine" in encoder.options:
        raise UserError(f"{thing}: engine {encoder.options['engine']} cannot be trained; give engine=torch")
    return trunk


def parse_indices(thing: str, wanted: str | int | None, count: int) -> tuple[int, ...]:
    """The places in an option such as "3+4+5", of `count` from 0; all for None. Errors: UserError for any other."""
    known = tuple(map(str, range(count)))
    words = known if wanted is None else str(wanted).split("+")
    for word in words:
        if word not in known:
            raise unknown(thing, word, known)
    return tuple(map(int, words))


def save_weights(module: nn.Module, path: Path) -> None:
    """A module's weights as safetensors."""
    with whole_file(path) as temporary:
        save_file(module.state_dict(), temporary)


def load_weights(name: str, module: nn.Module, path: Path) -> None:
    """What `save_weights` wrote, into a module. Errors: UserError where it does not fit."""
    given = read_weights(path)
    fitting(name, module.state_dict(), given, path)
    module.load_state_dict(given)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Errors: UserError where there is none, or none that can be read."""
    if not path.is_file():
        raise UserError(f"{path}: not there; weights of another format than safetensors are not read")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def fitting(name: str, own: Mapping[str, Tensor], given: dict[str, Tensor], where: Path) -> None:
    """That tensors read from a file are those of the adapter. Errors: UserError that names the first that is not."""
    for key, tensor in own.items():
        if key not in given:
            raise UserError(f"{where}: adapter {name}: the tensor {key!r} is missing")
        if given[key].shape != tensor.shape:
            shapes = f"has shape {tuple(given[key].shape)}, expected {tuple(tensor.shape)}"
            raise UserError(f"{where}: adapter {name}: the tensor {key!r} {shapes}: of another rank or base model")
    for key in given:
        if key not in own:
            raise UserError(f"{where}: adapter {name}: unknown tensor {key!r}: of another base model")
