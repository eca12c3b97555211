"""What a stage cost: weights are counted where they are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from emobridge.adapters import Adapters
from emobridge.encoders import load_encoder
from emobridge.training.cost import Meter, trained_weights
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
    assert trained_weights(Model(encoder), encoder) == (("head", 34), ("encoder", own))
    encoder.requires_grad_(False)
    assert trained_weights(Model(None), encoder) == (("head", 34),), "a frozen encoder is no part of the model"
    Adapters(encoder, "lora+layer-sum", ("lora.r=2",))
    layers = 3
    assert trained_weights(Model(encoder), encoder) == (("head", 34), ("lora", 896), ("layer-sum", layers))


def test_a_meter_tells_what_went_by(source):
    encoder = load_encoder(source("whisper"))
    encoder.requires_grad_(False)
    meter = Meter(Model(None), encoder, ALONE, 1)
    start = torch.rand(300, 300)
    for _ in range(20):
        start = start @ start.T / 300
    cost = meter.cost()
    assert (cost.stage, cost.trained) == (1, (("head", 34),))
    assert cost.weights == 34 + sum(weight.numel() for weight in encoder.parameters())
    assert 0 < cost.cpu < 60 and 0 < cost.seconds < 60 and 50 < cost.memory < 100_000, "MB"


@pytest.mark.parametrize("names", ["bottleneck", "lora+bottleneck"])
def test_every_adapter_has_weights(source, names):
    encoder = load_encoder(source("whisper"))
    Adapters(encoder, names)
    assert {name for name, _ in trained_weights(Model(encoder), encoder)} == {"head", *names.split("+")}
