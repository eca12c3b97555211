"""Bundles on the hub, by way of a small server on this machine that answers as the hub does."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest

import emobridge
from emobridge.bundle import Recognizer
from emobridge.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """The few endpoints that uploading and downloading a model take; models by id: {path: content}."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, content, code=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self):
        self.answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append(path)
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            files = self.server.models.get("/".join(parts[2:4]))
            if files is None:
                return self.refuse()
            if parts[4:5] == ["tree"]:
                about = [{"type": "file", "path": name, "size": len(text), "oid": hashlib.sha1(text).hexdigest()}
                         for name, text in files.items()]  # fmt: skip
                return self.answer(about)
            siblings = [{"rfilename": name} for name in files]
            return self.answer({"id": "/".join(parts[2:4]), "sha": COMMIT, "siblings": siblings})
        files = self.server.models.get("/".join(parts[:2]), {})
        name = "/".join(parts[4:])
        if name not in files:
            return self.refuse()
        etag = f'"{hashlib.sha1(files[name]).hexdigest()}"'
        return self.answer(files[name], ETag=etag, X_Repo_Commit=COMMIT)

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append(path)
        if self.headers.get("Authorization") != "Bearer secret":
            return self.answer({"error": "Invalid username or password."}, 401)
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            about = json.loads(body)
            name = f"{about['organization']}/{about['name']}"
            self.server.private[name] = about.get("private", about.get("visibility"))
            self.server.models.setdefault(name, {".gitattributes": b"x", "keep.txt": b"theirs"})
            return self.answer({"url": f"{self.server.address}/{name}", "name": name})
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        files = self.server.models["/".join(parts[2:4])]
        if parts[4] == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            return self.answer({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "deletedFile":
                del files[line["value"]["path"]]
        address = f"{self.server.address}/{'/'.join(parts[2:4])}/commit/{COMMIT}"
        about = {"commitUrl": address, "commitOid": COMMIT, "success": True}
        return self.answer(about)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The server; it knows no model. A person has logged in on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.models, server.private, server.requests = {}, {}, []
    server.address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(tmp_path / "cache"))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with contextlib.closing(server.socket):
        yield server
        server.shutdown()
    thread.join()


@pytest.fixture
def recognizer(finished):
    return emobridge.load(finished / "bundle")


def test_there_and_back(hub, recognizer, recorded, finished, cli):
    address = recognizer.push_to_hub("user/calls-xh", private=True)
    assert address == f"{hub.address}/user/calls-xh" and hub.private["user/calls-xh"] in (True, "private")
    files = hub.models["user/calls-xh"]
    assert set(files) == {"bundle.json", "model.safetensors", "README.md", ".gitattributes", "keep.txt"}
    assert files["README.md"].decode() == (finished / "bundle" / "README.md").read_text()
    (clip,) = (path for path in recorded.glob("xx-a-anger-0.wav"))
    answers = recognizer(clip)
    for again in (Recognizer.from_pretrained("user/calls-xh"), emobridge.load("user/calls-xh", revision="main")):
        assert again(clip) == answers and again.card == recognizer.card
    hub.models["user/calls-xh"]["pytorch_model.bin"] = b"\x80"
    hub.requests.clear()
    done = cli("predict", "user/calls-xh@main", clip)
    assert done.code == 0 and json.loads(done.out)["label"] == answers[0].label
    assert not any("keep.txt" in request or ".bin" in request for request in hub.requests if "resolve" in request)


def test_adapters_and_languages_go_along_and_files_of_before_are_removed(hub, made, source, tmp_path):
    recognizer = made("de").join(made("it", 1, adapters=None))
    recognizer.save(tmp_path / "both", "# both", {"de": "# de"})
    (tmp_path / "both" / "notes.txt").write_text("private")
    loaded = Recognizer.load(tmp_path / "both")
    hub.models["user/both"] = {"adapters/old.safetensors": b"", "languages/fr/language.json": b"{}", "mine.txt": b""}
    loaded.push_to_hub("user/both", token="secret")
    files = hub.models["user/both"]
    assert {"languages/de/adapters/adapter_model.safetensors", "languages/de/README.md", "mine.txt"} <= set(files)
    assert not {"adapters/old.safetensors", "languages/fr/language.json", "notes.txt"} & set(files)
    assert not any(str(tmp_path.parent).encode() in text for text in files.values())
    again = emobridge.load("user/both", encoder=source("whisper"))
    assert again.languages == loaded.languages and again.cards == {"de": "# de"}


def test_refusals_are_one_line(hub, recognizer, made, cli, tmp_path):
    hub.models["user/other"] = {"README.md": b"", "config.json": b"{}"}
    for source, message in {
        "user/none": "user/none: no such folder, and not to be had from the model hub",
        "user/other": "user/other: the model on the hub is no bundle",
    }.items():
        done = cli("predict", source, "a.wav")
        assert done.code == 2 and message in done.complaints[-1], done.err
    for revision in ("v9/../../x", "-v", "a b"):
        with pytest.raises(UserError, match="expected a branch, a tag or a commit of the hub"):
            emobridge.load("user/other", revision=revision)
    with pytest.raises(UserError, match=r"revision 'v1': goes with a model of the hub, and .* is a folder"):
        emobridge.load(tmp_path, revision="v1")
    with pytest.raises(UserError, match=r"tells its revision; leave out revision='v1'"):
        emobridge.load("user/other@v1", revision="v1")
    for model in ("calls", "/home/me/calls", "user/calls@v1", "a/b/c", ""):
        with pytest.raises(UserError, match="expected the id of a model on the hub, such as user/name"):
            recognizer.push_to_hub(model)
    with pytest.raises(UserError, match=r"user/calls: cannot be put on the model hub \(.*401") as caught:
        recognizer.push_to_hub("user/calls", token="wrong")
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(UserError, match="has no model card"):
        made("de").push_to_hub("user/calls")


def test_a_hub_that_is_not_there_is_one_line(hub, recognizer, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"^user/calls: no such folder, and not to be had from the model hub \("):
        emobridge.load("user/calls")
    with pytest.raises(UserError, match=r"^user/calls: cannot be put on the model hub \("):
        recognizer.push_to_hub("user/calls")


def test_the_card_has_what_the_hub_reads(finished):
    about = huggingface_hub.metadata_load(finished / "bundle" / "README.md")
    assert about["library_name"] == "emobridge" and about["pipeline_tag"] == "audio-classification"
    assert about["license"] == "other" and about["language"] == ["en", "xh"]
    assert {"speech-emotion-recognition", "emobridge"} <= set(about["tags"])
