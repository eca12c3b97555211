from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.data.batching import length_batches, pad


def test_pad_fills_with_zeros_and_masks():
    wave, mask = pad([np.ones(3, np.float32), np.ones(5)])
    assert wave.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert torch.equal(mask, wave.bool()) and wave.dtype == torch.float32
    wave, mask = pad([np.ones(1)])
    assert wave.tolist() == [[1]] and mask.tolist() == [[True]]


@pytest.mark.parametrize("seed", [None, 0])
def test_batches_hold_every_clip_once_and_alike_in_length(seed):
    lengths = np.random.default_rng(1).uniform(0.5, 10, 103)
    batches = length_batches(lengths, 8, seed)
    assert sorted(index for batch in batches for index in batch) == list(range(103))
    assert max(map(len, batches)) == 8 and len(batches) == 13
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.15 * lengths.sum()


def test_batches_follow_the_seed():
    lengths = np.linspace(1, 5, 50)
    assert length_batches(lengths, 4, 7) == length_batches(lengths, 4, 7) != length_batches(lengths, 4, 8)
    assert length_batches(lengths, 4)[0] == [49, 48, 47, 46]
