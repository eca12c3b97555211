"""What a layer-wise study is asked to do, from the command line or a recipe, checked before anything long begins."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emobridge.errors import UserError, unknown

CHOICES: dict[str, tuple[str, ...]] = {
    "normalise": ("none", "corpus", "speaker"),
    "settings": ("mono", "trans", "cross", "other"),
    "split": ("folds", "80/10/10"),
    "frames": ("auto", "stored", "streamed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """Settings of `probe`. Training is that of D'Asaro et al. 2024 (methods B) unless the comment says otherwise."""

    corpora: tuple[str, ...]  # manifests
    encoders: tuple[str, ...] = ("logmel",)  # presets, folders, hub ids, or encoders that need no weights
    encoder_options: tuple[str, ...] = ()  # "padding=full"; given to each encoder that has the option
    layers: tuple[str, ...] = ("all",)  # or some, or "last"; heads that sum layers take all of them anyway
    heads: tuple[str, ...] = ("single", "linear", "nonlinear", "multilayer")
    head_options: tuple[str, ...] = ()  # "hidden=64"; given to each head that has the option
    normalise: tuple[str, ...] = ("none",)
    labels: tuple[str, ...] = ()  # (): the emotions of each training corpus
    settings: tuple[str, ...] = (
        "mono",
        "trans",
    )  # by language, as in Han et al. 2025 (methods C); "cross" and "other" too
    split: str = "folds"  # "folds": each is the test part once; "80/10/10": drawn anew for each fold and seed
    folds: int = 5
    seeds: int = 3
    sample: int = 0  # utterances of each emotion that enter a corpus's study, drawn once; 0 is all
    share_speakers: bool = False
    epochs: int = 30
    batch_size: int = 32  # ours
    learning_rates: tuple[float, ...] = (5e-4,)  # of several, each probe's is chosen on its validation loss
    weight_decay: float = 1e-4
    betas: tuple[float, ...] = (0.9, 0.98)
    eps: float = 1e-8
    patience: int = 0  # epochs without a lower validation loss; 0 never looks at it
    class_weights: bool = True  # ours: classes weigh the same in each probe's loss
    segment: float = 0.0  # s of frames averaged before heads that need frames see them; 0: every frame
    frames: str = "auto"  # "stored" keeps frames on disk, "streamed" encodes anew in each epoch
    disk: float = 20.0  # GB that "auto" may fill with frames
    scratch: tuple[str, ...] = ()  # "ast", "emotion-cnn" ...: trained end to end from random weights, as a baseline
    scratch_options: tuple[str, ...] = ()  # "hidden_size=64"; given to each of these that has the option
    crop: float = 0.0  # s of a clip that their training steps see; 0: their own, see analysis.scratch
    floors: bool = True  # random weights, log-mel statistics, loudness and length
    jobs: int = 1  # processes that train; results do not depend on it
    out: str = "probe"
    store: str = ""  # folder of the feature store; "" is in the user's cache

    def __post_init__(self) -> None:
        for key in ("corpora", "encoders", "layers", "heads", "normalise", "settings", "learning_rates", "scratch"):
            value = getattr(self, key)
            if not value and key != "scratch" and not (key == "encoders" and self.scratch):
                raise UserError(f"{key}: expected at least one")
            if len(set(value)) < len(value):
                raise UserError(f"{key}: {','.join(map(str, value))} names one twice")
        for key, choices in CHOICES.items():
            given = getattr(self, key)
            for value in (given,) if isinstance(given, str) else given:
                if value not in choices:
                    raise unknown(key, value, choices)
        for key, least in (
            ("folds", 1 if self.split != "folds" else 2),
            ("seeds", 1),
            ("epochs", 1),
            ("batch_size", 1),
            ("jobs", 1),
        ):
            if getattr(self, key) < least:
                raise UserError(f"{key}: expected {least} or more, got {getattr(self, key)}")
        for key in ("sample", "patience", "segment", "disk", "weight_decay", "crop"):
            if not 0 <= getattr(self, key) < math.inf:
                raise UserError(f"{key}: expected 0 or more, got {getattr(self, key)}")
        for rate in (*self.learning_rates, self.eps):
            if not 0 < rate < math.inf:
                raise UserError(f"learning_rates and eps: expected numbers above 0, got {rate}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise UserError(f"betas: expected two numbers in [0, 1), got {','.join(map(str, self.betas))}")
        if len(self.learning_rates) > 1 and not self.patience:
            raise UserError("learning_rates: a choice among several looks at validation losses: give patience too")
        if self.split == "folds" and self.patience and self.folds < 3:
            raise UserError(
                f"folds: {self.folds} leave nothing to train on beside test and validation: expected 3 or more"
            )
