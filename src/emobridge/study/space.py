"""The feature space before and after adaptation: principal components to look at, silhouettes to go by.

After Agarla et al. 2024 (methods E), who publish a silhouette by emotion over both languages of about 0.07 before
adaptation and a mean gain of 0.36. Theirs is of a representation that their method shapes, and their distance was not
verified; here it is the Euclidean one. Labels enter the measuring and the picture and nothing else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from emobridge.report.embedding import Embedding, Point, Space
from emobridge.report.record import SIDES
from emobridge.types import person, short_repr

if TYPE_CHECKING:
    from torch import Tensor

    from emobridge.bundle import Recognizer
    from emobridge.data.speech import Fold, Speech
    from emobridge.study.run import Answers
    from emobridge.training.case import Case
    from emobridge.training.tasks import Built

MEASURED = 3000  # utterances at most: each is compared with each other
DRAWN = 1500  # at most are in the picture: the first of the measured, which are in random order
AXES = 3


@short_repr
@dataclass(frozen=True, slots=True)
class TrainedSample:
    """Some utterances of both sides as a head was trained on them."""

    rows: np.ndarray  # (n,) of the speech
    normalised: Tensor  # (n, D)
    aligned: Tensor  # (n, D): those of the source as CORAL recoloured them, where it did


def trained_sample(fold: Fold, built: Built, *, seed: int = 0) -> TrainedSample | None:
    """What a fit on stored features was trained on: of more than MEASURED utterances a sample, drawn by `seed`.

    None where an encoder was trained or gives frames.
    """
    from emobridge.training.inputs import Frozen

    inputs = built.task.inputs
    if built.inputs_of is None or not isinstance(inputs, Frozen):
        return None
    learnt = np.array([*fold.source, *fold.target])
    drawn = np.random.default_rng(seed).permutation(len(learnt))[:MEASURED]
    sample = built.inputs_of(learnt[drawn].tolist(), False)
    assert isinstance(sample, Frozen)  # as all inputs of the fit are
    aligned = sample.x.clone()
    if inputs.copies:  # of the fold's source, behind all others
        of_source = drawn < len(fold.source)
        aligned[of_source] = inputs.x[len(inputs.x) - inputs.copies + drawn[of_source]]
    return TrainedSample(learnt[drawn], sample.x, aligned)


def embedding(speech: Speech, recognizer: Recognizer, case: Case, sample: TrainedSample | None) -> Embedding | None:
    """The feature spaces of a finished run, before and after adaptation.

    First the features standardised by the source, as with `normalise` none. Then the features as they were normalised
    for training (those of the source also recoloured by CORAL), the head's representation where it learns one, and its
    logits. The recogniser is the final one, which adapted to all target utterances; sample: of what it was trained on.
    None where there is none, as of a trained encoder, where no emotions are learnt, and where the source is not there.
    """
    if speech.features is None or sample is None or not case.labels or speech.absent:
        return None
    rows = sample.rows
    utterances = [speech.utterances[row] for row in rows]
    emotions = [case.labels[label] if label >= 0 else None for label in speech.label[rows]]
    languages = [utterance.language for utterance in utterances]
    speakers = [person(utterance) for utterance in utterances]
    by_space = _spaces(speech, speech.features, recognizer, case, sample)
    spaces = tuple(_space(name, values.numpy(), (emotions, languages, speakers)) for name, values in by_space)
    return Embedding(
        spaces,
        tuple(emotions[:DRAWN]),
        tuple(languages[:DRAWN]),
        len(rows),
        len(speech.utterances),
        _unfamiliar(speech.of(rows), by_space[0][1], recognizer),
    )


def test_space(speech: Speech, answers: Sequence[Answers]) -> Embedding | None:
    """What the traced systems see of the scored utterances of both sides, in the first fold of the first seed.

    Utterances that no system was trained on, so that the spaces show what generalises. None where nothing was traced,
    or one side was not scored.
    """
    spaces = []
    for system in answers:
        parts = [part for part in system.predicted if part.seed == 0 and part.represented is not None]
        if len(parts) == len(SIDES):
            spaces.append((f"{system.method}, {system.case.target_labels} target labels", parts))
    if not spaces:
        return None
    first = [part.folds == 0 for part in spaces[0][1]]
    rows = np.concatenate([part.rows[inside] for part, inside in zip(spaces[0][1], first)])
    drawn = np.random.default_rng(0).permutation(len(rows))[:MEASURED]
    labels = answers[0].case.labels
    emotions = [labels[label] if labels and label >= 0 else None for label in speech.label[rows[drawn]]]
    utterances = [speech.utterances[row] for row in rows[drawn]]
    languages = [utterance.language for utterance in utterances]
    groups = (emotions, languages, [person(utterance) for utterance in utterances])
    measured = []
    for name, parts in spaces:
        seen = [part.represented[inside] for part, inside in zip(parts, first) if part.represented is not None]
        measured.append(_space(name, np.concatenate(seen)[drawn], groups))
    return Embedding(tuple(measured), tuple(emotions[:DRAWN]), tuple(languages[:DRAWN]), len(drawn), len(rows))


def silhouette(x: np.ndarray, groups: Sequence[Hashable | None]) -> float:
    """The mean silhouette coefficient in [-1, 1] of points x (N, D) by their group, by Euclidean distance.

    A point's is (b - a) / max(a, b), with a its mean distance to the others of its group and b that to the nearest
    other group (Rousseeuw 1987). Points whose group is None are left out. NaN where there are fewer than two groups or
    one has fewer than two points.
    """
    from sklearn.metrics import pairwise_distances

    return _silhouette(pairwise_distances(x), groups)


def _silhouette(distances: np.ndarray, groups: Sequence[Hashable | None]) -> float:
    """`silhouette` of points that are so far apart, (N, N)."""
    from sklearn.metrics import silhouette_score

    rows = [row for row, group in enumerate(groups) if group is not None]
    counts = Counter(groups[row] for row in rows)
    if len(counts) < 2 or min(counts.values()) < 2:
        return math.nan
    order = {group: number for number, group in enumerate(counts)}
    apart = distances if len(rows) == len(distances) else distances[np.ix_(rows, rows)]
    return float(silhouette_score(apart, [order[groups[row]] for row in rows], metric="precomputed"))


def principal(x: np.ndarray) -> tuple[np.ndarray, Point]:
    """Points x (N, D), N at least 2, on their first principal components (N, 3), and the share of variance of each.

    Where there are fewer components the rest is 0.
    """
    from sklearn.decomposition import PCA

    model = PCA(min(AXES, *x.shape), random_state=0)
    with np.errstate(invalid="ignore"):  # of points that are all the same
        components = model.fit_transform(x)
    missing = AXES - components.shape[1]
    first, second, third = np.pad(np.nan_to_num(model.explained_variance_ratio_), (0, missing)).tolist()
    return np.pad(components, ((0, 0), (0, missing))), (first, second, third)


def _space(name: str, x: np.ndarray, groups: Sequence[Sequence[str | None]]) -> Space:
    from sklearn.metrics import pairwise_distances

    distances = pairwise_distances(x)  # once for all groupings
    by_emotion, by_language, by_speaker = (_silhouette(distances, names) for names in groups)
    points, explained = principal(x)
    points = (points.astype(np.float64) / max(np.abs(points).max(), np.finfo(np.float32).tiny)).round(3)[:DRAWN]
    drawn = tuple((a, b, c) for a, b, c in points.tolist())
    return Space(name, x.shape[1], by_emotion, by_language, by_speaker, explained, drawn)


def _unfamiliar(speech: Speech, plain: Tensor, recognizer: Recognizer) -> tuple[float, float] | None:
    """The shares of target utterances beyond the edge of the source's speech; see `Embedding.unfamiliar`.

    plain: (N, D), standardised by the source.
    """
    from emobridge.features.familiarity import fit_familiarity
    from emobridge.training.tasks import normalised_rows

    domains = [replace(domain, offsets=None) for domain in recognizer.domains]
    by_corpus = normalised_rows(speech, range(len(speech.utterances)), domains, "corpus").flatten(1)
    is_target = speech.is_target
    rows = np.flatnonzero(~is_target)
    people = [person(speech.utterances[row]) or speech.utterances[row].id for row in rows]
    shares = []
    for x in (plain, by_corpus):
        familiarity = fit_familiarity(x[rows], people, speech.domain_of[rows])
        if familiarity is None or not is_target.any():
            return None
        shares.append(float((familiarity.unfamiliarity(x[is_target]) > 1).float().mean()))
    return shares[0], shares[1]


def _spaces(
    speech: Speech, features: Tensor, recognizer: Recognizer, case: Case, sample: TrainedSample
) -> list[tuple[str, Tensor]]:
    """The name of each space and the features in it, (n, D'), of n rows of the speech."""
    import torch

    from emobridge.data.prosody import prosody_width
    from emobridge.features.normalisation import fit_domain, normalise_features
    from emobridge.training.inputs import take_rows

    x = sample.normalised
    with torch.no_grad():
        represented = recognizer.head.represent(x[:, None], torch.ones(len(x), 1, dtype=torch.bool))
        logits = recognizer.head.output(represented)
    source = take_rows(features, np.flatnonzero(~speech.is_target))
    domain = fit_domain("", "", source, prosody=prosody_width(case.prosody))
    plain = normalise_features(features[torch.from_numpy(sample.rows)], domain, None).flatten(1)
    spaces = [
        ("before: features, standardised by the source", plain),
        (f"features as trained on: normalised by {_by(case)}", sample.aligned),
    ]
    if not torch.equal(represented, x):
        spaces.append(("after: what the head represents", represented))
    return [*spaces, ("after: logits", logits)]


def _by(case: Case) -> str:
    by = {"none": "the source"}.get(case.normalise, case.normalise)
    return by if case.align == "none" else f"{by}, source recoloured"
