"""Training on the moments of a source is training on its utterances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from forked import fork_pools
from toys import case_of, everything

from emobridge.cache import Cache
from emobridge.data.speech import Fold, Speech, folds_of
from emobridge.features.normalisation import Domain
from emobridge.features.source_moments import SourceMoments, fit_source_moments
from emobridge.settings import Split
from emobridge.training.stages import run_stages
from emobridge.training.tasks import build, normalised_rows

SHARED = {"head": "discriminant", "normalise": "speaker", "align": "coral"}


def without_source(speech: Speech, moments: SourceMoments | None = None) -> Speech:
    """The speech of the target alone, beside the moments of its source."""
    if moments is None:
        domains = build(speech, everything(speech), case_of(**SHARED), case_of().make_method(), ()).learner.domains
        moments = moments_of(speech, domains, "speaker")
    return replace(speech.of(np.flatnonzero(speech.is_target)), source_moments=moments)


def moments_of(speech: Speech, domains: tuple[Domain, ...], normalise: str) -> SourceMoments:
    rows = np.flatnonzero(~speech.is_target)
    x = normalised_rows(speech, rows, domains, normalise).flatten(1)
    label, corpus = torch.from_numpy(speech.label[rows]), torch.from_numpy(speech.domain_of[rows])
    return fit_source_moments(x, label, corpus, domains[:-1], 2)


def both_ways(speech: Speech, case, labelled: int = 0):
    """Fits of a case on everything, with source speech and with its moments: logits of the target's utterances."""
    case = replace(case, target_labels=str(labelled))
    target = np.flatnonzero(speech.is_target)
    fold = replace(everything(speech), target_test=tuple(target.tolist()))
    fold = replace(fold, target_test=()) if labelled else fold
    fitted = run_stages(case, speech, fold, 0)
    moments = moments_of(speech, fitted.built.learner.domains, case.normalise)
    alone = without_source(speech, moments)
    rows = tuple(range(len(target)))
    fold = Fold((), (), rows, () if labelled else rows)
    free = run_stages(case, alone, fold, 0)
    return fitted, free


@pytest.mark.parametrize("method", ["source-only", "class-wise", "blend", "pseudo-labels"])
@pytest.mark.parametrize("changes", [{}, {"head": "ridge"}, {"align": "none"}, {"class_weights": False}])
def test_scores_are_those_of_training_on_the_utterances(toy_speech, method, changes):
    speech = toy_speech(sources=("en", "de"), speakers=(4, 3, 4), extra=1, width=6, noise=1.0, shift=0.5)
    options = ("interval=1",) if method == "pseudo-labels" else ()
    with_source, free = both_ways(speech, case_of(**{**SHARED, **changes}, method=method, method_options=options))
    x = with_source.built.test.x
    torch.testing.assert_close(free.built.test.x, x)
    ours, theirs = (fitted.head.output(x).softmax(1) for fitted in (free, with_source))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("normalise", ["none", "corpus", "speaker", "speaker+text"])
def test_the_target_is_normalised_as_beside_its_source(toy_speech, normalise):
    speech = toy_speech(extra=1, shift=1.0)
    texts = [replace(row, text=row.id[-1]) for row in speech.utterances]
    speech = replace(speech, utterances=tuple(texts))
    with_source, free = both_ways(speech, case_of(**{**SHARED, "normalise": normalise}, method="blend"))
    torch.testing.assert_close(free.built.test.x, with_source.built.test.x)
    for ours, theirs in zip(free.built.learner.domains, with_source.built.learner.domains, strict=True):
        assert (ours.corpus, ours.language, ours.by_speaker) == (theirs.corpus, theirs.language, theirs.by_speaker)
        torch.testing.assert_close(ours.mean, theirs.mean)
        torch.testing.assert_close(ours.deviation, theirs.deviation)


def test_a_few_labels_of_the_target_enter_the_same_way(toy_speech):
    speech = toy_speech(width=6, noise=1.0)
    with_source, free = both_ways(speech, case_of(**SHARED, method="blend"), labelled=6)
    assert len(free.built.task.labelled_target.rows) == 6
    torch.testing.assert_close(free.head.output.weight, with_source.head.output.weight, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("layers", [1, 2])
def test_recoloured_points_have_the_moments_of_recoloured_utterances(toy_speech, layers):
    speech = toy_speech(sources=("en", "de"), width=4, noise=1.0)
    if layers == 2:
        speech = replace(speech, features=torch.stack([speech.features, speech.features.flip(1).square()], 1))
    case = case_of(**SHARED)
    fold = everything(speech)
    task = build(speech, fold, case, case.make_method(), ()).task
    alone = without_source(speech)
    free = build(alone, Fold((), (), tuple(range(len(alone.utterances))), ()), case, case.make_method(), ()).task
    assert len(free.source.rows) == len(task.source.rows)
    for corpus in (0, 1):
        for label in (0, 1):
            pair = []
            for part in (task, free):
                inside = (part.source.corpus == corpus) & (part.source.label == label)
                pair.append(part.inputs.x[part.source.rows[inside]].double())
            ours, theirs = pair
            torch.testing.assert_close(ours.mean(0), theirs.mean(0), atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(torch.cov(ours.T), torch.cov(theirs.T), atol=1e-3, rtol=1e-3)


def test_a_source_and_a_target_of_a_single_utterance(toy_speech):
    speech = toy_speech(speakers=1, each=1)
    speech = speech.of([0, 1, 2])
    _, free = both_ways(speech, case_of(**SHARED, method="blend"))
    assert free.head.output.weight.isfinite().all()


def test_folds_hold_speakers_of_the_target_out_where_there_is_no_source(toy_speech):
    alone = without_source(toy_speech(speakers=3))
    assert alone.corpora == (("en", "en"), ("xx", "xx")) and alone.target == 1
    folds = folds_of(alone, Split(folds=5), 0)
    assert len(folds) == 3 and all(not fold.source and not fold.source_test for fold in folds)
    assert sorted(row for fold in folds for row in fold.target_test) == list(range(len(alone.utterances)))


def test_processes_that_train_at_once_know_the_moments(toy_speech, monkeypatch):
    """Their answers are those of one process: see tests/cli/test_adapt_from.py for a whole run."""
    from emobridge.study.origin import SourceBundle
    from emobridge.study.run import Runner, run

    fork_pools(monkeypatch)
    speech = toy_speech(width=4)
    case = case_of(**SHARED, method="blend")
    fitted = run_stages(case, speech, everything(speech), 0)
    moments = moments_of(speech, fitted.built.learner.domains, "speaker")
    origin = SourceBundle("b", "digest", None, moments, None, None, "")
    runner = Runner(without_source(speech, moments), Split(seeds=2, folds=2), Cache(None), origin=origin)
    first, second = (run(runner, (case,), jobs=jobs)[0] for jobs in (1, 2))
    for ours, theirs in zip(first.predicted, second.predicted, strict=True):
        np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
