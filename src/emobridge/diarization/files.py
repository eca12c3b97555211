"""A diarizer as files, and the one door to frame models of every kind.

folder/diarizer.json         its `DiarizerSpec`, field by field, the digest of the tensors, and one of all of this
folder/diarizer.safetensors  the head, and the moments of the training speech
folder/README.md             the model card

The encoder is named as bundles name theirs (`bundle.places`): a folder that is moved with its encoder finds it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

import emobridge
from emobridge.adapters.base import read_weights
from emobridge.bundle import DESCRIPTION, MODEL_CARD, Recognizer
from emobridge.bundle.hub import DIARIZER, DIARIZER_TENSORS, bundle_folder
from emobridge.bundle.places import check_digest, encoder_at, written_place
from emobridge.data.devices import choose_device, move
from emobridge.diarization.base import FrameModel
from emobridge.diarization.frame_model import (
    Diarizer,
    DiarizerSpec,
    check_frames,
    check_layers,
    features_of_steps,
    make_head,
)
from emobridge.errors import UserError
from emobridge.files import file_digest, is_readable, read_json, whole_file
from emobridge.registry import load_listed
from emobridge.settings import from_mapping

_FORMAT = 1  # of diarizer.json; a reader refuses a higher one
_DIGEST = "sha256"  # of all the rest of diarizer.json but the place of the encoder, which may move
# What the weights of another head make of a head, and sizes that make no head.
_UNFITTING = (KeyError, IndexError, TypeError, ValueError, RuntimeError)


def is_diarizer(folder: str | Path) -> bool:
    """Whether a folder holds a trained diarizer. Errors: UserError where its description cannot be read."""
    return is_readable(Path(folder) / DIARIZER)


def load_frame_model(folder: str | Path, *, encoder: str | None = None, device: str = "auto") -> FrameModel:
    """What tells emotions over time: a trained diarizer, SpeechBrain's checkpoint, or a recogniser with its window.

    folder: of one of these, or a diarizer or recogniser of the hub, such as "user/name" or "user/name@revision".
    encoder: where its encoder is now, if it has moved. device: where the encoder computes; auto is a GPU where there is
    one. Errors: UserError for a device that is not there, a folder that is none of these, and files that are damaged or
    do not fit each other.
    """
    choose_device(device)
    path = bundle_folder(folder)
    if is_diarizer(path):
        return read_diarizer(path, encoder=encoder, device=device)
    from emobridge.diarization.speechbrain import SpeechBrainDiarizer, is_speechbrain
    from emobridge.diarization.windowed import WindowedRecognizer

    if is_speechbrain(path):
        model: FrameModel = SpeechBrainDiarizer.load(path, encoder=encoder)
        move(model.encoder, device)  # type: ignore[attr-defined]
        return model
    if not path.exists():
        raise UserError(
            f"{path}: no such folder; expected a diarizer, the bundle of a recogniser, or SpeechBrain's model"
        )
    if path.is_dir() and not is_readable(path / DESCRIPTION):
        raise UserError(
            f"{path}: is no diarizer (there is no {DIARIZER}, nor a {DESCRIPTION} of a recogniser); train one: "
            "emobridge train-diarizer SOURCE --out FOLDER"
        )
    recognizer: FrameModel = WindowedRecognizer(Recognizer.load(path, encoder=encoder, device=device))
    return recognizer


def save_diarizer(folder: str | Path, diarizer: Diarizer) -> Path:
    """Write a diarizer; its description comes last, so that one cut short is not taken for one. Errors: UserError."""
    folder = Path(folder)
    tensors = {f"head.{name}": tensor for name, tensor in diarizer.head.state_dict().items()}
    tensors |= {"mean": diarizer.mean, "deviation": diarizer.deviation}
    spec = dataclasses.replace(
        diarizer.spec, encoder=written_place(diarizer.spec.encoder, diarizer.spec.digest, folder)
    )
    with whole_file(folder / DIARIZER_TENSORS) as path:
        save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, path)
        digest = file_digest(path).hex()
    facts: dict[str, Any] = {"format": _FORMAT, "emobridge": emobridge.__version__, "tensors": digest}
    facts |= dataclasses.asdict(spec)
    facts = json.loads(json.dumps(facts))
    facts[_DIGEST] = _digest_of(facts)
    if diarizer.card:
        with whole_file(folder / MODEL_CARD) as path:
            path.write_text(diarizer.card, encoding="utf-8")
    with whole_file(folder / DIARIZER) as path:
        path.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def read_diarizer(folder: str | Path, *, encoder: str | None = None, device: str = "auto") -> Diarizer:
    """The trained diarizer in a folder. Arguments and errors: as `load_frame_model`."""
    choose_device(device)
    folder = Path(folder)
    path = folder / DIARIZER
    if not is_readable(path):
        raise UserError(f"{folder}: is no diarizer (there is no {DIARIZER})")
    spec, digest = _read_spec(path)
    tensors = _read_parts(folder / DIARIZER_TENSORS, digest)
    model, location = encoder_at(path, spec, encoder)
    check_digest(model, spec, location, folder)
    spec = dataclasses.replace(spec, encoder=location)
    try:
        check_frames(model, spec)
        check_layers(model, spec)
        load_listed("heads", spec.head, str(path))
        width = features_of_steps(spec, model)
        head = make_head(spec, width)
        head.load_state_dict({name[5:]: tensor for name, tensor in tensors.items() if name.startswith("head.")})
        mean, deviation = tensors["mean"], tensors["deviation"]
        if mean.shape != (width,) or deviation.shape != (width,):
            raise ValueError(f"moments of {tuple(mean.shape)} and {tuple(deviation.shape)}, expected {width}")
        card = folder / MODEL_CARD
        text = card.read_text(encoding="utf-8", errors="replace") if is_readable(card) else ""
        diarizer = Diarizer(spec, model, head.eval(), mean, deviation, text)
        if diarizer.answers(torch.zeros(1, width)).shape != (1, len(spec.labels)):
            raise ValueError("the head gives other labels")
    except _UNFITTING as error:
        raise UserError(
            f"{folder / DIARIZER_TENSORS}: does not fit {DIARIZER} ({' '.join(str(error).split())[:200]})"
        ) from error
    except UserError as error:
        raise UserError(str(error) if str(folder) in str(error) else f"{path}: {error}") from error
    move(model, device)
    return diarizer


def _read_spec(path: Path) -> tuple[DiarizerSpec, str]:
    """The spec in a description, and the digest of its tensors. Errors: UserError that begins with the path."""
    facts = read_json(path)
    if not isinstance(facts, dict):
        raise UserError(f"{path}: expected an object of fields, got {type(facts).__name__}")
    version = facts.get("format")
    if type(version) is not int or version < 1:
        raise UserError(f"{path}: format: expected a whole number from 1, got {version!r}")
    if version > _FORMAT:
        raise UserError(f"{path}: a diarizer of format {version}; this emobridge reads up to {_FORMAT}: update it")
    fields = {item.name for item in dataclasses.fields(DiarizerSpec)}
    own = {"format", "emobridge", "tensors", _DIGEST}
    try:
        spec = from_mapping({key: value for key, value in facts.items() if key not in own}, str(path), DiarizerSpec)
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from error
    for key in (*fields, "tensors", _DIGEST):
        if key not in facts:
            raise UserError(f"{path}: the field {key!r} is missing")
    if facts[_DIGEST] != _digest_of(facts):
        raise UserError(f"{path}: it was changed after it was saved")
    return spec, str(facts["tensors"])


def _digest_of(facts: Mapping[str, Any]) -> str:
    content = {key: value for key, value in facts.items() if key not in (_DIGEST, "encoder")}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_parts(file: Path, digest: str) -> dict[str, torch.Tensor]:
    """The tensors of a file with a digest. Errors: UserError where it is absent, damaged, or another's."""
    if not is_readable(file):
        raise UserError(f"{file}: is missing")
    if file_digest(file).hex() != digest:
        raise UserError(f"{file}: does not fit {DIARIZER} (it was changed, or saving was interrupted)")
    return read_weights(file)
