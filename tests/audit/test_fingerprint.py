import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from emobridge.audit import fingerprint as module
from emobridge.audit.fingerprint import SIGNS, fingerprint

RATE = 16_000


def noise(seconds, seed=0, scale=0.1):
    return np.random.default_rng(seed).normal(0, scale, round(seconds * RATE)).astype(np.float32)


def test_its_size_and_what_has_none():
    clip = fingerprint(noise(1.999))
    assert (clip.subfingerprints.shape, clip.levels.shape, clip.signs.shape) == ((100,), (100,), (100 * SIGNS // 8,))
    assert clip.subfingerprints.nbytes + clip.levels.nbytes + clip.signs.nbytes == 650 * 2
    assert fingerprint(noise(0.29)) is None and len(fingerprint(noise(0.3)).subfingerprints) == 15
    assert not fingerprint(np.zeros(RATE, dtype=np.float32)).active.any()
    assert not fingerprint(np.full(RATE, 0.1, dtype=np.float32)).active.any()  # an offset is no sound


def test_the_signs_are_those_of_the_band():
    wave = noise(1)
    band = sosfiltfilt(butter(2, [250, 1000], "bandpass", fs=RATE, output="sos"), wave)[::5]
    signs = np.unpackbits(fingerprint(wave).signs).astype(bool)
    assert len(signs) == 3200 and (signs == (band >= 0)).mean() > 0.9


def test_levels_are_decibels_and_quiet_hops_are_not_active():
    tone = 0.1 * np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)
    clip = fingerprint(np.concatenate([tone, 0.05 * tone, 0.01 * tone]).astype(np.float32))
    assert [clip.levels[middle] for middle in (25, 75, 125)] == [-23, -49, -63]
    assert clip.active[:50].all() and not clip.active[51:].any()


@pytest.mark.parametrize("block", [1, 7, 60])
def test_a_long_clip_is_the_same_in_blocks(monkeypatch, block):
    whole = fingerprint(noise(1.23))
    monkeypatch.setattr(module, "HOPS_AT_ONCE", block)
    parts = fingerprint(noise(1.23))
    for name in ("levels", "signs"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    assert (
        parts.subfingerprints == whole.subfingerprints
    ).mean() > 0.95  # running sums of another start, rounded otherwise
