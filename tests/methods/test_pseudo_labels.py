"""Pseudo-labels: threshold, interval, rebalancing, and that they help where they should."""

from __future__ import annotations

import pytest
import torch

from emobridge.heads.single import Single
from emobridge.methods.base import Labelled, Task
from emobridge.methods.pseudo_labels import PseudoLabels
from emobridge.methods.soft_pseudo_labels import SoftPseudoLabels
from emobridge.methods.source_only import SourceOnly
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Model, Plan, fit, probabilities

CONFIDENT = torch.tensor([[0.95, 0.05], [0.4, 0.6], [0.3, 0.7], [0.51, 0.49]])  # of rows 6 to 9


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def task(labelled=None, class_weights=True) -> Task:
    """Six source rows, then the target's."""
    source = Labelled(torch.arange(6), torch.tensor([0, 0, 0, 0, 1, 1]))
    return Task(Frozen(torch.zeros(12, 2)), 2, source, labelled, torch.arange(6, 10), class_weights)


def prepared(task: Task, **options) -> PseudoLabels:
    method = PseudoLabels(**options)
    method.prepare(task, None)
    return method


def predict(rows: torch.Tensor) -> torch.Tensor:
    return CONFIDENT[rows - 6]


def never(rows: torch.Tensor) -> torch.Tensor:
    raise AssertionError("no prediction is asked for")


@pytest.mark.parametrize(("threshold", "expected"), [(0.0, 4), (0.5, 4), (0.6, 3), (0.65, 2), (0.7, 2), (0.9, 1)])
def test_the_threshold_takes_what_is_at_least_as_sure(threshold, expected):
    drawn = prepared(task(), threshold=threshold, rebalance=False).examples(30, predict, generator())
    assert len(drawn.rows) == 6 + (expected if expected > 1 else 0)
    used = expected if expected > 1 else 0  # one alone is of one class
    assert dict(drawn.notes)["pseudo-labelled share"] == pytest.approx(used / 4)
    sure = dict(zip(drawn.rows.tolist()[6:], drawn.label.tolist()[6:]))
    assert sure.items() <= {6: 0, 7: 1, 8: 1, 9: 0}.items()


def test_labels_are_made_at_multiples_of_the_interval_only_and_not_at_the_start():
    method = prepared(task(), interval=4)
    requests = []

    def asking(rows):
        requests.append(rows.tolist())
        return predict(rows)

    drawn = {epoch: method.examples(epoch, asking, generator()) for epoch in range(13)}
    assert [epoch for epoch, examples in drawn.items() if examples is not None] == [0, 4, 8, 12]
    assert requests == [[6, 7, 8, 9]] * 3
    assert drawn[0].rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert drawn[0].notes == ()


def test_once_labels_at_the_first_interval_and_never_again():
    method = prepared(task(), interval=4, rounds="once")
    drawn = [method.examples(epoch, predict, generator()) for epoch in range(13)]
    assert [epoch for epoch, examples in enumerate(drawn) if examples is not None] == [0, 4]
    assert dict(drawn[4].notes) == {"pseudo-labelled share": 1.0, "pseudo-labelled classes": 2}
    assert method.examples(8, never, generator()) is None


def test_rebalancing_brings_the_target_to_the_number_of_source_utterances():
    drawn = prepared(task(), threshold=0.65).examples(30, predict, generator())
    target = drawn.rows[6:].tolist()
    assert len(target) == 6 and {row: target.count(row) for row in set(target)} == {6: 3, 8: 3}
    assert drawn.label[6:].tolist() == [0 if row == 6 else 1 for row in target]


def test_classes_weigh_the_same_within_each_language():
    drawn = prepared(task(), threshold=0.0, rebalance=False).examples(30, lambda rows: CONFIDENT[[1, 1, 1, 0]], None)
    torch.testing.assert_close(drawn.weight[:6], torch.tensor([0.75] * 4 + [1.5] * 2))
    torch.testing.assert_close(drawn.weight[6:], torch.tensor([2 / 3] * 3 + [2.0]))
    drawn = prepared(task(class_weights=False), rebalance=False).examples(30, predict, generator())
    assert torch.equal(drawn.weight, torch.ones(len(drawn.rows)))


def test_where_nothing_is_sure_the_source_is_trained_on_alone():
    drawn = prepared(task(), threshold=0.99).examples(30, predict, generator())
    assert drawn.rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert dict(drawn.notes) == {"pseudo-labelled share": 0.0, "pseudo-labelled classes": 0}


def test_where_all_are_of_one_class_none_is_used():
    same_class = torch.tensor([[1.0, 0.0]]).expand(4, 2)
    drawn = prepared(task()).examples(30, lambda rows: same_class, generator())
    assert drawn.rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert dict(drawn.notes) == {"pseudo-labelled share": 0.0, "pseudo-labelled classes": 1}


def test_a_few_labels_are_used_from_the_start_and_never_replaced():
    labelled = Labelled(torch.tensor([10, 11]), torch.tensor([1, 1]))
    method = prepared(task(labelled), threshold=0.65)
    start = method.examples(0, never, generator())
    assert sorted(start.rows.tolist()[6:]) == [10, 10, 10, 11, 11, 11]
    later = method.examples(30, predict, generator())
    labels = dict(zip(later.rows.tolist(), later.label.tolist()))
    assert labels[10] == labels[11] == 1 and {6, 8, 10, 11} == set(later.rows.tolist()[6:])


