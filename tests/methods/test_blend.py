"""The blend: the geometric mean of the first and the last model."""

from __future__ import annotations

import pytest
import torch

from emobridge.heads.base import LinearMap
from emobridge.heads.discriminant import Discriminant
from emobridge.methods.base import Labelled, Task
from emobridge.methods.blend import Blend, share_by_doubt
from emobridge.methods.class_wise import ClassWise
from emobridge.methods.source_only import SourceOnly
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Model, Plan, fit, probabilities


def solutions(count):
    random = torch.Generator().manual_seed(0)
    return [LinearMap(torch.randn(3, 4, generator=random), torch.randn(3, generator=random)) for _ in range(count)]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_it_is_the_geometric_mean_of_probabilities(share):
    first, middle, last = solutions(3)
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    blended, notes = Blend(share=share).settle([first, middle, last], x)
    got = blended.of(x).softmax(1)
    product = first.of(x).softmax(1) ** (1 - share) * last.of(x).softmax(1) ** share
    torch.testing.assert_close(got, product / product.sum(1, keepdim=True))
    assert notes == {"share of the self-trained model": share}


def test_of_a_single_solution_it_is_that():
    (solution,) = solutions(1)
    blended, _ = Blend(share=0.3).settle([solution], torch.empty(0, 4))
    torch.testing.assert_close(blended.weight, solution.weight)


def sharper(solution, factor):
    return LinearMap(factor * solution.weight, factor * solution.bias)


def doubt(solution, x):
    return float(1 - solution.of(x).softmax(1).amax(1).mean())


@pytest.mark.parametrize("count", [1, 50, 2000])
def test_by_default_the_share_grows_with_the_doubt_that_was_lost_and_with_the_target(count):
    (first,) = solutions(1)
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(2))
    shares = [share_by_doubt(first, sharper(first, factor), x) for factor in (1.0, 1.5, 3.0)]
    assert shares[0] == 0 and shares == sorted(shares) and shares[2] < count / (count + 50)
    lost = 1 - (doubt(sharper(first, 3.0), x) / doubt(first, x)) ** 2
    assert shares[2] == pytest.approx(lost * count / (count + 50), rel=1e-5)
    assert Blend().settle([first, sharper(first, 3.0)], x)[1]["share of the self-trained model"] == shares[2]


def test_more_doubt_no_doubt_and_no_utterance_leave_the_first_model_alone():
    (first,) = solutions(1)
    x = torch.randn(9, 4, generator=torch.Generator().manual_seed(3))
    certain = sharper(first, 1e6)
    assert share_by_doubt(first, sharper(first, 0.5), x) == share_by_doubt(certain, certain, x) == 0
    assert share_by_doubt(first, certain, x[:0]) == 0
    blended, _ = Blend().settle([first, sharper(first, 0.5)], x)
    assert torch.equal(blended.weight, first.weight) and torch.equal(blended.bias, first.bias)


def test_the_share_stands_in_the_log(clusters):
    source, label, target, _ = clusters(0)
    inputs = Frozen(torch.cat([source, target]))
    rows = torch.arange(len(source), len(inputs.x))
    problem = Task(inputs, 2, Labelled(torch.arange(len(source)), label), None, rows)
    log = fit(problem, Blend(), Discriminant(20, 2), Plan(epochs=6), seed=0)
    (point,) = [point for point in log if point.term == "share of the self-trained model"]
    assert point.epoch == 5 and 0 <= point.value < len(rows) / (len(rows) + 50)


def test_trained_it_lies_between_source_only_and_class_wise(clusters):
    source, label, target, _ = clusters(0)
    inputs = Frozen(torch.cat([source, target]))
    rows = torch.arange(len(source), len(inputs.x))
    problem = Task(inputs, 2, Labelled(torch.arange(len(source)), label), None, rows)
    logs = []
    for method in (SourceOnly(), ClassWise(), Blend(share=0.5)):
        head = Discriminant(20, 2)
        fit(problem, method, head, Plan(epochs=6), seed=0)
        logs.append(probabilities(Model(inputs, head), inputs, rows).log())
    product = (logs[0] + logs[1]) / 2
    torch.testing.assert_close(logs[2], product.log_softmax(1), atol=1e-4, rtol=1e-4)


def test_it_needs_a_head_of_a_closed_form_and_a_share_in_0_to_1():
    assert Blend.needs_closed_form and Blend.closed_form and Blend.needs == ClassWise.needs
    with pytest.raises(ValueError, match="share"):
        Blend(share=1.5)


def test_beside_labels_of_the_target_the_share_is_fixed(clusters):
    source, label, target, truth = clusters(0)
    inputs = Frozen(torch.cat([source, target]))
    rows = torch.arange(len(source), len(inputs.x))
    labelled = Labelled(rows[:2], torch.as_tensor(truth)[:2])
    problem = Task(inputs, 2, Labelled(torch.arange(len(source)), label), labelled, rows[2:])
    log = fit(problem, Blend(), Discriminant(20, 2), Plan(epochs=6), seed=0)
    assert [point.value for point in log if point.term == "share of the self-trained model"] == [0.6]
