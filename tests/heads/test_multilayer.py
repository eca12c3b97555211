"""The multilayer head of methods B: a softmax-weighted sum of all layers, then the nonlinear head."""

from __future__ import annotations

import numpy as np
import torch

from emobridge.heads.multilayer import Multilayer

MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)


def test_the_sum_by_hand():
    torch.manual_seed(0)
    head = Multilayer(3, 2, layers=4, hidden=5).double().eval()
    with torch.no_grad():
        head.layer_sum.weight.copy_(torch.tensor([0.0, 1.0, -1.0, 2.0]))
    hidden = torch.randn(4, 2, 4, 3, dtype=torch.float64)
    share = np.exp([0.0, 1.0, -1.0, 2.0]) / np.exp([0.0, 1.0, -1.0, 2.0]).sum()
    summed = torch.from_numpy(np.einsum("l,lbfd->bfd", share, hidden.numpy()))
    torch.testing.assert_close(head(hidden, MASK), head.head(summed, MASK))


def test_it_begins_with_all_layers_alike():
    head = Multilayer(3, 2, layers=4)
    np.testing.assert_allclose(head.layer_sum.weight.softmax(0).detach(), [0.25] * 4)


def test_it_learns_which_layer_tells():
    """Layer 1 of three holds the class; its weight must grow to be the largest."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    label = torch.arange(40) % 2
    hidden = torch.randn(3, 40, 6, 4, generator=generator)
    hidden[1, :, :, 0] += 3 * (2 * label[:, None] - 1)
    head, mask = Multilayer(4, 2, layers=3, hidden=8), torch.ones(40, 6, dtype=torch.bool)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(head(hidden, mask), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    share = head.layer_sum.weight.softmax(0)
    assert int(share.argmax()) == 1 and share[1] > 0.4
