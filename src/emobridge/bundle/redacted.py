"""A branch that names nobody: without texts, and without digests of speakers, whose names could be guessed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from emobridge.bundle.branch import Branch
from emobridge.bundle.training_speech import NOBODY, SPEAKER_DIGEST, TrainingSpeech
from emobridge.features.normalisation import Domain


def redacted_branch(branch: Branch, clean: Callable[[str], str]) -> Branch:
    """The branch for a bundle that is shared; `clean` gives corpora and attribute ranges other names.

    A digest of a name tells whoever guesses the name that the guess is right, so that those of speakers are dropped:
    `evaluate` then finds the same files, and no more the same speakers. Digests of files tell only who has the file.
    Texts become numbers; with speaker+text normalisation the offsets of texts are then those of no known text.
    """
    spec = replace(
        branch.spec,
        domains=tuple((clean(corpus), language) for corpus, language in branch.spec.domains),
        by_corpus=tuple(map(clean, branch.spec.by_corpus)),
        attribute_range=clean(branch.spec.attribute_range),
        texts=tuple(map(_numbers, branch.spec.texts)),
    )
    domains = tuple(_domain(domain, clean) for domain in branch.domains)
    moments, speech = branch.source_moments, branch.training_speech
    if moments is not None:
        moments = replace(moments, domains=tuple(_domain(domain, clean) for domain in moments.domains))
    if speech is not None:
        rows = speech.rows.clone()
        rows[:, SPEAKER_DIGEST] = NOBODY
        speech = TrainingSpeech(rows)
    return replace(branch, spec=spec, domains=domains, source_moments=moments, training_speech=speech)


def _domain(domain: Domain, clean: Callable[[str], str]) -> Domain:
    return replace(domain, corpus=clean(domain.corpus), texts=_numbers(domain.texts))


def _numbers(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"text {number}" for number in range(1, len(texts) + 1))
