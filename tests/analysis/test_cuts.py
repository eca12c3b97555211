"""Who tests what: every part once a seed, by models of that seed."""

from __future__ import annotations

import pytest

from emobridge.analysis.cuts import Corpus, cuts_of, scored_on, scored_rows
from emobridge.probe_settings import ProbeSettings
from emobridge.types import Utterance


def corpus(name, speakers, emotions=("anger", "sadness")):
    rows = [
        Utterance(f"{speaker}-{emotion}-{take}", name, "a.wav", speaker=str(speaker), emotion=emotion)
        for speaker in range(speakers)
        for emotion in emotions
        for take in range(2)
    ]
    return Corpus(name, name, tuple(rows))


@pytest.mark.parametrize(("trained", "tested"), [(4, 4), (2, 5), (5, 2), (2, 3)])
def test_every_part_is_tested_once_a_seed_whatever_the_folds(trained, tested):
    settings = ProbeSettings(corpora=("a",), seeds=2)
    learnt, other = corpus("en", trained), corpus("xx", tested)
    rows = scored_rows(other, learnt, cuts_of(other, settings), trained)
    assert [len(folds) for folds in rows] == [trained, trained]
    for folds in rows:
        assert sorted(row for part in folds for row in part) == list(range(len(other.utterances)))


def test_emotions_that_were_not_learnt_are_not_scored():
    settings = ProbeSettings(corpora=("a",), seeds=1)
    learnt, other = corpus("en", 2), corpus("xx", 2, ("anger", "fear", "sadness"))
    (folds,) = scored_rows(other, learnt, cuts_of(other, settings), 2)
    assert {other.utterances[row].emotion for part in folds for row in part} == {"anger", "sadness"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [(("mono",), ["en"]), (("cross",), ["xx", "de"]), (("other", "trans"), ["en", "xx", "de"])],
)
def test_which_corpora_are_tested_on(settings, expected):
    asked = ProbeSettings(corpora=("a",), settings=settings)
    assert scored_on(asked, "en", ("en", "xx", "de")) == expected
