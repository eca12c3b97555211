"""The blend: the geometric mean of the first and the last model."""

from __future__ import annotations

import pytest
import torch

from emobridge.heads.base import LinearMap
from emobridge.heads.discriminant import Discriminant
from emobridge.methods.base import Labelled, Task
from emobridge.methods.blend import Blend
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
    got = Blend(share=share).settle([first, middle, last]).of(x).softmax(1)
    product = first.of(x).softmax(1) ** (1 - share) * last.of(x).softmax(1) ** share
    torch.testing.assert_close(got, product / product.sum(1, keepdim=True))


def test_of_a_single_solution_it_is_that():
    (solution,) = solutions(1)
    torch.testing.assert_close(Blend(share=0.3).settle([solution]).weight, solution.weight)


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
