"""Checkpoints of probes: a damaged one, or one of other probes, is no checkpoint."""

from __future__ import annotations

import pytest
import torch

from emobridge.bundle import made_head
from emobridge.probe.batched import Stack
from emobridge.probe.checkpoint import resume, save
from emobridge.probe.sources import PooledSource


def state(head="linear", probes=2, classes=3):
    heads = [[made_head(head, ("hidden=4",) if head == "linear" else (), 5, classes) for _ in range(probes)]]
    stack = Stack(heads, PooledSource(torch.zeros(1, 2, 5)))
    optimiser = torch.optim.Adam(stack.module.parameters())
    stack.module.zero_grad()
    for value in stack.module.parameters():
        value.grad = torch.ones_like(value)
    optimiser.step()
    return [stack], optimiser, torch.Generator().manual_seed(0)


@pytest.fixture
def written(tmp_path):
    path, (stacks, optimiser, generator) = tmp_path / "probes.checkpoint", state()
    save(path, 3, stacks, optimiser, generator)
    return path, stacks


def test_it_is_taken_over(written):
    path, (stack,) = written
    stacks, optimiser, generator = state()
    assert resume(path, stacks, optimiser, generator) == 3
    for value, other in zip(stack.module.parameters(), stacks[0].module.parameters()):
        assert torch.equal(value, other)


def test_a_damaged_checkpoint_is_none(written):
    path, _ = written
    content = path.read_bytes()
    for place in range(0, len(content), 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        assert resume(path, *state()) == 0, place
    path.write_bytes(content[: len(content) // 2])
    assert resume(path, *state()) == 0
    path.unlink()
    assert resume(path, *state()) == 0


@pytest.mark.parametrize("changes", [{"head": "single"}, {"probes": 1}, {"probes": 3}, {"classes": 2}])
def test_a_checkpoint_of_other_probes_is_none(written, changes):
    path, _ = written
    stacks, optimiser, generator = state(**changes)
    before = [value.clone() for value in stacks[0].module.parameters()]
    assert resume(path, stacks, optimiser, generator) == 0
    assert all(torch.equal(value, other) for value, other in zip(before, stacks[0].module.parameters()))
