"""What to label next: unlabelled utterances in the order in which their labels are worth asking for.

    representative  uncertain, and typical of many uncertain ones (Wei et al. 2015): the default
    margin          the two most probable emotions are nearly as probable (Scheffer et al. 2001)
    entropy         the probabilities are spread widely (Settles 2009, section 3.1)
    core-set        far from all that is labelled or chosen: greedy k-centre (Sener & Savarese 2018)
    mixed           far apart AND uncertain: k-means++ draws over gradients of the loss (after BADGE, Ash et al. 2020)
    random          the yardstick

The order does not depend on the length of the list: a shorter list is the beginning of a longer one. What each
strategy saves is measured in docs/results/suggest.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from emobridge.bundle import Recognizer
from emobridge.bundle.training_speech import TRAINED, UNSEEN
from emobridge.data.threads import one_thread
from emobridge.errors import UserError, unknown
from emobridge.features.extraction import extract
from emobridge.features.store import FeatureStore, last_of
from emobridge.files import cache_folder
from emobridge.inference.features import Skip
from emobridge.inference.predict import predictions_from
from emobridge.inference.routing import by_domain
from emobridge.inference.segments import has_speech
from emobridge.inference.shared import BundleProcesses, apart
from emobridge.progress import Progress, in_passes
from emobridge.scores.entropy import entropy
from emobridge.scores.measures.base import Floats
from emobridge.settings import layer_names
from emobridge.study.label_list import ToLabel
from emobridge.types import Utterance

Order = NDArray[np.int64]
STRATEGIES = ("core-set", "entropy", "margin", "mixed", "random", "representative")
DEFAULT = "representative"  # chosen on the pairs of docs/results/suggest.md
COMPARED = 1000  # utterances that `representative` compares with each other, at most


@one_thread()
def suggest(
    recognizer: Recognizer | BundleProcesses,
    utterances: Sequence[Utterance],
    *,
    by: str = DEFAULT,
    count: int = 50,
    seed: int = 0,
    store: str | Path | None = None,
    on_skip: Skip | None = None,
    on_progress: Progress | None = None,
) -> tuple[ToLabel, ...]:
    """The `count` utterances without a label whose labels are worth most, the best one first.

    Labelled ones, and those that the recogniser was trained on with a label, are not suggested; they count for
    speakers' moments, and are centres of core-set. Nor are those without speech (by the rule of energy, see
    `data.activity`). Features of a recogniser with processes (`BundleProcesses`) are computed by these.
    Errors: UserError for an unknown strategy, a count below 1, and where no utterance that can be read lacks a label;
    bad files go to `on_skip`, or raise where there is none.
    """
    recognizer, processes = apart(recognizer)
    if by not in STRATEGIES:
        raise unknown("strategy", by, STRATEGIES)
    if not recognizer.labels:
        raise UserError("suggest: goes by emotions, and this recogniser tells attributes alone")
    if count < 1:
        raise UserError(f"count: expected 1 or more, got {count}")
    if recognizer.spec.frames:
        raise UserError(f"suggest: head {recognizer.spec.head} sees frames; train one of vectors, such as linear")
    layers = layer_names(recognizer.spec.layer)
    opened = FeatureStore(store or cache_folder(), recognizer.encoder, last_layer=last_of(layers))
    (report,) = in_passes(on_progress, [len(utterances)])
    if processes is not None:
        processes.fill(opened, recognizer.last.adapters, utterances, strict=on_skip is None, on_progress=report)
    features = extract(
        opened,
        utterances,
        layers=layers,
        with_prosody=recognizer.spec.prosody,
        on_progress=report,
        strict=on_skip is None,
    )
    if on_skip is not None:
        for name, reason in features.skipped:
            on_skip(name, reason)
    by_id = {utterance.id: utterance for utterance in utterances}
    readable = [by_id[name] for name in features.ids]
    exposures = recognizer.exposure(readable).of or (UNSEEN,) * len(readable)  # of older bundles none is known
    free = np.array([row.emotion is None and seen != TRAINED for row, seen in zip(readable, exposures)], dtype=bool)
    if not free.any():
        raise UserError("nothing to suggest: no utterance that can be read lacks a label")
    settled = ~free
    free[free] = [has_speech(readable[row]) for row in np.flatnonzero(free)]
    if not free.any():
        raise UserError("nothing to suggest: no utterance without a label holds speech that can be found")
    pooled = torch.from_numpy(features.values)
    x = torch.empty(len(readable), recognizer.select(pooled[:1]).numel())
    for domain, rows, speakers, texts in by_domain(recognizer, readable):
        x[rows] = recognizer.normalised(pooled[rows], domain, speakers, texts)
    predictions = predictions_from(recognizer, readable, pooled)
    p, z = np.array([prediction.probabilities for prediction in predictions]), x.double().numpy()
    order = ranked(by, p[free], z[free], labelled=z[settled], count=count, seed=seed)
    rows = np.flatnonzero(free)[order].tolist()
    return tuple(ToLabel(readable[row], predictions[row].label, max(predictions[row].probabilities)) for row in rows)


def ranked(
    by: str, p: Floats, x: Floats, *, labelled: Floats | None = None, count: int | None = None, seed: int
) -> Order:
    """The first `count` (all by default) of N utterances in the order of strategy `by`, without repeats.

    p: (N, C) probabilities. x: (N, D) normalised features. labelled: (K, D) of utterances with labels; only core-set
    uses them. Errors: UserError for an unknown strategy.
    """
    if by not in STRATEGIES:
        raise unknown("strategy", by, STRATEGIES)
    count = len(p) if count is None else min(count, len(p))
    if by == "core-set":
        return core_set(x, np.empty((0, x.shape[1])) if labelled is None else labelled, count)
    if by == "mixed":
        return spread_gradients(p, x, count, seed)
    if by == "random":
        return np.random.default_rng(seed).permutation(len(p))[:count]
    if by == "representative":
        return representative(p, x, count)
    value = margins(p) if by == "margin" else -entropy(p)
    return np.argsort(value, kind="stable")[:count]


def margins(p: Floats) -> Floats:
    """(N, C) -> (N,) in [0, 1]: the largest probability minus the second largest; small is uncertain.

    Scheffer, Decomain & Wrobel 2001, "Active hidden Markov models for information extraction".
    """
    two = np.partition(p, -2, axis=1)[:, -2:]
    return two[:, 1] - two[:, 0]


def representative(p: Floats, x: Floats, count: int) -> Order:
    """The less sure half by margin, in the order in which each represents best what those before it do not.

    Greedy facility location: each next utterance makes f(S) = sum_i max_(j in S) s_ij largest, where i and j go over
    the half, s_ij = exp(-2 d_ij / median d), and d_ij is the squared distance of their features. So every kind of doubt
    is asked about, common ones first, where margin alone asks the same question again and again; and odd recordings,
    which represent nothing, come late. Of a half above COMPARED utterances so many take part, evenly spread over the
    margins; all others follow by margin. Wei, Iyer & Bilmes 2015, "Submodularity in data subset selection and active
    learning" (filtered active submodular selection); the half and the similarity are ours.
    """
    by_margin = np.argsort(margins(p), kind="stable")
    half = by_margin[: (len(p) + 1) // 2]
    compared = half[np.linspace(0, len(half) - 1, min(len(half), COMPARED)).round().astype(np.int64)]
    z = x[compared] - x.mean(0)
    lengths = np.square(z).sum(1)
    distance = np.maximum(lengths[:, None] + lengths - 2 * z @ z.T, 0.0)
    similarity = np.exp(-2 * distance / (np.median(distance) or 1.0))
    covered, free = np.zeros(len(compared)), np.ones(len(compared), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < min(count, len(compared)):
        gain = np.maximum(similarity - covered, 0.0).sum(1)
        row = int(np.where(free, gain, -1.0).argmax())  # of equal ones the least sure
        chosen.append(row)
        free[row] = False
        covered = np.maximum(covered, similarity[row])
    first = compared[chosen]
    return np.concatenate([first, by_margin[~np.isin(by_margin, first)]])[:count]


def core_set(x: Floats, labelled: Floats, count: int) -> Order:
    """Greedy k-centre: time and again the row of x (N, D) that is farthest from its nearest centre.

    Centres are `labelled` (K, D) and the rows chosen before; without any, the first is the row nearest the mean (ours).
    Sener & Savarese 2018, "Active learning for convolutional neural networks: a core-set approach", algorithm 1.
    """
    order: list[int] = []
    far = np.full(len(x), np.inf)
    for centre in labelled:
        far = np.minimum(far, np.square(x - centre).sum(1))
    while len(order) < count:
        row = int(far.argmax()) if np.isfinite(far).any() else int(np.square(x - x.mean(0)).sum(1).argmin())
        order.append(row)
        far = np.minimum(far, np.square(x - x[row]).sum(1))
        far[order] = -1.0
    return np.array(order, dtype=np.int64)


def spread_gradients(p: Floats, x: Floats, count: int, seed: int) -> Order:
    """k-means++ (Arthur & Vassilvitskii 2007) over gradients, as BADGE draws a batch.

    The gradient of the cross-entropy by the weights of a linear output, were the likeliest class right, is the product
    of a = p - onehot(argmax p) and the features x: long where the recogniser is unsure. The first is the longest, each
    further one is drawn with its squared distance from the nearest chosen one as weight. Ash et al. 2020, "Deep batch
    active learning by diverse, uncertain gradient lower bounds", algorithm 1.
    """
    a = p - np.eye(p.shape[1])[p.argmax(1)]
    length = np.square(a).sum(1) * np.square(x).sum(1)
    rng, order = np.random.default_rng(seed), [int(length.argmax())]
    far = np.full(len(p), np.inf)
    while len(order) < count:
        last = order[-1]
        far = np.minimum(far, length + length[last] - 2 * (a @ a[last]) * (x @ x[last]))
        far = np.clip(far, 1e-12 * (1 + length.max()), None)  # twins may still be drawn, behind all others
        far[order] = 0.0
        order.append(int(rng.choice(len(p), p=far / far.sum())))
    return np.array(order[:count], dtype=np.int64)
