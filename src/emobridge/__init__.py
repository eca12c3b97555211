"""emobridge: labelled emotional speech in one language in, an emotion recogniser for another language out.

`scan` and `write_manifest` make the manifest of a corpus, `audit` checks manifests, `adapt` trains a recogniser and
writes its report, `budget` compares methods and numbers of labels, `predict` and `evaluate` use a recogniser, and
`fit_arrays` trains a method on plain arrays. Mistakes raise `UserError`.

A public name is imported when it is first used, so that `import emobridge` is quick.
"""

from __future__ import annotations

import importlib
from typing import Any

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
    "ArrayRecognizer": "emobridge.study.arrays",
    "fit_arrays": "emobridge.study.arrays",
    "evaluate": "emobridge.inference",
    "predict": "emobridge.inference",
    "Recognizer": "emobridge.bundle",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'emobridge' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
