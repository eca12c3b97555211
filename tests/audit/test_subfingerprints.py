import numpy as np

from emobridge.audit.likely import bits_set
from emobridge.audit.subfingerprints import MARGIN, PRINT_HOP, subfingerprints


def stretch(hops, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, hops * PRINT_HOP + 2 * MARGIN).astype(np.float32)


def test_a_word_for_each_hop_that_gain_and_polarity_leave_alone():
    sound = stretch(50)
    assert subfingerprints(sound).shape == (50,) and subfingerprints(sound).dtype == np.uint32
    for other in (-sound, sound * 0.01, sound * 8):
        assert (subfingerprints(other) == subfingerprints(sound)).mean() > 0.98


def test_words_move_with_the_sound():
    sound = stretch(50)
    np.testing.assert_array_equal(subfingerprints(sound[10 * PRINT_HOP :]), subfingerprints(sound)[10:])


def test_other_sounds_have_other_subfingerprints():
    assert (
        abs(bits_set(subfingerprints(stretch(400)) ^ subfingerprints(stretch(400, seed=1))).mean() - 16) < 1
    )  # of 32 bits


def test_hard_clipping_changes_few_bits():
    sound = stretch(200)
    assert bits_set(subfingerprints(sound) ^ subfingerprints(np.clip(sound, -0.02, 0.02))).mean() < 6


def test_silence_is_finite():
    assert len(subfingerprints(np.zeros(2 * MARGIN + 3 * PRINT_HOP, dtype=np.float32))) == 3
