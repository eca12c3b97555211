from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.data.batching import collate, length_batches


def test_collate_pads_with_zeros_and_masks():
    batch = collate([np.ones(3, np.float32), np.ones(5)], ["a", "b"], labels=[2, 0], attributes=[(1, 2, 3), (4, 5, 6)])
    assert batch.wave.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert torch.equal(batch.mask, batch.wave.bool())
    assert batch.wave.dtype == torch.float32 and batch.label.dtype == torch.int64
    assert batch.label.tolist() == [2, 0] and batch.attributes.shape == (2, 3)
    assert batch.domain.tolist() == [0, 0] and batch.ids == ("a", "b")
    assert collate([np.ones(1)], ["a"]).label is None


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
