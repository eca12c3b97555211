"""The head of one linear map: projection and mean commute, so that pooled features train it exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from emobridge.heads.single import Single

MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)


@pytest.fixture
def frames():
    return torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def pooled(frames):
    return torch.stack([frames[0].mean(0), frames[1, :2].mean(0)])[:, None]


def test_it_is_an_affine_map_of_the_mean_frame(frames):
    head = Single(3, 2, input_dropout=0.0).double()
    weight, bias = (value.detach().numpy() for value in (head.output.weight, head.output.bias))
    expected = [weight @ np.mean(clip, axis=0) + bias for clip in (frames[0].numpy(), frames[1, :2].numpy())]
    np.testing.assert_allclose(head(frames, MASK).detach(), expected, rtol=1e-12)


def test_projecting_each_frame_and_then_averaging_is_the_same(frames):
    """The other order of methods E and of linear probes elsewhere."""
    head = Single(3, 2).double().eval()
    projected = head.output(frames)
    expected = torch.stack([projected[0].mean(0), projected[1, :2].mean(0)])
    torch.testing.assert_close(head(frames, MASK), expected, atol=1e-12, rtol=0)


def test_pooled_features_give_the_same_loss_and_the_same_gradients(frames):
    ones = torch.ones(2, 1, dtype=torch.bool)
    gradients = []
    for vectors, mask in ((frames, MASK), (pooled(frames), ones)):
        torch.manual_seed(0)
        head = Single(3, 2, input_dropout=0.4).double()  # dropout falls on the mean: the same draw for both
        cross_entropy(head(vectors, mask), torch.tensor([0, 1])).backward()
        gradients.append(torch.cat([weight.grad.flatten() for weight in head.parameters()]))
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=0)
    assert gradients[0].abs().max() > 1e-3


def test_dropout_is_on_in_training(frames):
    head = Single(3, 2, input_dropout=0.5).double()
    torch.manual_seed(0)
    outputs = torch.stack([head(frames, MASK) for _ in range(20)])
    assert outputs.std(0).min() > 0


def test_its_weights_are_counted():
    assert sum(weight.numel() for weight in Single(768, 5).parameters()) == 768 * 5 + 5
