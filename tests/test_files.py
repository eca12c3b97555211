"""Whole files: the new one or the old one, never half of one, and nothing left behind."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from emobridge.errors import UserError
from emobridge.files import (
    cache_folder,
    file_digest,
    read_json,
    read_tensors,
    whole_file,
    write_tensors,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_block_that_ends_well_replaces_the_file_and_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "deeper" / "a.txt"
    for text in ("old", "new"):
        with whole_file(path) as temporary:
            assert temporary.parent == path.parent, "a rename must not cross file systems"
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "old"
            inode = temporary.stat().st_ino
        assert path.read_text() == text
        assert path.stat().st_ino == inode, "renamed, not copied: no moment with half a file"
    assert names(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, UserError])
def test_a_block_that_fails_leaves_the_old_file_and_its_own_error(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error, match="mine"), whole_file(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error("mine")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_is_one_line_and_the_old_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError) as caught, whole_file(path) as temporary:
        temporary.write_text("new")
    assert str(caught.value) == f"{path}: cannot be written (No space left on device)"
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


FULL = """
import resource, signal, sys
from pathlib import Path
from emobridge.errors import UserError
from emobridge.files import whole_file

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.dont_write_bytecode = True  # half a compiled module would be written in silence
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    with whole_file(sys.argv[1]) as path:
        if sys.argv[2] == "plain":
            path.write_bytes(bytes(100_000))
        else:
            import numpy as np
            from safetensors.numpy import save_file
            save_file({"a": np.zeros(100_000)}, path)
