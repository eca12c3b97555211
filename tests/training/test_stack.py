"""A stack of heads says what each of its heads says, and learns what each would learn alone.

In double precision: in single, what another order of sums makes is not far below what a fault would make.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from emobridge import registry
from emobridge.bundle import made_head
from emobridge.training.stack import stacked, unstacked

L, P, B, F, D, C = 3, 4, 5, 6, 7, 2
HEADS = registry.names("heads")


def heads_of(name):
    torch.manual_seed(0)
    rows = 1 if registry.load("heads", name).all_layers else L
    words = (f"layers={L}",) if rows == 1 else ()
    heads = [[made_head(name, words, D, C).eval().double() for _ in range(P)] for _ in range(rows)]
    for row in heads:
        for head in row:
            for value in head.parameters():  # layer weights too are to differ
                value.data.add_(0.3 * torch.randn_like(value))
    return heads


def inputs(name):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(L, B, F, D, generator=generator).double()
    mask = torch.arange(F) < torch.tensor([6, 4, 1, 2, 6])[:, None]
    mean = torch.randn(L, P, D, generator=generator).double()
    deviation = 0.5 + torch.rand(L, P, D, generator=generator).double()
    return x, mask, (mean, deviation)


def alone(head, x, layer):
    return x if head.all_layers else x[layer]


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("standardised", [False, True])
def test_each_head_of_the_stack_says_what_it_says_alone(name, standardised):
    heads, (x, mask, moments) = heads_of(name), inputs(name)
    stack = stacked(heads, moments if standardised else None).eval()
    said = stack(x[:, None], mask)
    assert said.shape == (len(heads), P, B, C)
    for layer, row in enumerate(heads):
        for probe, head in enumerate(row):
            mean, deviation = (value[:, probe, None, None] for value in moments)
            own = (x - mean) / deviation if standardised else x
            torch.testing.assert_close(said[layer, probe], head(alone(head, own, layer), mask), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", HEADS)
def test_clips_may_lie_end_to_end(name):
    heads, (x, mask, moments) = heads_of(name), inputs(name)
    stack = stacked(heads, moments).eval()
    flat = x[:, mask]
    clip = mask.nonzero()[:, 0]
    shares = (clip == torch.arange(B)[:, None]).double() / mask.sum(1, keepdim=True)
    torch.testing.assert_close(stack(flat[:, None], shares), stack(x[:, None], mask), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", HEADS)
def test_it_learns_what_each_head_learns_alone(name):
    heads, (x, mask, _) = heads_of(name), inputs(name)
    label = torch.tensor([0, 1, 0, 1, 1])
    stack = stacked(heads).eval()  # without dropout, whose masks are drawn for all together
    loss = sum(
        nn.functional.cross_entropy(logits, label) for row in stack(x[:, None], mask).unbind(0) for logits in row
    )
    loss.backward()
    torch.optim.SGD(stack.parameters(), lr=0.1).step()
    for layer, row in enumerate(heads):
        for probe, head in enumerate(row):
            nn.functional.cross_entropy(head(alone(head, x, layer), mask), label).backward()
            torch.optim.SGD(head.parameters(), lr=0.1).step()
            again = unstacked(stack, copy.deepcopy(head), layer, probe)
            for (key, one), other in zip(head.named_parameters(), again.parameters()):
                torch.testing.assert_close(other, one, atol=1e-9, rtol=1e-9, msg=key)
