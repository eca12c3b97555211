"""Making the features of several corpora comparable, from unlabelled audio alone.

    none      every feature standardised by the mean and deviation of the source's training utterances
    corpus    by those of its own corpus
    speaker   by those of its own speaker, shrunk towards the corpus's where the speaker has few utterances
    speaker+text  by speaker, and then less the mean of all utterances of the same text: for corpora in which everybody
              reads the same sentences in all emotions. It uses transcripts, and no emotion

`coral` recolours source features to the covariance of the target (Sun et al. 2016, "Return of frustratingly easy domain
adaptation"): x -> x C_s^(-1/2) C_t^(1/2). Training sees each source utterance twice, as it is and recoloured. With the
recoloured ones alone, as in the paper, the target gained as much, and the source language was lost
(docs/results/semi-supervised.md, "What did not help").

In shapes N is utterances and D features; (N, D) may also be (N, V, D) of V layers, each normalised by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from emobridge.heads.base import ROWS_AT_ONCE
from emobridge.types import short_repr

DEVIATION_FLOOR = 0.1  # of the domain's mean deviation: features that hardly vary would be amplified to noise
SHRINKAGE = 4.0  # weight of the corpus's moments in a speaker's, as a number of utterances
COVARIANCE_SHRINKAGE = 0.1  # share of the isotropic covariance: there are fewer utterances than features

Roots = tuple[tuple[Tensor | None, int], ...]  # of the covariance of each layer, see `covariance_roots`


@short_repr
@dataclass(frozen=True, slots=True)
class Domain:
    """The moments of one corpus, from its unlabelled audio."""

    corpus: str
    language: str
    mean: Tensor  # (D,), or (V, D) of V layers
    deviation: Tensor  # (D,) or (V, D)
    by_speaker: bool = True  # False where each speaker mostly shows a single emotion: the corpus's moments are used
    texts: tuple[str, ...] = ()  # those of several utterances
    offsets: Tensor | None = None  # (T, D) or (T, V, D): the shrunk mean of each text's normalised features
    prosody: int = 0  # how many of the D, the last ones, are prosody

    def at(self, layers: slice) -> Domain:
        """The domain of some of V layers."""
        offsets = None if self.offsets is None else self.offsets[:, layers]
        return replace(self, mean=self.mean[layers], deviation=self.deviation[layers], offsets=offsets)


def moments(
    x: Tensor,
    domain: Domain,
    speakers: Sequence[str | None] | None,
    shrinkage: float = SHRINKAGE,
    *,
    within: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean and deviation, each (N, D), by which the features x (N, D) are standardised.

    speakers: of each row, to standardise by speaker; a row without a speaker, and all rows where it is None, have the
    domain's moments. The moments of a speaker with n utterances are shrunk to the domain's, k = `shrinkage`:
        m = (n m_speaker + k m_domain) / (n + k),  s^2 = (n mean (x - m)^2 + k s_domain^2) / (n + k)
    No deviation is below `least_deviation` of the domain's.
    within: (N, D), the variance inside each row, where rows are means of frames and frames are to be standardised.
    """
    mean = domain.mean.expand_as(x).clone()
    deviation = domain.deviation.expand_as(x).clone()
    for rows in _rows_by_name(speakers or () if domain.by_speaker else ()).values():
        own_within = None if within is None else within[rows]
        mean[rows], deviation[rows] = _speaker_moments(x[rows], domain, shrinkage, own_within)
    return mean, torch.maximum(deviation, least_deviation(domain.deviation, domain.prosody))


