"""The loss 1 - CCC against NumPy, against the metric, and where it has nothing to say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.scores.measures.ccc import Ccc
from emobridge.training.concordance import concordance_loss

NAN = float("nan")


def by_hand(said, truth):
    covariance = np.mean((said - said.mean()) * (truth - truth.mean()))
    return 1 - 2 * covariance / (said.var() + truth.var() + (said.mean() - truth.mean()) ** 2)


def test_it_is_the_formula_over_the_whole_batch():
    rng = np.random.default_rng(0)
    said, truth = rng.normal(0.3, 2, size=(2, 9, 3))
    loss = concordance_loss(torch.tensor(said), torch.tensor(truth))
    assert loss.shape == (3,) and loss.dtype == torch.float32
    for k in range(3):
        assert loss[k].item() == pytest.approx(by_hand(said[:, k], truth[:, k]), abs=1e-6)
        assert loss[k].item() == pytest.approx(1 - Ccc()(truth[:, k], said[:, k]), abs=1e-6)


def test_numbers_that_a_person_can_follow():
    # truth 0 1 2, said 0 1 1: s_xy = 1/3, s_x^2 = 2/3, s_y^2 = 2/9, means 1 and 2/3: CCC = (2/3) / (8/9 + 1/9)
    said, truth = torch.tensor([[0.0], [1.0], [1.0]]), torch.tensor([[0.0], [1.0], [2.0]])
    assert concordance_loss(said, truth).item() == pytest.approx(1 / 3)
    assert concordance_loss(truth, truth).item() == pytest.approx(0)
    assert concordance_loss(2 - truth, truth).item() == pytest.approx(2)  # all the wrong way round
    shifted = concordance_loss(truth + 1, truth).item()
    assert shifted == pytest.approx(1 - (4 / 3) / (4 / 3 + 1))  # rho is 1, concordance is not


def test_unknown_values_are_left_out_attribute_by_attribute():
    rng = np.random.default_rng(1)
    said, truth = rng.normal(size=(2, 8, 2))
    truth[[1, 4, 5], 0] = NAN
    known = ~np.isnan(truth[:, 0])
    x = torch.tensor(said, requires_grad=True)
    loss = concordance_loss(x, torch.tensor(truth))
    assert loss[0].item() == pytest.approx(by_hand(said[known, 0], truth[known, 0]), abs=1e-6)
    assert loss[1].item() == pytest.approx(by_hand(said[:, 1], truth[:, 1]), abs=1e-6)
    loss.sum().backward()
    assert x.grad.isfinite().all()
    assert (x.grad[:, 0] != 0).tolist() == known.tolist()


@pytest.mark.parametrize(
    "truth",
    [[NAN, NAN, NAN, NAN], [0.3, NAN, NAN, NAN], [0.3, 0.3, 0.3, 0.3], [0.3, 0.3, NAN, 0.3]],
    ids=["none known", "one known", "all the same", "all known ones the same"],
)
@pytest.mark.parametrize("said", [[0.3, 0.3, 0.3, 0.3], [0.1, 0.5, -0.2, 0.3], [0.0, 0.0, 0.0, 0.0]])
def test_what_tells_nothing_costs_nothing_and_moves_nothing(said, truth):
    x = torch.tensor([said], requires_grad=True)
    loss = concordance_loss(x.T, torch.tensor([truth]).T)
    loss.sum().backward()
    assert loss.tolist() == [0.0]
    assert x.grad.tolist() == [[0.0] * 4]


def test_an_empty_batch_costs_nothing():
    x = torch.zeros(1, 2, requires_grad=True)
    concordance_loss(x, torch.zeros(1, 2)).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0]]


def test_constant_predictions_are_led_away_from_constancy():
    """A head begins so: its loss is 1, and what is rated higher is pushed up."""
    truth = torch.tensor([[-0.5], [0.0], [0.7]])
    x = torch.full((3, 1), 0.3, requires_grad=True)
    loss = concordance_loss(x, truth)
    loss.sum().backward()
    assert loss.item() == pytest.approx(1)
    assert x.grad.isfinite().all()
    down = -x.grad.flatten()
    assert down[0] < down[1] < down[2] and down[0] < 0 < down[2]


def test_the_gradient_is_that_of_the_formula():
    torch.manual_seed(0)
    x, truth = torch.randn(6, 2, requires_grad=True), torch.randn(6, 2)
    truth[2, 1] = NAN
    concordance_loss(x, truth).sum().backward()
    step = 1e-3
    for place in ((0, 0), (3, 1)):
        away = torch.zeros(6, 2)
        away[place] = step
        with torch.no_grad():
            slope = (concordance_loss(x + away, truth) - concordance_loss(x - away, truth)).sum() / (2 * step)
        assert x.grad[place].item() == pytest.approx(slope.item(), rel=1e-2, abs=1e-3)


def test_half_precision_is_summed_in_single():
    torch.manual_seed(0)
    said, truth = torch.randn(64, 1) + 3, torch.randn(64, 1) + 3
    assert concordance_loss(said.bfloat16(), truth).item() == pytest.approx(
        concordance_loss(said.bfloat16().float(), truth).item()
    )


def test_a_line_is_learnt():
    """By the loss alone a linear map finds slope AND offset, which correlation would not."""
    torch.manual_seed(0)
    x = torch.randn(200, 1)
    truth = 0.5 * x - 0.3
    line = torch.nn.Linear(1, 1)
    adam = torch.optim.Adam(line.parameters(), lr=0.05)
    for _ in range(500):
        adam.zero_grad()
        concordance_loss(line(x), truth).sum().backward()
        adam.step()
    assert (line.weight.item(), line.bias.item()) == pytest.approx((0.5, -0.3), abs=0.001)
