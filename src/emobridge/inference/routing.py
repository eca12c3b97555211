"""Which branches of a recogniser answer an utterance, and how their answers become one.

Where the language is known its branch answers. Where it is not ("und", or one that no branch knows), `untold` chooses:

    target     the last branch
    averaged   the mean of all branches' LoRA in the encoder, and the mean of what all heads make of that
    confident  the surest of all branches answers: the one whose probabilities have the least entropy
    routed     a router predicts from how sure each branch is which one answers (see bundle/router.py)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from emobridge.bundle import UNKNOWN, Branch, Recognizer
from emobridge.bundle.router import Router, confidences, fit_router
from emobridge.bundle.sets import Set
from emobridge.errors import UserError, unknown
from emobridge.features.normalisation import Domain
from emobridge.inference.features import FeaturesBySet, stored_features
from emobridge.scores.entropy import entropy
from emobridge.types import Utterance, person

ANSWERED_AT_ONCE = 10_000  # utterances whose features are normalised at a time
UNTOLD = ("target", "averaged", "confident", "routed")
ALL = -1  # in place of a branch's index: all of them answered together
Mode = str | Branch  # how an utterance is answered: by a mode of UNTOLD, or by the branch of its language


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


def modes_of(recognizer: Recognizer, utterances: Sequence[Utterance], untold: str | None) -> list[Mode]:
    """The branch of each utterance's language, or the mode by which the utterance is answered.

    A recogniser of several branches refuses a language that none of them knows, unless `untold` is given; a recogniser
    of one branch answers every language. Errors: UserError.
    """
    check_untold(recognizer, untold)
    modes: list[Mode] = []
    for utterance in utterances:
        branch = recognizer.branch(utterance.language, utterance.corpus)
        if branch is None and untold is None and len(recognizer.branches) > 1 and utterance.language != UNKNOWN:
            recognizer.branch_of(utterance.language)
        modes.append(branch or untold or "target")
    return modes


def sets_of(recognizer: Recognizer, mode: Mode) -> list[Set]:
    """The sets of adapters that an utterance goes through."""
    if isinstance(mode, Branch):
        return [mode.adapters]
    if mode == "target":
        return [recognizer.last.adapters]
    if mode == "averaged":
        return [recognizer.average]
    sets = [branch.adapters for branch in recognizer.branches]
    if mode == "routed" and _router(recognizer).hears_base:
        sets.append(None)
    return list(dict.fromkeys(sets))


def answers(
    recognizer: Recognizer, utterances: Sequence[Utterance], modes: Mapping[int, Mode], features: FeaturesBySet
) -> tuple[Tensor, list[int]]:
    """The answers to the rows in `modes`, in its order: probabilities and then attributes (N, C + K), in about [-1, 1];
    and the index of the branch that gave each, ALL where all of them did.
    """
    branches, order = recognizer.branches, list(modes)
    values = torch.zeros(len(order), len(recognizer.labels) + len(recognizer.attributes))
    answered_by = [ALL] * len(order)
    by_row = {row: branches[-1] if mode == "target" else mode for row, mode in modes.items()}
    for mode in dict.fromkeys(by_row.values()):
        positions = [index for index, row in enumerate(order) if by_row[row] == mode]
        rows = [order[index] for index in positions]
        if isinstance(mode, Branch):
            values[positions] = _branch_answers(mode, utterances, rows, features[mode.adapters])
            chosen = [branches.index(mode)] * len(positions)
        else:
            values[positions], chosen = _joint_answers(recognizer, utterances, mode, rows, features)
        for index, branch in zip(positions, chosen):
            answered_by[index] = branch
    return values, answered_by


def unfamiliarity(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    modes: Mapping[int, Mode],
    features: FeaturesBySet,
    answered_by: Sequence[int],
) -> list[float | None]:
    """How unlike the training speech the rows in `modes` are, in its order: to the branch that answered each.

    answered_by: as `answers` has it. Where all branches answered together it is the least that any of them says. None
    where the branch does not know, as in older bundles.
    """
    order = list(modes)
    values = torch.full((len(order),), torch.inf)
    average = recognizer.average if ALL in answered_by else None
    for index, branch in enumerate(recognizer.branches):
        for answered, adapters in ((index, branch.adapters), (ALL, average)):
            positions = [position for position, number in enumerate(answered_by) if number == answered]
            if positions:
                rows = [order[position] for position in positions]
                measured = _branch_unfamiliarity(branch, utterances, rows, features[adapters])
                values[positions] = torch.minimum(values[positions], measured)
    return [value if value < torch.inf else None for value in values.tolist()]


def inputs_of_branches(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    modes: Mapping[int, Mode],
    features: FeaturesBySet,
    answered_by: Sequence[int],
) -> list[tuple[Tensor, Domain] | None]:
    """What the head of the branch that answered sees of the rows in `modes`, in its order: (D,), and the domain.

    answered_by: as `answers` has it; None where all branches answered together. Branches see no frames.
    """
    order = list(modes)
    inputs: list[tuple[Tensor, Domain] | None] = [None] * len(order)
    for index, branch in enumerate(recognizer.branches):
        positions = [position for position, number in enumerate(answered_by) if number == index]
        rows = [order[position] for position in positions]
        for domain, inside, speakers, texts in by_domain(branch, [utterances[row] for row in rows]):
            pooled = torch.stack([features[branch.adapters][rows[position]] for position in inside])
            for position, x in zip(inside, branch.normalised(pooled, domain, speakers, texts)):
                inputs[positions[position]] = x, domain
    return inputs


def _joint_answers(
    recognizer: Recognizer, utterances: Sequence[Utterance], mode: str, rows: Sequence[int], features: FeaturesBySet
) -> tuple[Tensor, list[int]]:
    """`answers` to rows that all branches answer, by a mode of UNTOLD."""
    branches = recognizer.branches
    sets = [recognizer.average if mode == "averaged" else branch.adapters for branch in branches]
    by_branch = torch.stack(
        [_branch_answers(branch, utterances, rows, features[adapters]) for branch, adapters in zip(branches, sets)], 1
    )
    if mode == "averaged":
        return by_branch.mean(1), [ALL] * len(rows)
    probabilities = by_branch[..., : len(recognizer.labels)]
    if mode == "confident":
        best = entropy(probabilities).argmin(1)
    else:
        router = _router(recognizer)
        x = _router_features(recognizer, router.hears_base, probabilities, rows, features)
        best = router.probabilities(x).argmax(1)
    return by_branch[torch.arange(len(rows)), best], best.tolist()


def learn_router(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    *,
    hears_base: bool = False,
    store: str | Path | None = None,
) -> Router:
    """A router learnt from utterances whose language is known; emotions are not used.

    hears_base: give it the features of the encoder without adapters too: one pass more a clip. Give speech that the
    branches were not trained on: a branch is surer of its training speech than it will be of new speech.
    Errors: UserError where the recogniser has one branch, or one of its languages is not spoken in the utterances.
    """
    names = tuple(branch.language for branch in recognizer.branches)
    if not recognizer.labels:
        raise UserError("a router goes by how sure of an emotion branches are, and this recogniser has none")
    if len(names) < 2:
        raise UserError(f"a router takes a recogniser of several languages; this one was made for {names[0]} alone")
    pairs = [(row, branch) for row in utterances if (branch := recognizer.branch(row.language)) is not None]
    truth = torch.tensor([names.index(branch.language) for _, branch in pairs], dtype=torch.int64)
    for index, name in enumerate(names):
        if not (truth == index).any():
            raise UserError(f"a router needs speech in each language, and nobody speaks {name!r}")
    anonymous = [without_language(utterance) for utterance, _ in pairs]
    sets = list(dict.fromkeys([branch.adapters for branch in recognizer.branches] + [None] * hears_base))
    features, rows = stored_features(recognizer, anonymous, [sets] * len(anonymous), store)
    by_branch = [_branch_answers(branch, anonymous, rows, features[branch.adapters]) for branch in recognizer.branches]
    probabilities = torch.stack(by_branch, 1)[..., : len(recognizer.labels)]
    x = _router_features(recognizer, hears_base, probabilities, rows, features)
    return fit_router(names, x, truth, hears_base=hears_base)


def without_language(utterance: Utterance) -> Utterance:
    """The utterance without its language and corpus, which would give the language away; speakers stay apart."""
    return replace(utterance, corpus=UNKNOWN, language=UNKNOWN, speaker=person(utterance))


def by_domain(
    branch: Branch | Recognizer, utterances: Sequence[Utterance]
) -> Iterator[tuple[Domain, list[int], list[str | None], list[str | None]]]:
    """Each domain that utterances belong to: their rows, who speaks in them and their texts."""
    domains = [branch.domain(utterance.corpus, utterance.language) for utterance in utterances]
    for domain in {id(domain): domain for domain in domains}.values():
        rows = [row for row, other in enumerate(domains) if other is domain]
        yield domain, rows, [person(utterances[row]) for row in rows], [utterances[row].text for row in rows]


def _branch_answers(
    branch: Branch, utterances: Sequence[Utterance], rows: Sequence[int], features: Mapping[int, Tensor]
) -> Tensor:
    """(N, C + K) for the utterances in N rows, each by the domain of its corpus or language."""
    values = torch.empty(len(rows), len(branch.spec.labels) + len(branch.spec.attributes))
    if branch.spec.frames:
        for position, row in enumerate(rows):
            domain = branch.domain(utterances[row].corpus, utterances[row].language)
            values[position] = branch.answers_to_frames(features[row], domain)[0]
        return values
    for domain, positions, speakers, texts in by_domain(branch, [utterances[row] for row in rows]):
        for block in _blocks(speakers):
            inside = [positions[index] for index in block]
            pooled = torch.stack([features[rows[position]] for position in inside])
            who, what = [speakers[index] for index in block], [texts[index] for index in block]
            values[inside] = branch.answers(pooled, domain, who, what)
    return values


def _blocks(speakers: Sequence[str | None]) -> Iterator[Sequence[int]]:
    """Rows to answer at once, about ANSWERED_AT_ONCE of whole speakers: all features would be in memory again."""
    if len(speakers) <= ANSWERED_AT_ONCE:
        yield range(len(speakers))
        return
    by_speaker: dict[str | int, list[int]] = {}
    for row, speaker in enumerate(speakers):
        by_speaker.setdefault(row if speaker is None else speaker, []).append(row)
    block: list[int] = []
    for rows in by_speaker.values():
        block += rows
        if len(block) >= ANSWERED_AT_ONCE:
            yield block
            block = []
    if block:
        yield block


def _branch_unfamiliarity(
    branch: Branch, utterances: Sequence[Utterance], rows: Sequence[int], features: Mapping[int, Tensor]
) -> Tensor:
    """`Branch.unfamiliarity` (N,) of the utterances in N rows; infinite of a branch without familiarity."""
    values = torch.full((len(rows),), torch.inf)
    if branch.familiarity is None:
        return values
    for domain, positions, _, _ in by_domain(branch, [utterances[row] for row in rows]):
        pooled = torch.stack([features[rows[index]] for index in positions])
        values[positions] = branch.familiarity.unfamiliarity(branch.normalised(pooled, domain, None))
    return values


def _router_features(
    recognizer: Recognizer, hears_base: bool, probabilities: Tensor, rows: Sequence[int], features: FeaturesBySet
) -> Tensor:
    """(N, F) of what a router goes by; probabilities: (N, B, C) of the branches."""
    parts = [confidences(probabilities)]
    if hears_base:
        base = [features[None][row] for row in rows]
        if recognizer.spec.frames:
            parts.append(torch.stack([frames.mean(1) for frames in base]).flatten(1))
        else:
            parts.append(recognizer.select(torch.stack(base)).flatten(1))
    return torch.cat(parts, 1)


def _router(recognizer: Recognizer) -> Router:
    router = recognizer.router
    if router is None or router.languages != tuple(branch.language for branch in recognizer.branches):
        raise UserError("mode 'routed': this recogniser has no router; `emobridge join --router MANIFEST` learns one")
    return router
