"""Making the features of several corpora comparable, from unlabelled audio alone.

    none      every feature standardised by the mean and deviation of the source's training utterances
    corpus    by those of its own corpus
    speaker   by those of its own speaker, shrunk towards the corpus's where the speaker has few utterances
    speaker+text  and then without what all that read the same text have in common: for corpora in which everybody reads
              the same sentences in all emotions. It takes transcripts, and no emotion

`coral` recolours source features to the covariance of the target (Sun et al. 2016, "Return of frustratingly easy domain
adaptation"): x -> x C_s^(-1/2) C_t^(1/2). Training sees each source utterance twice, as it is and recoloured: with the
recoloured ones alone, as in the paper, the target gained as much and the source language was lost
(docs/results/semi-supervised.md, "What did not help").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    mean: Tensor  # (D,), or (V, D) of V layers: so have features everywhere here (N, D) or (N, V, D)
    deviation: Tensor  # (D,) or (V, D)
    by_speaker: bool = True  # False where speakers mostly show one emotion each: normalised by the corpus all the same
    texts: tuple[str, ...] = ()  # that several utterances have
    offsets: Tensor | None = None  # (T, D) or (T, V, D): what each text has in common, of normalised features


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
    No deviation is below FLOOR times the mean one of domain and layer. within: (N, D), the variance inside each row,
    where rows are means of frames and frames are to be standardised.
    """
    mean = domain.mean.expand_as(x).clone()
    deviation = domain.deviation.expand_as(x).clone()
    for rows in _places(speakers or () if domain.by_speaker else ()).values():
        own, n = x[rows], len(rows)
        middle = (n * own.mean(0) + shrinkage * domain.mean) / (n + shrinkage)
        spread = (own - middle).square().mean(0)
        if within is not None:
            spread = spread + within[rows].mean(0)
        mean[rows] = middle
        deviation[rows] = ((n * spread + shrinkage * domain.deviation.square()) / (n + shrinkage)).sqrt()
    floor = (FLOOR * domain.deviation.mean(-1, keepdim=True)).clamp(min=torch.finfo(x.dtype).tiny)
    return mean, torch.maximum(deviation, floor)


def normalised(
    x: Tensor, domain: Domain, speakers: Sequence[str | None] | None, texts: Sequence[str | None] = ()
) -> Tensor:
    """The features (N, D) as the head wants them. texts: one a row; those that the domain knows are taken out."""
    mean, deviation = moments(x, domain, speakers)
    x = (x - mean) / deviation
    if domain.offsets is not None:
        found = _places(texts)
        for text, offset in zip(domain.texts, domain.offsets):
            if text in found:
                x[found[text]] -= offset
    return x


def with_texts(
    domain: Domain, x: Tensor, speakers: Sequence[str | None], texts: Sequence[str | None], shrinkage: float = SHRINKAGE
) -> Domain:
    """The domain with what the texts of some unlabelled utterances, features x (N, D), have in common.

    Of n utterances of a text: n / (n + shrinkage) times how far their mean is from that of all, after normalisation.
    """
    x = normalised(x, domain, speakers)
    known = {text: rows for text, rows in _places(texts).items() if len(rows) > 1}
    middle = x.mean(0)
    offsets = [len(rows) / (len(rows) + shrinkage) * (x[rows].mean(0) - middle) for rows in known.values()]
    return replace(domain, texts=tuple(known), offsets=torch.stack(offsets) if offsets else None)


def _places(names: Sequence[str | None]) -> dict[str, Tensor]:
    """Where each name stands, of those that are known."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        if name:
            places.setdefault(name, []).append(place)
    return {name: torch.tensor(rows) for name, rows in places.items()}


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


def coral_by_layer(source: Tensor, target: Tensor, layers: int) -> tuple[Tensor, ...]:
    """`coral` of each of L layers that lie side by side in the vectors (N, L * D)."""
    return tuple(coral(own, wanted) for own, wanted in zip(source.chunk(layers, 1), target.chunk(layers, 1)))


def recoloured(x: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """The vectors (N, L * D), each layer times its matrix."""
    return torch.cat([part @ matrix for part, matrix in zip(x.chunk(len(matrices), 1), matrices)], 1)


def _covariance(x: Tensor, shrinkage: float) -> Tensor:
    c = torch.cov(x.double().T)
    return (1 - shrinkage) * c + shrinkage * c.trace() / len(c) * torch.eye(len(c), dtype=c.dtype)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=1e-12) ** exponent) @ vectors.T
