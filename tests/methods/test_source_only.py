"""Source only: what is labelled, and nothing else."""

from __future__ import annotations

import pytest
import torch
from toys import case_of

from emobridge.data.speech import Fold, budget
from emobridge.heads.single import Single
from emobridge.methods.source_only import SourceOnly
from emobridge.training.loop import Plan, fit
from emobridge.training.tasks import build

PLAN = Plan(epochs=3, batch_size=8)


def halves(speech) -> Fold:
    """Speakers 0 and 1 train, 2 and 3 are scored."""
    rows = [[], [], [], []]
    for row, utterance in enumerate(speech.utterances):
        rows[2 * int(speech.is_target[row]) + int(int(utterance.speaker) > 1)].append(row)
    return Fold(*map(tuple, rows))


def weights(speech, labelled=(), **options):
    method = SourceOnly()
    task = build(speech, halves(speech), case_of(align="none", **options), method, labelled).task
    torch.manual_seed(0)
    head = Single(task.inputs.width, 2)
    fit(task, method, head, PLAN, seed=0)
    return task, head.state_dict()


@pytest.mark.parametrize("normalise", ["none", "corpus", "speaker"])
def test_it_never_touches_target_audio(toy_speech, normalise):
    """Not even through normalisation: with another target the weights are the same to the last bit."""
    speech, other = toy_speech(extra=2), toy_speech(extra=2)
    other.features[torch.from_numpy(other.is_target)] = 1e4
    task, first = weights(speech, normalise=normalise)
    _, second = weights(other, normalise=normalise)
    assert task.target is None and task.labelled_target is None
    assert len(task.inputs.x) == len(halves(speech).source)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_never_touches_what_is_scored(toy_speech):
    speech, other = toy_speech(), toy_speech()
    fold = halves(speech)
    other.features[list(fold.source_test)] = 1e4
    one, two = weights(speech)[1], weights(other)[1]
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_it_uses_the_few_labels_of_the_budget_and_oversamples_them(toy_speech):
    speech = toy_speech(each=4)
    fold = halves(speech)
    labelled = budget(speech, fold, "4", seed=0)
    task, _ = weights(speech, labelled, target_labels="4")
    assert task.labelled_target.label.tolist() == speech.label[list(labelled)].tolist()
    assert len(task.inputs.x) == len(fold.source) + 4
    method = SourceOnly()
    method.prepare(task, None)
    drawn = method.examples(0, None, torch.Generator().manual_seed(0))
    assert len(drawn.rows) == 2 * len(fold.source)
    assert (drawn.rows >= len(fold.source)).sum() == len(fold.source)
    assert method.examples(1, None, None) is None
    method = SourceOnly(rebalance=False)
    method.prepare(task, None)
    assert len(method.examples(0, None, None).rows) == len(fold.source) + 4
