"""How unlike its training speech an utterance is, by the distance of its features from those of that speech.

The distance is that to the nearest of a few centres of the training features (k-means), as the root mean square over
features of (x - centre) / deviation. It is told against the distances of training speakers from centres that were made
without them, so that an ordinary clip of somebody new is ordinary. A distance to the nearest neighbours (Sun et al.
2022, "Out-of-distribution detection with deep nearest neighbors") would keep all training features. That one, and a
Gaussian (Lee et al. 2018, "A simple unified framework for detecting out-of-distribution samples"), were only looked at:
docs/results/unfamiliar.md holds numbers of the distance to centres alone.

Features are standardised by the moments of their corpus and not of their speaker, whatever the head sees: what is all
music would be ordinary by its own moments, and a clip has the same distance alone as among others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emobridge.features.normalisation import fit_domain, least_deviation, normalise_features
from emobridge.types import short_repr

CENTRES = 16  # at most
ROWS_PER_CENTRE = 8  # at least, and all different: with fewer a centre is an utterance
ORDINARY = 0.95  # share of held-out training utterances that are within the edge
TABLE = 39  # entries of the table of held-out distances: one for each 2.5 % of utterances
SPEAKER_PARTS = 5  # of the people, held out in turn
LEAST_FAMILIAR = 20  # below, the farthest 5 % are no utterance at all


@short_repr
@dataclass(frozen=True, slots=True)
class Familiarity:
    """The centres of training features, and how far from such centres held-out training speech lies.

    Errors: ValueError for tensors that do not fit each other.
    """

    centres: Tensor  # (K, D)
    deviation: Tensor  # (D,), above 0
    distances: Tensor  # (Q,) of held-out utterances, at even shares from 0 to ORDINARY; the last one is the edge

    def __post_init__(self) -> None:
        if self.centres.ndim != 2 or self.deviation.shape != self.centres.shape[1:] or not (self.deviation > 0).all():
            shapes = f"{tuple(self.centres.shape)} and {tuple(self.deviation.shape)}"
            raise ValueError(f"familiarity: expected centres (K, D) and a deviation (D,) above 0, got {shapes}")
        table = self.distances
        if table.ndim != 1 or len(table) < 2 or not (table.diff() >= 0).all() or not 0 < table[-1] < torch.inf:
            raise ValueError("familiarity: expected distances that rise")

    def unfamiliarity(self, x: Tensor) -> Tensor:
        """(N, D) features, standardised by their corpus -> (N,) from 0.

        Up to 1 it is the share of the nearest 95 % of held-out training utterances that are nearer than this one: 0.5
        is typical, 1 is the edge. Above, it is the distance as a multiple of the edge's. Errors: ValueError.
        """
        if x.shape[1:] != self.deviation.shape:
            raise ValueError(f"familiarity: expected {len(self.deviation)} features, got {tuple(x.shape[1:])}")
        distance, table = _distances(x, self.centres, self.deviation).numpy(), self.distances.numpy()
        share = np.interp(distance, table, np.linspace(0, 1, len(table)))
        return torch.from_numpy(np.where(distance > table[-1], distance / table[-1], share)).float()


def fit_familiarity(x: Tensor, people: Sequence[str], domain_of: Sequence[int] | np.ndarray) -> Familiarity | None:
    """The familiarity of training features x (N, D), each row standardised by its corpus.

    people: who speaks in each row; domain_of: (N,), the corpus of each. A fifth of the people at a time is held out of
    the centres, and of the moments of their corpus where others speak in it. None of a single person, of fewer than
    LEAST_FAMILIAR utterances, and where nothing varies.
    """
    domains, order = np.asarray(domain_of), {name: index for index, name in enumerate(sorted(set(people)))}
    if len(order) < 2 or len(x) < LEAST_FAMILIAR:
        return None
    part = np.array([order[name] % SPEAKER_PARTS for name in people])
    distances = torch.empty(len(x))
    for number in range(min(SPEAKER_PARTS, len(order))):
        tested = torch.from_numpy(part == number)
        standardised = _standardised_without(x, domains, tested)
        distances[tested] = _distances(standardised[tested], *_centres(standardised[~tested]))
    table = distances.double().quantile(torch.linspace(0, ORDINARY, TABLE, dtype=torch.float64)).float()
    return Familiarity(*_centres(x), table) if table[-1] > 0 else None


def _standardised_without(x: Tensor, domains: np.ndarray, tested: Tensor) -> Tensor:
    """x (N, D), each corpus by the moments of its rows that are not tested; as it is where all of them are."""
    standardised = x.clone()
    for number in np.unique(domains):
        of_domain = torch.from_numpy(domains == number)
        if (of_domain & ~tested).any():
            domain = fit_domain("", "", x[of_domain & ~tested])
            standardised[of_domain] = normalise_features(x[of_domain], domain, None)
    return standardised


def _centres(x: Tensor) -> tuple[Tensor, Tensor]:
    """The centres (K, D) of x (N, D) in units of the features, and the features' deviation (D,)."""
    from sklearn.cluster import KMeans

    deviation = x.std(0, correction=0)
    deviation = torch.maximum(deviation, least_deviation(deviation))
    different = len({row.tobytes() for row in x.numpy()})  # `unique` sorts them
    count = min(CENTRES, max(1, different // ROWS_PER_CENTRE))
    model = KMeans(count, n_init=1, random_state=0).fit((x / deviation).numpy())
    return torch.from_numpy(model.cluster_centers_).float() * deviation, deviation


def _distances(x: Tensor, centres: Tensor, deviation: Tensor) -> Tensor:
    """(N, D) -> (N,): the root mean square deviation from the nearest centre."""
    apart = torch.cdist(x / deviation, centres / deviation, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.amin(1) / x.shape[1] ** 0.5
