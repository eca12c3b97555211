"""Which corpora have speakers, or texts, that show few emotions each, and what follows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from toys import case_of

from emobridge.cache import Cache
from emobridge.heads.base import LinearMap
from emobridge.settings import Split
from emobridge.study.guard import guard_map, varieties
from emobridge.study.run import Runner


def measured(speech, group="speaker"):
    """The variety inside the groups of each corpus, by its name."""
    case = case_of(head="discriminant", normalise="speaker", align="none")
    found = varieties(speech, case, guard_map(speech, case))
    return {part.corpus: part for part in found if part.group == group}


def one_sided(speech, of=lambda utterance: int(utterance.speaker) // 2):
    """The target without half of it: of each utterance's speaker, or text, one emotion alone."""
    rows = [
        row
        for row, utterance in enumerate(speech.utterances)
        if not speech.is_target[row] or speech.label[row] == of(utterance) % 2
    ]
    return speech.of(rows)


def test_a_target_of_one_emotion_a_speaker_is_found_without_its_labels(toy_speech):
    speech = toy_speech(each=6, noise=0.3)
    whole = measured(speech)
    assert not any(found.is_low for found in whole.values())
    assert (whole["en"].by_labels, whole["en"].variety.value) == (True, 1.0) and not whole["xx"].by_labels
    few = one_sided(speech)
    found = measured(few)
    assert found["xx"].is_low and found["xx"].variety.value < 0.5 and found["en"] == whole["en"]
    assert (found["xx"].groups, found["xx"].utterances) == (4, 24)
    hidden = np.where(few.is_target, -1, few.label)
    assert measured(dataclasses.replace(few, label=hidden)) == found


def test_a_source_of_one_emotion_a_speaker_is_found_by_its_labels(toy_speech):
    speech = toy_speech(each=6)
    label = [
        speech.label[row] if speech.is_target[row] else int(utterance.speaker) % 2
        for row, utterance in enumerate(speech.utterances)
    ]
    found = measured(dataclasses.replace(speech, label=np.array(label)))["en"]
    assert (found.is_low, found.by_labels, found.variety.value) == (True, True, 0.0)


def test_texts_of_one_emotion_each_are_found_and_others_are_not(toy_speech):
    speech = toy_speech(each=6)
    assert {found.variety for found in measured(speech, "text").values()} == {None}, "no transcripts"
    takes = tuple(
        dataclasses.replace(utterance, text=f"text {utterance.id.rpartition('-')[2]}")
        for utterance in speech.utterances
    )
    speech = dataclasses.replace(speech, utterances=takes)
    whole = measured(speech, "text")
    assert not any(found.is_low for found in whole.values()) and whole["xx"].groups == 6
    few = one_sided(speech, lambda utterance: int(utterance.text[-1]))
    assert measured(few, "text")["xx"].is_low
    assert not measured(few)["xx"].is_low, "each speaker still shows both"


def test_few_utterances_and_single_speakers_are_not_judged(toy_speech):
    assert measured(toy_speech(each=1, speakers=3))["xx"].variety is None
    assert measured(toy_speech(each=12, speakers=(4, 1)))["xx"].variety is None
    speech = toy_speech(each=6)
    nameless = tuple(dataclasses.replace(utterance, speaker=None) for utterance in speech.utterances)
    found = measured(dataclasses.replace(speech, utterances=nameless))["xx"]
    assert (found.groups, found.utterances, found.variety) == (0, 0, None)


def test_the_map_of_the_source_is_solved_once_for_many_targets(toy_speech):
    speech = toy_speech(each=6, noise=0.3)
    case = case_of(head="discriminant", normalise="speaker", align="none")
    solved = guard_map(speech, case)
    few = one_sided(speech)
    assert varieties(few, case, solved) == varieties(few, case, guard_map(few, case)) != varieties(speech, case, solved)


def test_how_sure_the_model_is_does_not_count_beyond_a_bound(toy_speech):
    """Without it the variety of any multiple of the logits would be the same, and a few large ones would decide."""
    speech = one_sided(toy_speech(each=6, noise=1.5))
    case = case_of(head="discriminant", normalise="speaker", align="none")
    weight, bias = guard_map(speech, case)
    once, sure, surer = (
        next(
            found.variety.value
            for found in varieties(speech, case, LinearMap(times * weight, times * bias))
            if not found.by_labels
        )
        for times in (1, 1e4, 1e6)
    )
    assert sure == pytest.approx(surer, abs=1e-3) != pytest.approx(once, abs=1e-2)


def test_a_run_solves_the_map_of_its_source_once(toy_speech):
    runner = Runner(toy_speech(each=6), Split(), Cache(None))
    case = case_of(head="discriminant", normalise="speaker", align="none")
    solved = runner.guard_map(case)
    assert runner.guard_map(dataclasses.replace(case, align="coral")) is solved
    assert runner.guard_map(dataclasses.replace(case, labels=case.labels[::-1])) is not solved
