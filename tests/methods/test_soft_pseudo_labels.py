"""Soft pseudo-labels: the regularisers and the mix by hand, and probabilities as labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.methods.pseudo_labels import PseudoLabels
from emobridge.methods.soft_pseudo_labels import SoftPseudoLabels, _beta, all_classes, entropies

LOGITS = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.5, 0.0]])
SAID = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.55, 0.45]])  # of the target's four rows


def softmax(z):
    z = np.exp(z - z.max(1, keepdims=True))
    return z / z.sum(1, keepdims=True)


def test_all_classes_by_hand():
    mean = softmax(LOGITS.numpy()).mean(0)
    expected = sum(1 / 3 * np.log(1 / 3 / share) for share in mean)
    assert float(all_classes(LOGITS.softmax(1).mean(0))) == pytest.approx(expected, rel=1e-5)
    assert float(all_classes(torch.full((3,), 1 / 3))) == pytest.approx(0, abs=1e-6)
    assert all_classes(torch.tensor([[0.5, 0.5], [1.0, 0.0]])).tolist() == pytest.approx([0, 13.1224], abs=1e-3)


def test_entropies_by_hand():
    p = softmax(LOGITS.numpy())
    logits = (LOGITS, torch.zeros(4, 3), torch.tensor([[500.0, -500.0]]))
    first, even, sure = (entropies(values.softmax(1), values) for values in logits)
    np.testing.assert_allclose(first, -(p * np.log(p)).sum(1), rtol=1e-5)
    assert even.tolist() == pytest.approx([np.log(3)] * 4, rel=1e-6)
    assert sure.tolist() == pytest.approx([0], abs=1e-6)


@pytest.mark.parametrize("mixup", [4.0, 0.0])
def test_inputs_labels_and_weights_are_mixed_with_one_coefficient(by_hand, step_of, numpy_model, mixup):
    task, model = by_hand()
    method = SoftPseudoLabels(mixup=mixup, all_classes=0.8, sureness=0.4)
    method.prepare(task, model)
    represent, classify = numpy_model(model)
    batch, weight = [0, 2, 5], np.array([1.0, 0.5, 1.5], np.float32)
    terms = method.loss(step_of(task, model, batch, weight))
    x, y = task.inputs.x.numpy()[batch], weight[:, None] * np.eye(2)[[0, 1, 1]]
    if mixup:
        twin = torch.Generator().manual_seed(0)
        share, other = _beta(mixup, twin), torch.randperm(3, generator=twin).numpy()
        assert 0 < share < 1 and other.tolist() != [0, 1, 2]
        x, y = share * x + (1 - share) * x[other], share * y + (1 - share) * y[other]
    p = softmax(classify(represent(x)))
    assert float(terms["cross-entropy"].detach()) == pytest.approx(-(y * np.log(p)).sum(1).mean(), rel=1e-4)
    mean = p.mean(0)
    assert float(terms["all classes"].detach()) == pytest.approx(0.8 * (0.5 * np.log(0.5 / mean)).sum(), abs=1e-6)
    assert float(terms["sureness"].detach()) == pytest.approx(-0.4 * (p * np.log(p)).sum(1).mean(), rel=1e-4)


def test_a_coefficient_of_one_is_uniform():
    """The paper's is randomly sampled in (0, 1)."""
    generator = torch.Generator().manual_seed(0)
    shares = np.sort([_beta(1.0, generator) for _ in range(4000)])
    assert np.abs(shares - np.linspace(0, 1, 4000)).max() < 0.03


@pytest.mark.parametrize("a", [0.5, 4.0])
def test_the_coefficient_is_of_a_beta_distribution(a):
    generator = torch.Generator().manual_seed(0)
    draws = np.array([_beta(a, generator) for _ in range(4000)])
    assert draws.min() >= 0 and draws.max() <= 1
    assert draws.mean() == pytest.approx(0.5, abs=0.02)
    assert draws.var() == pytest.approx(1 / (4 * (2 * a + 1)), rel=0.1)


def test_the_target_is_labelled_with_probabilities_and_the_few_keep_their_classes(by_hand):
    task, model = by_hand(labelled=1)
    method = SoftPseudoLabels(rebalance=False)
    method.prepare(task, model)
    assert method.examples(0, None, torch.Generator()).label.tolist() == [0, 0, 1, 1, 0, 1, 0]
    drawn = method.examples(30, lambda rows: SAID[rows - 6], torch.Generator())
    assert drawn.rows.tolist() == list(range(10))
    expected = np.vstack([np.eye(2)[[0, 0, 1, 1, 0, 1, 0]], SAID[1:].numpy()])
    np.testing.assert_allclose(drawn.label.numpy(), expected, atol=1e-6)
    assert dict(drawn.notes)["pseudo-labelled share"] == 1.0


@pytest.mark.parametrize("kind", [PseudoLabels, SoftPseudoLabels])
@pytest.mark.parametrize(("rounds", "expected"), [("once", [0, 3]), ("replace", [0, 3, 6, 9])])
def test_once_labels_at_the_first_interval_and_never_again(by_hand, kind, rounds, expected):
    task, model = by_hand()
    method = kind(interval=3, rounds=rounds)
    method.prepare(task, model)
    drawn = [method.examples(epoch, lambda rows: SAID[rows - 6], torch.Generator()) for epoch in range(12)]
    assert [epoch for epoch, examples in enumerate(drawn) if examples is not None] == expected
    assert set(drawn[3].rows.tolist()) >= {6, 7, 8, 9}


@pytest.mark.parametrize("options", [{"all_classes": -1.0}, {"sureness": -0.1}, {"mixup": -4.0}, {"interval": 0}])
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SoftPseudoLabels(**options)
