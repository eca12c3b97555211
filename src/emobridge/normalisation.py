"""Making the features of several corpora comparable, from unlabelled audio alone.

    none      every feature standardised by the mean and deviation of the source's training utterances
    corpus    by those of its own corpus
    speaker   by those of its own speaker, shrunk towards the corpus's where the speaker has few utterances

`coral` recolours source features to the covariance of the target (Sun et al. 2016, "Return of frustratingly easy domain
adaptation"): x -> x C_s^(-1/2) C_t^(1/2). Training sees each source utterance twice, as it is and recoloured: with the
recoloured ones alone, as in the paper, the target gained as much and the source language was lost
(docs/results/adaptation.md, "What did not help").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FLOOR = 0.1  # of the domain's mean deviation: features that hardly vary are not blown up to noise
SHRINKAGE = 4.0  # utterances of the corpus that a speaker's moments are mixed with
COVARIANCE_SHRINKAGE = 0.1  # share of the isotropic covariance: there are fewer utterances than features


@dataclass(frozen=True, slots=True)
class Domain:
    """What unlabelled audio told of one corpus."""

    corpus: str
    language: str
    mean: Tensor  # (D,)
    deviation: Tensor  # (D,)


def moments(
    x: Tensor,
    domain: Domain,
    speakers: Sequence[str | None] | None,
    shrinkage: float = SHRINKAGE,
    *,
    within: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean and deviation, each (N, D), by which the features x (N, D) are standardised.

    speakers: one a row, to standardise by speaker; a row without one, and None for all, goes by the domain. A speaker's
    n utterances count n, the domain `shrinkage`: m = (n m_speaker + k m_domain) / (n + k), the variance about m alike.
    No deviation is below FLOOR times the domain's mean one. within: (N, D), the variance inside each row, where rows
    are means of frames and frames are to be standardised.
    """
    mean = domain.mean.expand_as(x).clone()
    deviation = domain.deviation.expand_as(x).clone()
    places: dict[str, list[int]] = {}
    for place, speaker in enumerate(speakers or ()):
        if speaker is not None:
            places.setdefault(speaker, []).append(place)
    for own_places in places.values():
        rows = torch.tensor(own_places)
        own, n = x[rows], len(rows)
        middle = (n * own.mean(0) + shrinkage * domain.mean) / (n + shrinkage)
        spread = (own - middle).square().mean(0)
        if within is not None:
            spread = spread + within[rows].mean(0)
        mean[rows] = middle
        deviation[rows] = ((n * spread + shrinkage * domain.deviation.square()) / (n + shrinkage)).sqrt()
    return mean, deviation.clamp(min=max(FLOOR * float(domain.deviation.mean()), torch.finfo(x.dtype).tiny))


def normalised(x: Tensor, domain: Domain, speakers: Sequence[str | None] | None) -> Tensor:
    """The features (N, D) as the head wants them."""
    mean, deviation = moments(x, domain, speakers)
    return (x - mean) / deviation


def learnt(corpus: str, language: str, x: Tensor, within: Tensor | None = None) -> Domain:
    """The domain of the features (N, D) of some unlabelled utterances; `within` as for `moments`."""
    deviation = x.std(0, correction=0)
    if within is not None:
        deviation = (deviation.square() + within.mean(0)).sqrt()
    return Domain(corpus, language, x.mean(0), deviation)


def coral(source: Tensor, target: Tensor, shrinkage: float = COVARIANCE_SHRINKAGE) -> Tensor:
    """The matrix (D, D) that gives normalised source features the covariance of the target's; both (N, D).

    Covariances are shrunk towards a multiple of the identity: (1 - a) C + a trace(C)/D I. A single utterance has none,
    and nothing is recoloured.
    """
    if min(len(source), len(target)) < 2:
        return torch.eye(source.shape[1])
    return (_power(_covariance(source, shrinkage), -0.5) @ _power(_covariance(target, shrinkage), 0.5)).float()


def _covariance(x: Tensor, shrinkage: float) -> Tensor:
    c = torch.cov(x.double().T)
    return (1 - shrinkage) * c + shrinkage * c.trace() / len(c) * torch.eye(len(c), dtype=c.dtype)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=1e-12) ** exponent) @ vectors.T
