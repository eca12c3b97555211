"""What a stage cost: weights are counted where they are, and the log gives it back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from emobridge.adapters import Adapters
from emobridge.encoders import load_encoder
from emobridge.training.checkpoints import LogPoint
from emobridge.training.cost import Cost, Meter, costs_of, is_cost, trained_in
from emobridge.training.hardware import ALONE


class Model(nn.Module):
    """A head of 16 x 2 + 2 weights, with the encoder in it where that is trained."""

    def __init__(self, encoder):
        super().__init__()
        self.head = nn.Linear(16, 2)
        self.encoder = encoder


def test_weights_are_counted_where_they_are(source):
    encoder = load_encoder(source("whisper"))
    own = sum(weight.numel() for weight in encoder.parameters() if weight.requires_grad)
    assert own == sum(weight.numel() for weight in encoder.parameters()) - 100 * 16, "positions are computed"
    assert trained_in(Model(encoder), encoder) == (("head", 34), ("encoder", own))
    encoder.requires_grad_(False)
    assert trained_in(Model(None), encoder) == (("head", 34),), "a frozen encoder is no part of the model"
    Adapters(encoder, "lora+gating", ("lora.r=2",))
    layers = 3
    assert trained_in(Model(encoder), encoder) == (("head", 34), ("lora", 896), ("gating", layers))


def test_a_meter_tells_what_went_by(source):
    encoder = load_encoder(source("whisper"))
    encoder.requires_grad_(False)
    meter = Meter(Model(None), encoder, ALONE)
    start = torch.rand(300, 300)
    for _ in range(20):
        start = start @ start.T / 300
    points = meter.points()
    assert all(is_cost(point) for point in points) and not is_cost(LogPoint(0, "cross-entropy", 1.0))
    (cost,) = costs_of(("lora, seed 0, fold 1", point) for point in points)
    assert (cost.run, cost.stage, cost.trained) == ("lora, seed 0, fold 1", 1, (("head", 34),))
    assert cost.weights == 34 + sum(weight.numel() for weight in encoder.parameters())
    assert 0 < cost.cpu < 60 and 0 < cost.seconds < 60 and 50 < cost.memory < 100_000, "MB"


def test_stages_are_told_apart_and_epochs_are_no_cost():
    log = [("ft-lora, seed 0, fold 0", LogPoint(0, "cross-entropy, stage 1", 0.5))]
    for stage, weights in ((1, 5.0), (2, 3.0)):
        for term, value in (
            ("trained in head", weights),
            ("weights", 9.0),
            ("seconds", 1.5),
            ("cpu", 1.0),
            ("memory", 80.0),
        ):
            log.append(("ft-lora, seed 0, fold 0", LogPoint(stage, f"cost: {term}, stage {stage}", value)))
    one, two = costs_of(log)
    assert one == Cost("ft-lora, seed 0, fold 0", 1, (("head", 5),), 9, 1.5, 1.0, 80.0)
    assert (two.stage, two.trained) == (2, (("head", 3),))
    assert costs_of(()) == () == costs_of([("x, seed 0", LogPoint(0, "weights", 1.0))])


@pytest.mark.parametrize("names", ["bottleneck", "lora+bottleneck"])
def test_every_adapter_has_weights(source, names):
    encoder = load_encoder(source("whisper"))
    Adapters(encoder, names)
    assert {name for name, _ in trained_in(Model(encoder), encoder)} == {"head", *names.split("+")}
