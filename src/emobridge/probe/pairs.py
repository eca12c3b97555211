"""Which corpora are trained on and tested on, by their languages and those of an encoder's pre-training."""

from __future__ import annotations

from collections.abc import Sequence

from emobridge.languages import primary_language
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus

Pair = tuple[str, str]  # names of the corpora that are trained on and tested on
IN_LANGUAGE = "in language"
# What the settings of Han et al. 2025 (methods C) and ours mean, as pages say it.
SETTING_MEANINGS = {
    "mono": "trained and tested on the same corpus, in a language of the encoder's pre-training",
    "trans": "trained and tested on the same corpus, in a language that the encoder was not pre-trained on",
    "cross": "trained on a corpus in a language of the encoder's pre-training (in any language, where the encoder's "
    "are not known), tested on a corpus in another language",
    "other": "trained on one corpus and tested on another, which share a language, or in a language that the encoder "
    "was not pre-trained on",
    IN_LANGUAGE: "trained and tested on the same corpus; the languages of the encoder's pre-training are not known",
}


def pairs_of(settings: ProbeSettings, corpora: Sequence[Corpus], languages: Sequence[str]) -> tuple[Pair, ...]:
    """The pairs of corpora that an encoder pre-trained on `languages` is trained and tested on."""
    pairs = []
    for trained in corpora:
        for tested in corpora:
            kinds = {"mono", "trans"} if trained.name == tested.name else {"cross", "other"}
            kind = setting_of(trained, tested, languages)
            if kinds & set(settings.settings) and kind in (*settings.settings, IN_LANGUAGE):
                pairs.append((trained.name, tested.name))
    return tuple(pairs)


def setting_of(trained: Corpus, tested: Corpus, languages: Sequence[str]) -> str:
    """One of `SETTING_MEANINGS` by the languages of the encoder's pre-training; () where they are not known.

    A multilingual encoder ("mul") knows every language.
    """
    source, target = primary_language(trained.language), primary_language(tested.language)
    is_known = "mul" in languages or source in map(primary_language, languages)
    if trained.name == tested.name:
        return ("mono" if is_known else "trans") if languages else IN_LANGUAGE
    return "cross" if source != target and (is_known or not languages) else "other"
