import numpy as np
import pytest

from emobridge.audit.coherence import match_clips
from emobridge.audit.fingerprint import SIGNS, fingerprint

RATE = 16_000


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def test_how_a_copy_differs():
    wave = noise(2)
    same = match_clips(fingerprint(wave), fingerprint(wave), 0)
    assert (same.coherence, same.lag, same.gain, same.inverted, same.share) == (1, 0, 0, False, 1)
    later = match_clips(fingerprint(wave), fingerprint(np.concatenate([noise(0.305, 1), -0.1 * wave])), 15)
    assert later.evidence > 2 and later.inverted
    assert (later.lag, later.gain) == (pytest.approx(0.305, abs=2e-4), pytest.approx(-20, abs=0.3))
    part = match_clips(fingerprint(np.concatenate([noise(3, 1), wave])), fingerprint(wave), -150)
    assert part.evidence > 2 and part.share == pytest.approx(0.4, abs=0.01)


def test_coherence_is_the_mean_product_of_signs():
    a, b = fingerprint(noise(1)), fingerprint(noise(1) + noise(1, seed=1))
    both = np.repeat(a.active & b.active, SIGNS)
    signs = [np.unpackbits(clip.signs).astype(int) * 2 - 1 for clip in (a, b)]
    match = match_clips(a, b, 0)
    assert match.lag == 0 and match.coherence == pytest.approx((signs[0] * signs[1])[both].mean(), abs=1e-6)
    assert 0.4 < match.coherence < 0.6  # 2 / pi arcsin(sqrt 0.5) is 0.5


def test_different_sounds_are_not_the_same():
    prints = [fingerprint(noise(seconds, seed)) for seed, seconds in enumerate((0.4, 0.7, 1.0, 2.0, 4.0))]
    matches = [match_clips(a, b, lag) for a in prints for b in prints if a is not b for lag in (-5, 0, 3)]
    assert max(match.evidence for match in matches if match) < 0.6


def test_too_little_in_common():
    a, b = fingerprint(noise(2)), fingerprint(noise(2, seed=1))
    assert match_clips(a, b, 41) is None and match_clips(a, b, 39) is not None  # 0.6 of 100 hops
    assert match_clips(a, b, 1000) is None
    silence = fingerprint(np.zeros(RATE, dtype=np.float32))
    assert match_clips(silence, silence, 0) is None


@pytest.mark.parametrize("pitch", [50, 100, 440, 997])
def test_a_tone_is_the_same_at_every_period(pitch):
    tone = sum(np.sin(2 * np.pi * k * pitch * np.arange(RATE) / RATE) / k for k in range(1, 4))
    clip = fingerprint((0.1 * tone).astype(np.float32))
    match = match_clips(clip, clip, 0)
    assert match.coherence > 0.999 and match.evidence == 0
