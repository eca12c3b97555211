"""The rule of loudness in a graph of ONNX finds the very frames of `data.activity`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.data.activity import loud_frames
from emobridge.data.graphs import export_graph
from emobridge.encoders._loudness import whole_loud_frames


class Rule(torch.nn.Module):
    def forward(self, wave):
        return whole_loud_frames(wave)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("rule") / "rule.onnx"
    axes = {"wave": {0: "clips", 1: "samples"}, "loud": {0: "clips", 1: "frames"}}
    export_graph(path, Rule(), torch.randn(2, 16000), "wave", ["loud"], axes)
    return onnxruntime.InferenceSession(str(path))


def clips(samples: int) -> np.ndarray:
    """(3, T): noise whose level moves by 50 dB, a stretch of it near silence; noise on an offset; silence."""
    rng = np.random.default_rng(samples)
    waves = rng.standard_normal((3, samples)) * np.exp(3 * np.sin(np.arange(samples) / 3000) - 3)
    waves[0, samples // 2 : samples // 2 + 2000] *= 1e-5
    waves[1] += 0.1
    waves[2] = 0
    return waves.astype(np.float32)


@pytest.mark.parametrize("samples", [1, 2, 159, 160, 161, 200, 400, 4000, 16000, 48003, 160_000])
def test_the_frames_are_the_same(session, samples):
    waves = clips(samples)
    expected = np.stack([loud_frames(wave) for wave in waves])
    np.testing.assert_array_equal(whole_loud_frames(torch.from_numpy(waves)).numpy(), expected)
    np.testing.assert_array_equal(session.run(None, {"wave": waves})[0], expected)
    assert samples < 4000 or 0.2 < expected[0].mean() < 0.9
