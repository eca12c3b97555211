"""How a training went, for pictures: accuracy by epoch, and the vectors of the scored utterances.

After Figures 5 and 6 of Agarla et al. 2024 (methods E). Nothing of it enters the training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from emobridge.methods.base import Inputs, Labelled, Predict, Task
from emobridge.training.case import BOTH
from emobridge.training.checkpoints import LogPoint

if TYPE_CHECKING:
    from emobridge.training.loop import Model

TRACED_UTTERANCES = 200  # training utterances of a side whose accuracy is taken after each epoch
TRACED = "accuracy on "  # how the terms of the log begin


def training_points(task: Task, predict: Predict, epoch: int, seed: int) -> list[LogPoint]:
    """The accuracy on labelled training utterances of each side, TRACED_UTTERANCES at most, whole, without dropout."""
    points = []
    for side, labelled in zip(BOTH, (task.source, task.labelled_target)):
        if labelled is None or not len(labelled.rows):
            continue
        drawn = torch.randperm(len(labelled.rows), generator=torch.Generator().manual_seed(seed))[:TRACED_UTTERANCES]
        right = predict(labelled.rows[drawn]).argmax(1) == labelled.label[drawn]
        points.append(_point(epoch, "training", side, right))
    return points


def validation_points(p: Tensor, validation: Labelled, epoch: int) -> list[LogPoint]:
    """The accuracy of probabilities p (N, C) on the validation utterances of each side, which `corpus` tells."""
    corpus = torch.zeros_like(validation.rows) if validation.corpus is None else validation.corpus
    right = p.argmax(1) == validation.label
    return [
        _point(epoch, "validation", side, right[corpus == index])
        for index, side in enumerate(BOTH)
        if (corpus == index).any()
    ]


def represented(model: Model, inputs: Inputs, rows: Tensor) -> Tensor:
    """What the output layer sees of rows (N,), whole and without dropout: (N, H)."""
    model.eval()
    with torch.no_grad():
        return torch.cat([model.represent(inputs.batch(part)) for part in rows.split(inputs.together)])


def _point(epoch: int, part: str, side: str, right: Tensor) -> LogPoint:
    return LogPoint(epoch, f"{TRACED}{part}, {side}", float(right.float().mean()))
