"""The nonlinear head of methods B against NumPy."""

from __future__ import annotations

import numpy as np
import torch

from emobridge.heads.nonlinear import Nonlinear


def test_the_forward_pass_by_hand():
    torch.manual_seed(0)
    head = Nonlinear(3, 2, hidden=4).double().eval()
    frames = torch.randn(2, 5, 3, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)
    values = [value.detach().numpy() for value in head.parameters()]
    maps = list(zip(values[::2], values[1::2]))  # weight and bias of five linear maps
    assert len(maps) == 5

    def through(x: np.ndarray, which: int) -> np.ndarray:
        weight, bias = maps[which]
        return x @ weight.T + bias

    expected = []
    for clip, length in zip(frames.numpy(), (5, 3)):
        hidden = np.maximum(through(clip[:length], 0), 0)
        hidden = np.maximum(through(hidden, 1), 0)
        middle = through(hidden, 2).mean(axis=0)
        expected.append(through(np.maximum(through(middle, 3), 0), 4))
    np.testing.assert_allclose(head(frames, mask).detach(), expected, rtol=1e-10)


def test_the_mean_comes_after_the_frames_network():
    """Unlike the linear head it must not be given pooled features in place of frames."""
    torch.manual_seed(0)
    head = Nonlinear(3, 2).eval()
    frames = torch.randn(1, 6, 3) * 3
    mask = torch.ones(1, 6, dtype=torch.bool)
    whole = head(frames.mean(1, keepdim=True), mask[:, :1])
    assert (head(frames, mask) - whole).abs().max() > 1e-4


def test_the_papers_size():
    head = Nonlinear(768, 7)
    m = 256
    assert sum(weight.numel() for weight in head.parameters()) == 768 * m + m + 3 * (m * m + m) + 7 * m + 7


def test_dropout_follows_both_blocks_on_frames():
    kinds = [type(module).__name__ for module in Nonlinear(3, 2, dropout=0.3).frames]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert all(module.p == 0.3 for module in Nonlinear(3, 2, dropout=0.3).frames if hasattr(module, "p"))
