"""What the features of an answer were standardised by, in words for its row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from emobridge.bundle import Branch, Recognizer
from emobridge.errors import count_noun
from emobridge.inference.routing import ALL, Mode, by_domain
from emobridge.types import Utterance


def statistics_words(
    recognizer: Recognizer, utterances: Sequence[Utterance], modes: Mapping[int, Mode], answered_by: Sequence[int]
) -> list[str]:
    """For each row of `modes`, as `routing.answers` answers them together: "none", "corpus" or "speaker (12
    utterances)"; where branches that answer together differ, each of these once.

    answered_by: index of the branch that answered each row, or ALL.
    """
    order = list(modes)
    words: dict[int, list[str]] = {row: [] for row in order}
    by_row = {row: recognizer.last if mode == "target" else mode for row, mode in modes.items()}
    chosen = dict(zip(order, answered_by))
    for mode in dict.fromkeys(by_row.values()):
        rows = [row for row in order if by_row[row] == mode]
        for index, branch in enumerate(recognizer.branches):
            answering = {row for row in rows if chosen[row] in (index, ALL)}
            if answering:
                for row, word in zip(rows, _of_branch(branch, [utterances[row] for row in rows])):
                    if row in answering:
                        words[row].append(word)
    return ["; ".join(dict.fromkeys(words[row])) for row in order]


def _of_branch(branch: Branch, utterances: Sequence[Utterance]) -> list[str]:
    """What a branch standardises the features of each utterance by when it answers all of them together."""
    how = branch.spec.normalise
    if branch.spec.frames or how == "none":
        return ["none"] * len(utterances)
    words = [""] * len(utterances)
    for domain, rows, speakers, texts in by_domain(branch, utterances):
        counts, with_offset = Counter(speakers), frozenset(domain.texts if domain.offsets is not None else ())
        for row, speaker, text in zip(rows, speakers, texts):
            is_known = speaker is not None and how.startswith("speaker") and domain.by_speaker
            words[row] = f"speaker ({count_noun(counts[speaker], 'utterance')})" if is_known else "corpus"
            words[row] += ", text" if text in with_offset else ""
    return words
