"""What is freed is kept, where an encoder of few weights is trained."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from emobridge.data.allocation import SMALL_ENCODER, keep_freed_memory
for size in (SMALL_ENCODER, 0):
    keep_freed_memory(size)
    for _ in range(20):
        torch.ones(1 << 24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(1 << 24)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc")
def test_blocks_are_used_again_of_small_encoders_only():
    """64 MB are asked for and freed twenty times; a fault of a page is one that the system had to fill."""
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, check=True, text=True)
    large, small = map(int, done.stdout.split())
    assert small < 100
    assert large == 0 or small < large / 10, "where the system's default keeps blocks itself there is nothing to gain"
