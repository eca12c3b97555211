"""The linear head of methods B: projection, mean and output; projection and mean commute."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from emobridge.heads.linear import Linear

MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)
LABEL = torch.tensor([0, 1])


def frames():
    return torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def pooled(x):
    return torch.stack([x[0].mean(0), x[1, :2].mean(0)])[:, None]


def by_frames(head, x):
    """The paper's order: each frame is projected, then comes the mean."""
    projected = head.projection(x)
    return head.output(torch.stack([projected[0].mean(0), projected[1, :2].mean(0)]))


def trained(forward, x):
    """Losses and weights of forty steps."""
    torch.manual_seed(0)
    head = Linear(3, 2, hidden=5).double()
    optimiser = torch.optim.Adam(head.parameters(), lr=0.02, weight_decay=1e-4, betas=(0.9, 0.98))
    losses = []
    for _ in range(40):
        loss = cross_entropy(forward(head, x), LABEL)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses, [value.detach().numpy() for value in head.parameters()]


def test_the_formula_by_hand():
    torch.manual_seed(0)
    head = Linear(3, 2, hidden=5).double()
    w, a, o, b = (value.detach().numpy() for value in head.parameters())
    expected = [o @ (x @ w.T + a).mean(0) + b for x in (frames()[0].numpy(), frames()[1, :2].numpy())]
    np.testing.assert_allclose(head(frames(), MASK).detach(), expected, rtol=1e-12)


def test_pooled_features_train_it_as_frames_do():
    ones = torch.ones(2, 1, dtype=torch.bool)
    losses, weights = trained(by_frames, frames())
    for forward, x in ((lambda head, x: head(x, MASK), frames()), (lambda head, x: head(x, ones), pooled(frames()))):
        other_losses, other_weights = trained(forward, x)
        np.testing.assert_allclose(other_losses, losses, rtol=1e-10)
        for weight, other in zip(weights, other_weights):
            np.testing.assert_allclose(other, weight, atol=1e-9)
    assert losses[-1] < 0.7 * losses[0]


def test_the_papers_size():
    assert sum(value.numel() for value in Linear(768, 5).parameters()) == 768 * 256 + 256 + 256 * 5 + 5
