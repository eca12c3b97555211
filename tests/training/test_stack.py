"""A stack of heads gives the logits that each of its heads gives, and learns what each learns alone.

In double precision: in single, what another order of sums makes is not far below what a fault would make.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from emobridge import registry
from emobridge.bundle import made_head
from emobridge.errors import UserError
from emobridge.heads.base import Head, LayerSum, masked_mean
from emobridge.options import options_of
from emobridge.training.stack import layer_weights, stacked, unstacked

L, P, B, F, D, C = 3, 4, 5, 6, 7, 2
PLUGINS = {name: registry.load("heads", name) for name in registry.names("heads")}
HEADS = [name for name, plugin in PLUGINS.items() if not getattr(plugin, "has_members", False)]
STILL = "block.key.bias"  # added to all scores of a query alike, so that no loss depends on it
SIZES = [(L, P), (L, 1), (1, P), (1, 1)]  # layers and probes


def heads_of(name, layers=L, probes=P):
    torch.manual_seed(0)
    all_layers = registry.load("heads", name).all_layers
    words = (f"layers={layers}",) if all_layers else ()
    words += ("hidden=8",) if "hidden" in options_of(PLUGINS[name]) else ()  # wide ones are sure to the last bit
    rows = 1 if all_layers else layers
    heads = [[made_head(name, words, D, C).eval().double() for _ in range(probes)] for _ in range(rows)]
    for row in heads:
        for head in row:
            for value in head.parameters():  # layer weights too are to differ
                value.data.add_(0.3 * torch.randn_like(value))
    return heads


def inputs(layers=L, probes=P):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(layers, B, F, D, generator=generator).double()
    mask = torch.arange(F) < torch.tensor([6, 4, 1, 2, 6])[:, None]
    mean = torch.randn(layers, probes, D, generator=generator).double()
    deviation = 0.5 + torch.rand(layers, probes, D, generator=generator).double()
    return x, mask, (mean, deviation)


def alone(head, x, layer):
    return x if head.all_layers else x[layer]


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("standardised", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_each_head_of_the_stack_gives_its_own_logits(name, standardised, sizes):
    heads, (x, mask, moments) = heads_of(name, *sizes), inputs(*sizes)
    stack = stacked(heads, moments if standardised else None).eval()
    logits = stack(x[:, None], mask)
    assert logits.shape == (len(heads), sizes[1], B, C)
    for layer, row in enumerate(heads):
        for probe, head in enumerate(row):
            mean, deviation = (value[:, probe, None, None] for value in moments)
            own = (x - mean) / deviation if standardised else x
            torch.testing.assert_close(logits[layer, probe], head(alone(head, own, layer), mask), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", HEADS)
def test_clips_may_lie_end_to_end(name):
    heads, (x, mask, moments) = heads_of(name), inputs()
    stack = stacked(heads, moments).eval()
    flat = x[:, mask]
    clip = mask.nonzero()[:, 0]
    shares = (clip == torch.arange(B)[:, None]).double() / mask.sum(1, keepdim=True)
    torch.testing.assert_close(stack(flat[:, None], shares), stack(x[:, None], mask), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("sizes", SIZES)
def test_it_learns_what_each_head_learns_alone(name, sizes):
    heads, (x, mask, _) = heads_of(name, *sizes), inputs(*sizes)
    label = torch.tensor([0, 1, 0, 1, 1])
    stack = stacked(heads).eval()  # without dropout, whose masks are drawn for all together
    loss = sum(
        nn.functional.cross_entropy(logits, label) for row in stack(x[:, None], mask).unbind(0) for logits in row
    )
    loss.backward()
    torch.optim.SGD(stack.parameters(), lr=0.1).step()
    for layer, row in enumerate(heads):
        for probe, head in enumerate(row):
            before = {key: value.detach().clone() for key, value in head.named_parameters()}
            nn.functional.cross_entropy(head(alone(head, x, layer), mask), label).backward()
            torch.optim.SGD(head.parameters(), lr=0.1).step()
            again = unstacked(stack, copy.deepcopy(head), layer, probe)
            for (key, value), other in zip(head.named_parameters(), again.parameters()):
                torch.testing.assert_close(other, value, atol=1e-9, rtol=1e-9, msg=key)
                moves = key != "layer_sum.weight" or sizes[0] > 1  # the share of a single layer is always 1
                assert key == STILL or torch.equal(value, before[key]) != moves, (
                    f"{key} of layer {layer}, probe {probe}"
                )


class OutputFirst(Head):
    """Its first map is not the one that sees the features; `width` and `hidden` are the same."""

    def __init__(self):
        super().__init__()
        self.output = nn.Linear(D, C)
        self.projection = nn.Linear(D, D)

    def represent(self, frames, mask):
        return self.projection(masked_mean(frames, mask))


class SeesTwice(OutputFirst):
    """Two of its maps see the features."""

    def __init__(self):
        nn.Module.__init__(self)
        self.projection, self.gate, self.output = nn.Linear(D, D), nn.Linear(D, D), nn.Linear(D, C)

    def represent(self, frames, mask):
        mean = masked_mean(frames, mask)
        return self.projection(mean) * self.gate(mean).sigmoid()


class SumsLate(SeesTwice):
    """It sums layers behind a map."""

    def __init__(self):
        super().__init__()
        self.layer_sum = LayerSum(L)


class SumsNothing(SeesTwice):
    """It gets all layers, and has a plain map for them."""

    def represent(self, frames, mask):
        return self.projection(masked_mean(frames, mask))


def test_a_head_of_all_layers_that_does_not_sum_them_is_refused():
    x, mask, _ = inputs(L, P)
    with pytest.raises(UserError, match="must be the only one that sees the features"):
        stacked([[SumsNothing().double() for _ in range(P)]])(x[:, None], mask)


class Mixture(Head):
    """A head of one's own that sums layers, under another name than the multilayer head's."""

    def __init__(self, layers=L):
        super().__init__()
        self.mixture, self.output = LayerSum(layers), nn.Linear(D, C)

    def represent(self, frames, mask):
        return masked_mean(self.mixture(frames), mask)


@pytest.mark.parametrize("probes", [1, P])
def test_layer_weights_of_a_head_of_ones_own(probes):
    heads = [[Mixture().double() for _ in range(probes)]]
    for number, head in enumerate(heads[0]):
        head.mixture.weight.data += number * torch.arange(L)
    weights = layer_weights(stacked(heads))
    for row, head in zip(weights, heads[0]):
        torch.testing.assert_close(row, head.mixture.weight.detach().softmax(0))


@pytest.mark.parametrize(
    ("kind", "probes"), [(OutputFirst, 1), (OutputFirst, P), (SeesTwice, P), (SumsLate, 1), (SumsLate, P)]
)
def test_a_head_whose_maps_do_not_lie_as_expected_is_refused(kind, probes):
    x, mask, _ = inputs(L, probes)
    with pytest.raises(UserError, match="must be the only one that sees the features"):
        stacked([[kind().double() for _ in range(probes)] for _ in range(L)])(x[:, None], mask)
