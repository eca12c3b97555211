"""Attentive statistics pooling against NumPy."""

from __future__ import annotations

import numpy as np
import torch

from emobridge.heads.attentive import LEAST, Attentive


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def test_the_forward_pass_by_hand():
    torch.manual_seed(0)
    head = Attentive(3, 2, hidden=4, attention=5).double().eval()
    frames = torch.randn(2, 5, 3, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)
    w = {name: value.detach().numpy() for name, value in head.named_parameters()}
    expected = []
    for clip, length in zip(frames.numpy(), (5, 3)):
        h = clip[:length]  # the frames themselves: no map comes before
        a = softmax((np.tanh(h @ w["attention.0.weight"].T + w["attention.0.bias"]) @ w["attention.2.weight"].T)[:, 0])
        mean = (a[:, None] * h).sum(0)
        deviation = np.sqrt(np.maximum((a[:, None] * (h - mean) ** 2).sum(0), LEAST))
        seen = np.maximum(np.concatenate([mean, deviation]) @ w["clip.0.weight"].T + w["clip.0.bias"], 0)
        expected.append(seen @ w["output.weight"].T + w["output.bias"])
    np.testing.assert_allclose(head(frames, mask).detach(), expected, rtol=1e-9)


def test_it_hears_how_frames_vary_and_not_their_order():
    torch.manual_seed(0)
    head = Attentive(3, 2).eval()
    frames, mask = torch.randn(1, 6, 3), torch.ones(1, 6, dtype=torch.bool)
    torch.testing.assert_close(head(frames.flip(1), mask), head(frames, mask))
    still = frames.mean(1, keepdim=True).expand(1, 6, 3)
    assert (head(still, mask) - head(frames, mask)).abs().max() > 1e-3


def test_the_attention_is_all_that_sees_a_frame_before_the_pooling():
    """Two clips whose frames differ, with the same weighted mean and deviation, are the same to the head."""
    head = Attentive(1, 2).eval()
    torch.nn.init.zeros_(head.attention[2].weight)  # all frames weigh the same
    first, second = (
        torch.tensor([[[-1.0], [1.0], [-1.0], [1.0]]]),
        torch.tensor([[[-(2**0.5)], [0.0], [0.0], [2**0.5]]]),
    )
    mask = torch.ones(1, 4, dtype=torch.bool)
    torch.testing.assert_close(head(first, mask), head(second, mask))


def test_clips_end_to_end_are_clips_beside_one_another():
    """Far from zero too, where a variance by squares alone would lose its digits."""
    torch.manual_seed(0)
    head = Attentive(3, 2).eval()
    clips = [50 + torch.randn(5, 3), 50 + torch.randn(2, 3)]
    alone = torch.cat([head(clip[None], torch.ones(1, len(clip), dtype=torch.bool)) for clip in clips])
    shares = torch.zeros(2, 7)
    shares[0, :5], shares[1, 5:] = 1 / 5, 1 / 2
    torch.testing.assert_close(head(torch.cat(clips), shares), alone, atol=1e-3, rtol=1e-4)


def test_a_clip_of_one_frame_has_a_slope():
    head = Attentive(3, 2)
    head(torch.ones(1, 1, 3), torch.ones(1, 1, dtype=torch.bool)).sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in head.parameters() if weight.grad is not None)
