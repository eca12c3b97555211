"""Judging a recogniser without target labels: from what it says of unlabelled target speech, and of labelled source.

Each validator gives one number; higher is taken for better. P (N, C) are probabilities of N target utterances that
were held out. None of them is always right: the report shows how well each one's ranking agrees with the true one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TEMPERATURE = 0.05  # of soft neighbourhoods, that of the paper


def snd(p: Array) -> float:
    """Soft neighbourhood density (Saito et al. 2021): the mean entropy of each utterance's similarities to the others.

    Similarity is the cosine between rows of P over TEMPERATURE, softmax over the others; nats, in [0, log(N-1)].
    Dense neighbourhoods, as an adapted model makes them, have high entropy, and so has a model that knows one class.
    """
    if len(p) < 2:
        return float("nan")
    unit = p / np.linalg.norm(p, axis=1, keepdims=True)
    similarity = unit @ unit.T / TEMPERATURE
    np.fill_diagonal(similarity, -np.inf)
    return float(entropies(_softmax(similarity)).mean())


def bnm(p: Array) -> float:
    """Batch nuclear norm (Cui et al. 2020): the sum of P's singular values over its bound sqrt(N C), in (0, 1].

    High where predictions are sure and of many classes.
    """
    return float(np.linalg.norm(p, "nuc") / np.sqrt(p.size))


def infomax(p: Array) -> float:
    """Mutual information of utterance and prediction: entropy of the mean prediction minus the mean entropy.

    In nats, in [0, log C] (Krause et al. 2010, Shi & Sha 2012).
    """
    return float(entropies(p.mean(0)) - entropies(p).mean())


def sureness(p: Array) -> float:
    """Minus the mean entropy of the predictions: nats, in [-log C, 0]."""
    return float(-entropies(p).mean())


def agreement(p: Array) -> float:
    """Share of utterances that two seeds call the same, over all pairs of seeds: P (S, N, C) -> [0, 1]; NaN for one."""
    said = p.argmax(-1)
    pairs = [float((one == two).mean()) for one, two in combinations(said, 2)]
    return float(np.mean(pairs)) if pairs else float("nan")


def consensus(p: Sequence[Array], others: Sequence[Sequence[Array]]) -> float:
    """Share of utterances that a system calls as another system does, over all others and seeds, in [0, 1].

    Ours, and the best of those here on ten pairs of corpora (docs/results/semi-supervised.md). It depends on who the
    others are: NaN where there are none.
    """
    shares = [float((a.argmax(1) == b.argmax(1)).mean()) for other in others for a, b in zip(p, other)]
    return float(np.mean(shares)) if shares else float("nan")


def judged(p: Sequence[Array], others: Sequence[Sequence[Array]], source_ua: float) -> dict[str, float]:
    """All validators of one system: P of each seed, each (N, C), that of its rivals there, and its UA on
    held-out speakers of the source.
    """
    over_seeds = {one.__name__: float(np.mean([one(np.asarray(seed)) for seed in p])) for one in (snd, bnm, infomax)}
    alike = all(len(one) == len(p[0]) for one in p)  # seeds of one split each hold other speakers out
    return over_seeds | {
        "sureness": float(np.mean([sureness(np.asarray(seed)) for seed in p])),
        "agreement": agreement(np.asarray(p)) if alike else float("nan"),
        "consensus": consensus(p, others),
        "source": source_ua,
    }


def entropies(p: Array) -> Array:
    """(..., C) -> (...) in [0, log C]: -sum_c p_c log p_c in nats."""
    return -(p * np.log(np.clip(p, 1e-12, None))).sum(-1)


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
