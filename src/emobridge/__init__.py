"""emobridge: labelled emotional speech in one language in, an emotion recogniser for another language out.

`scan` and `write_manifest` make the manifest of a corpus, `audit` checks manifests, `adapt` trains a recogniser and
writes its report, `budget` compares methods and numbers of labels, `similarity` the layers of two corpora, `load` opens
a recogniser, which is called with recordings or arrays, `evaluate` scores it, `train_diarizer` trains and
`load_frame_model` opens what `diarize` tells by which emotion is heard when, `listening_results` scores listeners, and
`fit_arrays` trains a method on plain arrays. Mistakes raise `UserError`. docs/python.md shows all of it.

A public name is imported when it is first used, so that `import emobridge` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors see; the same names as in _PUBLIC
    from emobridge.audit.findings import audit as audit
    from emobridge.bundle import Recognizer as Recognizer
    from emobridge.bundle import load as load
    from emobridge.corpora import scan as scan
    from emobridge.data.manifest import read_manifest as read_manifest
    from emobridge.data.manifest import write_manifest as write_manifest
    from emobridge.diarization.files import load_frame_model as load_frame_model
    from emobridge.diarization.timeline import diarize as diarize
    from emobridge.encoders import load_encoder as load_encoder
    from emobridge.errors import UserError as UserError
    from emobridge.features.store import FeatureStore as FeatureStore
    from emobridge.inference.evaluate import evaluate as evaluate
    from emobridge.inference.predict import predict as predict
    from emobridge.inference.predictions import Predictions as Predictions
    from emobridge.listening.results import listening_results as listening_results
    from emobridge.settings import Adapt as Adapt
    from emobridge.settings import Budget as Budget
    from emobridge.study.adapt import adapt as adapt
    from emobridge.study.arrays import ArrayRecognizer as ArrayRecognizer
    from emobridge.study.arrays import fit_arrays as fit_arrays
    from emobridge.study.budget import budget as budget
    from emobridge.study.diarizer import train_diarizer as train_diarizer
    from emobridge.study.similarity import similarity as similarity
    from emobridge.types import Prediction as Prediction
    from emobridge.types import Score as Score
    from emobridge.types import Utterance as Utterance

__version__ = "0.1.0"

_PUBLIC = {
    "Utterance": "emobridge.types",
    "Prediction": "emobridge.types",
    "Score": "emobridge.types",
    "UserError": "emobridge.errors",
    "Adapt": "emobridge.settings",
    "Budget": "emobridge.settings",
    "scan": "emobridge.corpora",
    "read_manifest": "emobridge.data.manifest",
    "write_manifest": "emobridge.data.manifest",
    "audit": "emobridge.audit.findings",
    "load_encoder": "emobridge.encoders",
    "FeatureStore": "emobridge.features.store",
    "adapt": "emobridge.study.adapt",
    "budget": "emobridge.study.budget",
    "train_diarizer": "emobridge.study.diarizer",
    "similarity": "emobridge.study.similarity",
    "listening_results": "emobridge.listening.results",
    "ArrayRecognizer": "emobridge.study.arrays",
    "fit_arrays": "emobridge.study.arrays",
    "load": "emobridge.bundle",
    "Recognizer": "emobridge.bundle",
    "predict": "emobridge.inference.predict",
    "Predictions": "emobridge.inference.predictions",
    "evaluate": "emobridge.inference.evaluate",
    "load_frame_model": "emobridge.diarization.files",
    "diarize": "emobridge.diarization.timeline",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'emobridge' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