except UserError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the file size are of POSIX")
@pytest.mark.parametrize("writer", ["plain", "safetensors"])
def test_a_write_that_really_fails_is_one_line_too(tmp_path, writer):
    """safetensors has an error of its own, which is no OSError."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    command = [sys.executable, "-c", textwrap.dedent(FULL), str(path), writer]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{path}: cannot be written (") and "too large" in done.stdout.lower()
    assert done.stdout.count("\n") == 1
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_folder_that_cannot_be_made_or_is_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/a\.txt: cannot be written"), whole_file(tmp_path / "file" / "a.txt"):
        pytest.fail("the block must not run")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder: cannot be written"), whole_file(tmp_path / "folder") as temporary:
        temporary.write_text("")
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize(
    "write", [lambda path: path.write_text(""), lambda path: save_file({"a": np.zeros(3)}, path)], ids=["", "tensors"]
)
def test_others_may_read_the_file_as_the_umask_says(tmp_path, write):
    """safetensors puts a file of its own in the place of the temporary one, which its owner alone may read."""
    before = os.umask(0o027)
    try:
        with whole_file(tmp_path / "a") as temporary:
            write(temporary)
        assert os.umask(0o027) == 0o027, "the umask is as it was"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_two_writers_at_once_do_not_meet(tmp_path):
    path = tmp_path / "a"
    with whole_file(path) as first, whole_file(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first", "the one that ends last"
    assert names(tmp_path) == ["a"]


def test_a_device_is_written_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE, text=True)
    with whole_file(tmp_path / "pipe") as path, path.open("w") as file:
        file.write("row")
    assert reader.communicate()[0] == "row" and names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "گ" * 120])
def test_a_name_of_the_greatest_length(tmp_path, name):
    with whole_file(tmp_path / name) as path:
        path.write_text("")
    assert names(tmp_path) == [name]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff", "is not UTF-8 text"),
        (b"{", "is not valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "is not valid JSON"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' stands twice"),
    ],
)
def test_what_is_no_json_is_one_line(tmp_path, content, reason):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=f"a.json: .*{reason}") as caught:
        read_json(tmp_path / "a.json")
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(UserError, match="cannot be read"):
        read_json(tmp_path / "gone.json")


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("EMOBRIDGE_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache" / "emobridge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "emobridge"


NUMPY = {
    "turned": np.arange(6).reshape(2, 3).T,
    "single": np.ones(1, np.float32),
    "scalar": np.float64(2.5),
    "empty": np.zeros((0, 4), np.float16),
    "truth": np.array([True, False]),
    "big-endian": np.arange(3, dtype=">i4"),
    "nan": np.array([np.nan, -0.0]),
}
TORCH = {
    "turned": torch.arange(6.0).reshape(2, 3).T,
    "scalar": torch.tensor(2.5, dtype=torch.bfloat16),
    "empty": torch.zeros(0, 4, dtype=torch.int64),
    "truth": torch.tensor([True]),
    "trained": torch.ones(2, requires_grad=True),
}
METADATA = {"log": '[["loss", 0.5]]', "names": "Bär"}


@pytest.mark.parametrize("tensors", [{}, NUMPY, TORCH], ids=["none", "numpy", "torch"])
@pytest.mark.parametrize("metadata", [{}, METADATA], ids=["", "metadata"])
def test_tensors_come_back_as_they_were_written(tmp_path, tensors, metadata):
    write_tensors(tmp_path / "a", tensors, metadata)
    read, read_metadata = read_tensors(tmp_path / "a")
    assert read_metadata == metadata and read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert isinstance(read[name], torch.Tensor) == isinstance(tensor, torch.Tensor)
        assert tuple(read[name].shape) == tuple(tensor.shape)
        assert str(read[name].dtype) == str(tensor.dtype).replace(">i4", "int32")
        if isinstance(tensor, torch.Tensor):
            assert torch.equal(read[name], tensor)
        else:
            np.testing.assert_array_equal(read[name], tensor)


def test_tensors_that_share_their_memory_are_written_too(tmp_path):
    weight = torch.ones(3)
    write_tensors(tmp_path / "a", {"weight": weight, "tied": weight, "part": weight[1:]}, {})
    assert read_tensors(tmp_path / "a")[0]["part"].tolist() == [1.0, 1.0]


def test_numpy_and_torch_in_one_file_are_refused(tmp_path):
    with pytest.raises(TypeError, match="a: expected a torch tensor as the others are, got ndarray"):
        write_tensors(tmp_path / "a", {"a": np.zeros(1), "b": torch.zeros(1)}, {})


@pytest.fixture(scope="module", params=[NUMPY, TORCH], ids=["numpy", "torch"])
def checked(request, tmp_path_factory):
    """A file of tensors and its bytes."""
    path = tmp_path_factory.mktemp("tensors") / "a.safetensors"
    write_tensors(path, request.param, METADATA)
    return path, path.read_bytes()


@given(data=st.data())
def test_a_damaged_file_reads_as_none_or_as_it_was(checked, data):
    """Every bit counts: of the header, the metadata, the checksum and the values."""
    path, raw = checked
    path.write_bytes(raw)
    expected = repr(read_tensors(path))
    place = data.draw(st.integers(0, len(raw) - 1))
    flipped = bytes([raw[place] ^ data.draw(st.integers(1, 255))])
    damaged = [raw[:place], raw[:place] + flipped + raw[place + 1 :], raw + flipped, raw[:place] + raw[place + 1 :]]
    for content in damaged:
        path.write_bytes(content)
        assert repr(read_tensors(path)) in ("None", expected)
    path.write_bytes(damaged[0])
    assert read_tensors(path) is None, "a file cut short"


@given(st.binary(max_size=200))
def test_any_other_file_reads_as_none(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "foreign"
    path.write_bytes(content)
    assert read_tensors(path) is None


def test_a_file_without_our_checksum_reads_as_none(tmp_path):
    assert read_tensors(tmp_path / "absent") is None
    save_file({"a": np.zeros(2)}, tmp_path / "a")
    assert read_tensors(tmp_path / "a") is None
    assert read_tensors(tmp_path / "a" / "below a file") is None
    save_file({"a": np.zeros(2)}, tmp_path / "a", metadata={"emobridge.checksum": "0" * 32})
    assert read_tensors(tmp_path / "a") is None


def test_a_swapped_value_shape_name_or_metadata_is_damage(tmp_path):
    """A checksum of the values alone would let these pass."""
    write_tensors(tmp_path / "a", {"a": np.arange(4), "b": np.arange(4)[::-1]}, {"k": "1", "l": "2"})
    raw = (tmp_path / "a").read_bytes()
    for old, new in ((b'"a"', b'"c"'), (b'"k":"1"', b'"k":"3"'), (b"I64", b"U64"), (b'"l":', b'"m":')):
        assert raw.count(old)
        (tmp_path / "a").write_bytes(raw.replace(old, new, 1))
        assert read_tensors(tmp_path / "a") is None


def test_a_file_that_may_not_be_read_is_not_damaged(tmp_path, monkeypatch):
    write_tensors(tmp_path / "a", {"a": np.zeros(2)}, {})
    for number in (errno.EACCES, errno.EIO):

        def refuse(*_, number=number, **__):
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", refuse)
            with pytest.raises(UserError, match=rf"a: cannot be read \({os.strerror(number)}\)"):
                read_tensors(tmp_path / "a")
    with pytest.raises(UserError, match="cannot be read"):
        read_tensors(tmp_path)
    assert read_tensors(tmp_path / "a") is not None


def test_another_users_file_is_not_damaged(open_folder, other_user):
    path = open_folder / "a"
    write_tensors(path, {"a": np.zeros(2)}, {})
    assert other_user(lambda: read_tensors(path)[0]["a"].tolist()) == [0.0, 0.0]
    for place, mode in ((path, 0o600), (open_folder, 0o700)):
        before = stat.S_IMODE(place.stat().st_mode)
        os.chmod(place, mode)
        said = f"{path}: cannot be read (Permission denied); it belongs to "
        assert other_user(lambda: read_tensors(path)).startswith(said)
        os.chmod(place, before)


WANT = """
import json, os, resource, sys
import numpy as np
from emobridge.errors import UserError
from emobridge.files import read_tensors, write_tensors

