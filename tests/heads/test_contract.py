"""What holds for every head."""

from __future__ import annotations

import pytest
import torch

from emobridge import registry
from emobridge.bundle import made_head

HEADS = registry.names("heads")
B, F, D, C = 3, 5, 7, 4


def made(name):
    torch.manual_seed(0)
    return made_head(name, ("layers=2",) if registry.load("heads", name).all_layers else (), D, C)


def say(head, frames, mask):
    """The logits; a head of all layers is given two."""
    return head(torch.stack([frames, frames.flip(-1)]) if head.all_layers else frames, mask)


@pytest.fixture(params=HEADS)
def head(request):
    return made(request.param).eval()


@pytest.fixture
def ragged():
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]], dtype=torch.bool)
    return torch.randn(B, F, D, generator=torch.Generator().manual_seed(1)), mask


def test_logits_of_each_clip(head, ragged):
    logits = say(head, *ragged)
    assert logits.shape == (B, C) and torch.isfinite(logits).all()
    assert logits.std() > 0


def test_what_lies_under_the_mask_is_not_seen(head, ragged):
    frames, mask = ragged
    for dirt in (9.0, -1e6):
        dirty = torch.where(mask[..., None], frames, torch.full_like(frames, dirt))
        torch.testing.assert_close(say(head, dirty, mask), say(head, torch.where(mask[..., None], frames, 0.0), mask))


def test_a_clip_alone_is_the_clip_in_a_ragged_batch(head, ragged):
    frames, mask = ragged
    for row in range(B):
        own = frames[row : row + 1, mask[row]]
        alone = say(head, own, torch.ones(own.shape[:2], dtype=torch.bool))
        torch.testing.assert_close(alone[0], say(head, frames, mask)[row], atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_weight(head, ragged):
    say(head, *ragged).square().sum().backward()
    lacking = [name for name, weight in head.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not lacking


def test_the_same_seed_makes_the_same_head(head):
    again = made(head.name)
    assert all(torch.equal(a, b) for a, b in zip(head.parameters(), again.parameters()))


def test_dropout_is_off_in_evaluation_and_of_the_global_generator_in_training(head, ragged):
    assert torch.equal(say(head, *ragged), say(head, *ragged))
    head.train()
    outputs = []
    for _ in range(2):
        torch.manual_seed(5)
        outputs.append(say(head, *ragged))
    assert torch.equal(*outputs), "else a run that goes on from a checkpoint differs"
