from __future__ import annotations

import functools
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from forked import end_of, start_forked
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from emobridge.features import shards
from emobridge.features.shards import INDEX, CorruptShard, Shards


def key(number: int) -> str:
    """A key; those of multiples of 256 end in a zero byte."""
    return f"{int(number) * 2654435761 % 2**96:024x}{number:08x}"


def filled(folder: Path, count: int, size: int = 3, first: int = 0) -> Shards:
    """A store of `count` shards; the features of key n are n and n + 0.5."""
    store = Shards(folder)
    store.refresh()
    for shard in range(first, first + count):
        numbers = np.arange(shard * size, (shard + 1) * size)
        layers = {str(layer): (numbers + layer / 2)[:, None].astype(np.float32) for layer in range(2)}
        store.write([key(number) for number in numbers], layers)
    return store


def agrees(store: Shards, count: int, size: int = 3) -> None:
    numbers = np.random.default_rng(0).permutation(count * size)
    places = store.find([key(number) for number in numbers])
    assert (places >= 0).all()
    np.testing.assert_array_equal(store.read_rows(places, ("1",), 1)[:, 0, 0], numbers + 0.5)
    assert (store.find([key(count * size), "f" * 32]) == -1).all()


@pytest.fixture
def small(monkeypatch):
    """An index from the third shard on, and few keys beside the sorted ones."""
    monkeypatch.setattr(shards, "MAX_UNINDEXED", 2)
    monkeypatch.setattr(shards, "MAX_RECENT", 7)


@pytest.fixture
def opened(monkeypatch):
    """The shards whose headers or tensors were read."""
    names = []

    def open_(path, **options):
        names.append(Path(path).name)
        return safe_open(path, **options)

    monkeypatch.setattr(shards, "safe_open", open_)
    return names


def test_a_large_store_is_opened_by_its_index(tmp_path, small, opened):
    agrees(filled(tmp_path, 40), 40)
    opened.clear()
    again = Shards(tmp_path)
    again.refresh()
    assert opened[0] == INDEX and len(opened) < 10
    agrees(again, 40)


def test_without_an_index_or_with_any_other_file_in_its_place_it_is_made_anew(tmp_path, small):
    filled(tmp_path, 40)
    whole = (tmp_path / INDEX).read_bytes()
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    for content in (None, b"", whole[:-9], whole[:9], bytes(flipped), b"no index" * 99):
        (tmp_path / INDEX).unlink()
        if content is not None:
            (tmp_path / INDEX).write_bytes(content)
        again = Shards(tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again.refresh()
        agrees(again, 40)
        third = Shards(tmp_path)
        third.refresh()
        agrees(third, 40)


def test_an_old_index_lacks_and_names_shards_that_others_wrote_and_removed(tmp_path, small):
    filled(tmp_path, 12)
    old = (tmp_path / INDEX).read_bytes()
    filled(tmp_path, 12, first=12)
    (tmp_path / INDEX).write_bytes(old)
    again = Shards(tmp_path)
    again.refresh()
    agrees(again, 24)
    name = again.names[again.find([key(0)])[0, 0]]
    (tmp_path / name).unlink()
    for store in (again, Shards(tmp_path)):
        store.refresh()
        places = store.find([key(number) for number in range(72)])
        assert (places[:3] == -1).all() and (places[3:] >= 0).all()


def test_a_shard_that_vanishes_while_the_store_is_open_is_absent(tmp_path):
    store = filled(tmp_path, 2)
    places = store.find([key(0)])
    (tmp_path / store.names[places[0, 0]]).unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(CorruptShard):
            store.read_rows(places, ("0",), 1)
    assert (store.find([key(0), key(3)])[:, 0] >= 0).tolist() == [False, True]


def test_a_shard_that_another_process_has_written_anew_is_left(tmp_path, monkeypatch):
    store = filled(tmp_path, 1)
    path = tmp_path / store.names[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:-2])
    check = shards._stamp(path)
    path.unlink()
    path.write_bytes(whole + b"")
    store._discard(path.name, ValueError("cut"), check)
    assert path.read_bytes() == whole


def test_half_written_files_are_not_read_and_old_ones_are_removed(tmp_path):
    agrees(filled(tmp_path, 2), 2)
    for name, age in [(".a.safetensors.x.part", 0), (".b.safetensors.y.part", 2 * shards.STALE)]:
        (tmp_path / name).write_bytes(b"half")
        then = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (then, then))
    store = Shards(tmp_path)
    store.refresh()
    agrees(store, 2)
    assert [path.name for path in tmp_path.glob(".*.part")] == [".a.safetensors.x.part"]


