from __future__ import annotations

import contextlib

import pytest
import torch

from emobridge.data import devices
from emobridge.encoders import load_encoder
from emobridge.errors import UserError


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_without_an_accelerator_auto_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert devices.device_names() == ("cpu",) and devices.choose_device() == torch.device("cpu")
    with pytest.raises(UserError, match=r"unknown device 'cuda'.*one of auto, cpu"):
        devices.choose_device("cuda")


def test_auto_is_the_accelerator_that_torch_sees(monkeypatch, two_gpus):
    assert devices.choose_device("auto") == torch.device("cuda")
    assert devices.choose_device(" CUDA:1 ") == torch.device("cuda:1")
    assert devices.choose_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match=r"unknown device 'cuda:2': did you mean 'cuda(:\d)?'"):
        devices.choose_device("cuda:2")
    with pytest.raises(UserError, match="unknown device 'mps'"):
        devices.choose_device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.choose_device() == torch.device("mps")


def test_tf32_is_off_within_the_block_and_as_it_was_behind_it():
    flags = lambda: (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)  # noqa: E731
    before = flags()
    try:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        with contextlib.suppress(KeyboardInterrupt), devices.single_precision(torch.device("cuda")):
            assert flags() == (False, False)
            raise KeyboardInterrupt
        assert flags() == (True, True)
        with devices.single_precision(torch.device("cpu")):
            assert flags() == (True, True)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def test_what_has_weights_moves_and_comes_back(monkeypatch):
    monkeypatch.setattr(devices, "choose_device", lambda name: torch.device("meta" if name == "auto" else name))
    encoder, kept = load_encoder("emotion-cnn"), load_encoder("logmel")
    moves = []
    monkeypatch.setattr(encoder, "to", moves.append)
    with devices.placed(encoder, "auto"):
        assert moves == [torch.device("meta")]
    assert moves == [torch.device("meta"), torch.device("cpu")]
    encoder.engine_choice = "onnx"
    with devices.placed(kept, "auto"), devices.placed(encoder, "auto"):
        assert devices.device_of(kept).type == "cpu" and torch.device("meta") not in moves[2:]
    devices.move(encoder, "cpu")
    with pytest.raises(UserError, match="device meta: engine onnx computes on the CPU; give engine=torch, or --device"):
        devices.move(encoder, "meta")
