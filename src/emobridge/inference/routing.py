"""Which branches of a recogniser hear an utterance, and what comes of it.

Where the language is known its branch answers. Where it is not ("und", or one that no branch knows), `untold` chooses:

    target     the last branch
    averaged   the mean of all branches' LoRA in the encoder, and the mean of what all heads make of that
    confident  every branch hears it, and the surest answers: the one whose probabilities have the least entropy
    routed     every branch hears it, and a router tells from how sure each is which one answers (see bundle/router.py)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emobridge.adapters import Adapters, use_adapters
from emobridge.bundle import UNKNOWN, Branch, Recognizer
from emobridge.bundle.router import Router, confidences, learnt
from emobridge.bundle.sets import heard as passes
from emobridge.data.audio import AudioError, read_audio
from emobridge.data.batching import pad
from emobridge.errors import UserError, unknown
from emobridge.features.normalisation import Domain
from emobridge.features.pooling import pool
from emobridge.features.store import FeatureStore
from emobridge.files import cache_folder
from emobridge.scores.entropy import entropy
from emobridge.settings import layer_names
from emobridge.types import Utterance, person

UNTOLD = ("target", "averaged", "confident", "routed")
ALL = -1  # in place of a branch's: all of them answered together
Set = Adapters | None
Heard = dict[Set, dict[int, Tensor]]  # by set of adapters and row of the utterances: as `encoded` has them


def check_untold(recognizer: Recognizer, untold: str | None) -> None:
    """Errors: UserError for an unknown mode, and one that the recogniser cannot serve."""
    if untold is not None and untold not in UNTOLD:
        raise unknown("mode for untold languages", untold, UNTOLD)
    if untold in ("confident", "routed") and not recognizer.labels:
        raise UserError(f"mode {untold!r}: goes by how sure of an emotion branches are, and this recogniser has none")
    if untold == "averaged":
        _ = recognizer.average
    if untold == "routed":
        _router(recognizer)


def modes(recognizer: Recognizer, utterances: Sequence[Utterance], untold: str | None) -> list[str | Branch]:
    """Of each utterance the branch of its language, or the mode by which it is answered.

    A language that no branch knows is refused where there are several and no mode was asked for; a recogniser of one
    branch answers it as it can. Errors: UserError.
    """
    check_untold(recognizer, untold)
    found: list[str | Branch] = []
    for one in utterances:
        branch = recognizer.branch(one.language, one.corpus)
        if branch is None and untold is None and len(recognizer.branches) > 1 and one.language != UNKNOWN:
            recognizer.known(one.language)
        found.append(branch or untold or "target")
    return found


def sets_of(recognizer: Recognizer, mode: str | Branch) -> list[Set]:
    """The sets of adapters by which the encoder hears an utterance."""
    if isinstance(mode, Branch):
        return [mode.adapters]
    if mode == "target":
        return [recognizer.branches[-1].adapters]
    if mode == "averaged":
        return [recognizer.average]
    sets = [branch.adapters for branch in recognizer.branches]
    if mode == "routed" and _router(recognizer).hears_base:
        sets.append(None)
    return list(dict.fromkeys(sets))


def encoded(recognizer: Recognizer, waves: Sequence[np.ndarray], sets: Sequence[Set]) -> list[Tensor]:
    """N waves (T_i,), each through its set of adapters -> N times (V, S * D) features of the recogniser's layers, or
    (1, F_i, D) frames where its heads see them.
    """
    encoder, chosen = recognizer.encoder, list(map(int, layer_names(recognizer.spec.layer)))
    features: list[Tensor] = [torch.empty(0)] * len(waves)
    with torch.inference_mode():
        for rows, layers in passes(encoder, *pad(waves), sets):
            if recognizer.spec.frames:
                for place, row in enumerate(rows):
                    features[row] = layers.hidden[chosen][:, place, layers.mask[place]]
                continue
            for row, one in zip(rows, pool(layers, encoder.statistics)[chosen].transpose(0, 1)):
                features[row] = one
    return features


def stored(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    sets: Sequence[Sequence[Set]],
    store: str | Path | None,
    on_skip: Callable[[str, str], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Heard, list[int]]:
    """Features of each utterance by its sets of adapters, each set with a key of its own in the store; and the rows
    that could be read.

    Errors: AudioError for a bad file where there is no `on_skip`.
    """
    heard: Heard = {}
    reasons: dict[int, str] = {}
    for kind in dict.fromkeys(one for some in sets for one in some):
        rows = [row for row, some in enumerate(sets) if kind in some]
        if recognizer.spec.frames:  # the store keeps statistics alone
            heard[kind] = _frames(recognizer, utterances, rows, kind, reasons, on_skip is None, on_progress)
            continue
        with use_adapters(recognizer.encoder, kind):
            features = FeatureStore(store or cache_folder(), recognizer.encoder).extract(
                [utterances[row] for row in rows],
                layer=layer_names(recognizer.spec.layer),
                on_progress=on_progress,
                strict=on_skip is None,
            )
        skipped = dict(features.skipped)
        reasons |= {row: skipped[utterances[row].id] for row in rows if utterances[row].id in skipped}
        read = [row for row in rows if row not in reasons]
        heard[kind] = dict(zip(read, torch.from_numpy(features.values)))
    for row in sorted(reasons):
        if on_skip is not None:
            on_skip(utterances[row].id, reasons[row])
    return heard, [row for row in range(len(utterances)) if row not in reasons]


def _frames(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    rows: Sequence[int],
    kind: Set,
    reasons: dict[int, str],
    strict: bool,
    on_progress: Callable[[int, int], None] | None,
) -> dict[int, Tensor]:
    """Frames of the utterances in `rows`, clip by clip; `reasons` is told of those that cannot be read."""
    heard = {}
    for place, row in enumerate(rows):
        one = utterances[row]
        try:
            heard[row] = encoded(recognizer, [read_audio(one.path, one.start, one.end)], [kind])[0]
        except AudioError as error:
            if strict:
                raise
            reasons[row] = str(error)
        if on_progress:
            on_progress(place + 1, len(rows))
    return heard


def answers(
    recognizer: Recognizer, utterances: Sequence[Utterance], wanted: Mapping[int, str | Branch], heard: Heard
) -> tuple[Tensor, list[int]]:
    """Of the rows in `wanted`, in its order: probabilities and behind them attributes (N, C + K), in about [-1, 1], and
    the place of the branch that gave each, ALL where it was all of them.
    """
    branches, order = recognizer.branches, list(wanted)
    said = torch.zeros(len(order), len(recognizer.labels) + len(recognizer.attributes))
    who = [ALL] * len(order)
    own = {row: branches[-1] if mode == "target" else mode for row, mode in wanted.items()}
    for answering in dict.fromkeys(own.values()):
        places = [place for place, row in enumerate(order) if own[row] is answering]
        rows = [order[place] for place in places]
        if isinstance(answering, Branch):
            said[places] = _said(answering, utterances, rows, heard[answering.adapters])
            chosen = [branches.index(answering)] * len(places)
        else:
            said[places], chosen = _together(recognizer, utterances, answering, rows, heard)
        for place, one in zip(places, chosen):
            who[place] = one
    return said, who


def _together(
    recognizer: Recognizer, utterances: Sequence[Utterance], mode: str, rows: Sequence[int], heard: Heard
) -> tuple[Tensor, list[int]]:
    """`answers` of rows that all branches hear, by a mode of UNTOLD."""
    branches = recognizer.branches
    sets = [recognizer.average if mode == "averaged" else branch.adapters for branch in branches]
    each = torch.stack([_said(branch, utterances, rows, heard[one]) for branch, one in zip(branches, sets)], 1)
    if mode == "averaged":
        return each.mean(1), [ALL] * len(rows)
    sure = each[..., : len(recognizer.labels)]
    if mode == "confident":
        best = entropy(sure).argmin(1)
    else:
        router = _router(recognizer)
        best = router.probabilities(_evidence(recognizer, router.hears_base, sure, rows, heard)).argmax(1)
    return each[torch.arange(len(rows)), best], best.tolist()


def learn_router(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    *,
    hears_base: bool = False,
    store: str | Path | None = None,
) -> Router:
    """A router learnt from utterances whose language is known; emotions are not looked at.

    hears_base: let it hear the encoder without adapters too: one pass more a clip. Give speech that the branches were
    not trained on: of what it was trained on a branch is surer than it will be of new speech.
    Errors: UserError where the recogniser has one branch, or one of its languages is not spoken in the utterances.
    """
    names = tuple(branch.language for branch in recognizer.branches)
    if not recognizer.labels:
        raise UserError("a router goes by how sure of an emotion branches are, and this recogniser has none")
    if len(names) < 2:
        raise UserError(f"a router takes a recogniser of several languages; this one was made for {names[0]} alone")
    known = [(one, branch) for one in utterances if (branch := recognizer.branch(one.language)) is not None]
    truth = torch.tensor([names.index(branch.language) for _, branch in known], dtype=torch.int64)
    for place, name in enumerate(names):
        if not (truth == place).any():
            raise UserError(f"a router needs speech in each language, and nobody speaks {name!r}")
    some = [hidden(one) for one, _ in known]
    sets = list(dict.fromkeys([branch.adapters for branch in recognizer.branches] + [None] * hears_base))
    heard, rows = stored(recognizer, some, [sets] * len(some), store)
    each = torch.stack([_said(branch, some, rows, heard[branch.adapters]) for branch in recognizer.branches], 1)
    each = each[..., : len(recognizer.labels)]
    return learnt(names, _evidence(recognizer, hears_base, each, rows, heard), truth, hears_base=hears_base)


def hidden(one: Utterance) -> Utterance:
    """The utterance without its language and corpus, by which it would be told; speakers stay apart."""
    return replace(one, corpus=UNKNOWN, language=UNKNOWN, speaker=person(one))


def by_domain(
    branch: Branch | Recognizer, utterances: Sequence[Utterance]
) -> Iterator[tuple[Domain, list[int], list[str | None], list[str | None]]]:
    """Each domain that utterances belong to, their rows, who speaks in them and what."""
    domains = [branch.domain(one.corpus, one.language) for one in utterances]
    for domain in {id(one): one for one in domains}.values():
        rows = [row for row, one in enumerate(domains) if one is domain]
        some = [utterances[row] for row in rows]
        yield domain, rows, [person(one) for one in some], [one.text for one in some]


def _said(branch: Branch, utterances: Sequence[Utterance], rows: Sequence[int], heard: dict[int, Tensor]) -> Tensor:
    """(N, C + K) of the utterances in N rows, each by the domain of its corpus or language."""
    said = torch.empty(len(rows), len(branch.spec.labels) + len(branch.spec.attributes))
    if branch.spec.frames:
        return torch.cat([branch.heard(heard[row]) for row in rows]) if rows else said
    for domain, places, speakers, texts in by_domain(branch, [utterances[row] for row in rows]):
        pooled = torch.stack([heard[rows[place]] for place in places])
        said[places] = branch.answers(pooled, domain, speakers, texts)
    return said


def _evidence(recognizer: Recognizer, hears_base: bool, each: Tensor, rows: Sequence[int], heard: Heard) -> Tensor:
    """(N, F) of what a router goes by; each: (N, B, C) probabilities of the branches."""
    parts = [confidences(each)]
    if hears_base:
        base = [heard[None][row] for row in rows]
        mean = torch.stack([one.mean(1) for one in base]) if recognizer.spec.frames else None
        parts.append(recognizer.select(torch.stack(base)).flatten(1) if mean is None else mean.flatten(1))
    return torch.cat(parts, 1)


def _router(recognizer: Recognizer) -> Router:
    router = recognizer.router
    if router is None or router.languages != tuple(branch.language for branch in recognizer.branches):
        raise UserError("mode 'routed': this recogniser has no router; `emobridge join --router MANIFEST` learns one")
    return router
