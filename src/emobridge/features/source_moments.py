"""What a bundle keeps of its labelled source speech, so that it adapts to a new target without that speech.

Heads of a closed form, principal components and CORAL see of the source nothing but the number n, the mean m and the
scatter S of the normalised features of each class of each corpus. These are kept as n points that have them exactly,

    x_i = m + sum_j h_ij sqrt(l_j) v_j,    S = sum_i (x_i - m)(x_i - m)^T = sum_j l_j v_j v_j^T

with eigenvectors v_j and eigenvalues l_j of S, and h_j the cosines of order j over n points, which are orthonormal and
sum to 0 (sigma points: Julier & Uhlmann 1997, "A new extension of the Kalman filter to nonlinear systems"). So whatever
trains on utterances trains on the points as they are, with the same result. The points follow from n, m and S alone:
no utterance of a class of several can be told from them.

Ours: a corpus of more than MOST_POINTS utterances has about as many points, each class its share of them and at least
one; a class of fewer points than utterances keeps its directions of largest scatter, with the variance that they had.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emobridge.features.normalisation import Domain
from emobridge.heads.base import ROWS_AT_ONCE, LinearMap, principal_components
from emobridge.types import short_repr

MOST_POINTS = 2000  # of a corpus; in half precision 2 x 3072 x 2000 bytes = 12 MB of whisper-base


@short_repr
@dataclass(frozen=True, slots=True, eq=False)
class SourceMoments:
    """The moments of G source corpora by class, as M points of normalised features.

    Errors: ValueError for tensors that do not fit each other.
    """

    points: Tensor  # (M, D) float32
    label: Tensor  # (M,) int64 in [0, C)
    corpus: Tensor  # (M,) int64 in [0, G)
    count: Tensor  # (G, C) int64: utterances that the moments are of
    domains: tuple[Domain, ...]  # G, of the source corpora
    # Of features normalised by corpus, to the logits that the guard of speaker normalisation goes by (`study.guard`):
    # it is of the source alone, and the points, which are normalised by speaker, could not tell it. It sees the first
    # view alone. None elsewhere.
    guard: LinearMap | None = None

    def __post_init__(self) -> None:
        classes = self.count.shape[1] if self.count.ndim == 2 else 0
        if len(self.domains) != len(self.count) or not classes:
            raise ValueError(f"source moments: counts {tuple(self.count.shape)} of {len(self.domains)} corpora")
        if self.points.shape != (len(self.label), self.domains[0].mean.numel()) or len(self.corpus) != len(self.label):
            raise ValueError(f"source moments: points {tuple(self.points.shape)} of {len(self.label)} labels")
        if self.guard is not None and len(self.guard.weight) != classes:
            raise ValueError(f"source moments: guard of shape {tuple(self.guard.weight.shape)}")
        for name, values, end in (("label", self.label, classes), ("corpus", self.corpus, len(self.domains))):
            if not len(values) or not 0 <= int(values.min()) <= int(values.max()) < end:
                raise ValueError(f"source moments: expected each {name} from 0 to {end - 1}")

    @property
    def corpora(self) -> tuple[tuple[str, str], ...]:
        """Name and language of the source corpora."""
        return tuple((domain.corpus, domain.language) for domain in self.domains)


def fit_source_moments(
    x: Tensor, label: Tensor, corpus: Tensor, domains: tuple[Domain, ...], classes: int, *, most: int = MOST_POINTS
) -> SourceMoments:
    """The moments of normalised features x (N, D), N >= 1, with labels (N,) in [0, classes) and corpora (N,).

    domains: of the corpora, in the order of their numbers. most: points of a corpus, about.
    """
    count = torch.zeros(len(domains), classes, dtype=torch.int64)
    count.index_put_((corpus, label), torch.ones_like(label), accumulate=True)
    points, labels, corpora = [], [], []
    for index, number in count.nonzero().tolist():
        total = int(count[index].sum())
        share = int(count[index, number]) * min(1.0, most / total)
        points.append(points_of(x[(corpus == index) & (label == number)], max(1, round(share))))
        labels += [number] * len(points[-1])
        corpora += [index] * len(points[-1])
    return SourceMoments(torch.cat(points), torch.tensor(labels), torch.tensor(corpora), count, tuple(domains))


def points_of(x: Tensor, count: int) -> Tensor:
    """`count` points (count, D) with the mean and the covariance of x (N, D), N >= count >= 1.

    Of fewer points than N the covariance is that of x in its `count` - 1 directions of largest variance.
    """
    from scipy.fft import dct  # takes a fifth of a second

    if count == 1:
        return x.mean(0, keepdim=True)
    # Of more the rounding of single products is lost among them, and twice the precision takes twice the time.
    components = principal_components(x.double() if len(x) <= ROWS_AT_ONCE else x, count - 1)
    deviation = (components.squares.double() / len(x)).sqrt()
    cosines = dct(np.eye(count), norm="ortho")[:, 1 : len(deviation) + 1] * count**0.5
    points = (torch.from_numpy(cosines) * deviation) @ components.axes.double().T
    return (components.mean.double() + points).float()
