"""A small server on this machine that answers as the model hub does."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """The few endpoints that uploading and downloading a model take.

    models: {path: content} by id; branches: the same of further branches, by "id@branch".
    """

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

    def files_of(self, name, revision="main"):
        """The files of a model, and the commit of the branch; None where there is none."""
        if revision in ("main", COMMIT):
            return self.server.models.get(name), COMMIT
        for key, files in self.server.branches.items():
            commit = hashlib.sha1(key.encode()).hexdigest()
            if key.startswith(f"{name}@") and revision in (key.partition("@")[2], commit):
                return files, commit
        return None, ""

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append(path)
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            name = "/".join(parts[2:4])
            files, commit = self.files_of(name, parts[5] if len(parts) > 5 else "main")
            if files is None:
                return self.refuse()
            if parts[4:5] == ["tree"]:
                about = [{"type": "file", "path": name, "size": len(text), "oid": hashlib.sha1(text).hexdigest()}
                         for name, text in files.items()]  # fmt: skip
                return self.answer(about)
            siblings = [{"rfilename": name} for name in files]
            private = self.server.private.get(name) in (True, "private")
            return self.answer({"id": name, "sha": commit, "private": private, "siblings": siblings})
        files, commit = self.files_of("/".join(parts[:2]), parts[3] if len(parts) > 3 else "main")
        name = "/".join(parts[4:])
        if files is None or name not in files:
            return self.refuse()
        etag = f'"{hashlib.sha1(files[name]).hexdigest()}"'
        return self.answer(files[name], ETag=etag, X_Repo_Commit=commit)

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
            if name in self.server.models:
                return self.answer({"error": "You already created this model repo", "url": name}, 409)
            self.server.private[name] = about.get("private", about.get("visibility"))
            self.server.models.setdefault(name, {".gitattributes": b"x", "keep.txt": b"theirs"})
            return self.answer({"url": f"{self.server.address}/{name}", "name": name})
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        name = "/".join(parts[2:4])
        if parts[4] == "branch":
            self.server.branches.setdefault(f"{name}@{parts[5]}", dict(self.server.models[name]))
            return self.answer({})
        files, _ = self.files_of(name, parts[5])
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


@contextlib.contextmanager
def running_hub(monkeypatch, cache):
    """The server; it knows no model. A person has logged in on this machine. cache: folder of downloaded models."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.models, server.private, server.branches, server.requests = {}, {}, {}, []
    server.address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "secret")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with contextlib.closing(server.socket):
        yield server
        server.shutdown()
    thread.join()
