"""The base class: an encoder of one's own is its formula."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import soundfile
import torch

from emobridge.encoders import load_encoder
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.features.store import FeatureStore
from emobridge.types import SAMPLE_RATE, Layers, Utterance


class Energy(Encoder):
    """The energy of each 10 ms: one layer, one value a frame."""

    statistics = ("mean", "std")
    layers = 1
    width = 1

    def forward(self, wave, mask):
        size = SAMPLE_RATE // 100
        padding = -wave.shape[1] % size
        frames = torch.nn.functional.pad(wave * mask, (0, padding)).unflatten(1, (-1, size))
        inside = torch.nn.functional.pad(mask, (0, padding)).unflatten(1, (-1, size))
        return Layers(frames.square().mean(2)[None, ..., None], inside.any(2), 100.0)


class Projection(Encoder):
    """A random linear map of 20 ms, with options."""

    layers, frame_rate, minimum = 1, 50.0, 320

    def __init__(self, *, width: int = 4, seed: int = 0) -> None:
        super().__init__()
        self.width = width
        self.map = torch.nn.Linear(320, width)

    def encode(self, wave, lengths):
        return self.map(wave.unfold(1, 320, 320))[None], lengths // 320


@pytest.fixture
def clips(tmp_path):
    random = np.random.default_rng(0)
    for index, seconds in enumerate((0.5, 1.0)):
        soundfile.write(tmp_path / f"{index}.wav", random.uniform(-0.5, 0.5, round(seconds * SAMPLE_RATE)), SAMPLE_RATE)
    return [Utterance(str(index), "c", str(tmp_path / f"{index}.wav")) for index in range(2)]


def test_an_encoder_is_its_formula(clips, tmp_path):
    encoder = Energy.open(None)
    assert (encoder.name, encoder.options, encoder.training) == ("energy", {}, False) and len(encoder.digest) == 64
    values = FeatureStore(tmp_path / "store", encoder).extract(clips).values
    for row, clip in enumerate(clips):
        wave, _ = soundfile.read(clip.path)
        energy = np.square(wave).reshape(-1, 160).mean(1)
        np.testing.assert_allclose(values[row, 0], [energy.mean(), energy.std()], rtol=1e-4)


def test_options_are_keyword_parameters(clips, tmp_path):
    assert Projection.defaults == {"width": 4, "seed": 0}
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    first, again, other = (Projection.open(None, width=3, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(torch.rand(1), expected), "the caller's random numbers go on"
    assert first.options == {"width": 3, "seed": 5}
    assert first.digest == again.digest != other.digest
    assert FeatureStore(tmp_path, first).extract(clips).values.shape == (2, 1, 6)
    for options, message in (
        ({"wdith": 3}, "unknown option of encoder projection 'wdith': did you mean 'width'"),
        ({"width": -1}, "encoder projection: "),
        ({"width": "three"}, "encoder projection: "),
        ({"seed": "a"}, "encoder projection: seed: expected a whole number, got 'a'"),
        ({"seed": -1}, "seed -1 of encoder projection: expected a whole number from 0"),
    ):
        with pytest.raises(UserError, match=message):
            Projection.open(None, **options)
    with pytest.raises(UserError, match=r"encoder projection reads no weights; .*x was given"):
        Projection.open(tmp_path / "x")


SOURCE = """
from emobridge.encoders.base import Encoder
class Mine(Encoder):
    layers, width = 1, 1
    def encode(self, wave, lengths):
        return FACTOR * wave.mean(1)[None, :, None, None], lengths.clamp(max=1)
"""


def test_other_code_is_another_encoder_for_the_store(tmp_path, monkeypatch):
    digests = []
    for factor in "212":
        (tmp_path / "mine.py").write_text(f"FACTOR = {factor}\n{SOURCE}")
        spec = importlib.util.spec_from_file_location("mine", tmp_path / "mine.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "mine", module)
        spec.loader.exec_module(module)
        digests.append(module.Mine.open(None).digest)
    assert digests[0] == digests[2] != digests[1]


def test_code_without_a_source_finds_no_features_of_other_code():
    kinds = []
    for factor in "21":
        namespace = {"__name__": "nowhere"}
        exec(SOURCE.replace("FACTOR", factor), namespace)
        kinds.append(namespace["Mine"])
    digests = [kind.open(None).digest for kind in (*kinds, *kinds)]
    assert digests[0] != digests[1] and digests[:2] == digests[2:]


def test_an_encoder_without_a_formula():
    with pytest.raises(NotImplementedError, match="encoder idle has neither `encode` nor a `forward` of its own"):
        type("Idle", (Encoder,), {"layers": 1, "width": 1}).open(None)(torch.zeros(1, 9), torch.ones(1, 9).bool())


def test_seeds_of_the_cochleagram_network_are_checked():
    with pytest.raises(UserError, match="seed -1 of encoder emotion-cnn: expected a whole number from 0"):
        load_encoder("emotion-cnn", seed=-1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("whisper", (1, 2)), ("wavlm-base", (1, 2)), ("ast", (1, 2)), ("logmel", (0,)), ("emotion-cnn", (0,))],
)
def test_the_layers_of_blocks_leave_out_the_input_of_the_first(source, name, expected):
    encoder = load_encoder(source(name))
    assert encoder.block_layers == expected and encoder.layers == expected[-1] + 1
