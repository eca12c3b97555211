"""Weights on disk: only safetensors files are read, and of these only the tensors that are used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from emobridge.errors import UserError
from emobridge.files import file_digest

PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files of a model: `model.safetensors`, or its shards, or else all that there are.

    Errors: UserError for a directory without weights, or with shards missing.
    """
    if (directory / "model.safetensors").is_file():
        return [directory / "model.safetensors"]
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        shards = sorted(set(read_json(index).get("weight_map", {}).values()))
        missing = [shard for shard in shards if not (directory / shard).is_file()]
        if missing:
            raise UserError(f"{directory}: {missing[0]} is missing ({index.name} names {len(shards)} files)")
        return [directory / shard for shard in shards]
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        pickle = next((path.name for pattern in PICKLES for path in sorted(directory.glob(pattern))), None)
        hint = f"; {pickle} is a pickle, which is never loaded: convert it to safetensors" if pickle else ""
        raise UserError(f"{directory}: holds no weights (expected model.safetensors{hint})")
    return files


def tensor_names(directory: Path) -> dict[str, Path]:
    """The name of each tensor and its file, from the files' headers."""
    return {name: path for path in weight_files(directory) for name in _header(path)}


def load_tensors(directory: Path, prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, by their names without it; floating ones as float32.

    The prefix is the first of `prefixes` that any name begins with. Errors: UserError where there is none.
    """
    files = tensor_names(directory)
    prefix = next((prefix for prefix in prefixes if any(name.startswith(prefix) for name in files)), None)
    if prefix is None:
        raise UserError(f"{directory}: no tensor begins with {' or '.join(prefixes)}")
    tensors = {}
    for path in sorted(set(files.values())):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                if name.startswith(prefix):
                    tensor = file.get_tensor(name)
                    tensors[name.removeprefix(prefix)] = tensor.float() if tensor.is_floating_point() else tensor
    return tensors


def fill(module: nn.Module, tensors: dict[str, Tensor], directory: Path) -> None:
    """Load `tensors` into `module`, which need not use all of them.

    Errors: UserError for a tensor that is missing or has another shape.
    """
    for name, weight in module.state_dict().items():
        tensor = tensors.get(name)
        if tensor is None:
            raise UserError(f"{directory}: the weights lack the tensor {name!r}")
        if tensor.shape != weight.shape:
            shapes = f"has shape {tuple(tensor.shape)}, expected {tuple(weight.shape)}"
            raise UserError(f"{directory}: tensor {name!r} {shapes}")
    module.load_state_dict({name: tensors[name] for name in module.state_dict()})


def weights_digest(directory: Path) -> str:
    """sha256 over the weight files' bytes; a file that does not change is read once."""
    parts = [file_digest(path).hex() for path in weight_files(directory)]
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()


def read_config(directory: Path, name: str = "config.json") -> dict:
    """A model's JSON file, or {} where there is none."""
    path = directory / name
    return read_json(path) if path.is_file() else {}


def read_preprocessor(directory: Path, **expected: float) -> dict | None:
    """How a model's waveforms are prepared, from where the library reads it; None where nothing tells.

    Since release 5 transformers saves it within processor_config.json, which comes first, and not in
    preprocessor_config.json. expected: the values that the encoder is written for.
    Errors: UserError for another value than an expected one.
    """
    processor = read_config(directory, "processor_config.json")
    settings = processor.get("feature_extractor", processor.get("audio_processor"))
    if settings is None:
        if not (directory / "preprocessor_config.json").is_file():
            return None
        settings = read_config(directory, "preprocessor_config.json")
    if not isinstance(settings, dict):
        raise UserError(f"{directory}/processor_config.json: feature_extractor: expected a JSON object")
    for name, value in expected.items():
        if settings.get(name, value) != value:
            raise UserError(f"{directory}: its preprocessor has {name} {settings[name]!r}; expected {value:g}")
    return settings


def setting(settings: dict | None, name: str, default: float, directory: Path) -> float:
    """A number, or a truth value, of a preprocessor. Errors: UserError where it is of another type."""
    value = (settings or {}).get(name, default)
    if isinstance(value, bool) != isinstance(default, bool) or not isinstance(value, int | float):
        kind = "true or false" if isinstance(default, bool) else "a number"
        raise UserError(f"{directory}: its preprocessor has {name} {value!r}; expected {kind}")
    return value


def read_json(path: Path) -> dict:
    """The JSON object in a file. Errors: UserError where it holds no such object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: is not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object")
    return content


def _header(path: Path) -> list[str]:
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be read as safetensors ({' '.join(str(error).split())})") from error
