"""Weights on disk: only safetensors files are read, and of these only the tensors that are used.

A folder may come from anybody. Its config.json is checked before anything is made by it: its numbers are bounded, and
what it describes must fit the headers of the weights, so that no size in it makes memory or time run away.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from emobridge.data.notes import noted_digest
from emobridge.errors import UserError
from emobridge.files import DAMAGE, is_damage, is_readable, read_json, unreadable

PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
Shape = tuple[int, ...]
MOST = 1_000_000  # no number of a configuration is as large, not even the size of a vocabulary
MOST_LAYERS = 200  # the largest speech encoders have 48
MOST_WEIGHTS = 4_000_000_000  # that random weights are made of; the largest speech encoders have two
SPARE = 1_000_000  # weights that may be missing in a file: some checkpoints leave out what pre-training alone uses
# Files whose values decide features beside the weights, and values in them that do not.
CONFIGURATION = ("config.json", "preprocessor_config.json", "processor_config.json")
UNUSED = frozenset({"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"})


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files of a model: `model.safetensors`, or its shards, or else all that there are.

    Errors: UserError for a directory without weights, with shards missing, or with files that cannot be read.
    """
    if is_readable(directory / "model.safetensors"):
        return [directory / "model.safetensors"]
    index = directory / "model.safetensors.index.json"
    if is_readable(index):
        shards = _shards(index)
        missing = [shard for shard in shards if not is_readable(directory / shard)]
        if missing:
            raise UserError(f"{directory}: {missing[0]} is missing ({index.name} names {len(shards)} files)")
        return [directory / shard for shard in shards]
    files = sorted(path for path in directory.glob("*.safetensors") if is_readable(path))
    if not files:
        pickle = next((path.name for pattern in PICKLES for path in sorted(directory.glob(pattern))), None)
        hint = f"; {pickle} is a pickle, which is never loaded: convert it to safetensors" if pickle else ""
        raise UserError(f"{directory}: holds no weights (expected model.safetensors{hint})")
    return files


def _shards(index: Path) -> list[str]:
    """The files that an index names, which lie beside it."""
    names = read_config(index.parent, index.name).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise UserError(f"{index}: weight_map: expected the file of each tensor")
    for name in names.values():
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise UserError(f"{index}: weight_map: expected names of .safetensors files in this folder, got {name!r}")
    return sorted(set(names.values()))


def tensor_shapes(directory: Path) -> dict[str, Shape]:
    """The name and shape of each tensor, from the headers. Errors: UserError as `weight_files`, and for damage."""
    shapes: dict[str, Shape] = {}
    for path in weight_files(directory):
        with _opened(path) as file:
            shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)
    return shapes


def load_tensors(directory: Path, prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, by their names without it; floating ones as float32.

    The prefix is the first of `prefixes` that any name begins with. Errors: UserError where there is none, and for a
    tensor that is not finite.
    """
    names = tensor_shapes(directory)
    prefix = next((prefix for prefix in prefixes if any(name.startswith(prefix) for name in names)), None)
    if prefix is None:
        raise UserError(f"{directory}: no tensor begins with {' or '.join(prefixes)}")
    tensors = {}
    for path in weight_files(directory):
        with _opened(path) as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                if name.startswith(prefix):
                    tensor = file.get_tensor(name)  # which may lie in the file itself, and that can change
                    kind = torch.float32 if tensor.is_floating_point() else tensor.dtype
                    tensors[name.removeprefix(prefix)] = tensor.to(kind, copy=True)
    check_weights_finite(tensors, directory)
    return tensors


def check_weights_finite(tensors: Mapping[str, Tensor], directory: Path) -> None:
    """Errors: UserError that names a tensor of numbers that are not finite, or so large that their sum is not."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.sum().isfinite():
            raise UserError(f"{directory}: the tensor {name!r} holds numbers that are not finite (NaN or infinity)")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file of tensors. Errors: UserError where it cannot be opened, or is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, MemoryError, *DAMAGE) as error:
        if not is_damage(path, error):
            raise unreadable(path, error) from error
        raise UserError(f"{path}: cannot be read as safetensors ({' '.join(str(error).split())})") from error


def check_fit(module: nn.Module, tensors: Mapping[str, Tensor], directory: Path) -> None:
    """Check that the tensors have the names and shapes of a module's, which need not use all of them.

    The module may be without memory, on the device "meta". Errors: UserError for a tensor that is missing or has
    another shape.
    """
    for name, weight in module.state_dict().items():
        tensor = tensors.get(name)
        if tensor is None:
            raise UserError(f"{directory}: the weights lack the tensor {name!r}")
        if tensor.shape != weight.shape:
            shapes = f"has shape {tuple(tensor.shape)}, expected {tuple(weight.shape)}"
            raise UserError(f"{directory}: tensor {name!r} {shapes}")


