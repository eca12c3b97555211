"""Download a corpus whose licence and host allow it. Nothing else in emobridge fetches a corpus."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from emobridge import registry
from emobridge.errors import UserError
from emobridge.files import unreadable, whole_file
from emobridge.parts import part_prefix, remove_abandoned

CHUNK = 1 << 16  # bytes, read at a time


@dataclass(frozen=True, slots=True)
class Download:
    """One file of a corpus on a public host."""

    url: str
    checksum: str  # of the file, "md5:..." or "sha256:..." in hexadecimal
    name: str  # of the file on this machine
    size: int  # bytes
    unpack: bool = False  # a .zip or .tar archive, into a folder of its name without the suffix


def downloads(name: str) -> tuple[Download, ...]:
    """The files that `download` would fetch. Errors: UserError for an unknown corpus, or one that it cannot fetch."""
    module = registry.load("corpora", name)
    files: tuple[Download, ...] = getattr(module, "DOWNLOADS", ())
    if not files:
        raise UserError(f"{name} is not downloaded by emobridge. {module.OBTAIN}")
    return files


def download(name: str, folder: str | Path, *, on_progress: Callable[[int, int], None] | None = None) -> Path:
    """Fetch the files of a corpus into `folder`, unpack them there, and return `folder`, ready for `scan`.

    A file that is there with the right checksum is not fetched again, and an archive is not unpacked again. A file gets
    its name only when it is complete and its checksum is right; a broken download starts again from the beginning.
    Errors: UserError as `downloads`; for a host that does not answer, does not have the file or breaks off, a wrong
    checksum, a folder that cannot be written, and an archive that is broken or would write outside its folder.
    """
    folder = Path(folder)
    files = downloads(name)
    total, before = sum(file.size for file in files), 0
    for file in files:
        counter = _Counter(before, file.size, total, on_progress)
        _fetch(file, folder / file.name, counter)
        before += file.size
        counter.report(file.size)
        if file.unpack:
            _unpack(folder / file.name)
    return folder


class _Counter:
    """A progress bar for pooch: it counts the bytes of one file as a part of all files."""

    def __init__(self, before: int, size: int, in_all: int, on_progress: Callable[[int, int], None] | None) -> None:
        self.before, self.size, self.in_all, self.on_progress = before, size, in_all, on_progress
        self.done = self.total = 0  # pooch sets the total

    def update(self, count: int) -> None:
        self.done += count
        self.report(self.done)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None: ...

    def report(self, done: int) -> None:
        if self.on_progress is not None:
            self.on_progress(self.before + min(done, self.size), self.in_all)


def _fetch(download: Download, target: Path, counter: _Counter) -> None:
    from pooch import HTTPDownloader
    from requests.exceptions import HTTPError, RequestException

    if target.is_file() and _checksum(target, download) == download.checksum:
        return
    with whole_file(target) as part:
        try:
            HTTPDownloader(progressbar=counter, chunk_size=CHUNK)(download.url, str(part), None)
        except HTTPError as error:
            answer = getattr(error.response, "status_code", error)
            raise UserError(f"{download.url}: cannot be downloaded (the host answers {answer})") from error
        except RequestException as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{download.url}: cannot be downloaded ({reason}); try again later") from error
        actual, expected = _checksum(part, download), download.checksum
        if actual != expected:
            raise UserError(f"{download.url}: what came is not the file: expected {expected}, got {actual}; try again")


def _checksum(path: Path, download: Download) -> str:
    """The checksum of a file, by the algorithm of the expected one."""
    from pooch import file_hash

    algorithm = download.checksum.partition(":")[0]
    try:
        return f"{algorithm}:{file_hash(str(path), alg=algorithm)}"
    except OSError as error:  # no reason to fetch another: it may be whole, and somebody else's
        raise unreadable(path, error) from error


def _unpack(archive: Path) -> None:
    """Unpack beside the archive, into a folder that is either whole or absent."""
    target = archive.parent / archive.name.partition(".")[0]
    if target.exists():
        return
    temporary = None
    try:
        remove_abandoned(archive.parent)
        temporary = Path(tempfile.mkdtemp(prefix=part_prefix(target), suffix=".part", dir=archive.parent))
        for name, source in _members(archive):
            path = temporary / _inside(name, archive)
            path.parent.mkdir(parents=True, exist_ok=True)
            with source, path.open("wb") as file:
                shutil.copyfileobj(source, file, CHUNK)
        os.chmod(temporary, archive.parent.stat().st_mode & 0o777)  # mkdtemp makes it private; a corpus is not
        temporary.rename(target)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError) as error:
        raise UserError(f"{archive}: cannot be unpacked ({' '.join(str(error).split())})") from error
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of an archive, opened in turn; folders and links are skipped."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for name in packed.namelist():
                if not name.endswith("/"):
                    yield name, packed.open(name)
    else:
        with tarfile.open(archive) as tape:
            for member in tape:
                source = tape.extractfile(member) if member.isfile() else None
                if source is not None:
                    yield member.name, source


def _inside(name: str, archive: Path) -> PurePosixPath:
    path, windows = PurePosixPath(name.replace("\\", "/")), PureWindowsPath(name)
    if path.is_absolute() or windows.drive or ".." in path.parts:
        raise UserError(f"{archive}: not unpacked: {name!r} in it would be written outside its folder")
    return path
