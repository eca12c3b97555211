"""Folds and budgets: nobody is on two sides."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as quick
from hypothesis import strategies as st
from toys import everything, folds_of, split_of

from emobridge.corpora import scan
from emobridge.data import speech as data_speech
from emobridge.data.speech import UNLABELLED, Speech, budget, count_folds
from emobridge.data.splits import serab
from emobridge.errors import UserError
from emobridge.literature.record import FIVE
from emobridge.settings import Split

SIDES = ("source", "source_test", "target", "target_test", "validation")


def people(speech: Speech, rows) -> set[tuple[str, str | None]]:
    return {(speech.utterances[row].corpus, speech.utterances[row].speaker) for row in rows}


def of_target(speech: Speech, rows) -> set[bool]:
    return {bool(speech.is_target[row]) for row in rows}


@pytest.mark.parametrize("transductive", [False, True])
@pytest.mark.parametrize("folds", [0, 3])
def test_speakers_of_both_sides_validate_where_asked_for(toy_speech, folds, transductive):
    """Those of the target by their labelled utterances; nothing of theirs adapts, is in a budget or is scored."""
    speech = toy_speech(speakers=(6, 7), each=2, extra=2)
    options = {"folds": folds, "patience": 3, "transductive": transductive}
    for seed in range(5):
        plain = folds_of(speech, seed, **options)
        for alone, fold in zip(plain, folds_of(speech, seed, **options | {"validate": "both"}), strict=True):
            target = [row for row in fold.validation if speech.is_target[row]]
            assert fold.validation[: len(alone.validation)] == alone.validation and len(people(speech, target)) == 1
            assert UNLABELLED not in speech.label[target] and len(target) == 4
            heard = people(speech, target)
            assert fold.target == tuple(row for row in alone.target if not people(speech, [row]) & heard)
            assert not heard & people(speech, fold.target_test)
            assert not set(budget(speech, fold, "all", seed)) & set(target)
            assert (fold.source, fold.source_test) == (alone.source, alone.source_test)
            assert fold.target_test == alone.target_test
    final = everything(speech, 0, **options | {"validate": "both"})
    assert of_target(speech, final.validation) == {True, False}
    assert not people(speech, final.validation) & people(speech, (*final.source, *final.target))


def test_a_target_without_labels_cannot_validate(toy_speech):
    speech = toy_speech()
    speech = replace(speech, label=np.where(speech.is_target, UNLABELLED, speech.label))
    options = {"folds": 2, "patience": 3}
    assert folds_of(speech, 0, **options | {"validate": "both"}) == folds_of(speech, 0, **options)


@pytest.mark.parametrize("patience", [0, 3])
@pytest.mark.parametrize("folds", [0, 2, 5])
def test_no_speaker_is_on_two_sides_whatever_the_seed(toy_speech, folds, patience):
    speech = toy_speech(sources=("en", "de"), speakers=(6, 5, 7), extra=2)
    seen = set()
    for seed in range(25):
        made = folds_of(speech, seed, folds=folds, patience=patience)
        seen.add(made)
        assert len(made) == (folds or 1)
        for fold in made:
            parts = [people(speech, getattr(fold, side)) for side in SIDES]
            assert sum(map(len, parts)) == len(set.union(*parts)), "each speaker is on one side"
            assert all(parts[:4]) and bool(fold.validation) == bool(patience)
            for side in SIDES:
                assert of_target(speech, getattr(fold, side)) <= {side.startswith("target")}
                rows = getattr(fold, side)
                assert list(rows) == sorted(set(rows)) and all(type(row) is int for row in rows)
            assert UNLABELLED not in speech.label[[*fold.source_test, *fold.target_test]]
    assert len(seen) > 5, "seeds differ"


def test_every_labelled_utterance_is_scored_once_over_the_folds(toy_speech):
    speech = toy_speech(speakers=6, extra=1)
    made = folds_of(speech, 0, folds=3)
    tested = [row for fold in made for row in (*fold.source_test, *fold.target_test)]
    assert sorted(tested) == np.flatnonzero(speech.label != UNLABELLED).tolist()
    for fold in made:
        assert set(fold.source) | set(fold.source_test) == set(np.flatnonzero(~speech.is_target).tolist())


def test_one_split_scores_a_fifth_of_the_speakers(toy_speech):
    speech = toy_speech(speakers=10)
    (fold,) = folds_of(speech, 0, folds=0)
    assert len(people(speech, fold.source_test)) == len(people(speech, fold.target_test)) == 2
    (fold,) = folds_of(speech, 0, folds=0, patience=1)
    assert len(people(speech, fold.validation)) == 2 and len(people(speech, fold.source)) == 6


def test_unlabelled_utterances_of_a_scored_speaker_do_not_adapt(toy_speech):
    speech = toy_speech(speakers=4, extra=3)
    unlabelled = {row for row in range(len(speech.label)) if speech.label[row] == UNLABELLED}
    for fold in folds_of(speech, 1, folds=4):
        heard = people(speech, fold.target_test)
        adapts = set(fold.target) & unlabelled
        assert adapts == {row for row in unlabelled if not people(speech, [row]) & heard}
        assert adapts and not people(speech, fold.target) & heard


def test_speakers_of_the_same_name_in_two_corpora_are_two_people(toy_speech):
    speech = toy_speech(sources=("en",), speakers=3)
    for fold in folds_of(speech, 0, folds=3):
        assert fold.target and fold.source


def test_there_are_no_more_folds_than_speakers(toy_speech):
    assert len(folds_of(toy_speech(speakers=(9, 3)), folds=5)) == 3
    assert len(folds_of(toy_speech(speakers=(2, 9)), folds=5)) == 2


@pytest.mark.parametrize(
    ("split", "speakers", "validation", "count"),
    [
        (Split(folds=9), 4, "none", 4),
        (Split(folds=5), (7, 3), "none", 3),
        (Split(folds=0), 5, "none", 0),
        (Split(folds=9, share_speakers=True), 4, "none", 9),
        (Split(folds=9, halved=True), (8, 6), "none", 4),
        (Split(folds=9, halved=True), (8, 6), "both", 3),
    ],
)
def test_folds_are_counted_without_dealing_speakers_out(toy_speech, split, speakers, validation, count):
    speech = toy_speech(speakers=speakers)
    assert count_folds(speech, split, validation) == count
    assert len(data_speech.folds_of(speech, split, 0, validation)) == max(count, 1)


@pytest.mark.parametrize("speakers", [(1, 4), (4, 1)])
@pytest.mark.parametrize("folds", [0, 5])
def test_one_speaker_alone_is_a_users_mistake(toy_speech, speakers, folds):
    with pytest.raises(UserError, match="speaker") as caught:
        folds_of(toy_speech(speakers=speakers), 0, folds=folds)
    assert len(str(caught.value).splitlines()) == 1


def test_an_unknown_speaker_is_a_users_mistake_unless_speakers_may_be_shared(toy_speech):
    speech = toy_speech()
    utterances = (replace(speech.utterances[0], speaker=None), *speech.utterances[1:])
    speech = replace(speech, utterances=utterances)
    with pytest.raises(UserError, match="has no speaker"):
        folds_of(speech, 0)
    assert folds_of(speech, 0, share_speakers=True)


@pytest.mark.parametrize("folds", [0, 3])
def test_shared_speakers_share_no_utterance(toy_speech, folds):
    speech = toy_speech(speakers=(1, 1), each=6, extra=4)
    made = folds_of(speech, 0, share_speakers=True, folds=folds)
    assert len(made) == (folds or 1)
    for fold in made:
        rows = [row for side in SIDES for row in getattr(fold, side)]
        assert len(rows) == len(set(rows)) == len(speech.utterances)
        assert {row for row in range(len(speech.label)) if speech.label[row] == UNLABELLED} <= set(fold.target)


def test_a_target_without_labels_adapts_whole_and_is_not_scored(toy_speech):
    speech = toy_speech(extra=2)
    speech = replace(speech, label=np.where(speech.is_target, UNLABELLED, speech.label))
    for fold in folds_of(speech, 0, folds=2):
        assert fold.target == tuple(np.flatnonzero(speech.is_target)) and fold.target_test == ()
        assert fold.source and fold.source_test


def test_the_final_fold_holds_nothing_out_but_validation(toy_speech):
    speech = toy_speech(extra=1)
    fold = everything(speech, 0)
    assert sorted((*fold.source, *fold.target)) == list(range(len(speech.utterances)))
    assert fold.source_test == fold.target_test == fold.validation == ()
    fold = everything(speech, 0, patience=2)
    assert fold.validation and not people(speech, fold.validation) & people(speech, fold.source)


@given(st.integers(0, 10_000), st.integers(2, 4))
@quick(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_budgets_lie_inside_each_other_and_inside_what_adapts(toy_speech, seed, folds):
    speech = toy_speech(each=4, extra=2)
    for fold in folds_of(speech, seed, folds=folds):
        sizes = ("0", "2", "5", "8", "all")
        few = [set(budget(speech, fold, size, seed)) for size in sizes]
        assert [len(some) for some in few[:-1]] == [0, 2, 5, 8]
        assert all(small < large for small, large in itertools.pairwise(few))
        assert few[-1] == {row for row in fold.target if speech.label[row] != UNLABELLED}
        assert np.bincount(speech.label[list(few[1])]).tolist() == [1, 1]


def test_budgets_of_other_seeds_differ(toy_speech):
    speech = toy_speech(each=5)
    fold = everything(speech, 0)
    assert len({budget(speech, fold, "6", seed) for seed in range(10)}) > 5


def test_a_budget_above_what_there_is_says_how_many_there_are(toy_speech):
    speech = toy_speech(each=1)
    fold = everything(speech, 0)
    assert len(budget(speech, fold, "8", 0)) == 8
    with pytest.raises(UserError, match="target_labels: a budget of 9 labelled utterances: expected 0 to 8"):
        budget(speech, fold, "9", 0)


# Labels that a person gave


def given_by_a_person(speech: Speech, *names: str) -> Speech:
    return replace(speech, visible=frozenset(names))


def test_of_a_labelled_target_only_what_a_person_gave_is_within_the_budget(toy_speech):
    speech = given_by_a_person(toy_speech(), "xx-0-anger-0", "xx-0-sadness-2", "xx-3-anger-1")
    fold = everything(speech, 0)
    for amount in ("3", "all", "7"):
        few = budget(speech, fold, amount, 0)
        assert {speech.utterances[row].id for row in few} == speech.visible
    assert set(budget(speech, fold, "2", 0)) < set(budget(speech, fold, "3", 0))
    assert budget(speech, fold, "0", 0) == ()


@pytest.mark.parametrize("transductive", [False, True])
def test_given_labels_train_in_the_folds_that_do_not_score_their_speaker(toy_speech, transductive):
    speech = given_by_a_person(toy_speech(extra=1), "xx-0-anger-0", "xx-1-sadness-2", "xx-1-sadness-1")
    trained = []
    for fold in folds_of(speech, 0, folds=4, transductive=transductive):
        few = budget(speech, fold, "3", 0)
        assert not people(speech, few) & people(speech, fold.target_test)
        trained += [speech.utterances[row].id for row in few]
    assert {name: trained.count(name) for name in speech.visible} == dict.fromkeys(speech.visible, 3), "in all but one"


def test_labels_of_one_speaker_or_of_unknown_ones_train_and_score_nothing(toy_speech):
    speech = toy_speech()
    mine = [row for row in np.flatnonzero(speech.is_target) if speech.utterances[row].speaker == "0"]
    label = np.where(speech.is_target, UNLABELLED, speech.label)
    label[mine] = speech.label[mine]
    alone = given_by_a_person(replace(speech, label=label), *(speech.utterances[row].id for row in mine))
    utterances = tuple(replace(one, speaker=None) if one.corpus == "xx" else one for one in speech.utterances)
    for some in (alone, replace(alone, utterances=utterances)):
        for fold in folds_of(some, 0, folds=2):
            assert fold.target == tuple(np.flatnonzero(speech.is_target)) and fold.target_test == ()
            assert list(budget(some, fold, "6", 0)) == mine
    with pytest.raises(UserError, match="speaker"):
        folds_of(replace(alone, visible=None), 0, folds=2)


# What is handed over


@pytest.mark.parametrize(("patience", "validate"), [(0, "source"), (3, "source"), (3, "both")])
def test_the_split_of_the_corpora(toy_speech, patience, validate):
    speech = toy_speech(each=3, extra=3)
    names = ("train", "validation", "test")
    parted = tuple(replace(one, split=names[place % 3]) for place, one in enumerate(speech.utterances))
    speech = replace(speech, utterances=parted)
    options = {"predefined": True, "folds": 0, "patience": patience, "validate": validate}
    (fold,) = folds_of(speech, 0, **options)
    assert folds_of(speech, 1, **options) == (fold,), "of every seed"
    split = {part: {parted[row].split for row in getattr(fold, part)} for part in SIDES}
    held = {"validation"} if patience else set()
    assert split == {
        "source": {"train"}, "source_test": {"test"}, "target": {"train"}, "target_test": {"test"}, "validation": held,
    }  # fmt: skip
    assert len(fold.source) == len(fold.source_test) == 8, "a third of four speakers' six"
    assert UNLABELLED not in speech.label[[*fold.target_test, *fold.validation]]
    assert of_target(speech, fold.validation) == (
        {False, True} if validate == "both" else {False} if patience else set()
    )
    final = everything(speech, 0, **options)
    assert {parted[row].split for row in final.source} == {*names} - held
    bare = replace(speech, utterances=(replace(parted[0], split=None), *parted[1:]))
    with pytest.raises(UserError, match="has no split; expected one of train, validation, test"):
        folds_of(bare, 0, **options)


@pytest.mark.parametrize(("patience", "validate"), [(0, "source"), (3, "source"), (3, "both")])
def test_the_split_of_serab_is_of_each_corpus(toy_speech, patience, validate):
    """Two speakers of the source, as TESS has them, train and test; unlabelled speech of those apart does not adapt."""
    speech = toy_speech(speakers=(2, 10), each=3, extra=3)
    options = {"serab": True, "folds": 0, "patience": patience, "validate": validate}
    (fold,) = folds_of(speech, 0, **options)
    assert folds_of(speech, 1, **options) == (fold,), "of every seed"
    names = sorted({speech.utterances[row].speaker for row in np.flatnonzero(speech.is_target)})
    np.random.RandomState(0).shuffle(names)
    found = {
        part: {speech.utterances[row].speaker for row in getattr(fold, part)} for part in ("target", "target_test")
    }
    assert found == {"target": set(names[:6]), "target_test": set(names[8:])}
    held = {speech.utterances[row].speaker for row in fold.validation}
    assert held == (set(names[6:8]) if validate == "both" else set()), "the source has no third speaker"
    assert len(people(speech, fold.source)) == len(people(speech, fold.source_test)) == 1
    assert UNLABELLED in speech.label[list(fold.target)] and UNLABELLED not in speech.label[list(fold.target_test)]
    assert UNLABELLED not in speech.label[[*fold.validation]]
    final = everything(speech, 0, **options)
    assert final.validation == () and len(people(speech, final.source)) == 2 and len(people(speech, final.target)) == 10


@pytest.mark.parametrize(("name", "test", "count"), [("emovo", 2, 140), ("emodb", 2, 65), ("ravdess", 5, 180)])
def test_the_test_parts_of_serab_on_real_corpora(shared, name, test, count):
    """EMOVO's 140 are those of Agarla et al.; EMO-DB's would be 71 (43 of speaker 03, 28 of 12) with all 535 clips."""
    rows = [u for u in scan(name, shared / "corpora" / name) if u.emotion in FIVE]
    _, _, scored = serab(rows)
    assert (len({rows[row].speaker for row in scored}), len(scored)) == (test, count)
    if name == "emodb":
        assert {rows[row].speaker for row in scored} == {"03", "12"}
        assert sum(rows[row].speaker == "03" for row in scored) == 43


def test_the_split_of_the_corpora_is_the_only_one():
    with pytest.raises(UserError, match="predefined: is a split of its own: give folds 0"):
        split_of(predefined=True)


@pytest.mark.parametrize("validate", ["source", "both"])
def test_a_halved_fold_validates_with_one_half_and_tests_with_the_other(toy_speech, validate):
    """As Han et al. 2025: of ten speakers eight train, one validates and one is scored, in each of five folds."""
    speech = toy_speech(speakers=(10, 12), each=4)
    options = {"folds": 5, "patience": 3, "halved": True, "validate": validate}
    for seed in range(3):
        folds = folds_of(speech, seed, **options)
        assert len(folds) == 5
        for fold in folds:
            held = {
                of: people(speech, [row for row in fold.validation if speech.is_target[row] == of]) for of in (0, 1)
            }
            parts = [people(speech, fold.source), held[0], people(speech, fold.source_test)]
            assert list(map(len, parts)) == [8, 1, 1] and len(set.union(*parts)) == 10
            assert bool(held[1]) == (validate == "both")
            on_target = [people(speech, fold.target), held[1], people(speech, fold.target_test)]
            assert sum(map(len, on_target)) == len(set.union(*on_target)) == 12
        tested = [row for fold in folds for row in (*fold.source_test, *fold.target_test)]
        assert len(tested) == len(set(tested))
        assert len({row for row in tested if not speech.is_target[row]}) == speech.is_target.argmax() // 2
    assert not folds_of(speech, 0, **options | {"patience": 0, "validate": "source"})[0].validation


def test_few_speakers_make_few_halved_folds(toy_speech):
    options = {"folds": 5, "patience": 3, "halved": True}
    assert len(folds_of(toy_speech(speakers=(7, 9)), 0, **options)) == 3
    with pytest.raises(UserError, match=r"halved: 2 halved folds need 4 speakers, but there are 3 \(en\)"):
        folds_of(toy_speech(speakers=(3, 9)), 0, **options)


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("validate", ["source", "both"])
def test_a_side_of_one_speaker_alone_is_split_by_utterance(toy_speech, halved, validate):
    speech = toy_speech(speakers=(6, 1), each=20, extra=3)
    options = {"folds": 3, "patience": 3, "validate": validate, "by_utterance": ("xx",), "halved": halved}
    for fold in folds_of(speech, 0, **options):
        parts = [people(speech, fold.source), people(speech, fold.source_test)]
        parts.append(people(speech, [row for row in fold.validation if not speech.is_target[row]]))
        assert sum(map(len, parts)) == len(set.union(*parts)) == 6
        target = [*fold.target, *fold.target_test, *(row for row in fold.validation if speech.is_target[row])]
        assert len(target) == len(set(target)) == speech.is_target.sum() and fold.target_test
        assert any(speech.is_target[row] for row in fold.validation) == (validate == "both")
    with pytest.raises(UserError):
        folds_of(speech, 0, **options | {"by_utterance": ()})
