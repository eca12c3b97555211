"""Sentences on the protocol: what a method saw, how the scored were held out, what a reader must know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toys import case_of

from emobridge.encoders import load_encoder
from emobridge.scores.variety import Variety
from emobridge.settings import Adapt, Split
from emobridge.study.cases import draft
from emobridge.study.guard import CorpusVariety
from emobridge.study.protocol import held_out, saw, speech_warnings, split_text

DEFAULTS = {"source": ("en.jsonl",), "target": "xx.jsonl", "labels": ("anger", "sadness"), "method": "pseudo-labels"}


def sentences_of(**options):
    """What the method of a request saw."""
    request = Adapt.of(**(DEFAULTS | options))
    return saw(draft(request, load_encoder("logmel"))[-1], request.data, request.split)


@pytest.mark.parametrize(
    ("values", "there", "absent"),
    [
        (
            {"method": "source-only"},
            "no label of the target",
            "the unlabelled audio of the target's training speakers ",
        ),
        ({"target_labels": "8"}, "the labels of 8 utterances of the target's training speakers", "no label"),
        ({"normalise": "none"}, "the source's training utterances only", "scored target speakers too"),
        (
            {"normalise": "corpus"},
            "normalisation used the unlabelled audio of the source's training speakers",
            "scored",
        ),
        ({"align": "none"}, "speaker normalisation", "CORAL"),
        ({"transductive": True}, "CORAL alignment used the unlabelled audio of all target speakers, the scored", "xx"),
        ({"transductive": True}, "the unlabelled audio of all target speakers, the scored too", "of the target's"),
        ({"transductive": True, "normalise": "corpus"}, "source's training speakers and of all target", "xx"),
        ({"pool": "open"}, "speaker normalisation", "BY LABEL"),
        ({"pool": "closed"}, "chosen BY LABEL", "xx"),
    ],
)
def test_what_the_method_saw_follows_the_requested(values, there, absent):
    text = "; ".join(sentences_of(**values))
    assert there in text
    assert absent not in text


def test_corpora_that_are_normalised_otherwise_are_named():
    assert "speakers of xx, en were normalised by their corpus, not by their own" in sentences_of(
        by_corpus=("xx", "en")
    )


def test_attributes_are_seen_where_labels_are():
    text = "; ".join(sentences_of(attributes=("arousal", "valence")))
    assert "arousal, valence of the utterances whose labels it saw, where they are known, and of no others" in text


def test_a_validation_that_uses_target_labels_says_so():
    text = "; ".join(sentences_of(patience=3, validate="both"))
    assert "LABELS OF A FIFTH OF THE TARGET'S TRAINING SPEAKERS chose the epoch, for the baseline as well" in text
    assert "no label of the target" not in text
    predefined = "; ".join(sentences_of(patience=3, validate="both", predefined=True, folds=0))
    assert "LABELS OF THE TARGET'S VALIDATION SPLIT chose the epoch" in predefined
    assert "no label of the target" in "; ".join(sentences_of(patience=3))


@pytest.mark.parametrize(
    ("split", "folds", "text", "words"),
    [
        (Split(folds=3), 3, "3 folds by speaker", "3 folds by speaker on both sides"),
        (Split(folds=0), 0, "one split by speaker", "one split, a fifth held out by speaker"),
        (Split(folds=0, predefined=True), 0, "of the corpora", "the split that the corpora come with"),
        (Split(folds=0, serab=True), 0, "SERAB's by speaker", "60/20/20 (the same for every seed)"),
        (Split(folds=3, share_speakers=True), 3, "by utterance", "SPEAKERS ARE SHARED"),
        (Split(folds=3, transductive=True), 3, "3 folds by speaker, transductive", "adapted to (transductive)"),
    ],
)
def test_each_split_has_its_words(toy_speech, split, folds, text, words):
    assert split_text(toy_speech(), split, "open") == text
    assert split_text(toy_speech(), split, "closed") == f"{text}, target chosen by label"
    assert words in held_out(split, folds, True)
    assert ("no scored speaker was trained on" in held_out(split, folds, True)) == text.endswith(
        "folds by speaker"
    ) or (split == Split(folds=0))


def test_a_bundle_is_told_where_there_is_one_and_a_target_without_labels():
    assert "on everything" in held_out(Split(), 5, True)
    assert "on everything" not in held_out(Split(), 5, True, bundle=False)
    assert held_out(Split(), 5, False).endswith(" The target has no labels to score.")


def test_the_guard_is_named_where_it_changed_something(toy_speech):
    found = (
        CorpusVariety("en", "speaker", 4, 32, True, Variety(1.0, 28)),
        CorpusVariety("xx", "speaker", 4, 32, False, Variety(0.31, 28)),
    )
    (line,) = speech_warnings([case_of(by_corpus=("xx",))], toy_speech(), Split(folds=2), found)
    assert line.startswith("the guard normalises xx by corpus, not by speaker: its speakers show few emotions")
    assert "0.31 by what a model of the source says" in line and line.endswith("give --no-guard")
    assert speech_warnings([case_of()], toy_speech(), Split(folds=2), ()) == (), "the guard was off"
    assert speech_warnings([case_of(normalise="corpus")], toy_speech(), Split(folds=2), found) == ()
    labelled = (replace(found[1], by_labels=True),)
    (line,) = speech_warnings([case_of(by_corpus=("xx",))], toy_speech(), Split(folds=2), labelled)
    assert "0.31 by their labels" in line and "--no-guard" not in line


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "xx has too few utterances of each speaker (6 of 4) to tell whether its speakers show several emotions"),
        (0.9, "the speakers of xx may show few emotions each"),
        (0.96, None),
        (1.1, None),
    ],
)
def test_what_the_guard_cannot_tell_is_said(toy_speech, value, words):
    found = CorpusVariety("xx", "speaker", 4, 6, False, None if value is None else Variety(value, 2))
    lines = speech_warnings([case_of()], toy_speech(), Split(folds=2), [found])
    assert [line[: len(words)] for line in lines] == [words] if words else lines == ()


def test_texts_that_tell_the_emotion_are_named_where_texts_are_taken_out(toy_speech):
    found = [CorpusVariety("xx", "text", 4, 32, False, Variety(0.4, 28)), CorpusVariety("en", "text", 0, 0, True, None)]
    case = replace(case_of(normalise="speaker+text"), without_texts=("xx",))
    (line,) = speech_warnings([case], toy_speech(), Split(folds=2), found)
    assert line.startswith("the guard normalises xx by speaker alone, without its texts: its texts show few")
    assert "texts of xx were not taken out" in saw(case, Adapt.of(**DEFAULTS).data, Split())
    assert speech_warnings([case_of()], toy_speech(), Split(folds=2), found) == ()


def test_utterances_without_a_speaker_are_counted(toy_speech):
    speech = toy_speech()
    utterances = tuple(replace(row, speaker=None) if n < 3 else row for n, row in enumerate(speech.utterances))
    nameless, split = replace(speech, utterances=utterances), Split(folds=2, share_speakers=True)
    lines = speech_warnings([case_of(normalise="corpus"), case_of(normalise="speaker")], nameless, split, ())
    assert "3 utterances have no speaker: they are normalised by their corpus instead" in lines
    assert len(speech_warnings([case_of(normalise="corpus")], nameless, split, ())) == 1


def test_labels_that_the_target_lacks_are_named_but_not_where_it_has_none(toy_speech):
    speech = toy_speech(emotions=3)
    case = case_of(labels=("anger", "sadness", "neutral"))
    assert speech_warnings([case], speech, Split(folds=2), ()) == ()
    label = np.where(speech.is_target & (speech.label > 0), -1, speech.label)
    (line,) = speech_warnings([case], replace(speech, label=label), Split(folds=2), ())
    assert line == "no target utterance is labelled sadness, neutral: UA is over the other labels"
    without = replace(speech, label=np.where(speech.is_target, -1, speech.label))
    assert speech_warnings([case], without, Split(folds=2), ()) == ()
