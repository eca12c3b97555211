"""Class-wise self-training: which utterances each refit takes, how they weigh, and that it helps where it should."""

from __future__ import annotations

import pytest
import torch

from emobridge.heads.discriminant import Discriminant
from emobridge.methods.base import Labelled, Task
from emobridge.methods.class_wise import ClassWise, surest_of_each_class
from emobridge.methods.source_only import SourceOnly
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Model, Plan, fit, probabilities

P = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4], [0.45, 0.55], [0.3, 0.7]])


def random_probabilities(count, classes, seed=0):
    return torch.rand(count, classes, generator=torch.Generator().manual_seed(seed)).softmax(1)


def task(labelled=0, target=6) -> Task:
    """Six source rows, then those of the target."""
    source = Labelled(torch.arange(6), torch.tensor([0, 0, 0, 0, 1, 1]))
    part = Labelled(torch.arange(6, 6 + labelled), torch.arange(labelled) % 2) if labelled else None
    return Task(Frozen(torch.zeros(12, 2)), 2, source, part, torch.arange(6 + labelled, 6 + labelled + target))


def prepared(task, **options):
    method = ClassWise(**options)
    method.prepare(task, None)
    return method


def drawn(task, **options):
    """The examples of each epoch, 0 to 7."""
    method = prepared(task, **options)
    return [method.examples(epoch, lambda rows: P[: len(rows)], None) for epoch in range(8)]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, [0, 5]), (0.5, [0, 1, 5]), (0.75, [0, 1, 2, 4, 5]), (1.0, [0, 1, 2, 3, 4, 5])]
)
def test_the_surest_of_each_predicted_class(share, expected):
    assert surest_of_each_class(P, share).tolist() == expected


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_every_class_that_is_predicted_keeps_its_share_and_its_surest(share):
    p = random_probabilities(50, 4)
    sureness, label = p.max(1)
    chosen = surest_of_each_class(p, share)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    for code in label.unique():
        inside = (label == code).nonzero()[:, 0]
        taken = chosen[label[chosen] == code]
        assert len(taken) == max(1, round(share * len(inside)))
        left = set(inside.tolist()) - set(taken.tolist())
        assert not left or sureness[list(left)].max() <= sureness[taken].min()


def test_a_larger_share_keeps_what_a_smaller_one_took():
    p = random_probabilities(30, 3)
    before: set[int] = set()
    for share in (0.0, 0.3, 0.6, 1.0):
        now = set(surest_of_each_class(p, share).tolist())
        assert before <= now
        before = now


def test_of_equally_sure_ones_the_first():
    assert surest_of_each_class(torch.tensor([[0.6, 0.4]] * 4), 0.5).tolist() == [0, 1]


@pytest.mark.parametrize("count", [0, 1])
def test_of_none_or_a_single_utterance(count):
    assert surest_of_each_class(P[:count], 0.3).tolist() == list(range(count))


def test_the_share_rises_from_the_first_to_the_last_refit_and_stays():
    rounds = drawn(task(), refits=3, first=0.0, last=1.0)
    assert [examples is not None for examples in rounds] == [True] * 4 + [False] * 4
    sizes = [len(examples.rows) - 6 for examples in rounds if examples]
    assert sizes == [0, 2, 3, 6]
    assert dict(rounds[3].notes) == {"pseudo-labelled share": 1.0, "pseudo-labelled classes": 2}
    assert [len(examples.rows) - 6 for examples in drawn(task(), refits=1, first=0.0) if examples] == [0, 2]


def test_heads_that_are_trained_are_labelled_anew_each_interval():
    rounds = drawn(task(), refits=2, interval=3)
    assert [epoch for epoch, examples in enumerate(rounds) if examples] == [0, 3, 6]


def test_source_and_target_weigh_the_same_and_within_them_classes_do():
    examples = drawn(task(), last=1.0)[5]
    assert float(examples.weight.mean()) == pytest.approx(1)
    source, target = examples.weight[:6], examples.weight[6:]
    assert float(source.sum()) == pytest.approx(float(target.sum()))
    for weight, label in ((source, examples.label[:6]), (target, examples.label[6:])):
        by_class = weight @ label
        torch.testing.assert_close(by_class, by_class.mean().expand(2))


def test_a_true_label_of_the_target_weighs_a_25th_of_the_source_of_its_class():
    first, *later = drawn(task(labelled=2, target=4))[:6]
    assert first.rows.tolist() == list(range(8))
    assert float(first.weight[6:].sum()) == pytest.approx(float(first.weight[:6].sum()) / 25)
    for examples in later:
        source, guessed, true = (
            float(part.sum()) for part in examples.weight.tensor_split([6, len(examples.rows) - 2])
        )
        assert guessed == pytest.approx(source) and true == pytest.approx(source / 25)
        assert examples.rows[-2:].tolist() == [6, 7] and (examples.label[-2:] == torch.eye(2)).all()


def test_no_unlabelled_utterance_leaves_the_source():
    for examples in drawn(task(target=0))[:6]:
        assert examples.rows.tolist() == list(range(6))


def test_it_helps_where_the_target_tells_the_classes_apart(clusters):
    gains = []
    for seed in range(3):
        source, label, target, truth = clusters(seed)
        inputs = Frozen(torch.cat([source, target]))
        rows = torch.arange(len(source), len(source) + 200)
        problem = Task(inputs, 2, Labelled(torch.arange(len(source)), label), None, rows)
        right = []
        for method in (SourceOnly(), ClassWise()):
            head = Discriminant(20, 2)
            fit(problem, method, head, Plan(epochs=6), seed=0)
            p = probabilities(Model(inputs, head), inputs, torch.arange(len(source) + 200, len(inputs.x)))
            right.append(float((p.argmax(1) == truth[200:]).float().mean()))
        gains.append(right[1] - right[0])
    assert min(gains) > 0 and sum(gains) / 3 > 0.05, gains


@pytest.mark.parametrize("options", [{"refits": 0}, {"first": -0.1}, {"last": 1.1}, {"interval": 0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ClassWise(**options)
