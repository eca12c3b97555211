"""No number that is not finite leaves an encoder: it would spread to the clip's speaker, corpus and model."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from emobridge.data.audio import AudioError
from emobridge.types import Utterance

NO_FINITE_NUMBERS = (
    "gives numbers that are not finite (NaN or infinity)"  # the end of the reason, wherever it is passed on
)


def check_finite(values: np.ndarray | Tensor, utterance: Utterance, encoder: str) -> None:
    """Refuse what an encoder, by its name, made of an utterance where it holds NaN or infinity.

    Errors: AudioError, as for a clip that cannot be read: it is skipped, or stops the run.
    """
    if not bool(torch.as_tensor(values).isfinite().all()):
        raise AudioError(f"{utterance.path}: encoder {encoder} {NO_FINITE_NUMBERS}")
