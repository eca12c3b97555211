"""What holds for every head."""

from __future__ import annotations

import pytest
import torch

from emobridge import registry
from emobridge.bundle import made_head
from emobridge.heads.base import Head

HEADS = registry.names("heads")
B, F, D, C = 3, 5, 7, 4


def make(name):
    torch.manual_seed(0)
    return made_head(name, ("layers=2",) if registry.load("heads", name).all_layers else (), D, C)


def say(head, frames, mask):
    """The logits; a head of all layers is given two."""
    return head(torch.stack([frames, frames.flip(-1)]) if head.all_layers else frames, mask)


@pytest.fixture(params=HEADS)
def head(request):
    return make(request.param).eval()


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
        inside = frames[row : row + 1, mask[row]]
        alone = say(head, inside, torch.ones(inside.shape[:2], dtype=torch.bool))
        torch.testing.assert_close(alone[0], say(head, frames, mask)[row], atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_weight(head, ragged):
    say(head, *ragged).square().sum().backward()
    lacking = [name for name, weight in head.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not lacking


def test_the_same_seed_makes_the_same_head(head):
    again = make(head.name)
    assert all(torch.equal(a, b) for a, b in zip(head.parameters(), again.parameters()))


def test_dropout_is_off_in_evaluation_and_of_the_global_generator_in_training(head, ragged):
    assert torch.equal(say(head, *ragged), say(head, *ragged))
    head.train()
    outputs = []
    for _ in range(2):
        torch.manual_seed(5)
        outputs.append(say(head, *ragged))
    assert torch.equal(*outputs), "else a run that goes on from a checkpoint differs"


@pytest.mark.parametrize("name", HEADS)
def test_one_clip_one_frame_one_dimension_one_class(name):
    torch.manual_seed(0)
    head = made_head(name, (), 1, 1)
    logits = head(torch.ones(1, 1, 1), torch.ones(1, 1, dtype=torch.bool))
    assert logits.shape == (1, 1)
    logits.sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in head.parameters())


class LastFrame(Head):
    """A linear map of the last frame of each clip."""

    needs_frames = True

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.output = torch.nn.Linear(width, classes)

    def represent(self, frames, mask):
        return frames[torch.arange(len(frames)), mask.sum(1) - 1]


def test_a_head_of_ones_own_is_its_representation(ragged):
    head = LastFrame(D, C)
    assert (head.name, head.all_layers) == ("last-frame", False)
    frames, mask = ragged
    torch.testing.assert_close(head(frames, mask), head.output(frames[[0, 1, 2], [4, 1, 0]]))