@pytest.mark.parametrize(("options", "times"), [({}, {3}), ({"even": False}, {1, 2}), ({"rebalance": False}, {1})])
def test_a_true_label_counts_as_much_as_the_guessed_ones(options, times):
    """One is known and three are sure, beside six of the source."""
    labelled = Labelled(torch.tensor([10]), torch.tensor([1]))
    probabilities = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.5, 0.5]])
    method = prepared(task(labelled), threshold=0.65, **options)
    drawn = [method.examples(epoch, lambda rows: probabilities, generator()) for epoch in (30, 60)]
    assert {examples.rows[6:].tolist().count(10) for examples in drawn} <= times
    assert all(set(examples.rows[6:].tolist()) == {6, 7, 8, 10} for examples in drawn)


TURNED = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])  # of a later round: row 7 is of another class


def test_the_labelled_set_is_expanded_by_each_round_and_not_replaced():
    """Algorithm 1: rows 6 and 8 are sure first, then 7 too, and a pair that is there is not repeated."""
    labelled = Labelled(torch.tensor([10]), torch.tensor([1]))
    kinds = {"replace": {(6, 0), (7, 0), (8, 1)}, "expand": {(6, 0), (7, 1), (7, 0), (8, 1)}}
    for rounds, expected in kinds.items():
        method = prepared(task(labelled), threshold=0.55, rebalance=False, rounds=rounds)
        first = method.examples(30, lambda rows: CONFIDENT[rows - 6], generator())
        assert set(zip(first.rows.tolist()[6:], first.label.tolist()[6:])) == {(10, 1), (6, 0), (7, 1), (8, 1)}
        later = method.examples(60, lambda rows: TURNED[rows - 6], generator())
        pairs = list(zip(later.rows.tolist()[6:], later.label.tolist()[6:]))
        assert set(pairs) == {(10, 1), *expected} and len(pairs) == len(expected) + 1
        unsure = method.examples(90, lambda rows: torch.full((4, 2), 0.5), generator())
        assert set(unsure.rows.tolist()[6:]) == ({6, 7, 8, 10} if rounds == "expand" else {10})


def test_an_expanded_set_is_rebalanced_to_the_source():
    method = prepared(task(), threshold=0.6, rounds="expand")
    method.examples(30, predict, generator())
    drawn = method.examples(60, lambda rows: TURNED[rows - 6], generator())
    target = drawn.rows[6:].tolist()
    assert len(target) == 6, "as many as in the source, of the four pairs in turn"
    assert {row: target.count(row) for row in (6, 8)}.items() <= {(6, 1), (6, 2), (8, 1), (8, 2)}


@pytest.mark.parametrize("method", [PseudoLabels, SoftPseudoLabels])
@pytest.mark.parametrize("stop", [4, 7])
def test_an_expanded_set_goes_on_as_if_it_had_not_stopped(goes_on, method, stop):
    (log, whole), (log_too, resumed) = goes_on(lambda: method(interval=2, rounds="expand"), stop)
    assert torch.equal(whole, resumed) and log == log_too


def test_soft_labels_of_all_rounds_stand_side_by_side():
    method = SoftPseudoLabels(rebalance=False, rounds="expand")
    method.prepare(task(), None)
    method.examples(30, predict, generator())
    drawn = method.examples(60, lambda rows: TURNED[rows - 6], generator())
    assert drawn.rows[6:].tolist() == [6, 7, 8, 9] * 2
    torch.testing.assert_close(drawn.label[6:], torch.cat([CONFIDENT, TURNED]))


@pytest.mark.parametrize("options", [{"threshold": 1.0}, {"threshold": -0.1}, {"interval": 0}, {"rounds": "x"}])
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        PseudoLabels(**options)


def shifted(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two classes told apart in the source by the first feature, and in the target by the second one much better.

    The first one is off by so much in the target that a classifier of the source takes most for one class.
    """
    random = torch.Generator().manual_seed(seed)
    label = torch.arange(400) % 2
    sign = (2.0 * label - 1)[:, None]
    source = sign * torch.tensor([1.0, 1.0]) + torch.randn(400, 2, generator=random) * torch.tensor([0.5, 0.8])
    target = sign * torch.tensor([0.3, 2.0]) + torch.randn(400, 2, generator=random) * torch.tensor([0.5, 0.5])
    return source, label, target + torch.tensor([1.2, 0.0]), label


def accuracy(method, seed: int) -> float:
    source, label, target, truth = shifted(seed)
    inputs = Frozen(torch.cat([source, target]))
    unlabelled = torch.arange(400, 600) if "target_audio" in method.needs else None
    torch.manual_seed(seed)
    head = Single(2, 2, input_dropout=0.0)
    task = Task(inputs, 2, Labelled(torch.arange(400), label), None, unlabelled)
    fit(task, method, head, Plan(epochs=40, learning_rate=0.02, decay=1), seed=seed)
    predictions = probabilities(Model(inputs, head), inputs, torch.arange(600, 800)).argmax(1)
    return float((predictions == truth[200:]).float().mean())


@pytest.mark.parametrize("seed", range(3))
def test_it_beats_source_only_where_the_languages_are_shifted(seed):
    alone = accuracy(SourceOnly(), seed)
    adapted = accuracy(PseudoLabels(threshold=0.8, interval=5), seed)
    assert adapted > alone + 0.05 and adapted > 0.95, (alone, adapted)
