"""The rows of `predict`: what was answered for a part of a recording, by whom, and why not."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from emobridge.bundle import Branch, Recognizer
from emobridge.data.attributes import unscaled
from emobridge.errors import UserError, unknown
from emobridge.inference.routing import ALL, Mode
from emobridge.inference.segments import AnswerPart
from emobridge.settings import Answering
from emobridge.types import Prediction

NO_PROBABILITY = "none of the labels is probable"


def chosen_labels(names: Sequence[str], settings: Answering) -> list[int]:
    """The indices of the labels that may be answered, in the order of a recogniser's `names`.

    Errors: UserError for a label that it does not have, for a single one of several, and for a choice of labels or a
    least probability where it tells attributes alone.
    """
    if not names and (settings.labels or settings.abstain_below):
        option = "labels" if settings.labels else "abstain_below"
        raise UserError(f"{option}: goes by emotions, and this recogniser tells attributes alone")
    folded = {name.casefold(): index for index, name in enumerate(names)}
    for word in settings.labels:
        if word.casefold() not in folded:
            raise unknown("label", word, names)
    if len({word.casefold() for word in settings.labels}) == 1 and len(names) > 1:
        raise UserError(f"labels: expected two or more, got {settings.labels[0]}: alone it would be the answer to all")
    chosen = {folded[word.casefold()] for word in settings.labels}
    return [index for index in range(len(names)) if index in chosen or not chosen]


def unanswered(recognizer: Recognizer, labels: Sequence[int], part: AnswerPart, reason: str) -> Prediction:
    """The row of a part that has no answer."""
    utterance = part.utterance
    return Prediction(
        utterance.id,
        utterance.start,
        part.end,
        tuple(recognizer.labels[index] for index in labels),
        (),
        attribute_names=recognizer.attributes,
        path=utterance.path,
        channel=utterance.channel,
        language=utterance.language,
        reason=reason,
    )


def answered_rows(
    recognizer: Recognizer,
    labels: Sequence[int],
    parts: Sequence[AnswerPart],
    values: Tensor,
    *,
    answered_by: Sequence[str],
    statistics: Sequence[str],
    abstain_below: float,
) -> list[Prediction]:
    """The rows of N parts with answers: probabilities and attributes in about [-1, 1], (N, C + K)."""
    count, names = len(recognizer.labels), recognizer.attributes
    attributes = unscaled(values[:, count:].double().numpy(), recognizer.scale).tolist()
    rows = []
    for index, (part, probabilities) in enumerate(zip(parts, values[:, :count].tolist())):
        shares, reason = _shares([probabilities[label] for label in labels], len(labels) < count)
        reason = reason or unsure_reason(shares, abstain_below)
        utterance = part.utterance
        rows.append(
            Prediction(
                utterance.id,
                utterance.start,
                part.end,
                tuple(recognizer.labels[label] for label in labels),
                tuple(shares),
                tuple(attributes[index]) if names else None,
                attribute_names=names,
                path=utterance.path,
                channel=utterance.channel,
                language=utterance.language,
                answered_by=answered_by[index],
                statistics=statistics[index],
                reason=reason,
            )
        )
    return rows


def unsure_reason(shares: Sequence[float], abstain_below: float) -> str:
    """Why probabilities give no label where the best one is too low; "" where it is not."""
    if not shares or max(shares) >= abstain_below:
        return ""
    return f"unsure: {math.floor(max(shares) * 1000) / 1000:g} is below {abstain_below:g}"


def branch_words(recognizer: Recognizer, modes: Sequence[Mode], answered_by: Sequence[int]) -> list[str]:
    """Who gave each answer: a branch's language and, of one that was chosen, how; or all of them together.

    answered_by: as `routing.answers` has it.
    """
    languages = ", ".join(branch.language for branch in recognizer.branches)
    words = []
    for mode, index in zip(modes, answered_by):
        if index == ALL:
            words.append(f"{mode} ({languages})")
        elif isinstance(mode, Branch) or mode == "target":
            words.append(recognizer.branches[index].language)
        else:
            words.append(f"{recognizer.branches[index].language} ({mode})")
    return words


def _shares(probabilities: list[float], is_restricted: bool) -> tuple[list[float], str]:
    """The probabilities of the labels that may be answered, which sum to 1; and why there is no label."""
    total = sum(probabilities)
    if not is_restricted or not probabilities:
        return probabilities, ""
    if total <= 0:
        return [], NO_PROBABILITY
    return [probability / total for probability in probabilities], ""