kind, path = sys.argv[1:]
values = np.zeros(20_000_000)
if kind == "torch":
    import torch
    values = torch.from_numpy(values)
write_tensors(path, {"a": values}, {})
del values
if kind == "files":
    resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
    handles = [os.open(os.devnull, os.O_RDONLY) for _ in range(30 - len(os.listdir("/proc/self/fd")) + 1)]
else:
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (100 << 20), -1))
try:
    print(read_tensors(path))
except UserError as error:
    print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits as Linux has them")
@pytest.mark.parametrize("kind", ["numpy", "torch", "files"])
def test_want_of_memory_or_open_files_is_no_damage(tmp_path, kind):
    """Otherwise finished work is done again, and written over the good file."""
    command = [sys.executable, "-c", WANT, kind, str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"{tmp_path / 'a'}: cannot be read ("), done.stdout + done.stderr
    assert {"files": "Too many open files"}.get(kind, "memory") in done.stdout


def test_tensors_that_cannot_be_written_leave_the_old_file(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        write_tensors(tmp_path, {"a": np.zeros(2)}, {})
    assert not names(tmp_path)


def test_a_digest_follows_the_content_and_is_not_computed_twice(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    path.write_bytes(b"one content")
    assert file_digest(path) == hashlib.sha256(b"one content").digest()
    monkeypatch.delattr("builtins.open")
    assert file_digest(path) == file_digest(str(path)) == hashlib.sha256(b"one content").digest()


@pytest.mark.parametrize("replace", ["in place", "another inode"])
def test_a_digest_sees_new_content_of_the_same_size_and_time(tmp_path, replace):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old content")
    stat = path.stat()
    assert file_digest(path) == hashlib.sha256(b"old content").digest()
    time.sleep(0.02)  # file systems note the time of a change in steps of some milliseconds
    new = path if replace == "in place" else tmp_path / "b.bin"
    new.write_bytes(b"new content")
    os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    new.replace(path)
    assert path.stat().st_mtime_ns == stat.st_mtime_ns
    assert file_digest(path) == hashlib.sha256(b"new content").digest()


def test_a_relative_path_is_the_file_of_the_present_folder(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
        os.utime(tmp_path / name / "x", ns=(0, 0))
        monkeypatch.chdir(tmp_path / name)
        assert file_digest("x") == hashlib.sha256(name.encode()).digest()
