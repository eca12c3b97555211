"""What a user asks of a layer-wise study: the fields make the options of `probe` and the keys of its files."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emobridge.errors import UserError
from emobridge.settings import (
    CLUSTER,
    DATA,
    DEVICE_HELP,
    ENCODER,
    ENGINES,
    EVALUATION,
    JOBS_HELP,
    METHOD,
    OUTPUT,
    TRAINING,
    check_part,
    option,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """A request of `probe`. Training is that of D'Asaro et al. 2024 (methods B) unless the comment says otherwise."""

    corpora: tuple[str, ...] = option(
        help="Manifest, or folder, of a labelled corpus. Repeat the option for more corpora.", panel=DATA,
        flag="corpus", first=True, repeat=True, required=True, metavar="MANIFEST",
    )  # fmt: skip
    encoders: tuple[str, ...] = option(
        ("logmel",), help="Name of an encoder or preset, a folder with weights, NAME=FOLDER, or a model id of the "
        "Hugging Face hub. Repeat for more.", panel=ENCODER, flag="encoder", first=True, repeat=True,
    )  # fmt: skip
    encoder_options: tuple[str, ...] = option(
        (), help="An option of the encoders, such as padding=full, for those that have it, or frames=speech, which "
        "pools the frames with speech alone. Repeat for more.",
        panel=ENCODER, flag="encoder-option", repeat=True, metavar="NAME=VALUE",
    )  # fmt: skip
    engine: str = option(
        "auto", help="What runs the encoders. auto is torch or onnx, whichever is faster here: their features are "
        "equal but for rounding. openvino and torch-bf16 compute in bf16, onnx-int8 in eight bits: other numbers.",
        panel=ENCODER, choices=ENGINES,
    )  # fmt: skip
    layers: tuple[str, ...] = option(
        ("all",), help="Layers, separated by commas: all, last, or numbers. A head that sums layers always takes those "
        "of all transformer blocks, without what the first block sees.", panel=ENCODER, first=True,
    )  # fmt: skip
    heads: tuple[str, ...] = option(
        ("single", "linear", "nonlinear", "multilayer"), help="Heads that are trained on the features, separated by "
        "commas. attentive is one more; discriminant and ridge are solved in one step, without epochs.",
        panel=METHOD, first=True,
    )  # fmt: skip
    head_options: tuple[str, ...] = option(
        (), help="An option of the heads, such as hidden=64, for those that have it. Repeat for more.", panel=METHOD,
        flag="head-option", repeat=True, metavar="NAME=VALUE",
    )  # fmt: skip
    normalise: tuple[str, ...] = option(
        ("none",), help="Whether features are standardised over the training utterances (none), each corpus or each "
        "speaker, or are left as the encoder gives them (raw). Separated by commas.", panel=ENCODER,
        choices=("none", "raw", "corpus", "speaker"), first=True,
    )  # fmt: skip
    labels: tuple[str, ...] = option(
        (), help="Emotions to tell apart, separated by commas. By default those of each training corpus.", panel=DATA
    )
    settings: tuple[str, ...] = option(  # as in Han et al. 2025 (methods C)
        ("mono", "trans"), help="Pairs of corpora, separated by commas. mono and trans test on the corpus of training, "
        "in a language of the encoder's pre-training or in another; cross goes from a language of the pre-training to "
        "another language; other is all other pairs.", panel=DATA, choices=("mono", "trans", "cross", "other"),
        first=True,
    )  # fmt: skip
    split: str = option(
        "folds", help="How test speakers are held out. folds makes each fold the test part once; 80/10/10 draws the "
        "parts anew for each fold and seed, with a validation part; halved halves each fold, to validate and to test; "
        "serab is the one split of that benchmark; predefined takes the folds that a manifest comes with, "
        "NAME.fold-1.jsonl and so on beside NAME.jsonl, or its column split.", panel=EVALUATION,
        choices=("folds", "80/10/10", "halved", "serab", "predefined"),
    )  # fmt: skip
    folds: int = option(
        5, help="How many folds, or draws for each seed.", panel=EVALUATION, least=1, needs="drawn split"
    )
    seeds: int = option(3, help="How many seeds are run.", panel=EVALUATION, first=True, least=1)
    sample: int = option(
        0, help="How many utterances of each emotion enter the study, drawn once. 0 is all.", panel=DATA, least=0
    )
    share_speakers: bool = option(
        False, help="Split by utterance, so that speakers are shared between training and test. Scores then mean "
        "little.", panel=EVALUATION, needs="drawn split",
    )  # fmt: skip
    by_utterance: tuple[str, ...] = option(
        (), help="Corpus that is split by utterance, since it has a single speaker: its scores say nothing of others. "
        "Repeat for more.", panel=EVALUATION, repeat=True, needs="drawn split",
    )  # fmt: skip
    epochs: int = option(30, help="Passes over the training data.", panel=TRAINING, least=1, needs="gradients")
    batch_size: int = option(  # ours
        32, help="Utterances in a training step of a probe.", panel=TRAINING, least=1, needs="gradients"
    )
    learning_rates: tuple[float, ...] = option(
        (5e-4,), help="Learning rates, separated by commas. Of several, each probe takes the one with the lowest "
        "validation loss.", panel=TRAINING, needs="gradients",
    )  # fmt: skip
    weight_decay: float = option(1e-4, help="Weight decay of Adam.", panel=TRAINING, least=0, needs="gradients")
    betas: tuple[float, ...] = option(
        (0.9, 0.98), help="The two betas of Adam, separated by a comma.", panel=TRAINING, needs="gradients"
    )
    eps: float = option(1e-8, help="Epsilon of Adam.", panel=TRAINING, above=0, needs="gradients")
    patience: int = option(
        0, help="Stop a probe after this many epochs without a lower validation loss. 0 never stops early, and folds "
        "then have no validation part.", panel=TRAINING, least=0, needs="gradients",
    )  # fmt: skip
    validate_by: str = option(
        "loss", help="What chooses the epoch of a probe on its validation part, where there is a patience: the loss, "
        "or 1 - UA.", panel=TRAINING, choices=("loss", "ua"), needs="patience",
    )  # fmt: skip
    plateau: int = option(
        0, help="Lower the learning rate of a probe where its validation loss has not fallen for more than this many "
        "epochs. 0 keeps the rate.", panel=TRAINING, least=0, needs="gradients",
    )  # fmt: skip
    plateau_factor: float = option(
        0.5, help="Factor by which --plateau lowers a learning rate.", panel=TRAINING, above=0, needs="plateau"
    )
    least_rate: float = option(
        0.0, help="Learning rate that --plateau does not fall below.", panel=TRAINING, least=0, needs="plateau"
    )
    longest: float = option(
        0.0, help="Seconds of each clip that are used, from its beginning. 0 is all of it.", panel=DATA, least=0
    )
    class_weights: bool = option(True, help="Give all emotions the same weight in the loss.", panel=TRAINING)  # ours
    segment: float = option(
        0.0, help="Heads that need frames see means over this many seconds. 0 gives them every frame.", panel=METHOD,
        least=0, needs="frames",
    )  # fmt: skip
    frames: str = option(
        "auto", help="Where heads that need frames get them: stored on disk, or streamed, which encodes anew in each "
        "epoch. auto stores up to --disk.", panel=METHOD, choices=("auto", "stored", "streamed"), needs="frames",
    )  # fmt: skip
    disk: float = option(20.0, help="GB of frames that auto may store.", panel=METHOD, least=0, needs="frames")
    scratch: tuple[str, ...] = option(
        (), help="Encoder that is trained end to end from random weights, as a baseline: ast, emotion-cnn or byol-s. "
        "Repeat for more.", panel=METHOD, repeat=True,
    )  # fmt: skip
    scratch_options: tuple[str, ...] = option(
        (), help="An option of the encoders of --scratch, such as hidden_size=64. Repeat for more.", panel=METHOD,
        flag="scratch-option", repeat=True, metavar="NAME=VALUE", needs="scratch",
    )  # fmt: skip
    scratch_training: tuple[str, ...] = option(
        (), help="How the encoders of --scratch are trained where that differs from the probes: epochs, batch_size, "
        "accumulate, learning_rate, decay, decay_from and decay_every (epochs), beta1, beta2, weight_decay, patience, "
        "validate_by, class_weights, mixup (share of the clips that are mixed with another one), loss (cross-entropy "
        "or binary). Repeat for more.", panel=METHOD, repeat=True, metavar="NAME=VALUE", needs="scratch",
    )  # fmt: skip
    crop: float = option(
        0.0, help="Seconds of a clip that a training step of --scratch sees. 0 is the encoder's own number.",
        panel=TRAINING, least=0, needs="scratch",
    )  # fmt: skip
    floors: bool = option(
        True, help="Also measure what random weights, log-mel statistics, loudness and length reach.", panel=EVALUATION
    )
    jobs: int = option(
        1, help=JOBS_HELP, panel=OUTPUT,
        least=1,
    )  # fmt: skip
    device: str = option("auto", help=DEVICE_HELP, panel=OUTPUT)
    cluster: str = option("", help=CLUSTER, panel=OUTPUT, metavar="ADDRESS")
    out: str = option("probe", help="Folder for scores, plots and report.", panel=OUTPUT, first=True)
    store: str = option("", help="Folder for computed features. By default in the user's cache.", panel=OUTPUT)

    def __post_init__(self) -> None:
        check_part(self)
        for key in ("corpora", "encoders", "layers", "heads", "normalise", "settings", "learning_rates", "scratch"):
            values = getattr(self, key)
            if not values and key != "scratch" and not (key == "encoders" and self.scratch):
                raise UserError(f"{key}: expected at least one")
            for value in values:
                if values.count(value) > 1:
                    raise UserError(f"{key}: {value} stands twice")
        if self.split in ("folds", "halved") and self.folds < 2:
            raise UserError(f"folds: expected 2 or more, got {self.folds}; a single split is --split 80/10/10")
        for rate in self.learning_rates:
            if not 0 < rate < math.inf:
                raise UserError(f"learning_rates: expected numbers above 0, got {rate}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise UserError(f"betas: expected two numbers in [0, 1), got {','.join(map(str, self.betas))}")
        if len(self.learning_rates) > 1 and not self.patience:
            raise UserError("learning_rates: a choice among several looks at validation losses: give patience too")
        if self.plateau_factor >= 1:
            raise UserError(f"plateau_factor: expected a number below 1, got {self.plateau_factor}")
        if self.validate_by != "loss" and not self.patience:
            raise UserError("validate_by: 'ua' chooses the epoch on the validation part: give patience above 0 too")
        if self.split == "folds" and self.looks_at_validation and self.folds < 3:
            raise UserError(
                f"folds: {self.folds} leave nothing to train on beside test and validation: expected 3 or more"
            )

    @property
    def looks_at_validation(self) -> bool:
        """Whether training looks at a validation part: to choose the epoch, or to lower the learning rate."""
        return bool(self.patience or self.plateau)
