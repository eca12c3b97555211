"""The files of SpeechBrain's emotion diarization: YAML, labels and checkpoints. Nothing that they hold is run."""

from __future__ import annotations

import ast
import errno
import pickle
import re
import reprlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from emobridge.data.labels import to_emotion
from emobridge.errors import UserError, lacks_memory, nearest
from emobridge.files import is_readable, unreadable

LETTERS = {"n": "neutral", "h": "happiness", "s": "sadness", "a": "anger"}  # of SpeechBrain's recipe
MOST_TEXT = 1 << 20  # bytes of hyperparams.yaml and of label_encoder.txt, which have two thousand
VALUE_OF = re.compile(r"<([^<>\[\]]+)>")  # of `!ref <window_length>`
_UNREADABLE = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What hyperparams.yaml says that decides answers. Checked when it is made. Errors: UserError."""

    hub: str  # the model that was fine-tuned
    width: int  # D
    labels: int  # C
    window: int  # frames that are averaged
    stride: int  # frames from an answer to the next
    removes_mean: bool  # of the waveform
    output_norm: bool

    @classmethod
    def read(cls, path: Path) -> Hyperparameters:
        """The values in a file. Errors: UserError that names file and key."""
        values = _read_yaml(path)
        norm, encoder = _part(values, "input_norm"), _part(values, "wav2vec2")
        if norm and (norm.get("norm_type") != "sentence" or norm.get("std_norm", True)):
            raise UserError(f"{path}: input_norm: expected norm_type: sentence and std_norm: False")
        if _part(values, "output_mlp").get("bias", False) is not False:
            raise UserError(f"{path}: output_mlp: expected bias: False")
        hub = values.get("wav2vec2_hub")
        if not isinstance(hub, str) or not hub:
            raise UserError(f"{path}: wav2vec2_hub: expected the name of a model, such as microsoft/wavlm-large")
        return cls(
            hub=hub,
            width=_whole(values, "encoder_dim", path),
            labels=_whole(values, "out_n_neurons", path),
            window=_whole(values, "window_length", path),
            stride=_whole(values, "stride", path),
            removes_mean=bool(norm) and norm.get("mean_norm", True) is True,
            output_norm=encoder.get("output_norm", True) is True,
        )


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads what a tag such as `!new:` is on, and makes nothing of the tag."""


def _untagged(loader: _PlainLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_PlainLoader.add_multi_constructor("!", _untagged)


def _read_yaml(path: Path) -> dict[str, Any]:
    """The values in hyperparams.yaml, with references to values of the file in their places."""
    text = _read_text(path)
    try:
        values = yaml.load(text, _PlainLoader)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError, TypeError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected names with values, as in SpeechBrain's hyperparams.yaml")
    return {key: _resolved(value, values) for key, value in values.items() if isinstance(key, str)}


def _resolved(value: Any, values: Mapping[Any, Any]) -> Any:
    """A value, where it is a reference to another, that other; of a mapping, its values likewise."""
    if isinstance(value, dict):
        return {key: _resolved(item, values) if isinstance(item, str) else item for key, item in value.items()}
    match = VALUE_OF.fullmatch(value) if isinstance(value, str) else None
    return values.get(match[1]) if match else value


def _part(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    part = values.get(key)
    return part if isinstance(part, dict) else {}


def _whole(values: Mapping[str, Any], key: str, path: Path) -> int:
    if key not in values:
        guess = nearest(key, values)
        raise UserError(f"{path}: lacks {key!r}" + (f"; did you mean it by {guess!r}?" if guess else ""))
    value = values[key]
    if type(value) is not int or not 1 <= value <= 100_000:
        raise UserError(f"{path}: {key}: expected a whole number from 1, got {reprlib.repr(value)}")
    return value


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_TEXT + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    if len(content) > MOST_TEXT:
        raise UserError(f"{path}: larger than {MOST_TEXT:,} bytes; expected a file of SpeechBrain's")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text ({error.reason})") from error


def read_labels(path: Path) -> tuple[str, ...]:
    """The emotions in the order of their indices; a letter is that of SpeechBrain's recipe."""
    by_index: dict[int, str] = {}
    for number, line in enumerate(_read_text(path).splitlines(), 1):
        if line.startswith("=="):
            break
        literal, arrow, index = line.partition(" => ")
        try:
            label = ast.literal_eval(literal.strip())
            if not arrow or not isinstance(label, str):
                raise ValueError
            position = int(index)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            raise UserError(
                f"{path}:{number}: {line[:40]!r}; expected a label and its index, such as 'a' => 0"
            ) from None
        try:
            emotion = to_emotion(LETTERS.get(label, label))
        except UserError as error:
            raise UserError(f"{path}:{number}: {error}") from error
        if emotion is None or position in by_index or emotion in by_index.values():
            raise UserError(f"{path}:{number}: {line[:40]!r}: a label without a name, or a second of it")
        by_index[position] = emotion
    if not by_index or sorted(by_index) != list(range(len(by_index))):
        raise UserError(f"{path}: expected labels with the indices from 0, got {', '.join(map(str, sorted(by_index)))}")
    return tuple(by_index[index] for index in range(len(by_index)))


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint; nothing in it is run. Errors: UserError."""
    if not is_readable(path):
        raise UserError(f"{path}: is missing")
    try:
        with warnings.catch_warnings():  # of torch, about pickles that it then refuses
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError, *_UNREADABLE) as error:
        if lacks_memory(error) or (isinstance(error, OSError) and error.errno != errno.EINVAL):  # of a file cut short
            raise unreadable(path, error) from error
        if "weights_only" in str(error).casefold() or "unsupported" in str(error).casefold():
            raise UserError(f"{path}: holds more than tensors, which is never loaded: it could be code") from error
        raise UserError(f"{path}: is damaged, or no checkpoint of torch ({type(error).__name__})") from error
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise UserError(f"{path}: expected tensors with names, not {type(state).__name__}")
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point() or tensor.layout != torch.strided:
            raise UserError(f"{path}: {name[:80]!r} is no tensor of numbers")
    return state