def _speaker_moments(
    x: Tensor, domain: Domain, shrinkage: float, within: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and deviation, each (D,), of a speaker's features x (n, D), as `moments` has them."""
    n = len(x)
    middle = (n * x.mean(0) + shrinkage * domain.mean) / (n + shrinkage)
    spread = (x - middle).square().mean(0)
    if within is not None:
        spread = spread + within.mean(0)
    return middle, ((n * spread + shrinkage * domain.deviation.square()) / (n + shrinkage)).sqrt()


def least_deviation(deviation: Tensor, prosody: int = 0) -> Tensor:
    """The floor (..., D) of deviations (..., D): DEVIATION_FLOOR times their mean, or 1 where nothing varies.

    The last `prosody` of them are in other units than those of the encoder before them: each group has its own mean.
    """
    floors = []
    sizes = [size for size in (int(deviation.shape[-1]) - prosody, prosody) if size]
    for group in deviation.split(sizes, -1):
        floor = DEVIATION_FLOOR * group.mean(-1, keepdim=True)
        floors.append(floor.where(floor > 0, 1.0).expand_as(group))
    return torch.cat(floors, -1)


def normalise_features(
    x: Tensor, domain: Domain, speakers: Sequence[str | None] | None, texts: Sequence[str | None] = ()
) -> Tensor:
    """The features (N, D), standardised by `moments`, less the domain's offsets of their texts, one text a row.

    Prosody stands in each of V layers: it is divided by the root of V, so that it counts once however many there are.
    """
    floor = least_deviation(domain.deviation, domain.prosody)
    by_name = _rows_by_name(speakers or () if domain.by_speaker else ())
    if sum(map(len, by_name.values())) < len(x):
        standardised = (x - domain.mean).div_(torch.maximum(domain.deviation, floor))
    else:  # no row goes by the domain
        standardised = torch.empty_like(x, memory_format=torch.contiguous_format)
    for rows in by_name.values():
        own = x[rows]  # a speaker at a time: moments of each row would take as much memory as x, twice
        middle, deviation = _speaker_moments(own, domain, SHRINKAGE)
        standardised[rows] = (own - middle) / torch.maximum(deviation, floor)
    if domain.prosody and x.ndim == 3:
        standardised[..., -domain.prosody :] /= x.shape[1] ** 0.5
    if domain.offsets is not None:
        by_text = _rows_by_name(texts)
        for text, offset in zip(domain.texts, domain.offsets):
            if text in by_text:
                standardised[by_text[text]] -= offset
    return standardised


def add_texts(
    domain: Domain, x: Tensor, speakers: Sequence[str | None], texts: Sequence[str | None], shrinkage: float = SHRINKAGE
) -> Domain:
    """The domain with the offsets of the texts of some unlabelled utterances with features x (N, D).

    The offset of a text with n > 1 utterances is n / (n + shrinkage) times the difference between their mean and that
    of all utterances, after normalisation.
    """
    x = normalise_features(x, domain, speakers)
    repeated = {text: rows for text, rows in _rows_by_name(texts).items() if len(rows) > 1}
    middle = x.mean(0)
    offsets = [len(rows) / (len(rows) + shrinkage) * (x[rows].mean(0) - middle) for rows in repeated.values()]
    return replace(domain, texts=tuple(repeated), offsets=torch.stack(offsets) if offsets else None)


def _rows_by_name(names: Sequence[str | None]) -> dict[str, Tensor]:
    """The rows of each name; rows without a name are left out."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        if name:
            rows.setdefault(name, []).append(row)
    return {name: torch.tensor(indices) for name, indices in rows.items()}


def fit_domain(corpus: str, language: str, x: Tensor, within: Tensor | None = None, *, prosody: int = 0) -> Domain:
    """The domain of unlabelled utterances with features x (N, D), N >= 1; `within` as for `moments`.

    prosody: how many of the D, the last ones, are prosody.
    """
    mean = x.mean(0)
    squares = [(part - mean).square_().sum(0) for part in x.split(ROWS_AT_ONCE)]  # `std` takes six times as long
    deviation = (torch.stack(squares).sum(0) / len(x)).sqrt_()
    if within is not None:
        deviation = (deviation.square() + within.mean(0)).sqrt()
    return Domain(corpus, language, mean, deviation, prosody=prosody)


def coral(source: Tensor, target: Tensor, shrinkage: float = COVARIANCE_SHRINKAGE) -> Tensor:
    """The matrix (D, D) that gives normalised source features the covariance of the target's; both (N, D).

    Covariances are shrunk towards a multiple of the identity: (1 - a) C + a trace(C)/D I. Where a side does not vary,
    as a single utterance, the matrix is the identity.
    """
    (matrix,) = coral_by_layer(
        covariance_roots(source, -0.5, 1, shrinkage), covariance_roots(target, 0.5, 1, shrinkage)
    )
    return matrix


def coral_by_layer(source: Roots, target: Roots) -> tuple[Tensor, ...]:
    """`coral` of each of L layers, from the `covariance_roots` of the source, -0.5, and of the target, 0.5."""
    return tuple(
        torch.eye(width) if of_source is None or of_target is None else (of_source @ of_target).float()
        for (of_source, width), (of_target, _) in zip(source, target)
    )


def covariance_roots(x: Tensor, exponent: float, layers: int, shrinkage: float = COVARIANCE_SHRINKAGE) -> Roots:
    """The power (D, D) of the shrunk covariance of each of L layers that lie side by side in x (N, L * D).

    None where the layer does not vary, as of a single utterance; its D stands beside it. Whoever recolours several
    corpora, or for several targets, computes the roots of each side once.
    """
    return tuple(
        (_power(part, exponent, shrinkage) if len(part) > 1 and bool((part != part[0]).any()) else None, part.shape[1])
        for part in x.chunk(layers, 1)
    )


def recolour(x: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """The vectors (N, L * D), each layer times its matrix (D, D)."""
    recoloured = torch.empty_like(x)
    for part, matrix, out in zip(x.chunk(len(matrices), 1), matrices, recoloured.chunk(len(matrices), 1)):
        torch.mm(part, matrix, out=out)
    return recoloured


def _power(x: Tensor, exponent: float, shrinkage: float) -> Tensor:
    """A power of the shrunk covariance (D, D) of x (N, D), N >= 2.

    C has the eigenvalues of the smaller one of x^T x and x x^T; in all other directions the shrunk one is a multiple of
    the identity.
    """
    if shrinkage < COVARIANCE_SHRINKAGE:  # single precision needs a floor under the eigenvalues
        x = x.double()
    x = (x - x.mean(0)).div_((len(x) - 1) ** 0.5)
    side = x.numpy() if len(x) < x.shape[1] else x.numpy().T  # NumPy knows that a product is symmetric: half the time
    products = torch.from_numpy(side @ side.T)
    scale = (shrinkage * products.trace() / x.shape[1]).clamp(min=1e-12)
    values, vectors = torch.linalg.eigh(products)
    if len(x) < x.shape[1]:
        values = values.clamp(min=1e-12 * float(values[-1]))
        vectors = x.T @ (vectors / values.sqrt())
    powers = ((1 - shrinkage) * values.clamp(min=0) + scale) ** exponent - scale**exponent
    root = (vectors * powers) @ vectors.T
    root.diagonal().add_(scale**exponent)
    return root
