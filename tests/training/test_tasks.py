"""Tasks: nothing is learnt from what is scored, and methods are handed what they may see."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import case_of, everything, folds_of

from emobridge.data.speech import Fold, Speech, budget
from emobridge.features.normalisation import coral, fit_domain, normalise_features
from emobridge.methods.pseudo_labels import PseudoLabels
from emobridge.methods.source_only import SourceOnly
from emobridge.training.tasks import Computed, build


def case(**changes):
    return case_of(**{"align": "none", **changes})


def people(speech: Speech, rows) -> set[tuple[str, str | None]]:
    return {(speech.utterances[row].corpus, speech.utterances[row].speaker) for row in rows}


def built(speech: Speech, fold: Fold, method=None, few=(), **changes):
    return build(speech, fold, case(**changes), method or PseudoLabels(), few)


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
        out[mine] = normalise_features(x[[rows[spot] for spot in mine]], fit_domain("", "", x[own]), speakers)
    return out


@pytest.mark.parametrize("normalise", ["none", "corpus", "speaker"])
def test_inputs_and_tests_are_normalised_by_what_adapts(toy_speech, normalise):
    speech = toy_speech(sources=("en", "de"), shift=3.0, extra=1)
    fold = folds_of(speech, 0, folds=4)[1]
    one = built(speech, fold, normalise=normalise)
    learn = (*fold.source, *fold.target)
    torch.testing.assert_close(one.task.inputs.x, by_hand(speech, learn, learn, normalise))
    tests = (*fold.source_test, *fold.target_test)
    torch.testing.assert_close(one.test.x, by_hand(speech, tests, learn, normalise))


@pytest.mark.parametrize("normalise", ["none", "corpus", "speaker"])
def test_what_is_scored_tells_nothing_to_what_is_trained_on(toy_speech, normalise):
    speech = toy_speech(extra=1)
    fold = folds_of(speech, 0, folds=2)[0]
    other = replace(speech, features=speech.features.clone())
    other.features[list(fold.source_test + fold.target_test)] = 1e5
    for align in ("none", "coral"):
        one, two = (built(some, fold, normalise=normalise, align=align) for some in (speech, other))
        assert torch.equal(one.task.inputs.x, two.task.inputs.x)
        for a, b in zip(one.learner.domains, two.learner.domains):
            assert torch.equal(a.mean, b.mean) and torch.equal(a.deviation, b.deviation)


def test_a_scored_speaker_is_normalised_by_their_own_scored_utterances(toy_speech):
    speech = toy_speech(speakers=4)
    fold = folds_of(speech, 0, folds=2)[0]
    first = speech.utterances[fold.target_test[0]].speaker
    theirs = [row for row in fold.target_test if speech.utterances[row].speaker != first]
    other = replace(speech, features=speech.features.clone())
    other.features[theirs] = 1e5
    at = len(fold.source_test)
    one, two = (built(some, fold, normalise="speaker").test.x[at] for some in (speech, other))
    assert torch.equal(one, two)


def test_coral_adds_a_recoloured_copy_of_each_source_corpus(toy_speech):
    speech = toy_speech(sources=("en", "de"), speakers=(3, 3, 4), width=3, noise=1.0)
    fold = everything(speech, 0)
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
    fold = folds_of(speech, 0, folds=3, patience=2)[0]
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
    made = folds_of(speech, 0, folds=3)
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
    for fold in folds_of(alone, 0):
        assert fold.target == fold.target_test == ()
        one = built(alone, fold, SourceOnly())
        assert torch.isfinite(one.test.x).all() and len(one.test.x) == len(fold.source_test)


def test_speakers_of_one_name_in_a_target_of_two_corpora_are_normalised_apart(toy_speech):
    speech = toy_speech(speakers=(2, 2))
    fold = everything(speech, 0)
    second = [row for row in fold.target if speech.utterances[row].speaker == "1"]
    renamed = list(speech.utterances)
    for row in second:
        renamed[row] = replace(renamed[row], corpus="yy", speaker="0")
    apart = built(replace(speech, utterances=tuple(renamed)), fold).task.inputs.x
    assert torch.equal(apart, built(speech, fold).task.inputs.x)


def test_a_transductive_fold_adapts_to_the_scored_audio_and_never_to_its_labels(toy_speech):
    speech = toy_speech(extra=1)
    for fold in folds_of(speech, 0, folds=2, transductive=True):
        assert fold.target == tuple(np.flatnonzero(speech.is_target)) and set(fold.target_test) < set(fold.target)
        few = budget(speech, fold, "all", 0)
        assert few and not people(speech, few) & people(speech, fold.target_test)
        task = built(speech, fold, few=few, transductive=True).task
        assert task.labelled_target.label.tolist() == speech.label[list(few)].tolist()
        assert len(task.target) == len(fold.target) - len(few)


def test_each_layer_is_normalised_and_recoloured_as_it_would_be_alone(toy_speech):
    """Layers of unlike scales side by side: neither their floors nor their covariances mix."""
    speech = toy_speech(noise=0.5)
    two = torch.stack([speech.features, 1e3 * speech.features.flip(1)], 1)
    fold, method = folds_of(speech, 0, folds=2)[0], PseudoLabels()
    options = case(align="coral")
    together = build(replace(speech, features=two), fold, options, method, ()).task.inputs.x
    width = speech.features.shape[1]
    for layer in range(2):
        alone = build(replace(speech, features=two[:, layer]), fold, options, method, ()).task
        torch.testing.assert_close(together[:, layer * width : (layer + 1) * width], alone.inputs.x)


def test_a_few_labelled_utterances_are_normalised_by_all_that_their_speakers_say(toy_speech):
    """Not by the few alone, though the method is handed no other audio of the target."""
    speech = toy_speech(each=4, noise=0.5)
    fold = folds_of(speech, 0, folds=2)[0]
    few = budget(speech, fold, "4", 0)
    alone = build(speech, fold, case(target_labels="4", align="none"), SourceOnly(), few).task
    whole = build(speech, fold, case(target_labels="4", align="none"), PseudoLabels(), few).task
    assert alone.target is None and len(alone.inputs.x) == len(fold.source) + 4
    torch.testing.assert_close(alone.inputs.x[alone.labelled_target.rows], whole.inputs.x[whole.labelled_target.rows])


@pytest.mark.parametrize("normalise", ["none", "corpus", "speaker"])
def test_what_fits_share_is_what_each_computes_alone(toy_speech, normalise):
    """Of other folds, other targets, one source corpus or one target utterance, to the last bit."""
    speech = toy_speech(sources=("en", "de"), speakers=(4, 4, 4), shift=3.0)
    folds = folds_of(speech, 2)
    source, target = folds[0].source, folds[0].target
    one_corpus = tuple(row for row in source if speech.domain_of[row] == speech.domain_of[source[0]])
    folds = (
        *folds,
        replace(folds[0], target=target[: len(target) // 2]),
        replace(folds[0], target=target[:1]),
        replace(folds[0], source=one_corpus),
        folds[0],
    )
    computed = Computed()
    for fold in folds:
        for align in ("coral", "none"):
            for method in (SourceOnly(), PseudoLabels()):
                options = case(normalise=normalise, align=align)
                shared = build(speech, fold, options, method, (), computed=computed)
                alone = build(speech, fold, options, method, ())
                assert torch.equal(shared.task.inputs.x, alone.task.inputs.x)
                assert torch.equal(shared.test.x, alone.test.x)
    assert computed.get((folds[0].source,), ("?",), lambda: 1) == 1
    computed.enter(folds[1])
    assert computed.get((folds[0].source,), ("?",), lambda: 2) == 2, "of another fold nothing stays"
