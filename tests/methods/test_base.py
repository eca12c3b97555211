"""Weights and oversampling, by hand."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from emobridge.errors import UserError
from emobridge.methods import base
from emobridge.methods.base import (
    Labelled,
    Method,
    Step,
    Task,
    balanced_weights,
    combine,
    oversample,
    weigh,
    weighted_cross_entropy,
)
from emobridge.methods.source_only import SourceOnly
from emobridge.training.inputs import Frozen

labels = st.lists(st.integers(0, 3), min_size=1, max_size=30).map(torch.tensor)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def task(source=(0, 0, 0, 1), class_weights=True) -> Task:
    source_part = Labelled(torch.arange(len(source)), torch.tensor(source)) if source else None
    return Task(Frozen(torch.zeros(20, 2)), 2, source_part, None, None, class_weights)


def labelled(label, corpus=None) -> Labelled:
    label = torch.as_tensor(label)
    return Labelled(torch.arange(len(label)), label, None if corpus is None else torch.as_tensor(corpus))


def test_class_weights_by_hand():
    torch.testing.assert_close(balanced_weights(labelled([0, 0, 0, 1]), 2), torch.tensor([2 / 3, 2 / 3, 2 / 3, 2.0]))
    # A class that does not occur has no say: two of three classes share the weight.
    torch.testing.assert_close(balanced_weights(labelled([2, 0, 2]), 3), torch.tensor([0.75, 1.5, 0.75]))
    assert torch.equal(balanced_weights(labelled([1, 1]), 2), torch.ones(2))
    assert torch.equal(balanced_weights(labelled([0, 1, 1], [0, 0, 1]), 2, enabled=False), torch.ones(3))
    assert balanced_weights(Labelled.empty(), 2).shape == (0,)


def test_corpora_weigh_the_same_and_so_do_classes_within_each():
    weight = balanced_weights(labelled([0, 0, 0, 1, 0, 1, 1, 1], [3, 3, 3, 3, 5, 5, 5, 5]), 2)
    torch.testing.assert_close(weight, torch.tensor([2, 2, 2, 6, 6, 2, 2, 2]) / 3)
    # Six utterances, three a corpus in weight: the second has one utterance and one class.
    weight = balanced_weights(labelled([0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1]), 2)
    torch.testing.assert_close(weight, torch.tensor([0.5, 0.5, 0.5, 0.75, 0.75, 3.0]))


@given(labels, st.integers(0, 5))
def test_class_weights_have_mean_one_and_every_corpus_and_class_the_same_total(label, seed):
    corpus = torch.randint(3, (len(label),), generator=generator(seed))
    weight = balanced_weights(labelled(label, corpus), 4)
    assert float(weight.mean()) == pytest.approx(1, rel=1e-5)
    share = len(label) / len(corpus.unique())
    for index in corpus.unique():
        inside = corpus == index
        totals = [float(weight[inside & (label == which)].sum()) for which in label[inside].unique()]
        assert totals == pytest.approx([share / len(totals)] * len(totals), rel=1e-5)


@given(st.integers(1, 12), st.integers(0, 40), st.integers(0, 5))
def test_oversampling_takes_each_as_often_as_any_other_give_or_take_one(count, size, seed):
    places = oversample(torch.arange(count), size, generator(seed))
    assert len(places) == max(count, size)
    often = Counter(places.tolist())
    assert set(often) == set(range(count)) and max(often.values()) - min(often.values()) <= 1


def test_which_are_taken_once_more_is_random():
    drawn = {tuple(sorted(oversample(torch.arange(5), 7, generator(seed)).tolist())) for seed in range(20)}
    assert len(drawn) > 1
    assert len(oversample(torch.empty(0, dtype=torch.int64), 7, generator())) == 0


def test_mixing_oversamples_the_target_to_the_source_and_weighs_each_language_by_itself():
    drawn = combine(task(), Labelled(torch.tensor([10, 11]), torch.tensor([0, 1])), True, generator(), (("n", 1.0),))
    assert drawn.rows.tolist()[:4] == [0, 1, 2, 3] and drawn.label.tolist()[:4] == [0, 0, 0, 1]
    assert Counter(drawn.rows[4:].tolist()) == {10: 2, 11: 2}
    assert dict(zip(drawn.rows.tolist(), drawn.label.tolist()))[11] == 1
    torch.testing.assert_close(drawn.weight, torch.tensor([2 / 3, 2 / 3, 2 / 3, 2.0, 1.0, 1.0, 1.0, 1.0]))
    assert drawn.notes == (("n", 1.0),)


def test_mixing_without_rebalancing_takes_each_once():
    drawn = combine(task(), Labelled(torch.tensor([10, 11]), torch.tensor([0, 1])), False, generator())
    assert drawn.rows.tolist() == [0, 1, 2, 3, 10, 11]


def test_a_target_larger_than_the_source_is_taken_whole():
    target = Labelled(torch.arange(10, 16), torch.zeros(6, dtype=torch.int64))
    assert combine(task(), target, True, generator()).rows.tolist() == [0, 1, 2, 3, *range(10, 16)]


def test_mixing_with_no_target_is_the_source_alone():
    drawn = combine(task(class_weights=False), Labelled.empty(), True, generator())
    assert drawn.rows.tolist() == [0, 1, 2, 3] and torch.equal(drawn.weight, torch.ones(4))


def test_mixing_without_a_source_is_the_target_alone():
    drawn = combine(task(source=()), Labelled(torch.tensor([3, 4]), torch.tensor([0, 1])), True, generator())
    assert drawn.rows.tolist() == [3, 4]


def test_weighted_cross_entropy_by_hand():
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    loss = weighted_cross_entropy(logits, torch.tensor([0, 1]), torch.tensor([2.0, 0.5]))
    assert float(loss) == pytest.approx((2 * math.log(4 / 3) + 0.5 * math.log(2)) / 2)


# The method in the docstring of the module, so that what it shows runs.
_, _, EXAMPLE = base.__doc__.partition(":\n\n")
namespace = {"Method": Method, "Step": Step, "Tensor": Tensor}
exec(textwrap.dedent(EXAMPLE.partition("\n\nIn shapes")[0]), namespace)
MeanDistance = namespace["MeanDistance"]


def test_a_method_is_its_formula(ends):
    """Two features tell the classes; the target is the source, moved along the second."""
    assert (MeanDistance.name, MeanDistance.head, MeanDistance.stages) == ("mean-distance", "linear", ())
    assert MeanDistance.takes == {"target_labels"} and MeanDistance().rebalance
    label = torch.arange(200) % 2
    source = (2.0 * label - 1)[:, None] + 0.4 * torch.randn(200, 2, generator=generator())
    target = source + torch.tensor([0.0, 3.0])
    problem = source, label, target, label
    plain, _ = ends(SourceOnly(), problem, 0, learning_rate=0.02)
    adapted, _ = ends(MeanDistance(), problem, 0, learning_rate=0.02)
    assert plain < 0.8 < 0.97 < adapted


def test_a_step_by_hand(by_hand, step_of):
    task, model = by_hand()
    model.eval()
    step = step_of(task, model, [0, 2, 4], weight=[1.0, 2.0, 0.0])
    expected = weighted_cross_entropy(model(step.x), step.label, step.weight)
    assert torch.equal(step.cross_entropy(), expected) and torch.equal(step.cross_entropy(step.represent()), expected)
    rows = torch.tensor([7, 8])
    assert torch.equal(step.represent(rows), model.represent(task.inputs.batch(rows)))
    assert len(step.sample(rows)) == 3 and set(step.sample(rows, 20).tolist()) == {7, 8}
    assert step.sample(rows[:1], 2).tolist() == [7, 7] and step.sample(rows[:0], 5).tolist() == []


def test_a_need_that_no_one_can_meet_is_refused():
    with pytest.raises(UserError, match="unknown need of method typo 'target_label': did you mean 'target_labels'"):
        type("Typo", (MeanDistance,), {"needs": frozenset({"target_label"})})


def test_what_a_method_needs_it_does_not_merely_take():
    assert type("Both", (MeanDistance,), {"needs": frozenset({"target_labels"})}).takes == frozenset()


def test_a_method_without_a_loss_is_refused():
    with pytest.raises(TypeError, match="loss"):
        type("Idle", (Method,), {})()


# Utterances that count by their weights: heads that are solved in one step


def with_true(label, source=(0, 0, 0, 1), class_weights=True) -> Task:
    """A task whose target has true labels, in rows from 10 on."""
    return replace(task(source, class_weights), labelled_target=Labelled(10 + torch.arange(len(label)), label))


def test_25_true_labels_of_a_class_weigh_as_much_as_the_source():
    examples = weigh(with_true(torch.tensor([0] * 25 + [1] * 25)))
    assert examples.rows.tolist() == [0, 1, 2, 3, *range(10, 60)], "none is repeated"
    of_class = examples.weight[:, None] * examples.label
    assert of_class[:4].sum(0).tolist() == pytest.approx([13.5, 13.5])
    assert of_class[4:].sum(0).tolist() == pytest.approx([13.5, 13.5])


def test_one_true_label_by_hand():
    """It weighs a 25th of the source's speech of its class, and classes keep the same total."""
    examples = weigh(with_true(torch.tensor([1])))
    of_class = (examples.weight[:, None] * examples.label) / examples.weight.sum()
    torch.testing.assert_close(of_class.sum(0), torch.tensor([0.5, 0.5]))
    assert float(of_class[4, 1] / of_class[3, 1]) == pytest.approx(1 / 25)


