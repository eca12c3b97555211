"""Units of a layer-wise study: what trains together, what comes of it, and the file that keeps it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from emobridge.files import whole_file


@dataclass(frozen=True, slots=True)
class Unit:
    """One head on some layers of one encoder, trained on one corpus with one normalisation: all folds and seeds."""

    encoder: str  # as the user named it
    weights: str  # "pretrained", "random", "none", or "scratch": trained end to end with what is in place of a head
    corpus: str  # that it is trained on
    normalise: str
    head: str  # "none" of a model from scratch
    layers: tuple[str, ...]  # of a head of all layers: all of them; ("end",) of a model from scratch


@dataclass(frozen=True, slots=True)
class Predictions:
    """What the probes of one seed say of the test parts of one corpus, fold after fold."""

    corpus: str
    seed: int
    rows: np.ndarray  # (M,) of the corpus's utterances
    probabilities: np.ndarray  # (L', M, C); L' is 1 for a head of all layers


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that came of a unit."""

    unit: Unit
    tested: tuple[Predictions, ...]
    epochs: np.ndarray  # (L', P): the best one of each probe, or all where none was stopped
    rates: np.ndarray  # (L', P): the learning rate of each probe
    layer_weights: np.ndarray | None  # (P, L): softmax weights of a head of all layers


class UnitCache:
    """Finished units in a folder, each under a name made of all that it depends on."""

    def __init__(self, folder: Path, depends: object) -> None:
        self.folder = folder
        self.depends = json.dumps(depends, sort_keys=True)

    def path(self, unit: Unit, digest: str) -> Path:
        """The file of a unit whose features are those of the encoder `digest`."""
        said = json.dumps([self.depends, digest, repr(unit)])
        return self.folder / f"{hashlib.sha256(said.encode()).hexdigest()[:24]}.safetensors"

    def read(self, unit: Unit, digest: str) -> Outcome | None:
        """A finished unit, or None where there is none that can be read."""
        try:
            with safe_open(self.path(unit, digest), framework="np") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                tested = json.loads(file.metadata()["tested"])
            parts = tuple(
                Predictions(corpus, seed, tensors[f"{place}.rows"], tensors[f"{place}.probabilities"])
                for place, (corpus, seed) in enumerate(tested)
            )
            return Outcome(unit, parts, tensors["epochs"], tensors["rates"], tensors.get("layer_weights"))
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None

    def write(self, outcome: Outcome, digest: str) -> None:
        """Keep a finished unit, whole or not at all."""
        tensors = {"epochs": outcome.epochs, "rates": outcome.rates}
        if outcome.layer_weights is not None:
            tensors["layer_weights"] = outcome.layer_weights
        for place, one in enumerate(outcome.tested):
            tensors |= {f"{place}.rows": one.rows, f"{place}.probabilities": one.probabilities}
        about = {"tested": json.dumps([(one.corpus, one.seed) for one in outcome.tested]), "unit": repr(outcome.unit)}
        with whole_file(self.path(outcome.unit, digest)) as path:
            save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path, metadata=about)
