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

import pytest

from emobridge.errors import UserError
from emobridge.files import cache_folder, file_digest, whole_file


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


def test_others_may_read_the_file_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        with whole_file(tmp_path / "a") as temporary:
            temporary.write_text("")
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


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("EMOBRIDGE_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache" / "emobridge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "emobridge"


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
