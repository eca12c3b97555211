"""Mixup: clips and labels are mixed by the same shares, in training alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.bundle import made_head
from emobridge.data.manifest import read_manifest
from emobridge.encoders import load_encoder
from emobridge.methods.base import Labelled, Task
from emobridge.training.inputs import FrontEnd
from emobridge.training.loop import Model, Plan, fit
from emobridge.training.mixed import MixedLabels, MixedRecordings, mix

AST = {"hidden_size": 16, "layers": 1, "heads": 2, "max_length": 32, "tokens": True}


@pytest.fixture
def recordings(recorded):
    def make(mixup: float) -> MixedRecordings:
        encoder = load_encoder("ast", **AST)
        utterances = list(read_manifest(recorded / "en.jsonl"))[:6]
        inputs = MixedRecordings(
            FrontEnd(encoder, (1,), ("mean",), crop=0.3),
            utterances,
            domain_of=[0] * 6,
            corpora=(("en", "en"),),
            target=1,
        )
        inputs.mixup = mixup
        inputs.refresh()
        return inputs

    return make


def test_two_clips_by_hand():
    first, second = np.array([1.0, 2.0, 3.0, 6.0]), np.array([4.0, 0.0])
    expected = 0.75 * (first - 3) + 0.25 * np.array([2.0, -2.0, 0.0, 0.0])
    np.testing.assert_allclose(mix(first, second, 0.75), expected - expected.mean(), atol=1e-6)
    np.testing.assert_allclose(
        mix(second, first, 0.75), 0.75 * np.array([2.0, -2.0]) - 0.25 * np.array([2.0, 1.0]) + 0.375
    )


def test_shares_are_those_of_beta_10_10_and_as_frequent_as_asked(recordings):
    inputs = recordings(0.6)
    drawn = [inputs.mixture(draw) for draw in range(4000)]
    shares = np.array([share for _, share in drawn])
    assert np.mean(shares < 1) == pytest.approx(0.6, abs=0.03)
    assert shares[shares < 1].mean() == pytest.approx(0.5, abs=0.01)
    assert shares[shares < 1].var() == pytest.approx(100 / (400 * 21), rel=0.1)
    assert {row for row, share in drawn if share < 1} == set(range(6))


def test_a_step_sees_mixtures_and_a_test_does_not(recordings):
    plain, mixed = recordings(0.0), recordings(1.0)
    rows, draws = torch.arange(6), torch.arange(6)
    torch.testing.assert_close(plain.batch(rows), mixed.batch(rows))
    torch.testing.assert_close(plain.batch(rows, draws), recordings(0.0).batch(rows))
    assert not torch.allclose(mixed.batch(rows, draws), plain.batch(rows))
    torch.testing.assert_close(mixed.batch(rows, draws), mixed.batch(rows, draws))


@pytest.mark.parametrize("loss", ["cross-entropy", "binary"])
def test_the_loss_is_against_mixed_labels(recordings, loss):
    inputs, label = recordings(1.0), torch.tensor([0, 1, 2, 0, 1, 2])
    task = Task(inputs, 3, Labelled(torch.arange(6), label), None, None, class_weights=False)
    torch.manual_seed(0)
    head = made_head("single", (), inputs.width, 3)
    model, method = Model(inputs, head), MixedLabels(loss)
    method.prepare(task, model)
    rows, draws = torch.tensor([3, 1, 4]), torch.tensor([7, 8, 9])

    class Fake:
        label = torch.tensor([0, 1, 1])
        weight = torch.tensor([1.0, 2.0, 0.0])

        def represent(self):
            return self.model.represent(inputs.batch(rows, draws))

    step = Fake()
    step.model = model
    value = method.loss(step)["cross-entropy"].item()
    logits = model(inputs.batch(rows, draws)).detach().double().numpy()
    expected = []
    for z, draw, own in zip(logits, draws.tolist(), (0, 1, 1)):
        partner, share = inputs.mixture(draw)
        y = share * np.eye(3)[own] + (1 - share) * np.eye(3)[int(label[partner])]
        p = np.exp(z) / np.exp(z).sum() if loss == "cross-entropy" else 1 / (1 + np.exp(-z))
        other = 0 if loss == "cross-entropy" else ((1 - y) * np.log(1 - p)).mean()
        expected.append(-((y * np.log(p)).sum() if loss == "cross-entropy" else (y * np.log(p)).mean() + other))
    assert value == pytest.approx(np.mean(np.array(expected) * [1, 2, 0]), rel=1e-4)


def test_parts_of_a_batch_are_mixed_as_the_whole(recordings):
    """`accumulate` cuts a batch: the weights end the same but for rounding."""
    ends = []
    for accumulate in (1, 2):
        inputs, label = recordings(0.6), torch.tensor([0, 1, 0, 1, 0, 1])
        torch.manual_seed(0)
        head = made_head("single", (), inputs.width, 2)
        task = Task(inputs, 2, Labelled(torch.arange(6), label), None, None, class_weights=False)
        fit(task, MixedLabels("binary"), head, Plan(2, 6, 1e-3, 1.0, accumulate=accumulate), seed=0)
        ends.append(head.output.weight.detach())
    torch.testing.assert_close(*ends, atol=1e-4, rtol=1e-3)
