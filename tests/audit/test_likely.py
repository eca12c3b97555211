import numpy as np

from emobridge.audit import likely
from emobridge.audit.fingerprint import fingerprint
from emobridge.audit.likely import bits_set, likely_copies

RATE = 16_000


def all_likely(prints):
    return np.unique(np.concatenate([np.empty((0, 3), dtype=int), *likely_copies(prints)]), axis=0)


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def test_bits_are_counted():
    subfingerprints = np.array([0, 1, 0xFFFFFFFF, 0x80010001, 12345], dtype=np.uint32)
    assert bits_set(subfingerprints).tolist() == [int(subfingerprint).bit_count() for subfingerprint in subfingerprints]


def test_copies_and_their_lags(monkeypatch):
    waves = [noise(2, seed) for seed in range(8)]
    waves += [np.concatenate([noise(0.5, 99), waves[3]]), waves[5][6400:]]  # 25 hops later, 20 earlier
    prints = [fingerprint(wave) for wave in waves]
    pairs = all_likely(prints)
    assert {(3, 8, 25), (5, 9, -20)} <= set(map(tuple, pairs.tolist()))
    assert {tuple(pair) for pair in pairs[:, :2].tolist()} == {(3, 8), (5, 9)}
    monkeypatch.setattr(likely, "PAIRS_AT_ONCE", 17)
    np.testing.assert_array_equal(all_likely(prints), pairs)


def test_few_clips_have_no_pairs():
    assert all_likely([]).shape == all_likely([fingerprint(noise(1))]).shape == (0, 3)
    silence = fingerprint(np.zeros(RATE, dtype=np.float32))
    assert all_likely([silence, silence]).shape == (0, 3)


def test_many_copies_are_linked_by_few_pairs():
    """Each subfingerprint is compared with six others in each order, however often a recording is there."""
    count = 200
    pairs = all_likely([fingerprint(noise(1))] * count)
    assert len(np.unique(pairs[:, :2], axis=0)) < 2 * likely.NEXT * likely.ORDERS * count
    group = {0}
    for a, b in sorted(map(tuple, pairs[:, :2].tolist())):
        if a in group or b in group:
            group |= {a, b}
    assert len(group) == count
