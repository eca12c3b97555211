"""Fetching a corpus, from a server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile

import pytest

from emobridge.corpora import Download, describe, download, downloads, emovo, ravdess, scan
from emobridge.errors import UserError


class Server(http.server.ThreadingHTTPServer):
    """Serves the bytes in `files` by path, and lists the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.cut: set[str] = set()  # paths at which the connection ends in the midst of it

    def offer(self, name: str, data: bytes, **changes) -> Download:
        self.files[f"/{name}"] = data
        values = {"checksum": f"md5:{hashlib.md5(data).hexdigest()}", "unpack": True, **changes}
        return Download(f"http://127.0.0.1:{self.server_port}/{name}", name=name, size=len(data), **values)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        data = self.server.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if self.path in self.server.cut else data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def offered(server, monkeypatch):
    """A function that makes files on the server those of RAVDESS."""

    def offer(*files: Download) -> None:
        monkeypatch.setattr(ravdess, "DOWNLOADS", files)

    return offer


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.mkdir("Actor_01")
        for name in names:
            archive.writestr(name, b"RIFF" + os.urandom(2000))
    return buffer.getvalue()


CLIP = "Actor_01/03-01-05-01-01-01-01.wav"


def test_a_corpus_is_fetched_unpacked_and_scanned(tmp_path, server, offered):
    data = zipped(CLIP)
    offered(server.offer("speech.zip", data), server.offer("readme.txt", b"read me", unpack=False))
    seen = []
    folder = download("ravdess", tmp_path / "new", on_progress=lambda done, total: seen.append((done, total)))
    assert folder == tmp_path / "new"
    assert (folder / "speech.zip").read_bytes() == data
    assert (folder / "readme.txt").read_bytes() == b"read me"
    assert [(row.speaker, row.emotion) for row in scan("ravdess", folder)] == [("01", "anger")]
    assert seen == sorted(seen)
    assert seen[-1] == (len(data) + 7, len(data) + 7)
    assert {path.name for path in folder.iterdir()} == {"speech.zip", "speech", "readme.txt"}
    assert (folder / "speech").stat().st_mode == folder.stat().st_mode, "as private as its folder, and no more"


def test_what_is_there_is_not_fetched_again(tmp_path, server, offered):
    offered(server.offer("speech.zip", zipped(CLIP)))
    download("ravdess", tmp_path)
    (tmp_path / "speech" / "mine.txt").write_text("a note")
    seen = []
    download("ravdess", tmp_path, on_progress=lambda *progress: seen.append(progress))
    assert server.requests == ["/speech.zip"]
    assert (tmp_path / "speech" / "mine.txt").exists()
    assert seen[-1][0] == seen[-1][1]


def test_what_cannot_be_read_is_not_fetched_again(open_folder, server, offered, other_user):
    """It may be whole, and another user's: the owner is named, and the file stays."""
    offered(server.offer("speech.zip", zipped(CLIP)))
    download("ravdess", open_folder)
    (open_folder / "speech.zip").chmod(0o600)
    open_folder.chmod(0o777)
    said = other_user(lambda: download("ravdess", open_folder))
    assert said.startswith(f"{open_folder / 'speech.zip'}: cannot be read (Permission denied); it belongs to ")
    assert server.requests == ["/speech.zip"]


def test_a_spoilt_file_is_fetched_again(tmp_path, server, offered):
    data = zipped(CLIP)
    offered(server.offer("speech.zip", data))
    (tmp_path / "speech.zip").write_bytes(data[:-1])
    download("ravdess", tmp_path)
    assert (tmp_path / "speech.zip").read_bytes() == data


