"""Uploads: a form with one recording, which goes to a file piece by piece; its other fields are short texts.

The files lie in a folder of the process, which is removed with it; a process that was killed leaves its folder to the
next one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from emobridge.data.audio import printable
from emobridge.parts import part_prefix, remove_abandoned
from emobridge.serve.fields import LONGEST_VALUE
from emobridge.serve.records import Busy
from emobridge.web.requests import Refusal, body_pieces

FORM_TYPE = b"multipart/form-data"
RECORDING = "file"  # the field that holds it
MOST_PARTS = 40  # of a form
BESIDE = 200_000  # bytes of a form that are not the recording
LONGEST_FILE_NAME = 200  # characters of a recording's name
MOST_UPLOADS = 64  # that come at the same time; more are answered 429
UPLOAD_RETRY = 2.0  # s
UPLOAD_SECONDS = 20.0  # for a form to arrive, and longer for a large one


@dataclass(frozen=True, slots=True)
class Upload:
    """A form that came: where its recording is, what it was called, and the other fields."""

    path: str
    name: str
    texts: dict[str, str]


@contextlib.contextmanager
def upload_folder() -> Iterator[Path]:
    """A folder for uploads, which nobody else may read. Those of processes that were killed are removed."""
    root = Path(tempfile.gettempdir())
    remove_abandoned(root)
    folder = Path(tempfile.mkdtemp(prefix=part_prefix(root / "emobridge-uploads"), suffix=".part", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Uploads:
    """The uploads that come, in bounded number and size."""

    def __init__(self, folder: Path, largest: int) -> None:
        """folder: for the recordings. largest: bytes of one."""
        self._folder, self._largest = folder, largest
        self._coming = 0

    @contextlib.asynccontextmanager
    async def receive(self, request: Request) -> AsyncIterator[Upload]:
        """The form of a request; its recording is removed at the end of the block, whatever happens.

        Errors: Busy where many come already; Refusal 415 for another type of body, 413 for more than the limits, 408
        for a body that comes too slowly, 400 for a damaged one, 422 for a form without one recording.
        """
        boundary = _boundary(request)
        stated = request.headers.get("content-length", "")
        if stated.isdecimal() and int(stated) > self._largest + BESIDE:
            raise Refusal(413, _too_large(self._largest))
        if self._coming >= MOST_UPLOADS:
            raise Busy(UPLOAD_RETRY)
        handle, path = tempfile.mkstemp(dir=self._folder)
        try:
            self._coming += 1
            try:
                with os.fdopen(handle, "wb") as file:
                    form = _Form(file, self._largest)
                    await form.read(request, boundary)
            finally:
                self._coming -= 1
            yield form.upload(path)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind.strip() != FORM_TYPE:
        raise Refusal(415, "expected a form with a file, of type multipart/form-data")
    if not options.get(b"boundary"):
        raise Refusal(400, "the form's content type has no boundary")
    return options[b"boundary"]


def _too_large(largest: int) -> str:
    return f"the recording is larger than {largest:,} bytes, the most that this service takes"


class _Form:
    """A form as it comes: the recording goes to a file, the texts are kept."""

    def __init__(self, file: BinaryIO, largest: int) -> None:
        self._file, self._largest = file, largest
        self._parts = 0
        self._names: list[str] = []  # of the parts
        self._header = [b"", b""]  # the name and the value of the one that comes
        self._disposition = b""
        self._texts: dict[str, bytearray] = {}
        self._text: bytearray | None = None  # of the part that comes; None is the recording's
        self._size = 0
        self._file_name: str | None = None
        self._is_whole = False

    async def read(self, request: Request, boundary: bytes) -> None:
        """Read the body of a request. Errors: Refusal."""
        try:
            parser = MultipartParser(boundary, self._callbacks())  # type: ignore[arg-type]
            async for piece in body_pieces(request, largest=self._largest + BESIDE, seconds=UPLOAD_SECONDS):
                parser.write(piece)
        except FormParserError as error:
            raise Refusal(400, f"the form is damaged: {error}") from error
        if not self._is_whole:
            raise Refusal(400, "the form is damaged: it ends before its last boundary")

    def upload(self, path: str) -> Upload:
        """What came. Errors: Refusal for no recording, and for a field that stands twice."""
        if self._file_name is None:
            raise Refusal(422, f"the form has no recording: expected a file in the field {RECORDING!r}")
        if not self._size:
            raise Refusal(422, f"the recording {self._file_name} is empty")
        for name in self._names:
            if self._names.count(name) > 1:
                raise Refusal(422, f"the field {name!r} stands twice")
        try:
            texts = {name: value.decode("utf-8") for name, value in self._texts.items()}
        except UnicodeDecodeError as error:
            raise Refusal(422, "a field is not UTF-8 text") from error
        return Upload(path, self._file_name, texts)

    def _callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin_part,
            "on_header_begin": self._begin_header,
            "on_header_field": lambda data, start, end: self._add_header(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._add_header(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_data,
            "on_part_data": lambda data, start, end: self._add_data(data[start:end]),
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise Refusal(413, f"the form has more than {MOST_PARTS} fields")
        self._disposition = b""

    def _begin_header(self) -> None:
        self._header = [b"", b""]

    def _add_header(self, part: int, data: bytes) -> None:
        self._header[part] += data

    def _end_header(self) -> None:
        name, value = self._header
        if name.strip().lower() == b"content-disposition":
            self._disposition = value

    def _begin_data(self) -> None:
        kind, options = parse_options_header(self._disposition.decode("latin-1"))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind.strip() != b"form-data" or not name:
            raise Refusal(400, "the form is damaged: a part has no name")
        if len(name) > LONGEST_FILE_NAME:
            raise Refusal(413, f"a field's name is longer than {LONGEST_FILE_NAME} characters")
        self._names.append(name)
        if name != RECORDING:
            if b"filename" in options:
                raise Refusal(422, f"the field {name!r} holds a file; expected it in {RECORDING!r}")
            self._text = self._texts[name] = bytearray()
            return
        self._text = None
        self._file_name = recording_name(options.get(b"filename", b"").decode("utf-8", "replace"))

    def _add_data(self, data: bytes) -> None:
        if self._text is None:
            self._size += len(data)
            if self._size > self._largest:
                raise Refusal(413, _too_large(self._largest))
            self._file.write(data)
            return
        self._text += data
        if len(self._text) > LONGEST_VALUE:
            raise Refusal(413, f"the field {self._names[-1]!r} is longer than {LONGEST_VALUE:,} bytes")

    def _end(self) -> None:
        self._is_whole = True


def recording_name(text: str) -> str:
    """The name of a recording, for its rows: the last part of what a browser calls it, in characters that print.

    >>> recording_name("../../etc/pass\\x00wd"), recording_name("C:\\\\calls\\\\a.wav"), recording_name("..")
    ('pass\\\\x00wd', 'a.wav', 'recording')
    """
    name = printable(re.split(r"[/\\]", text)[-1].strip())[:LONGEST_FILE_NAME]
    return name if name.strip(".") else "recording"
