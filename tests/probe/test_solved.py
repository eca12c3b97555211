"""Heads of a closed form, solved for all probes together, are what each probe has alone."""

from __future__ import annotations

import pytest
import torch

from emobridge import registry
from emobridge.bundle import made_head
from emobridge.errors import UserError
from emobridge.heads.base import principal_components
from emobridge.methods.base import as_probabilities
from emobridge.probe import solved
from emobridge.probe.batched import Stack, TrainingSets, logits_of
from emobridge.probe.solved import solve_probes
from emobridge.probe.sources import PooledSource

PLUGINS = {name: registry.load("heads", name) for name in registry.names("heads")}
HEADS = [name for name, plugin in PLUGINS.items() if plugin.closed_form and not plugin.has_members]
L, P, N, D, C = 3, 4, 40, 6, 3
OPTIONS = ("components=5",)


def speech():
    """Features whose mean tells the class; probes that train on unlike rows, weighted, the first on three."""
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(C, (N,), generator=generator)
    x = torch.randn(L, N, D, generator=generator) + 2 * torch.randn(C, D, generator=generator)[label]
    part = torch.rand(P, N, generator=generator)
    part[0, 0], part[0, 1:3], part[0, 3:] = 0.1, 0.5, 0.7
    weight = torch.where(part < 0.6, 0.5 + torch.rand(P, N, generator=generator), 0.0)
    return x, TrainingSets(label, weight, part > 0.8)


def stack_of(name, x, probes=P, moments=None):
    heads = [[made_head(name, OPTIONS, x.shape[2], C) for _ in range(probes)] for _ in x]
    return Stack(heads, PooledSource(x), moments=moments)


def alone(name, x, sets, probe, mean, deviation):
    """The logits of all rows (N, D) by one probe, in the plain order: standardise, reduce, solve."""
    rows = sets.weight[probe] > 0
    z = (x - mean) / deviation
    components = principal_components(z[rows], 5)
    label = as_probabilities(sets.label, C)[rows]
    solution = made_head(name, OPTIONS, D, C).solve(components.of(z[rows]), label, sets.weight[probe, rows])
    return solution.of(components.of(z))


@pytest.mark.parametrize("limit", [1, solved.COMPONENT_LIMIT])
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("name", HEADS)
def test_each_probe_is_what_it_is_alone(name, folded, limit, monkeypatch):
    monkeypatch.setattr(solved, "COMPONENT_LIMIT", limit)
    x, sets = speech()
    generator = torch.Generator().manual_seed(3)
    mean, deviation = torch.zeros(L, P, D), torch.ones(L, P, D)
    if folded:
        mean = torch.randn(L, P, D, generator=generator)
        deviation = 0.5 + torch.rand(L, P, D, generator=generator)
    assert len((sets.weight > 0).sum(1).clamp(max=5).unique()) > 1, "some have fewer rows than components"
    stack = stack_of(name, x, moments=(mean, deviation) if folded else None)
    solve_probes(stack, sets)
    (together,) = logits_of([stack], torch.arange(N))
    assert together.shape == (L, P, N, C)
    for layer in range(L):
        for probe in range(P):
            expected = alone(name, x[layer], sets, probe, mean[layer, probe], deviation[layer, probe])
            torch.testing.assert_close(together[layer, probe].softmax(1), expected.softmax(1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", HEADS)
def test_rows_that_a_probe_does_not_train_on_do_not_matter(name):
    x, sets = speech()
    first, second = stack_of(name, x), stack_of(name, x.clone())
    unused = sets.weight[1] == 0
    second.source.x[:, unused] = torch.randn(L, int(unused.sum()), D)
    for stack in (first, second):
        solve_probes(stack, sets)
    torch.testing.assert_close(first.module.output.weight[:, :, 1], second.module.output.weight[:, :, 1])
    assert not torch.allclose(first.module.output.weight[:, :, 0], second.module.output.weight[:, :, 0])


@pytest.mark.parametrize("name", HEADS)
def test_one_layer_one_probe_one_utterance_one_feature(name):
    stack = stack_of(name, torch.ones(1, 1, 1), probes=1)
    solve_probes(stack, TrainingSets(torch.tensor([1]), torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.bool)))
    (logits,) = logits_of([stack], torch.arange(1))
    assert logits.shape == (1, 1, 1, C) and int(logits.argmax()) == 1


def test_a_fold_without_training_rows_is_told():
    x, sets = speech()
    sets.weight[2] = 0
    with pytest.raises(UserError, match="a fold has no training utterance left"):
        solve_probes(stack_of("discriminant", x), sets)
