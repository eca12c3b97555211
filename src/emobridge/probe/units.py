"""Units of a layer-wise study: what trains together, what comes of it, and the files that keep finished ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emobridge import __version__
from emobridge.files import read_tensors, write_tensors

UNIT_VERSION = 3  # of the way units are trained and written: part of every key


@dataclass(frozen=True, slots=True)
class ProbeUnit:
    """One head on some layers of one encoder, trained on one corpus with one normalisation: all folds and seeds."""

    encoder: str  # as the user named it
    weights: str  # "pretrained", "random", "none", or "scratch": trained end to end with a linear map behind it
    corpus: str  # that it is trained on
    normalise: str
    head: str  # "none" of a model from scratch
    layers: tuple[str, ...]  # of a head of all layers: all of them; ("end",) of a model from scratch
    all_layers: bool = False  # whether the head takes the layers together


@dataclass(frozen=True, slots=True)
class UnitPredictions:
    """What the probes of one seed predict for the test parts of one corpus, fold after fold."""

    corpus: str
    seed: int
    rows: np.ndarray  # (M,) int64 of the corpus's utterances
    probes: np.ndarray  # (M,) int64: which probe, seeds by folds, predicts a row
    probabilities: np.ndarray  # (L', M, C); L' is 1 for a head of all layers


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that came of a unit of P probes: seeds by folds."""

    unit: ProbeUnit
    predictions: tuple[UnitPredictions, ...]
    # (L', P): the best epoch of each probe, or the number of epochs where none was stopped; 0 of probes that are solved
    epochs: np.ndarray
    rates: np.ndarray  # (L', P): the learning rate of each probe; NaN of probes that are solved
    losses: np.ndarray  # (L', P): the mean cross-entropy over each probe's validation part; NaN where it has none
    layer_weights: np.ndarray | None = None  # (P, L): softmax weights of a head of all layers


ARRAYS = ("rows", "probes", "probabilities")  # of UnitPredictions


def digest_of(*facts: object) -> str:
    """A short hash of facts that JSON can tell apart, and of the version of emobridge."""
    text = json.dumps([UNIT_VERSION, __version__, *facts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class UnitCache:
    """Finished units in a folder, each under a key made of all that it depends on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """The file of a finished unit."""
        return self.folder / f"{key}.safetensors"

    def checkpoint(self, *keys: str) -> Path:
        """The file that units which train together go on from."""
        return self.folder / f"{digest_of(keys)}.checkpoint"

    def read(self, unit: ProbeUnit, key: str) -> Outcome | None:
        """A finished unit; None where there is none, or its file is damaged. Errors: as of `files.read_tensors`."""
        content = read_tensors(self.path(key))
        if content is None:
            return None
        tensors, metadata = content
        try:
            parts = tuple(
                UnitPredictions(corpus, seed, **{name: tensors[f"{number}.{name}"] for name in ARRAYS})
                for number, (corpus, seed) in enumerate(json.loads(metadata["predictions"]))
            )
            arrays = {name: tensors[name] for name in ("epochs", "rates", "losses")}
            return Outcome(unit, parts, **arrays, layer_weights=tensors.get("layer_weights"))
        except (KeyError, ValueError, TypeError):  # a file of another kind
            return None

    def write(self, outcome: Outcome, key: str) -> None:
        """Keep a finished unit, whole or not at all. Errors: UserError where the folder cannot be written."""
        tensors = {"epochs": outcome.epochs, "rates": outcome.rates, "losses": outcome.losses}
        if outcome.layer_weights is not None:
            tensors["layer_weights"] = outcome.layer_weights
        for number, part in enumerate(outcome.predictions):
            for name in ARRAYS:
                tensors[f"{number}.{name}"] = getattr(part, name)
        parts = json.dumps([(part.corpus, part.seed) for part in outcome.predictions])
        write_tensors(self.path(key), tensors, {"predictions": parts, "unit": repr(outcome.unit)})