def test_guessed_labels_weigh_as_much_as_the_source():
    guessed = Labelled(torch.tensor([5, 6, 7]), torch.tensor([0, 1, 1]))
    weight = weigh(with_true(torch.tensor([0, 1])), guessed).weight
    torch.testing.assert_close(weight[:4].sum(), weight[4:7].sum())
    torch.testing.assert_close(weight[7:], torch.full((2,), float(weight[:4].sum()) / 50))


@given(labels, labels, labels, st.booleans(), st.booleans())
def test_weights_have_mean_1_and_classes_the_same_total(source, true, guessed, is_soft, class_weights):
    source, guessed = (torch.cat([part, torch.arange(4)]) for part in (source, guessed))
    part = Labelled(torch.arange(len(guessed)), torch.eye(4)[guessed] if is_soft else guessed)
    sample = Task(Frozen(torch.zeros(99, 2)), 4, labelled(source), labelled(true), None, class_weights)
    examples = weigh(sample, part)
    assert len(examples.rows) == len(examples.label) == len(examples.weight) == len(source) + len(true) + len(guessed)
    assert float(examples.weight.mean()) == pytest.approx(1, abs=1e-5) and (examples.weight > 0).all()
    if class_weights:
        torch.testing.assert_close(examples.weight @ examples.label, torch.full((4,), len(examples.rows) / 4))


def test_weights_without_a_source_and_of_one_class():
    lone = replace(task(()), labelled_target=labelled([1, 1, 0, 1]))
    torch.testing.assert_close(weigh(lone).weight, torch.tensor([2 / 3, 2 / 3, 2, 2 / 3]))
    alone = Task(Frozen(torch.zeros(4, 2)), 1, labelled([0, 0]), labelled([0]), None)
    weight = weigh(alone).weight
    assert float(weight[2] / weight[:2].sum()) == pytest.approx(1 / 25)


def test_a_method_weighs_where_the_head_is_solved_and_repeats_where_it_is_trained():
    method, sample = SourceOnly(), with_true(torch.tensor([1]))
    method.task = sample
    assert len(method.examples(0, None, generator()).rows) == 8, "as often as there are source utterances"
    method.task = replace(sample, solved=True)
    assert len(method.examples(0, None, generator()).rows) == 5 and method.examples(1, None, generator()) is None
    method.rebalance = False
    assert method.examples(0, None, generator()).weight.tolist()[-1] == 1, "like any other utterance"
