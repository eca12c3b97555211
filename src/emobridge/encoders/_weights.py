"""Weights on disk: safetensors only, of which only the tensors that are wanted are read."""

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
    """The safetensors files of a model: `model.safetensors`, or its shards, or whatever there is.

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
    found = sorted(directory.glob("*.safetensors"))
    if not found:
        pickle = next((path.name for pattern in PICKLES for path in sorted(directory.glob(pattern))), None)
        hint = f"; {pickle} is a pickle, which is never loaded: convert it to safetensors" if pickle else ""
        raise UserError(f"{directory}: holds no weights (expected model.safetensors{hint})")
    return found


def tensor_names(directory: Path) -> dict[str, Path]:
    """Each tensor's name and the file it is in, from the files' headers."""
    return {name: path for path in weight_files(directory) for name in _header(path)}


def read_tensors(directory: Path, prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors below the first of `prefixes` that any tensor has, without the prefix, as float32 where floating."""
    places = tensor_names(directory)
    prefix = next((prefix for prefix in prefixes if any(name.startswith(prefix) for name in places)), None)
    if prefix is None:
        raise UserError(f"{directory}: no tensor begins with {' or '.join(prefixes)}")
    tensors = {}
    for path in sorted(set(places.values())):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                if name.startswith(prefix):
                    tensor = file.get_tensor(name)
                    tensors[name.removeprefix(prefix)] = tensor.float() if tensor.is_floating_point() else tensor
    return tensors


def fill(module: nn.Module, tensors: dict[str, Tensor], directory: Path) -> None:
    """Load `tensors` into `module`; others in the file are left aside.

    Errors: UserError for a tensor that is missing or has another shape.
    """
    for name, own in module.state_dict().items():
        given = tensors.get(name)
        if given is None:
            raise UserError(f"{directory}: the weights lack the tensor {name!r}")
        if given.shape != own.shape:
            raise UserError(f"{directory}: tensor {name!r} has shape {tuple(given.shape)}, expected {tuple(own.shape)}")
    module.load_state_dict({name: tensors[name] for name in module.state_dict()})


def weights_digest(directory: Path) -> str:
    """sha256 over the weight files' bytes; computed once for a file that does not change."""
    parts = [file_digest(path).hex() for path in weight_files(directory)]
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()


def read_config(directory: Path, name: str = "config.json") -> dict:
    """A model's JSON file, or {} where there is none."""
    path = directory / name
    return read_json(path) if path.is_file() else {}


def read_json(path: Path) -> dict:
    """Errors: UserError where the file is no JSON object."""
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
