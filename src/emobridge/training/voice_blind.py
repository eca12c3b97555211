"""A linear discriminant that hears as little of voices as it can, for what must not take a voice for an emotion.

What voices do is subtracted as other nuisance is in speaker recognition (Hatch et al. 2006, "Within-class covariance
normalization for SVM-based speaker recognition"): its covariance is added to that within classes,

    r_n = z_n - m_c(n),    B = mean over speakers s of (mean_s r)(mean_s r)^T
    logit_c(z) = m_c^T A^-1 z - 1/2 m_c^T A^-1 m_c,    A = S_a + v B

with S_a, the shrunk covariance within classes, as in `heads.discriminant`, and classes and corpora of equal weight.
Class means are taken out first, so a speaker who shows one emotion adds no more to B than one who shows all.

Ours: a = 0.5 and v = 1.5; see docs/results/guard.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from emobridge.data.threads import one_thread
from emobridge.heads.base import LinearMap, principal_components
from emobridge.heads.discriminant import NEVER, scatter, shrunk

COMPONENTS = 200
MOST_ROWS = 20_000  # about, from which the components are computed: evenly from all rows where there are more
SHRINKAGE_WITHIN = 0.5  # a, the share of identity
VOICES = 1.5


def voice_blind(x: Tensor, label: Tensor, corpus: Tensor, people: Sequence[str | None], classes: int) -> LinearMap:
    """The map from features to logits, solved on features x (N, D), labels and corpora (N,) int64.

    people: who speaks each, N; None where unknown. N at least 1.
    """
    with torch.no_grad(), one_thread():
        components = principal_components(x[:: max(1, len(x) // MOST_ROWS)], COMPONENTS)
        z = components.of(x).double()
        group = corpus * classes + label
        weight = 1 / group.bincount()[group].double()
        share = one_hot(label, classes).double() * weight[:, None]  # (N, C)
        total = share.sum(0)
        mean = share.T @ z / total.clamp(min=torch.finfo(torch.float64).tiny)[:, None]  # (C, k)
        rest = z.sub_(mean[label])
        within = scatter(rest, weight[:, None]) / total.sum()
        nuisance = shrunk(within, SHRINKAGE_WITHIN) + VOICES * _covariance_of_voices(rest, people)
        solved = torch.linalg.solve(nuisance, mean.T).T
        bias = (-0.5 * (solved * mean).sum(1)).masked_fill(total == 0, NEVER)
        return components.before(LinearMap(solved.float(), bias.float()))


def _covariance_of_voices(rest: Tensor, people: Sequence[str | None]) -> Tensor:
    """B of the rests r (N, k), (k, k); 0 where no speaker is known."""
    known = [row for row, name in enumerate(people) if name]
    if not known:
        return rest.new_zeros(rest.shape[1], rest.shape[1])
    speaker = torch.from_numpy(np.unique([str(people[row]) for row in known], return_inverse=True)[1])
    count = speaker.bincount()
    known_rest = rest if len(known) == len(rest) else rest[known]  # no copy where all speakers are known
    voices = rest.new_zeros(len(count), rest.shape[1]).index_add_(0, speaker, known_rest) / count[:, None]
    return voices.T @ voices / len(voices)
