"""The models of a worker process: loaded, tried once, and with one encoder for all that have the same weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from emobridge.bundle import DESCRIPTION, Recognizer
from emobridge.bundle.hub import bundle_folder
from emobridge.data.activity import speech_segments
from emobridge.data.devices import device_of, is_accelerator
from emobridge.diarization.base import FrameModel
from emobridge.diarization.files import load_frame_model
from emobridge.diarization.frame_model import Diarizer
from emobridge.diarization.windowed import WindowedRecognizer
from emobridge.encoders.base import Encoder
from emobridge.files import is_readable
from emobridge.inference.features import encode
from emobridge.serve.records import Refused, ServedModel
from emobridge.serve.sources import ModelSource
from emobridge.types import SAMPLE_RATE

JOBS_AT_ONCE = 32  # recordings that an accelerator gets at once, at most; a batch there has its own bound of memory
Key: TypeAlias = "tuple[Any, ...]"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A recogniser, or a frame model that is none."""

    about: ServedModel
    model: Recognizer | FrameModel

    @property
    def recognizer(self) -> Recognizer:
        """What answers recordings as a whole. Errors: Refused where it is a diarizer."""
        if not isinstance(self.model, Recognizer):
            raise Refused(f"model {self.about.name!r} is a diarizer: it answers timelines and streams alone")
        return self.model

    @property
    def frame_model(self) -> FrameModel:
        """What answers timelines and streams. Errors: UserError for a recogniser that cannot."""
        return WindowedRecognizer(self.model) if isinstance(self.model, Recognizer) else self.model


def load_models(sources: Sequence[ModelSource], device: str) -> dict[str, LoadedModel]:
    """The models by their names, with an encoder for all that can share it. Errors: UserError that names the model."""
    encoders: dict[Key, Encoder] = {}
    models = {}
    for source in sources:
        model = _with_shared_encoder(_load(source, device), encoders)
        models[source.name] = LoadedModel(_about(source.name, model), model)
    return models


def try_models(models: Sequence[LoadedModel]) -> None:
    """Answer a little sound with each model: the first answer takes longer, and is nobody's."""
    wave = np.random.default_rng(0).normal(scale=0.1, size=SAMPLE_RATE).astype(np.float32)
    speech_segments([wave])
    for loaded in models:
        if isinstance(loaded.model, Recognizer):
            for adapters in dict.fromkeys(branch.adapters for branch in loaded.model.branches):
                encode(loaded.model, [wave], [adapters])
        else:
            loaded.model.frame_probabilities(wave)


def jobs_at_once(models: Sequence[LoadedModel]) -> int:
    """How many recordings a worker gets at once: on a CPU each is encoded by itself, and to wait gains nothing."""
    encoders = [model.model.encoder for model in models if isinstance(model.model, Recognizer)]
    return JOBS_AT_ONCE if any(is_accelerator(device_of(encoder)) for encoder in encoders) else 1


def _load(source: ModelSource, device: str) -> Recognizer | FrameModel:
    folder, encoder = bundle_folder(source.folder), source.encoder or None
    if is_readable(folder / DESCRIPTION):
        return Recognizer.load(folder, encoder=encoder, device=device)
    return load_frame_model(folder, encoder=encoder, device=device)


def _with_shared_encoder(model: Recognizer | FrameModel, encoders: dict[Key, Encoder]) -> Recognizer | FrameModel:
    """The model on the encoder of an earlier one where both have the same; else its own becomes that for later ones.

    Those without adapters stay apart from those with: an encoder that has any may compute by a slower engine, and a
    diarizer hears what is active in it.
    """
    if isinstance(model, Recognizer):
        adapters = frozenset(inside.names for inside in model.encoder.all_adapters)
        encoder = encoders.setdefault(_key(model.encoder, model.base, adapters), model.encoder)
        return model if encoder is model.encoder else model.moved_to(encoder)
    if isinstance(model, Diarizer):
        encoder = encoders.setdefault(_key(model.encoder, model.encoder.digest), model.encoder)
        return dataclasses.replace(model, encoder=encoder)
    return model


def _key(encoder: Encoder, digest: str, adapters: frozenset[str] = frozenset()) -> Key:
    return encoder.name, digest, tuple(sorted(encoder.options.items())), adapters


def _about(name: str, model: Recognizer | FrameModel) -> ServedModel:
    if isinstance(model, Recognizer):
        encoder = _short(model.spec.encoder)
        return ServedModel(
            name, "recogniser", model.labels, model.attributes, model.languages, encoder, model.synthetic
        )
    if isinstance(model, Diarizer):
        encoder = _short(model.spec.encoder)
        return ServedModel(name, "diarizer", model.labels, (), model.spec.languages, encoder, model.synthetic)
    return ServedModel(name, "diarizer", model.labels, (), (), "wavlm", model.synthetic)  # SpeechBrain's


def _short(encoder: str) -> str:
    """The name of an encoder without the folders above it."""
    return Path(encoder).name
