"""The head of SUPERB and EmoBox against NumPy."""

from __future__ import annotations

import numpy as np
import torch

from emobridge.heads.superb import Superb


def test_the_forward_pass_by_hand():
    torch.manual_seed(0)
    head = Superb(3, 2, hidden=4).double().eval()
    frames = torch.randn(2, 5, 3, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)
    w = {name: value.detach().numpy() for name, value in head.named_parameters()}
    expected = []
    for clip, length in zip(frames.numpy(), (5, 3)):
        hidden = np.maximum(clip[:length] @ w["frames.0.weight"].T + w["frames.0.bias"], 0).mean(0)
        expected.append(hidden @ w["output.weight"].T + w["output.bias"])
    np.testing.assert_allclose(head(frames, mask).detach(), expected, rtol=1e-10)


def test_a_frame_below_zero_counts_as_zero_and_not_against_another():
    """Unlike the linear head: the mean comes behind the ReLU."""
    head = Superb(1, 1, hidden=1)
    for weight, value in zip(head.parameters(), (1.0, 0.0, 1.0, 0.0)):
        torch.nn.init.constant_(weight, value)
    frames = torch.tensor([[[2.0], [-2.0]]])
    assert head(frames, torch.ones(1, 2, dtype=torch.bool)).item() == 1
