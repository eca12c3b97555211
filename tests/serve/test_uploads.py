"""Forms as somebody may send them who means it ill."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from serving_fakes import sound

from emobridge.serve import uploads
from emobridge.serve.uploads import upload_folder

KIND = {"content-type": "multipart/form-data; boundary=b"}
DISPOSITION = b'Content-Disposition: form-data; name="file"; filename="a.wav"'


def part(head=DISPOSITION, body=b"sound"):
    return b"--b\r\n" + head + b"\r\n\r\n" + body + b"\r\n"


def send(client, body, headers=KIND):
    """The status and the error of a form; nothing of it is left."""
    answer = client.post("/predict", content=body, headers=headers)
    assert list(client.folder.iterdir()) == []
    assert set(answer.json()) == {"error"}, "no answer was expected"
    return answer.status_code, answer.json()["error"]


def field(name, value=b"x", more=b""):
    return part(b'Content-Disposition: form-data; name="' + name + b'"' + more, value)


END = b"--b--\r\n"


@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        (b"", 400, "ends before its last boundary"),
        (part(), 400, "ends before its last boundary"),
        (part()[:-10], 400, "ends before its last boundary"),
        (END, 422, "the form has no recording"),
        (b"no form at all", 400, "the form is damaged"),
        (part().replace(b"--b", b"--c") + END, 400, "the form is damaged"),
        (part(b"Content-Type: audio/wav") + END, 400, "a part has no name"),
        (part(b'Content-Disposition: attachment; name="file"') + END, 400, "a part has no name"),
        (part(b"no header") + END, 400, "the form is damaged"),
        (part(b"X: " + b"y" * 5000) + END, 400, "the form is damaged"),
        (part(b"\r\n".join([b"X: y"] * 20)) + END, 400, "the form is damaged"),
        (part() + part() + END, 422, "the field 'file' stands twice"),
        (part() + field(b"model") + field(b"model") + END, 422, "the field 'model' stands twice"),
        (part() + field(b"m\x00") * 2 + END, 422, "the field 'm\\x00' stands twice"),
        (part() + field(b"model", b"\xff\xfe") + END, 422, "a field is not UTF-8 text"),
        (part() + field(b"\xff\xfe", b"x") + END, 422, "unknown field"),
        (part() + field(b"model", b"x" * 2001) + END, 413, "the field 'model' is longer than 2,000 bytes"),
        (part() + field(b"x" * 201) + END, 413, "a field's name is longer than 200 characters"),
        (part() + field(b"x" * 201) * 41 + END, 413, "a field's name is longer"),
        (b"".join(field(f"f{n}".encode()) for n in range(41)) + END, 413, "the form has more than 40 fields"),
        (part() + field(b"model", more=b'; filename="a.wav"') + END, 422, "the field 'model' holds a file"),
        (part(body=b"") + END, 422, "the recording a.wav is empty"),
        (part() + field(b"url", b"http://169.254.169.254/") + END, 422, "unknown field 'url'"),
        (part() + field(b"path", b"/etc/passwd") + END, 422, "unknown field 'path'"),
    ],
)
def test_damaged_and_malicious_forms(client, body, status, line):
    got, error = send(client, body)
    assert (got, line in error) == (status, True), (got, error)
    assert not client.engine.jobs


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("", 415),
        ("application/json", 415),
        ("audio/wav", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/mixed; boundary=b", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("multipart/form-data; boundary=" + "b" * 300, 400),
        ("multipart/form-data; boundary=c", 400),
    ],
)
def test_bodies_of_another_kind(client, kind, status):
    assert send(client, part() + END, {"content-type": kind})[0] == status


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"../../etc/passwd", "passwd"),
        (b"C:\\calls\\a.wav", "a.wav"),
        (b"..", "recording"),
        (b"", "recording"),
        ("größe.wav".encode(), "größe.wav"),
        (b"a\x00\x1b[31m.wav", "a\\x00\\x1b[31m.wav"),
        (b"\xff.wav", "\ufffd.wav"),
        (b"x" * 300, "x" * 200),
    ],
)
def test_names_of_recordings(client, wav, name, expected):
    head = b'Content-Disposition: form-data; name="file"; filename="' + name + b'"'
    answer = client.post("/predict", content=part(head, wav) + END, headers=KIND)
    assert answer.status_code == 200 and answer.json()["rows"][0]["id"] == expected


def test_a_form_byte_by_byte(client, wav):
    body = field(b"language", b"de") + part(body=wav[:400]) + END
    pieces = (body[place : place + 1] for place in range(len(body)))
    client.post("/predict", content=pieces, headers=KIND)
    ((job, content),) = client.engine.jobs
    assert content == wav[:400] and job.language == "de"


def test_a_recording_that_holds_a_boundary(client, wav):
    sent = wav + b"\r\n--c\r\n--\r\n-"
    client.post("/predict", content=part(body=sent) + END, headers=KIND)
    assert client.engine.jobs[0][1] == sent


def test_a_body_that_comes_slowly(client, monkeypatch):
    monkeypatch.setattr(uploads, "UPLOAD_SECONDS", 0.0)
    assert send(client, part() + END) == (408, "the body came too slowly")


@pytest.mark.parametrize(
    "content",
    [b"RIFF", b"\x00" * 1000, b"PK\x03\x04" + bytes(100), sound(1.0)[:40], sound(0.5, "FLAC")[:60]],
    ids=["a tag", "zeros", "a zip", "a cut WAV", "a cut FLAC"],
)
def test_what_is_no_whole_recording(client, content):
    status, error = send(client, part(body=content) + END)
    assert status == 422 and error.startswith("a.wav: ") and str(client.folder) not in error


def test_the_folder_goes_with_its_process(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    code = """
import os, signal, tempfile
from emobridge.serve.uploads import upload_folder
with upload_folder() as folder:
    (folder / "left").write_text("of a killed service")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    left = Path(killed.stdout.strip())
    assert left.parent == tmp_path and (left / "left").exists() and left.stat().st_mode & 0o77 == 0
    monkeypatch.setattr(uploads.tempfile, "tempdir", None)
    with upload_folder() as folder:
        assert folder.exists() and not left.exists()
    assert list(tmp_path.iterdir()) == []