def test_each_shard_is_opened_once_for_the_layers_that_are_asked_for(tmp_path, opened, monkeypatch):
    store = filled(tmp_path, 4, size=50)
    opened.clear()
    read = []
    monkeypatch.setattr(shards, "_check", lambda name, *_, **__: read.append(name))
    store.read_rows(store.find([key(number) for number in (3, 160, 4, 5, 199, 3)]), ("1",), 1)
    assert len(opened) == 2 and read == ["1", "1"]


def test_frames_of_one_layer_have_their_own_checksum(tmp_path):
    store = Shards(tmp_path)
    frames = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    store.write([key(1)], {"0": np.zeros((1, 2), np.float32), f"frames {key(1)}": frames})
    np.testing.assert_array_equal(store.read_frames(key(1), None), frames)
    np.testing.assert_array_equal(store.read_frames(key(1), "1"), frames[1])
    path = tmp_path / store.names[0]
    content = bytearray(path.read_bytes())
    content[content.rindex(frames[1].tobytes())] ^= 1
    path.write_bytes(content)
    np.testing.assert_array_equal(store.read_frames(key(1), "0"), frames[0])
    with pytest.warns(UserWarning, match="frames does not have its checksum"), pytest.raises(CorruptShard):
        store.read_frames(key(1), "1")
    assert not path.exists()


def test_shards_of_before_with_one_checksum_for_all_frames_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "_sums", lambda name, tensor: shards.zlib.crc32(tensor.data))
    store = Shards(tmp_path)
    frames = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    store.write([key(1)], {"0": np.zeros((1, 2), np.float32), f"frames {key(1)}": frames})
    np.testing.assert_array_equal(store.read_frames(key(1), None), frames)
    np.testing.assert_array_equal(store.read_frames(key(1), "1"), frames[1])


@given(st.lists(st.sets(st.integers(0, 60)), max_size=8), st.integers(1, 9))
def test_what_is_found_is_what_was_written(tmp_path_factory, groups, recent):
    """Whatever is written in whatever groups, overlapping too, is found where it is; keys may end in zero bytes."""
    store = Shards(tmp_path_factory.mktemp("s"))
    before, shards.MAX_RECENT = shards.MAX_RECENT, recent
    try:
        for group in groups:
            numbers = sorted(group)
            if numbers:
                values = np.array(numbers, np.float32)[:, None]
                store.write([key(256 * number) for number in numbers], {"0": values})
    finally:
        shards.MAX_RECENT = before
    there = set().union(*groups)
    places = store.find([key(256 * number) for number in range(61)])
    assert {number for number in range(61) if places[number, 0] >= 0} == there
    numbers = sorted(there)
    np.testing.assert_array_equal(store.read_rows(places[numbers], ("0",), 1)[:, 0, 0], numbers)


def test_two_processes_write_one_store(tmp_path, small):
    """The first and the second half, and some shards by both at once."""
    orders = [[*range(0, 30)], [*range(59, 20, -1)]]

    def write(order):
        warnings.simplefilter("error")
        shards.MAX_UNINDEXED = 2
        for shard in order:
            filled(tmp_path, 1, first=shard)

    processes = [start_forked(functools.partial(write, order)) for order in orders]
    assert [end_of(process) for process in processes] == [0, 0]
    store = Shards(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.refresh()
    assert len(store.names) == 60 and not list(tmp_path.glob(".*.part"))
    agrees(store, 60)


@pytest.mark.parametrize("name", ["0", "frames"])
def test_a_shape_that_was_changed_in_the_header_is_damage(tmp_path, name):
    store, name = Shards(tmp_path), name if name == "0" else f"frames {key(0)}"
    store.refresh()
    frames = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    store.write([key(0), key(1)], {"0": np.zeros((2, 3), np.float32), f"frames {key(0)}": frames})
    shard = next(tmp_path.glob("*.safetensors"))
    content = shard.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header[name]["shape"].reverse() if name == "0" else header[name].update(shape=[2, 4, 3])
    text = json.dumps(header).encode()
    shard.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    with pytest.raises(CorruptShard):
        store.read_rows(store.find([key(0)]), ("0",), 3) if name == "0" else store.read_frames(key(0), "1")
