"""Folds, budgets and tasks: nobody is on two sides, and nothing is learnt from what is scored."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as quick
from hypothesis import strategies as st

from emobridge.errors import UserError
from emobridge.methods.pseudo_labels import PseudoLabels
from emobridge.methods.source_only import SourceOnly
from emobridge.normalisation import coral, learnt, normalised
from emobridge.settings import Settings
from emobridge.tasks import UNLABELLED, Fold, Speech, budget, build, everything, folds_of

SIDES = ("source", "source_test", "target", "target_test", "validation")


def settings(**changes) -> Settings:
    plain = {"source": ("a",), "target": "b", "labels": ("anger", "sadness"), "align": "none"}
    return Settings(**{**plain, **changes})


def people(speech: Speech, rows) -> set[tuple[str, str | None]]:
    return {(speech.utterances[row].corpus, speech.utterances[row].speaker) for row in rows}


def of_target(speech: Speech, rows) -> set[bool]:
    return {bool(speech.is_target[row]) for row in rows}


@pytest.mark.parametrize("transductive", [False, True])
@pytest.mark.parametrize("folds", [0, 3])
def test_speakers_of_both_sides_validate_where_asked_for(toy_speech, folds, transductive):
    """Those of the target by their labelled utterances; nothing of theirs adapts, is in a budget or is scored."""
    speech = toy_speech(speakers=(6, 7), each=2, extra=2)
    asked = settings(folds=folds, patience=3, transductive=transductive)
    for seed in range(5):
        plain = folds_of(speech, asked, seed)
        for alone, fold in zip(plain, folds_of(speech, replace(asked, validate="both"), seed), strict=True):
            target = [row for row in fold.validation if speech.is_target[row]]
            assert fold.validation[: len(alone.validation)] == alone.validation and len(people(speech, target)) == 1
            assert UNLABELLED not in speech.label[target] and len(target) == 4
            heard = people(speech, target)
            assert fold.target == tuple(row for row in alone.target if not people(speech, [row]) & heard)
            assert not heard & people(speech, fold.target_test)
            assert not set(budget(speech, fold, "all", seed)) & set(target)
            assert (fold.source, fold.source_test) == (alone.source, alone.source_test)
            assert fold.target_test == alone.target_test
    final = everything(speech, replace(asked, validate="both"), 0)
    assert of_target(speech, final.validation) == {True, False}
    assert not people(speech, final.validation) & people(speech, (*final.source, *final.target))


def test_a_target_without_labels_cannot_validate(toy_speech):
    speech = toy_speech()
    speech = replace(speech, label=np.where(speech.is_target, UNLABELLED, speech.label))
    asked = settings(folds=2, patience=3)
    assert folds_of(speech, replace(asked, validate="both"), 0) == folds_of(speech, asked, 0)


@pytest.mark.parametrize("patience", [0, 3])
@pytest.mark.parametrize("folds", [0, 2, 5])
def test_no_speaker_is_on_two_sides_whatever_the_seed(toy_speech, folds, patience):
    speech = toy_speech(sources=("en", "de"), speakers=(6, 5, 7), extra=2)
    seen = set()
    for seed in range(25):
        made = folds_of(speech, settings(folds=folds, patience=patience), seed)
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
    made = folds_of(speech, settings(folds=3), 0)
    tested = [row for fold in made for row in (*fold.source_test, *fold.target_test)]
    assert sorted(tested) == np.flatnonzero(speech.label != UNLABELLED).tolist()
    for fold in made:
        assert set(fold.source) | set(fold.source_test) == set(np.flatnonzero(~speech.is_target).tolist())


def test_one_split_scores_a_fifth_of_the_speakers(toy_speech):
    speech = toy_speech(speakers=10)
    (fold,) = folds_of(speech, settings(folds=0), 0)
    assert len(people(speech, fold.source_test)) == len(people(speech, fold.target_test)) == 2
    (fold,) = folds_of(speech, settings(folds=0, patience=1), 0)
    assert len(people(speech, fold.validation)) == 2 and len(people(speech, fold.source)) == 6


def test_unlabelled_utterances_of_a_scored_speaker_do_not_adapt(toy_speech):
    speech = toy_speech(speakers=4, extra=3)
    unlabelled = {row for row in range(len(speech.label)) if speech.label[row] == UNLABELLED}
    for fold in folds_of(speech, settings(folds=4), 1):
        heard = people(speech, fold.target_test)
        adapts = set(fold.target) & unlabelled
        assert adapts == {row for row in unlabelled if not people(speech, [row]) & heard}
        assert adapts and not people(speech, fold.target) & heard


def test_speakers_of_the_same_name_in_two_corpora_are_two_people(toy_speech):
    speech = toy_speech(sources=("en",), speakers=3)
    for fold in folds_of(speech, settings(folds=3), 0):
        assert fold.target and fold.source


def test_there_are_no_more_folds_than_speakers(toy_speech):
    assert len(folds_of(toy_speech(speakers=(9, 3)), settings(folds=5), 0)) == 3
    assert len(folds_of(toy_speech(speakers=(2, 9)), settings(folds=5), 0)) == 2


@pytest.mark.parametrize("speakers", [(1, 4), (4, 1)])
@pytest.mark.parametrize("folds", [0, 5])
def test_one_speaker_alone_is_a_users_mistake(toy_speech, speakers, folds):
    with pytest.raises(UserError, match="speaker") as caught:
        folds_of(toy_speech(speakers=speakers), settings(folds=folds), 0)
    assert len(str(caught.value).splitlines()) == 1


def test_an_unknown_speaker_is_a_users_mistake_unless_speakers_may_be_shared(toy_speech):
    speech = toy_speech()
    utterances = (replace(speech.utterances[0], speaker=None), *speech.utterances[1:])
    speech = replace(speech, utterances=utterances)
    with pytest.raises(UserError, match="has no speaker"):
        folds_of(speech, settings(), 0)
    assert folds_of(speech, settings(share_speakers=True), 0)


@pytest.mark.parametrize("folds", [0, 3])
def test_shared_speakers_share_no_utterance(toy_speech, folds):
    speech = toy_speech(speakers=(1, 1), each=6, extra=4)
    made = folds_of(speech, settings(share_speakers=True, folds=folds), 0)
    assert len(made) == (folds or 1)
    for fold in made:
        rows = [row for side in SIDES for row in getattr(fold, side)]
        assert len(rows) == len(set(rows)) == len(speech.utterances)
        assert {row for row in range(len(speech.label)) if speech.label[row] == UNLABELLED} <= set(fold.target)


def test_a_target_without_labels_adapts_whole_and_is_not_scored(toy_speech):
    speech = toy_speech(extra=2)
    speech = replace(speech, label=np.where(speech.is_target, UNLABELLED, speech.label))
    for fold in folds_of(speech, settings(folds=2), 0):
        assert fold.target == tuple(np.flatnonzero(speech.is_target)) and fold.target_test == ()
        assert fold.source and fold.source_test


def test_the_final_fold_holds_nothing_out_but_validation(toy_speech):
    speech = toy_speech(extra=1)
    fold = everything(speech, settings(), 0)
    assert sorted((*fold.source, *fold.target)) == list(range(len(speech.utterances)))
    assert fold.source_test == fold.target_test == fold.validation == ()
    fold = everything(speech, settings(patience=2), 0)
    assert fold.validation and not people(speech, fold.validation) & people(speech, fold.source)


@given(st.integers(0, 10_000), st.integers(2, 4))
@quick(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_budgets_lie_inside_each_other_and_inside_what_adapts(toy_speech, seed, folds):
    speech = toy_speech(each=4, extra=2)
    for fold in folds_of(speech, settings(folds=folds), seed):
        sizes = ("0", "2", "5", "8", "all")
        few = [set(budget(speech, fold, size, seed)) for size in sizes]
        assert [len(some) for some in few[:-1]] == [0, 2, 5, 8]
        assert all(small < large for small, large in itertools.pairwise(few))
        assert few[-1] == {row for row in fold.target if speech.label[row] != UNLABELLED}
        assert np.bincount(speech.label[list(few[1])]).tolist() == [1, 1]


def test_budgets_of_other_seeds_differ(toy_speech):
    speech = toy_speech(each=5)
    fold = everything(speech, settings(), 0)
    assert len({budget(speech, fold, "6", seed) for seed in range(10)}) > 5


def test_a_budget_above_what_there_is_says_how_many_there_are(toy_speech):
    speech = toy_speech(each=1)
    fold = everything(speech, settings(), 0)
    assert len(budget(speech, fold, "8", 0)) == 8
    with pytest.raises(UserError, match="target_labels: a budget of 9 labelled utterances: expected 0 to 8"):
        budget(speech, fold, "9", 0)


# Labels that a person gave


def given_by_a_person(speech: Speech, *names: str) -> Speech:
    return replace(speech, given=frozenset(names))


def test_of_a_labelled_target_only_what_a_person_gave_is_within_the_budget(toy_speech):
    speech = given_by_a_person(toy_speech(), "xx-0-anger-0", "xx-0-sadness-2", "xx-3-anger-1")
    fold = everything(speech, settings(), 0)
    for amount in ("3", "all", "7"):
        few = budget(speech, fold, amount, 0)
        assert {speech.utterances[row].id for row in few} == speech.given
    assert set(budget(speech, fold, "2", 0)) < set(budget(speech, fold, "3", 0))
    assert budget(speech, fold, "0", 0) == ()


@pytest.mark.parametrize("transductive", [False, True])
def test_given_labels_train_in_the_folds_that_do_not_score_their_speaker(toy_speech, transductive):
    speech = given_by_a_person(toy_speech(extra=1), "xx-0-anger-0", "xx-1-sadness-2", "xx-1-sadness-1")
    trained = []
    for fold in folds_of(speech, settings(folds=4, transductive=transductive), 0):
        few = budget(speech, fold, "3", 0)
        assert not people(speech, few) & people(speech, fold.target_test)
        trained += [speech.utterances[row].id for row in few]
    assert {name: trained.count(name) for name in speech.given} == dict.fromkeys(speech.given, 3), "in all but one"


def test_labels_of_one_speaker_or_of_unknown_ones_train_and_score_nothing(toy_speech):
    speech = toy_speech()
    mine = [row for row in np.flatnonzero(speech.is_target) if speech.utterances[row].speaker == "0"]
    label = np.where(speech.is_target, UNLABELLED, speech.label)
    label[mine] = speech.label[mine]
    alone = given_by_a_person(replace(speech, label=label), *(speech.utterances[row].id for row in mine))
    utterances = tuple(replace(one, speaker=None) if one.corpus == "xx" else one for one in speech.utterances)
    for some in (alone, replace(alone, utterances=utterances)):
        for fold in folds_of(some, settings(folds=2), 0):
            assert fold.target == tuple(np.flatnonzero(speech.is_target)) and fold.target_test == ()
            assert list(budget(some, fold, "6", 0)) == mine
    with pytest.raises(UserError, match="speaker"):
        folds_of(replace(alone, given=None), settings(folds=2), 0)


# What is handed over


def built(speech: Speech, fold: Fold, method=None, few=(), **changes):
    return build(speech, fold, method or PseudoLabels(), 2, settings(**changes), None, few)


def by_hand(speech: Speech, rows, learn, normalise: str) -> torch.Tensor:
    """Rows normalised by the moments of `learn`, each corpus by its own, speakers among `rows` by theirs."""
    rows, learn, x = list(rows), list(learn), speech.features
    out = torch.empty(len(rows), x.shape[1])
    for place in sorted({int(speech.domain_of[row]) for row in rows}):
        mine = [spot for spot, row in enumerate(rows) if speech.domain_of[row] == place]
        own = [row for row in learn if speech.domain_of[row] == place]
        if normalise == "none":
            own = [row for row in learn if not speech.is_target[row]]
        speakers = [speech.utterances[rows[spot]].speaker for spot in mine] if normalise == "speaker" else None
        out[mine] = normalised(x[[rows[spot] for spot in mine]], learnt("", "", x[own]), speakers)
    return out


@pytest.mark.parametrize("normalise", ["none", "corpus", "speaker"])
def test_inputs_and_tests_are_normalised_by_what_adapts(toy_speech, normalise):
    speech = toy_speech(sources=("en", "de"), shift=3.0, extra=1)
    fold = folds_of(speech, settings(folds=4), 0)[1]
    one = built(speech, fold, normalise=normalise)
    learn = (*fold.source, *fold.target)
    torch.testing.assert_close(one.task.inputs.x, by_hand(speech, learn, learn, normalise))
    tests = (*fold.source_test, *fold.target_test)
    torch.testing.assert_close(one.test.x, by_hand(speech, tests, learn, normalise))


@pytest.mark.parametrize("normalise", ["none", "corpus", "speaker"])
def test_what_is_scored_tells_nothing_to_what_is_trained_on(toy_speech, normalise):
    speech = toy_speech(extra=1)
    fold = folds_of(speech, settings(folds=2), 0)[0]
    other = replace(speech, features=speech.features.clone())
    other.features[list(fold.source_test + fold.target_test)] = 1e5
    for align in ("none", "coral"):
        one, two = (built(some, fold, normalise=normalise, align=align) for some in (speech, other))
        assert torch.equal(one.task.inputs.x, two.task.inputs.x)
        for a, b in zip(one.learner.domains, two.learner.domains):
            assert torch.equal(a.mean, b.mean) and torch.equal(a.deviation, b.deviation)


def test_a_scored_speaker_is_normalised_by_their_own_scored_utterances(toy_speech):
    speech = toy_speech(speakers=4)
    fold = folds_of(speech, settings(folds=2), 0)[0]
    first = speech.utterances[fold.target_test[0]].speaker
    theirs = [row for row in fold.target_test if speech.utterances[row].speaker != first]
    other = replace(speech, features=speech.features.clone())
    other.features[theirs] = 1e5
    at = len(fold.source_test)
    one, two = (built(some, fold, normalise="speaker").test.x[at] for some in (speech, other))
    assert torch.equal(one, two)


def test_coral_adds_a_recoloured_copy_of_each_source_corpus(toy_speech):
    speech = toy_speech(sources=("en", "de"), speakers=(3, 3, 4), width=3, noise=1.0)
    fold = everything(speech, settings(), 0)
    one = built(speech, fold, align="coral")
    plain = by_hand(speech, (*fold.source, *fold.target), (*fold.source, *fold.target), "speaker")
    count = len(fold.source)
    assert torch.equal(one.task.inputs.x[: len(plain)], plain)
    copies = one.task.inputs.x[len(plain) :]
    for place in (0, 1):
        mine = speech.domain_of[list(fold.source)] == place
        before = plain[:count][mine]
        torch.testing.assert_close(copies[mine], before @ coral(before, plain[count:]))
    assert torch.equal(one.task.source.label, torch.from_numpy(speech.label[list(fold.source)]).repeat(2))
    assert one.task.source.corpus.tolist() == speech.domain_of[list(fold.source)].tolist() * 2
    assert one.task.target.tolist() == list(range(count, len(plain)))


def test_validation_is_of_its_own_speakers_and_labels(toy_speech):
    speech = toy_speech(speakers=6)
    fold = folds_of(speech, settings(folds=3, patience=2), 0)[0]
    one = built(speech, fold, patience=2)
    inputs, known = one.validation
    assert known.label.tolist() == speech.label[list(fold.validation)].tolist()
    learn = (*fold.source, *fold.target)
    torch.testing.assert_close(inputs.batch(known.rows), by_hand(speech, fold.validation, learn, "speaker"))
    assert built(speech, dataclasses.replace(fold, validation=())).validation is None


@pytest.mark.parametrize("align", ["none", "coral"])
@pytest.mark.parametrize("normalise", ["none", "corpus", "speaker"])
def test_a_source_corpus_that_is_only_scored_shifts_no_other(toy_speech, normalise, align):
    """A corpus of one speaker is in no training part of one fold: the other corpora keep their own moments."""
    speech = toy_speech(sources=("lone", "en"), speakers=(1, 3, 3), shift=40.0)
    made = folds_of(speech, settings(folds=3), 0)
    (fold,) = [one for one in made if 0 in speech.domain_of[list(one.source_test)]]
    assert 0 not in speech.domain_of[list(fold.source)]
    one = built(speech, fold, normalise=normalise, align=align)
    learn = (*fold.source, *fold.target)
    expected = by_hand(speech, learn, learn, normalise)
    torch.testing.assert_close(one.task.inputs.x[: len(expected)], expected)
    tests = (*fold.source_test, *fold.target_test)
    known = [spot for spot, row in enumerate(tests) if speech.domain_of[row] != 0]
    expected = by_hand(speech, [tests[spot] for spot in known], learn, normalise)
    torch.testing.assert_close(one.test.x[known], expected)
    lone = [spot for spot in range(len(tests)) if spot not in known]
    assert one.test.x[lone].abs().max() < 10, "the lone corpus goes by the moments of the sources, not by the target's"
    assert len(one.learner.domains) == 3, "one a corpus, in their order"


def test_source_only_needs_no_target(toy_speech):
    speech = toy_speech()
    rows = np.flatnonzero(~speech.is_target)
    alone = Speech(
        tuple(speech.utterances[row] for row in rows),
        speech.label[rows],
        speech.domain_of[rows],
        speech.target,
        speech.features[rows],
    )
    for fold in folds_of(alone, settings(), 0):
        assert fold.target == fold.target_test == ()
        one = built(alone, fold, SourceOnly())
        assert torch.isfinite(one.test.x).all() and len(one.test.x) == len(fold.source_test)


def test_speakers_of_one_name_in_a_target_of_two_corpora_are_normalised_apart(toy_speech):
    speech = toy_speech(speakers=(2, 2))
    fold = everything(speech, settings(), 0)
    second = [row for row in fold.target if speech.utterances[row].speaker == "1"]
    renamed = list(speech.utterances)
    for row in second:
        renamed[row] = replace(renamed[row], corpus="yy", speaker="0")
    apart = built(replace(speech, utterances=tuple(renamed)), fold).task.inputs.x
    assert torch.equal(apart, built(speech, fold).task.inputs.x)


def test_a_transductive_fold_adapts_to_the_scored_audio_and_never_to_its_labels(toy_speech):
    speech = toy_speech(extra=1)
    for fold in folds_of(speech, settings(folds=2, transductive=True), 0):
        assert fold.target == tuple(np.flatnonzero(speech.is_target)) and set(fold.target_test) < set(fold.target)
        few = budget(speech, fold, "all", 0)
        assert few and not people(speech, few) & people(speech, fold.target_test)
        task = built(speech, fold, few=few, transductive=True).task
        assert task.few.label.tolist() == speech.label[list(few)].tolist()
        assert len(task.target) == len(fold.target) - len(few)


def test_each_layer_is_normalised_and_recoloured_as_it_would_be_alone(toy_speech):
    """Layers of unlike scales side by side: neither their floors nor their covariances mix."""
    speech = toy_speech(noise=0.5)
    two = torch.stack([speech.features, 1e3 * speech.features.flip(1)], 1)
    fold, method = folds_of(speech, settings(folds=2), 0)[0], PseudoLabels()
    options = settings(align="coral")
    together = build(replace(speech, features=two), fold, method, 2, options, None, ()).task.inputs.x
    width = speech.features.shape[1]
    for layer in range(2):
        alone = build(replace(speech, features=two[:, layer]), fold, method, 2, options, None, ()).task
        torch.testing.assert_close(together[:, layer * width : (layer + 1) * width], alone.inputs.x)


def test_a_few_labelled_utterances_are_normalised_by_all_that_their_speakers_say(toy_speech):
    """Not by the few alone, though the method is handed no other audio of the target."""
    speech = toy_speech(each=4, noise=0.5)
    fold = folds_of(speech, settings(folds=2), 0)[0]
    few = budget(speech, fold, "4", 0)
    alone = build(speech, fold, SourceOnly(), 2, settings(target_labels="4", align="none"), None, few).task
    whole = build(speech, fold, PseudoLabels(), 2, settings(target_labels="4", align="none"), None, few).task
    assert alone.target is None and len(alone.inputs.x) == len(fold.source) + 4
    torch.testing.assert_close(alone.inputs.x[alone.few.rows], whole.inputs.x[whole.few.rows])
