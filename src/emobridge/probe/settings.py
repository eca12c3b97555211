"""What a layer-wise study is asked to do, from the command line or a recipe, checked before anything long begins."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emobridge.errors import UserError
from emobridge.settings import DATA, ENCODER, EVALUATION, METHOD, OUTPUT, TRAINING, check_part, option

NORMALISATIONS = ("none", "corpus", "speaker")
SETTINGS = ("mono", "trans", "cross", "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """A request of `emobridge probe`. Training is that of D'Asaro et al. 2024 (methods B) unless a comment differs."""

    corpora: tuple[str, ...] = option(
        help="Manifest of a labelled corpus. Repeat the option for more corpora.", panel=DATA, flag="corpus",
        first=True, repeat=True,
    )  # fmt: skip
    labels: tuple[str, ...] = option(
        (), help="Emotions to tell apart, separated by commas. By default those of each training corpus.", panel=DATA,
        first=True,
    )  # fmt: skip
    encoders: tuple[str, ...] = option(
        ("logmel",), help="Name of an encoder or preset, a folder with weights, NAME=FOLDER, or a model id of the "
        "Hugging Face hub. Repeat for more.", panel=ENCODER, flag="encoder", first=True, repeat=True,
    )  # fmt: skip
    encoder_options: tuple[str, ...] = option(
        (), help="An option of those encoders that have it. Repeat for more.", panel=ENCODER, flag="encoder-option",
        repeat=True,
    )  # fmt: skip
    engine: str = option(
        "torch", help="What runs the encoders. onnx-int8 is faster and gives slightly different numbers.",
        panel=ENCODER, choices=("torch", "onnx-int8"),
    )  # fmt: skip
    layers: tuple[str, ...] = option(
        ("all",), help="Layers, separated by commas, or all, or last. Heads that sum layers always take all of them.",
        panel=ENCODER, first=True,
    )  # fmt: skip
    normalise: tuple[str, ...] = option(
        ("none",), help="Normalisations to try, separated by commas. Features are standardised over each corpus or "
        "each speaker.", panel=ENCODER, first=True, choices=NORMALISATIONS,
    )  # fmt: skip
    segment: float = option(
        0.0, help="Heads on frames see means over this many seconds. 0 gives them every frame.", panel=ENCODER, least=0
    )
    frames: str = option(
        "auto", help="Whether frames are stored on disk, or streamed, that is encoded anew in each epoch.",
        panel=ENCODER, choices=("auto", "stored", "streamed"),
    )  # fmt: skip
    disk: float = option(20.0, help="GB of frames that auto may store.", panel=ENCODER, least=0)
    heads: tuple[str, ...] = option(
        ("single", "linear", "nonlinear", "multilayer"), help="Heads to try, separated by commas. attentive is one "
        "more.", panel=METHOD, first=True,
    )  # fmt: skip
    head_options: tuple[str, ...] = option(
        (), help="An option of those heads that have it. Repeat for more.", panel=METHOD, flag="head-option",
        repeat=True,
    )  # fmt: skip
    scratch: tuple[str, ...] = option(
        (), help="Model that is trained end to end from random weights, as a baseline: ast, emotion-cnn or byol-s. "
        "Repeat for more.", panel=METHOD, repeat=True,
    )  # fmt: skip
    scratch_options: tuple[str, ...] = option(
        (), help="An option of those models from scratch that have it. Repeat for more.", panel=METHOD,
        flag="scratch-option", repeat=True,
    )  # fmt: skip
    floors: bool = option(
        True, help="Compare with random weights, log-mel statistics, loudness and length.", panel=EVALUATION
    )
    settings: tuple[str, ...] = option(
        ("mono", "trans"), help="Kinds of scores, separated by commas. mono and trans test on the corpus of training, "
        "cross and other on another one; mono and cross train in a language of the encoder's pre-training.",
        panel=EVALUATION, first=True, choices=SETTINGS,
    )  # fmt: skip
    split: str = option(
        "folds", help="Test parts: each fold in turn, or a tenth that is drawn anew for each fold and seed.",
        panel=EVALUATION, choices=("folds", "80/10/10"),
    )  # fmt: skip
    folds: int = option(5, help="How many folds by speaker.", panel=EVALUATION)
    seeds: int = option(3, help="How many seeds are run.", panel=EVALUATION, first=True, least=1)
    sample: int = option(
        0, help="How many utterances of each emotion of a corpus are used, drawn once. 0 is all.", panel=EVALUATION,
        least=0,
    )  # fmt: skip
    share_speakers: bool = option(
        False, help="Split by utterance, so that speakers are shared between training and test. Scores then mean "
        "little.", panel=EVALUATION,
    )  # fmt: skip
    epochs: int = option(30, help="Passes over the training data.", panel=TRAINING, least=1)
    batch_size: int = option(32, help="Utterances in a training step.", panel=TRAINING, least=1)  # ours
    learning_rates: tuple[float, ...] = option(
        (5e-4,), help="Learning rates, separated by commas. Of several, each probe takes the one with the lowest "
        "validation loss.", panel=TRAINING,
    )  # fmt: skip
    weight_decay: float = option(1e-4, help="Weight decay of Adam.", panel=TRAINING, least=0)
    betas: tuple[float, ...] = option((0.9, 0.98), help="The two betas of Adam, separated by a comma.", panel=TRAINING)
    eps: float = option(1e-8, help="Epsilon of Adam.", panel=TRAINING, above=0)
    patience: int = option(
        0, help="Stop a probe after this many epochs without a lower validation loss. 0 never stops early.",
        panel=TRAINING, least=0,
    )  # fmt: skip
    class_weights: bool = option(True, help="Give all emotions the same weight.", panel=TRAINING)  # ours
    crop: float = option(
        0.0, help="Seconds of a clip that a training step of a model from scratch sees. 0 is the model's own number.",
        panel=TRAINING, least=0,
    )  # fmt: skip
    jobs: int = option(
        1, help="Processes that train at once, each with one thread. Results do not depend on it.", panel=OUTPUT,
        least=1,
    )  # fmt: skip
    out: str = option("probe", help="Folder for scores, plots and report.", panel=OUTPUT, first=True)
    store: str = option("", help="Folder for computed features. By default in the user's cache.", panel=OUTPUT)
    dry_run: bool = option(
        False, help="Show how many scores, hours of audio, GB and minutes it would take, and stop.", panel=OUTPUT
    )

    def __post_init__(self) -> None:
        for key in ("corpora", "encoders", "layers", "heads", "normalise", "settings", "learning_rates", "scratch"):
            value = getattr(self, key)
            if not value and key != "scratch" and not (key == "encoders" and self.scratch):
                raise UserError(f"{key}: expected at least one")
            if len(set(value)) < len(value):
                raise UserError(f"{key}: {','.join(map(str, value))} names one twice")
        check_part(self)
        if self.engine != "torch" and not any(option.startswith("engine=") for option in self.encoder_options):
            object.__setattr__(self, "encoder_options", (*self.encoder_options, f"engine={self.engine}"))
        least = 1 if self.split != "folds" else 2
        if self.folds < least:
            raise UserError(f"folds: expected {least} or more, got {self.folds}")
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
