"""The sign without labels that adaptation may harm: agreement of recognisers adapted to halves of the target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import case_of

from emobridge.cache import Cache
from emobridge.scores.harm import LEAST_ADAPTED, LEAST_AGREEMENT
from emobridge.settings import Split
from emobridge.study.harm import compares_halves, measure_harm
from emobridge.study.run import Runner


def sign_of(speech, compare=True, seeds=1, **options):
    values = {"method": "blend", "head": "discriminant"}
    case = case_of(**{**values, "normalise": "corpus", "align": "none", **options})
    return measure_harm(Runner(speech, Split(seeds=seeds, folds=2), Cache(None)), case, compare)


def without_speakers(speech):
    rows = [replace(row, speaker=None) if row.corpus == "xx" else row for row in speech.utterances]
    return replace(speech, utterances=tuple(rows))


def without_labels(speech):
    rows = [replace(row, emotion=None) if row.corpus == "xx" else row for row in speech.utterances]
    return replace(speech, utterances=tuple(rows), label=np.where(speech.is_target, -1, speech.label))


def first_of_target(speech, count):
    rows = np.flatnonzero(speech.is_target)
    return speech.of([*np.flatnonzero(~speech.is_target), *rows[:count]])


def test_halves_agree_where_the_target_is_like_the_source(toy_speech):
    sign = sign_of(toy_speech(speakers=6, each=10))
    assert sign.agreement > 0.95 and sign.compared == sign_utterances(6, 10) and sign.halves_of == "speakers"
    assert not [reason for reason in sign.reasons if "agree" in reason]


def sign_utterances(speakers: int, each: int, emotions: int = 2) -> int:
    return speakers * each * emotions


def test_halves_disagree_where_the_target_tells_nothing(toy_speech):
    """What tells the emotions of the source does not vary in the target: what a half of it teaches is chance."""
    speech = toy_speech(speakers=6, each=12, width=128, noise=0.05)
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal(speech.features.shape).astype(np.float32))
    noise[:, :2] = 0
    is_target = torch.from_numpy(speech.is_target)[:, None]
    sign = sign_of(
        replace(speech, features=torch.where(is_target, noise, speech.features)), method="class-wise", normalise="none"
    )
    assert sign.agreement < LEAST_AGREEMENT
    assert sign.reasons[0].startswith("recognisers adapted to halves of the target's speakers agree on only ")


def test_no_label_of_the_target_is_looked_at(toy_speech):
    speech = toy_speech(speakers=4, each=4, noise=1.5)
    flipped = np.where(speech.is_target, 1 - speech.label, speech.label)
    names = np.array(["anger", "sadness"])[flipped].tolist()
    rows = [replace(row, emotion=name) for row, name in zip(speech.utterances, names)]
    signs = [sign_of(other) for other in (speech, replace(speech, label=flipped, utterances=tuple(rows)))]
    assert signs[0] == signs[1] and 0 < signs[0].agreement < 1
    unlabelled = sign_of(without_labels(speech))
    assert (unlabelled.agreement, unlabelled.compared) == (signs[0].agreement, signs[0].compared)


@pytest.mark.parametrize("speakers", [1, 2])
def test_with_too_few_speakers_halves_are_of_utterances(toy_speech, speakers):
    sign = sign_of(toy_speech(speakers=(4, speakers), each=4), seeds=2) if speakers > 1 else None
    sign = sign or sign_of(without_labels(toy_speech(speakers=(4, 1), each=4)), seeds=2)
    assert sign.halves_of == "utterances" and sign.agreement > 0.9


def test_unknown_speakers_too(toy_speech):
    speech = without_labels(without_speakers(toy_speech(speakers=4, each=4)))
    signs = [sign_of(speech), sign_of(speech)]
    assert signs[0] == signs[1] and signs[0].halves_of == "utterances" and signs[0].agreement > 0.9


@pytest.mark.parametrize(("count", "compared"), [(1, 0), (2, 0), (3, 3), (4, 4)])
def test_of_few_utterances_the_number_is_the_sign(toy_speech, count, compared):
    speech = first_of_target(without_labels(toy_speech(speakers=(4, 4), each=1)), count)
    sign = sign_of(speech)
    assert (sign.utterances, sign.compared) == (count, compared)
    assert np.isnan(sign.agreement) == (not compared)
    assert sign.reasons[-1] == f"it has only {count} unlabelled utterances to go by (below {LEAST_ADAPTED})"


def test_one_label_for_everything_is_a_sign(toy_speech):
    speech = without_labels(toy_speech(speakers=4, each=4))
    moved = torch.where(torch.from_numpy(speech.is_target)[:, None], torch.tensor([9.0, 0, 0, 0]), speech.features)
    sign = sign_of(replace(speech, features=moved), normalise="none")
    assert sign.agreement == 1 and sign.reasons[0] == "every answer is anger"


def test_what_has_no_sign(toy_speech):
    speech = toy_speech(each=4)
    assert sign_of(speech, method="source-only") is None
    assert sign_of(speech, target_labels="4") is None, "labels of the target tell more"
    assert sign_of(speech, labels=(), attributes=("arousal",)) is None, "no emotion is learnt"


def test_without_a_comparison_the_number_of_utterances_is_there(toy_speech):
    sign = sign_of(toy_speech(speakers=4, each=4), compare=False)
    assert sign.utterances == 16 and not sign.compared and len(sign.reasons) == 1


def test_when_halves_are_compared():
    soft = case_of(method="soft-pseudo-labels")
    blend = case_of(method="blend", head="discriminant")
    assert not compares_halves("auto", soft), "ten fits of many epochs"
    assert compares_halves("always", soft) and compares_halves("auto", blend)
    assert not compares_halves("never", blend)
