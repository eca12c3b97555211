"""What holds for every head."""

from __future__ import annotations

import pytest
import torch

from emobridge import registry
from emobridge.bundle import made_head
from emobridge.heads.base import Head

HEADS = registry.names("heads")
CLOSED = [name for name in HEADS if registry.load("heads", name).closed_form]
TRAINED = [name for name in HEADS if name not in CLOSED]
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


@pytest.mark.parametrize("name", TRAINED)
def test_gradients_reach_every_weight(name, ragged):
    head = make(name).eval()
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


@pytest.mark.parametrize("name", CLOSED)
def test_a_closed_form_gives_a_map_of_the_components_for_every_fit(name):
    head, random = make(name), torch.Generator().manual_seed(2)
    z = torch.randn(2, 3, 20, 5, generator=random)
    label = torch.rand(20, C, generator=random).softmax(1)
    weight = torch.rand(2, 3, 20, generator=random)
    weight[..., :4] = 0
    solution = head.solve(z, label, weight)
    assert solution.weight.shape == (2, 3, C, 5) and solution.bias.shape == (2, 3, C)
    assert solution.weight.dtype == solution.bias.dtype == torch.float32
    alone = head.solve(z[1, 2, 4:], label[4:], weight[1, 2, 4:])
    torch.testing.assert_close(solution.of(z)[1, 2], alone.of(z[1, 2]), atol=1e-4, rtol=1e-4)
    moved = head.solve(z + 100, label, weight).of(z + 100)
    torch.testing.assert_close(moved.softmax(-1), solution.of(z).softmax(-1), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", CLOSED)
def test_what_was_solved_tells_clear_classes_apart(name):
    label = torch.arange(40) % C
    z = torch.eye(C)[label] * 4 + torch.randn(40, C, generator=torch.Generator().manual_seed(0)) * 0.3
    solution = make(name).solve(z, torch.eye(C)[label], torch.ones(40))
    assert (solution.of(z).argmax(1) == label).all()


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
