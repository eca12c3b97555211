"""Heads that are solved, of several views of a clip."""

from __future__ import annotations

import pytest
import torch

from emobridge.errors import UserError
from emobridge.heads.discriminant import Discriminant
from emobridge.heads.ridge import Ridge
from emobridge.methods.base import Labelled, Task
from emobridge.methods.class_wise import ClassWise
from emobridge.methods.source_only import SourceOnly
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Model, Plan, fit, probabilities


def two_views():
    """The features twice, the second time turned over and noisier; and a task on them, or on one of them."""
    random = torch.Generator().manual_seed(5)
    label = torch.arange(60) % 2
    source, target = (
        torch.randn(60, 20, generator=random) + (2.0 * label[:, None] - 1) * (axis == torch.arange(20))
        for axis in (0, 1)
    )
    x = torch.cat([source, target])
    other = x.flip(1) + 0.8 * torch.randn(x.shape, generator=random)
    rows = torch.arange(len(source), len(x))
    return x, other, lambda features: Task(Frozen(features), 2, Labelled(torch.arange(len(source)), label), None, rows)


def logits(task, method, head):
    log = fit(task, method, head, Plan(epochs=6), seed=0)
    assert len({(point.epoch, point.term) for point in log}) == len(log), "one point for all views"
    rows = torch.arange(len(task.inputs.x))
    return probabilities(Model(task.inputs, head), task.inputs, rows).log()


@pytest.mark.parametrize("head", [Discriminant, Ridge])
def test_views_of_labelled_speech_answer_by_the_geometric_mean(head):
    x, other, task = two_views()
    both = logits(task(torch.cat([x, other], 1)), SourceOnly(), head(40, 2, views=2))
    parts = [logits(task(view), SourceOnly(), head(20, 2)) for view in (x, other)]
    torch.testing.assert_close(both, (sum(parts) / 2).log_softmax(1), atol=1e-4, rtol=1e-4)


def test_a_view_is_labelled_by_the_other():
    x, other, task = two_views()
    asked = []

    class Watched(ClassWise):
        def examples(self, epoch, predict, generator):
            if epoch == 1:
                asked.append(predict(self.task.target))
            return super().examples(epoch, predict, generator)

    logits(task(torch.cat([x, other], 1)), Watched(), Discriminant(40, 2, views=2))
    firsts = [logits(task(view), SourceOnly(), Discriminant(20, 2)).exp() for view in (x, other)]
    target = task(x).target
    torch.testing.assert_close(asked[0], firsts[1][target], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(asked[1], firsts[0][target], atol=1e-4, rtol=1e-4)


def test_views_that_are_the_same_are_as_one():
    x, _, task = two_views()
    both = logits(task(torch.cat([x, x], 1)), ClassWise(), Discriminant(40, 2, views=2))
    torch.testing.assert_close(both, logits(task(x), ClassWise(), Discriminant(20, 2)), atol=1e-4, rtol=1e-4)


def test_views_divide_the_width():
    with pytest.raises(UserError, match="views: 5 features cannot be cut into 2"):
        Discriminant(5, 2, views=2)