def test_several_files_go_on_where_it_was_broken_off(tmp_path, server, offered):
    first, second = server.offer("a.zip", zipped(CLIP)), server.offer("b.zip", zipped("Actor_02/x.wav"))
    offered(first, second)
    server.cut.add("/b.zip")
    with pytest.raises(UserError, match=r"b\.zip: cannot be downloaded"):
        download("ravdess", tmp_path)
    server.cut.clear()
    download("ravdess", tmp_path)
    assert server.requests == ["/a.zip", "/b.zip", "/b.zip"]


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_wrong_checksum(tmp_path, server, offered, algorithm):
    data = zipped(CLIP)
    wrong = f"{algorithm}:{hashlib.new(algorithm, b'other').hexdigest()}"
    offered(server.offer("speech.zip", data, checksum=wrong))
    with pytest.raises(UserError) as caught:
        download("ravdess", tmp_path)
    got = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    assert f"expected {wrong}, got {got}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there(tmp_path, server, offered):
    offered(server.offer("speech.zip", zipped(CLIP)))
    server.files.clear()
    with pytest.raises(UserError, match=r"speech\.zip: cannot be downloaded \(the host answers 404\)"):
        download("ravdess", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_breaks(tmp_path, server, offered):
    offered(server.offer("speech.zip", zipped(CLIP)))
    server.cut.add("/speech.zip")
    with pytest.raises(UserError, match=r"speech\.zip: cannot be downloaded .*try again later") as caught:
        download("ravdess", tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_does_not_answer(tmp_path, server, offered):
    file = server.offer("speech.zip", zipped(CLIP))
    server.shutdown()
    server.server_close()
    offered(file)
    with pytest.raises(UserError, match="cannot be downloaded"):
        download("ravdess", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../out.wav", "a/../../out.wav", "/out.wav", "..\\out.wav", "C:\\out.wav"])
def test_an_archive_does_not_write_outside_its_folder(tmp_path, server, offered, name):
    offered(server.offer("speech.zip", zipped(CLIP, name)))
    with pytest.raises(UserError, match=r"speech\.zip: not unpacked: .*outside its folder"):
        download("ravdess", tmp_path / "in")
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["speech.zip"]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def taped(*members: tuple[str, bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "/etc/hostname" if kind == tarfile.SYMTYPE else ""
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_a_tar_archive_without_its_links(tmp_path, server, offered):
    members = ((CLIP, tarfile.REGTYPE, b"RIFF"), ("link.wav", tarfile.SYMTYPE, b""), ("d", tarfile.DIRTYPE, b""))
    offered(server.offer("speech.tar.gz", taped(*members)))
    download("ravdess", tmp_path)
    assert [path.name for path in (tmp_path / "speech").rglob("*") if path.is_file() or path.is_symlink()] == [CLIP[9:]]
    offered(server.offer("other.tar.gz", taped(("../out.wav", tarfile.REGTYPE, b"RIFF"))))
    with pytest.raises(UserError, match="outside its folder"):
        download("ravdess", tmp_path / "in")
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("data", [b"no archive", taped((CLIP, tarfile.REGTYPE, b"R" * 99999))[:-40]])
def test_an_archive_that_is_none(tmp_path, server, offered, data):
    offered(server.offer("speech.tar.gz", data))
    with pytest.raises(UserError, match="cannot be unpacked") as caught:
        download("ravdess", tmp_path)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["speech.tar.gz"]


def test_a_folder_that_cannot_be_written(tmp_path, server, offered):
    offered(server.offer("speech.zip", zipped(CLIP)))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        download("ravdess", tmp_path / "file" / "corpus")


def test_a_corpus_that_is_not_for_download_says_how_to_get_it(tmp_path):
    assert not describe("emovo").downloadable
    with pytest.raises(UserError, match="emovo is not downloaded by emobridge") as caught:
        download("emovo", tmp_path)
    assert emovo.OBTAIN in str(caught.value)
    with pytest.raises(UserError, match="did you mean 'ravdess'"):
        download("ravdes", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_declared_is_complete():
    assert describe("ravdess").downloadable
    for file in downloads("ravdess"):
        algorithm, _, digest = file.checksum.partition(":")
        assert len(digest) == len(hashlib.new(algorithm).hexdigest())
        assert set(digest) <= set("0123456789abcdef")
        assert file.url.startswith("https://") and file.url.endswith(file.name) and file.size > 0


def test_corpora_do_not_import_what_fetches():
    code = "import sys; from emobridge import corpora; corpora.describe('ravdess'); print('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pooch", "requests", "yaml"} & set(done.stdout.split())


def test_the_command_tells_terms_and_size_first_and_what_to_do_next(tmp_path, server, offered, cli):
    data = zipped(CLIP)
    file = server.offer("speech.zip", data)
    offered(file)
    done = cli("download", "ravdess", tmp_path / "a folder")
    assert (done.code, done.complaints) == (0, [])
    assert done.out.splitlines() == [
        f"licence: {ravdess.LICENCE}",
        f"cite: {ravdess.CITATION}",
        f"{file.url} ({len(data) / 1e6:.1f} MB)",
        f"next: emobridge scan ravdess '{tmp_path}/a folder' -o ravdess.jsonl",
    ]
    assert (tmp_path / "a folder" / "speech" / CLIP).is_file()


def test_the_command_on_a_corpus_that_is_not_for_download(tmp_path, cli):
    done = cli("download", "emovo", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert emovo.OBTAIN in done.err
    assert len(done.err.splitlines()) == 1


def test_the_command_has_help(cli):
    assert "Download and unpack a corpus" in cli("download", "--help").out