def fill(module: nn.Module, tensors: Mapping[str, Tensor], directory: Path) -> None:
    """Make `tensors` the weights of `module`, which may be on the device "meta" before.

    Errors: UserError as `check_fit`.
    """
    check_fit(module, tensors, directory)
    module.load_state_dict({name: tensors[name] for name in module.state_dict()}, assign=True)


def check_weights(module: nn.Module, directory: Path, *, random: bool) -> None:
    """Check how many weights a module on the device "meta" has, before memory is taken for them.

    random: they are made anew, and need not be in the directory's files. Errors: UserError for more than the files
    hold, or than any encoder has.
    """
    count = sum(weight.numel() for weight in module.parameters())
    if random and count > MOST_WEIGHTS:
        raise UserError(f"{directory}: config.json describes {count:.3g} weights; expected {MOST_WEIGHTS:.0e} at most")
    if not random:
        stored = sum(map(math.prod, tensor_shapes(directory).values()))
        if count > stored + SPARE:
            raise UserError(f"{directory}: config.json describes {count} weights, and the files hold {stored}")


def weights_digest(directory: Path, *, by_name: bool = False) -> str:
    """sha256 over the weight files' bytes; a file that does not change is read once, see `data.notes`.

    by_name: believe the hub's cache, where a link leads to a file whose name is its sha256, and read no such file.
    """
    parts = [(by_name and _hub_name(path)) or noted_digest(path).hex() for path in weight_files(directory)]
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()


def _hub_name(path: Path) -> str:
    """The sha256 in the name of the file that a link of the hub's cache leads to; "" of any other file."""
    name = path.resolve().name
    return name if path.is_symlink() and re.fullmatch("[0-9a-f]{64}", name) else ""


def configuration_digest(directory: Path) -> str:
    """sha256 of what the configuration files of a folder say beside the weights; "" where there are none."""
    contents = {name: read_config(directory, name) for name in CONFIGURATION}
    used = {
        name: {key: value for key, value in content.items() if key not in UNUSED} for name, content in contents.items()
    }
    used = {name: content for name, content in used.items() if content}
    return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest() if used else ""


def read_config(directory: Path, name: str = "config.json") -> dict[str, Any]:
    """The object in a model's JSON file, its numbers within bounds; {} where there is no such file.

    Errors: UserError where the file cannot be read, holds no object, or a number that no model has.
    """
    path = directory / name
    if not is_readable(path):
        return {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object")
    if name == "config.json":
        _check_numbers(content, path)
    return content


def read_preprocessor(directory: Path, **expected: float) -> dict[str, Any] | None:
    """How a model's waveforms are prepared, from where the library reads it; None where nothing tells.

    Since release 5 transformers saves it within processor_config.json, which comes first, and not in
    preprocessor_config.json. expected: the values that the encoder is written for.
    Errors: UserError for another value than an expected one.
    """
    processor = read_config(directory, "processor_config.json")
    settings = processor.get("feature_extractor", processor.get("audio_processor"))
    if settings is None:
        if not is_readable(directory / "preprocessor_config.json"):
            return None
        settings = read_config(directory, "preprocessor_config.json")
    if not isinstance(settings, dict):
        raise UserError(f"{directory}/processor_config.json: feature_extractor: expected a JSON object")
    for name, value in expected.items():
        if settings.get(name, value) != value:
            raise UserError(f"{directory}: its preprocessor has {name} {settings[name]!r}; expected {value:g}")
    return settings


def setting(settings: Mapping[str, Any] | None, name: str, default: float, directory: Path) -> float:
    """A number, or a truth value, of a preprocessor. Errors: UserError where it is of another type."""
    value = (settings or {}).get(name, default)
    is_number = isinstance(value, int | float) and abs(value) < MOST  # False of NaN and infinity too
    if isinstance(value, bool) != isinstance(default, bool) or not is_number:
        kind = "true or false" if isinstance(default, bool) else "a number"
        raise UserError(f"{directory}: its preprocessor has {name} {value!r}; expected {kind}")
    return value


def _check_numbers(content: Any, path: Path, name: str = "") -> None:
    """Errors: UserError that names the key of a number which no model has."""
    if isinstance(content, (dict, list)):
        for key, value in content.items() if isinstance(content, dict) else ((name, value) for value in content):
            _check_numbers(value, path, key)
    elif isinstance(content, float) and not math.isfinite(content):
        raise UserError(f"{path}: {name}: expected a finite number, got {content}")
    elif isinstance(content, int):
        most = MOST_LAYERS if name.endswith("layers") else MOST - 1
        if abs(content) > most:
            raise UserError(f"{path}: {name}: expected a number up to {most}, got {content}")


def size_in(config: Mapping[str, Any], key: str, directory: Path, most: int = MOST) -> int:
    """A size in a configuration. Errors: UserError where it is missing, or no whole number from 1 to `most`."""
    if key not in config:
        raise UserError(f"{directory}/config.json: lacks {key!r}")
    value = config[key]
    if type(value) is not int or not 1 <= value <= most:
        raise UserError(f"{directory}/config.json: {key}: expected a whole number from 1 to {most}, got {value!r}")
    return value
