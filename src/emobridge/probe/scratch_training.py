"""How the encoders of `--scratch` are trained: as the probes are, but for what `scratch_training` says.

The options are those by which Gong et al. 2021 train the AST (github.com/YuanGongND/ast, egs/speechcommands: the one
of their recipes that is of speech): 30 epochs, batches of 128, Adam with betas 0.95 and 0.999, weight decay 5e-7 and a
rate of 2.5e-4 that is multiplied by 0.85 after each epoch from the fifth on, 60 % of the clips mixed, a binary loss,
the epoch with the best validation. Their masks of the spectrogram are options of the encoder.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from emobridge.errors import UserError, unknown
from emobridge.methods.source_only import SourceOnly
from emobridge.options import read_options, typed_options
from emobridge.probe.settings import ProbeSettings
from emobridge.training.loop import Plan
from emobridge.training.mixed import LOSSES, MixedLabels


@dataclass(frozen=True, slots=True)
class ScratchTraining:
    """The options of `scratch_training`; what is not given is as of the probes."""

    epochs: int
    batch_size: int
    weight_decay: float
    beta1: float
    beta2: float
    eps: float
    patience: int  # epochs without a better validation; as many as there are epochs keep the best and never stop
    validate_by: str  # "loss", or "ua"
    class_weights: bool
    learning_rate: float = 0.0  # 0: each of the probes' rates, of which the validation loss chooses one
    accumulate: int = 1  # parts of a batch that go through the encoder one after the other
    decay: float = 1.0  # of the learning rate, at epoch `decay_from` and every `decay_every` epochs after it
    decay_from: int = 10
    decay_every: int = 10
    mixup: float = 0.0  # share of the clips in a step that are mixed with another one
    loss: str = "cross-entropy"  # or "binary"

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("accumulate", 1), ("decay_every", 1), ("decay_from", 0)):
            if getattr(self, name) < least:
                raise UserError(f"scratch_training: {name}: expected {least} or more, got {getattr(self, name)}")
        for name in ("beta1", "beta2", "mixup"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"scratch_training: {name}: expected a number in [0, 1], got {getattr(self, name)}")
        for name, choices in (("validate_by", ("loss", "ua")), ("loss", LOSSES)):
            if getattr(self, name) not in choices:
                raise unknown(f"{name} of scratch_training", getattr(self, name), choices)
        if not (self.learning_rate >= 0 and self.decay > 0):
            raise UserError("scratch_training: expected learning_rate of 0 or more, and decay above 0")

    def plan(self, rate: float) -> Plan:
        """The plan of the training loop at one learning rate."""
        return Plan(
            self.epochs,
            self.batch_size,
            rate,
            self.decay,
            self.patience,
            self.validate_by,
            weight_decay=self.weight_decay,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            accumulate=self.accumulate,
            decay_from=self.decay_from,
            decay_every=self.decay_every,
        )

    def method(self) -> SourceOnly:
        """What the loop minimises."""
        plain = not self.mixup and self.loss == "cross-entropy"
        return SourceOnly() if plain else MixedLabels(self.loss)


def training_of(settings: ProbeSettings) -> ScratchTraining:
    """How a study trains from scratch. Errors: UserError for an option that there is none of, or a wrong value."""
    first, second = settings.betas
    training = ScratchTraining(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        weight_decay=settings.weight_decay,
        beta1=first,
        beta2=second,
        eps=settings.eps,
        patience=settings.patience,
        validate_by=settings.validate_by,
        class_weights=settings.class_weights,
    )
    changes = typed_options("scratch_training", read_options(settings.scratch_training), asdict(training))
    training = replace(training, **changes)
    if training.patience and not settings.looks_at_validation and settings.split not in ("80/10/10", "serab"):
        raise UserError(
            "scratch_training: patience: this split has no validation part: give patience of the probes too"
        )
    return training


def rates_of(settings: ProbeSettings, training: ScratchTraining) -> tuple[float, ...]:
    """The learning rates that are tried."""
    return (training.learning_rate,) if training.learning_rate else settings.learning_rates
