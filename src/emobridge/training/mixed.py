"""Mixup of recordings (as Gong et al. 2021 train the AST, after Tokozume, Ushiku & Harada, ICLR 2018).

With a probability, a clip x of a training step becomes

    s (x - mean x) + (1 - s) (x' - mean x'),  s from Beta(10, 10),  less its own mean

where x' is any other clip of the training part, cut or padded to the length of x; its label becomes s y + (1 - s) y'.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from emobridge.methods.base import Model, Step, Task, as_probabilities
from emobridge.methods.source_only import SourceOnly
from emobridge.training.inputs import Recordings
from emobridge.types import Frames

BETA = 10.0  # both parameters of the distribution of s
LOSSES = ("cross-entropy", "binary")  # binary: a logistic loss of each class by itself


class MixedRecordings(Recordings):
    """Recordings of which a share `mixup` is mixed with another one in each training step.

    partners, shares: (B,) of the last training batch, by which clip each was mixed, and its own share s.
    """

    mixup: float = 0.0
    partners: Tensor
    shares: Tensor

    def batch(self, rows: Tensor, draws: Tensor | None = None) -> Tensor | Frames:
        if draws is not None:
            mixtures = [self.mixture(draw) for draw in draws.tolist()]
            self.partners = torch.tensor([partner for partner, _ in mixtures])
            self.shares = torch.tensor([share for _, share in mixtures])
        return super().batch(rows, draws)

    def mixture(self, draw: int) -> tuple[int, float]:
        """The row that a clip with this random number is mixed with, and the clip's own share; 1 where it is not."""
        generator = np.random.default_rng([draw, 1])
        if generator.random() >= self.mixup:
            return 0, 1.0
        return int(generator.integers(len(self.utterances))), float(generator.beta(BETA, BETA))

    def _wave(self, row: int, seed: int | None) -> np.ndarray:
        wave = super()._wave(row, seed)
        if seed is None:
            return wave
        partner, share = self.mixture(seed)
        return wave if share == 1 else mix(wave, super()._wave(partner, seed), share)


def mix(wave: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """(T,) and (T',) samples -> (T,): `share` of the first and the rest of the other, without a constant part."""
    other = other[: len(wave)] - other.mean()
    mixture = share * (wave - wave.mean())
    mixture[: len(other)] += (1 - share) * other
    return (mixture - mixture.mean()).astype(np.float32)


class MixedLabels(SourceOnly):
    """The loss of clips that `MixedRecordings` mixed, against mixed labels. loss: of LOSSES."""

    def __init__(self, loss: str = "cross-entropy") -> None:
        super().__init__()
        self.kind = loss

    def prepare(self, task: Task, model: Model) -> nn.Module | None:
        assert task.source is not None  # it is in `needs`
        self.labels = torch.zeros(int(task.source.rows.max()) + 1, task.classes)  # by row
        self.labels[task.source.rows] = as_probabilities(task.source.label, task.classes)
        return super().prepare(task, model)

    def loss(self, step: Step) -> dict[str, Tensor]:
        inputs = self.task.inputs
        assert isinstance(inputs, MixedRecordings)
        logits = step.model.classify(step.represent())
        share = inputs.shares[:, None].to(self.labels.dtype)
        label = share * as_probabilities(step.label, self.task.classes) + (1 - share) * self.labels[inputs.partners]
        if self.kind == "binary":
            lost = nn.functional.binary_cross_entropy_with_logits(logits, label, reduction="none").mean(1)
        else:
            lost = nn.functional.cross_entropy(logits, label, reduction="none")
        return {"cross-entropy": (lost * step.weight).mean()}
