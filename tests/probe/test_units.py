"""Finished units as files: whole, or trained again."""

from __future__ import annotations

import numpy as np
import pytest

from emobridge.files import write_tensors
from emobridge.probe.units import Outcome, ProbeUnit, UnitCache, UnitPredictions, digest_of

UNIT = ProbeUnit("wb", "pretrained", "en", "none", "single", ("0", "1"))


def outcome(layer_weights=None):
    rng = np.random.default_rng(0)
    parts = tuple(
        UnitPredictions(corpus, seed, np.arange(5), np.arange(5) % 2, rng.random((2, 5, 3)).astype(np.float32))
        for corpus, seed in (("en", 0), ("xx", 0), ("en", 1))
    )
    return Outcome(UNIT, parts, np.ones((2, 4), int), np.full((2, 4), 1e-3), np.full((2, 4), np.nan), layer_weights)


@pytest.mark.parametrize("layer_weights", [None, np.full((4, 2), 0.5)])
def test_what_is_written_is_read(tmp_path, layer_weights):
    cache = UnitCache(tmp_path / "work")
    before = outcome(layer_weights)
    cache.write(before, "key")
    after = cache.read(UNIT, "key")
    assert after.unit == UNIT and len(after.predictions) == 3
    for part, again in zip(before.predictions, after.predictions):
        assert (part.corpus, part.seed) == (again.corpus, again.seed)
        for name in ("rows", "probes", "probabilities"):
            np.testing.assert_array_equal(getattr(part, name), getattr(again, name))
    for name in ("epochs", "rates", "losses"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert (after.layer_weights is None) == (layer_weights is None)


def test_a_damaged_file_is_as_good_as_none(tmp_path):
    """Every byte of the file, flipped, cut off or overwritten."""
    cache = UnitCache(tmp_path)
    assert cache.read(UNIT, "key") is None
    cache.write(outcome(), "key")
    path = cache.path("key")
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert cache.read(UNIT, "key") is None, place
    for size in (0, 1, 8, 100, len(content) - 1):
        path.write_bytes(content[:size])
        assert cache.read(UNIT, "key") is None, size
    path.write_bytes(b"no tensors")
    assert cache.read(UNIT, "key") is None
    write_tensors(path, {"epochs": np.ones(3)}, {"predictions": "[]"})  # a file of another kind
    assert cache.read(UNIT, "key") is None


def test_keys_tell_facts_apart():
    assert digest_of(["a", 1], [2]) == digest_of(["a", 1], [2])
    assert len({digest_of(["a", 1], [2]), digest_of(["a"], [1, 2]), digest_of(["a", "1"], [2]), digest_of()}) == 4
