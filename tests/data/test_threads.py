"""One thread for small problems, all cores for large encoders, in a command and within the blocks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from threadpoolctl import threadpool_info

from emobridge.data import threads
from emobridge.encoders import load_encoder
from emobridge.encoders.base import Encoder

PRINT = """
from emobridge.data import threads
threads.limit_threads()
import torch, threadpoolctl
print(torch.get_num_threads(), max(pool["num_threads"] for pool in threadpoolctl.threadpool_info()))
with threads.encoder_threads(threads.LARGE_ENCODER):
    print(torch.get_num_threads(), torch.__config__.parallel_info().count("at::get_num_threads() : 3"))
print(threads.threads_of(threads.LARGE_ENCODER - 1), torch.get_num_threads())
"""


@pytest.fixture
def three_threads():
    """torch with three threads, as many as no machine of the tests has by chance."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def pools() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info()]


def test_a_command_has_one_thread_and_its_large_encoders_those_that_the_user_allows():
    environment = {**os.environ, "OMP_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", PRINT], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1", "3", "1", "1", "1"]


def test_a_process_that_has_imported_torch_stays_as_it_is(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    threads.limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "3" and threads.threads_of(threads.LARGE_ENCODER) == torch.get_num_threads()


def test_torch_is_asked_for_large_pages_unless_a_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    threads.limit_threads()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    threads.limit_threads()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"


def test_all_weights_count():
    """Of large encoders too: what their training keeps in memory depends on it."""
    maps = torch.nn.Sequential(*(torch.nn.Linear(1024, 1024, bias=False) for _ in range(3)))
    assert threads.count_weights(maps) == 3 << 20 > threads.LARGE_ENCODER


@pytest.mark.parametrize(("value", "threads_allowed"), [("4", 4), ("4,2", 4), (" 1 ", 1), ("0", 0), ("many", 0)])
def test_the_first_number_of_the_variable_counts(value, threads_allowed):
    assert threads.cores_of({"OMP_NUM_THREADS": value}) == (threads_allowed or threads.cores_of({}))


def test_within_the_block_all_libraries_have_one_thread_but_large_encoders(three_threads):
    outside = pools()
    with threads.one_thread():
        assert torch.get_num_threads() == 1 and set(pools()) == {1}
        with threads.one_thread(), threads.encoder_threads(threads.LARGE_ENCODER):
            assert torch.get_num_threads() == 3
        with threads.encoder_threads(threads.LARGE_ENCODER - 1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1 and set(pools()) == {1}
    assert torch.get_num_threads() == 3 and pools() == outside


def test_an_error_gives_the_threads_back(three_threads):
    with pytest.raises(ZeroDivisionError), threads.one_thread():
        raise ZeroDivisionError
    assert torch.get_num_threads() == 3
    assert threads.threads_of(threads.LARGE_ENCODER) == 3


@pytest.mark.parametrize(("large", "expected"), [(1, 3), (10_000_000, 1)])
def test_an_encoder_computes_with_the_threads_of_its_size(three_threads, monkeypatch, tiny_encoder, large, expected):
    seen = []
    encoder = load_encoder(tiny_encoder)
    encode = type(encoder).encode
    monkeypatch.setattr(threads, "LARGE_ENCODER", large)
    monkeypatch.setattr(
        type(encoder), "encode", lambda self, *a: (seen.append(torch.get_num_threads()), encode(self, *a))[1]
    )
    assert isinstance(encoder, Encoder)
    encoder(torch.randn(1, 16_000), torch.ones(1, 16_000, dtype=torch.bool))
    assert seen == [expected] and torch.get_num_threads() == 3


def test_the_numbers_are_the_same_on_one_thread(three_threads):
    x = torch.randn(64, 300, generator=torch.Generator().manual_seed(0))
    whole = x.T @ x
    with threads.one_thread():
        torch.testing.assert_close(x.T @ x, whole)


def test_a_single_thread_is_one_for_large_encoders_too(monkeypatch):
    monkeypatch.setattr(threads, "_cores", 8)
    with threads.single_thread():
        assert threads.threads_of(threads.LARGE_ENCODER) == torch.get_num_threads() == 1
    assert threads.threads_of(threads.LARGE_ENCODER) == 8


def test_processes_share_the_cores(monkeypatch):
    monkeypatch.setattr(threads, "_cores", 8)
    shares = [threads.share_of_cores(count, spared=spared) for count, spared in ((1, 0), (1, 1), (3, 1), (20, 0))]
    assert shares == [8, 7, 2, 1]
    monkeypatch.setattr(threads, "_cores", 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads.share_of_cores(1, spared=1) == 1


def test_a_process_takes_its_share_for_large_encoders_alone(three_threads, monkeypatch):
    monkeypatch.setattr(threads, "_cores", 0)
    threads.take_cores(2)
    assert (threads.threads_of(threads.LARGE_ENCODER), torch.get_num_threads()) == (2, 1)
