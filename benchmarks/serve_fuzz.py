"""Requests that nobody should send: does the service answer each as its OpenAPI document says, and never with a 500?

    python benchmarks/serve_fuzz.py run/bundle [--requests 5000] [--seed 0]

It serves a model by the command on loopback. Half of the requests are made by schemathesis from the document, valid and
invalid ones; the other half are a good upload with damage in its bytes: cut, flipped, repeated, or put in by chance.
Then come recordings that mean it ill, such as hours of silence in a small file, and headers that lie. At the end a good
upload must be answered as at the start. Exit code 1 for a status that the document does not have, for any 500, and for
a service that is not well at the end.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import socket
import subprocess
import sys
import time
import warnings
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

TIMEOUT = 60.0  # s for an answer
PATIENCE = 5.0  # s for the answer to damaged bytes, of which the server may wait for more
CLIENTS = 8  # that send damaged bytes at once
WHOLE = 0.8  # of the damaged requests state their length as it is
BOUNDARY = b"boundary"
DAMAGED_STATUSES = frozenset({200, 400, 403, 404, 405, 408, 413, 415, 422, 429, 503})  # of bytes that may mean anything
UNANSWERED = 0
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXTINF:1,\nhttp://127.0.0.1:9/a.wav\n"


def recording(seconds: float = 0.2) -> bytes:
    """The bytes of a quiet WAV."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(bytes(range(256)) * round(seconds * 16_000 * 2 / 256))
    return file.getvalue()


def malicious_recordings() -> dict[str, tuple[bytes, int]]:
    """Recordings that are not what a decoder expects, and the status each must get, by what is wrong with them."""
    import numpy as np
    import soundfile

    def written(samples, rate: int, **kind: str) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, samples, rate, **kind)
        return file.getvalue()

    good, tone = recording(), np.sin(np.arange(8000) * 0.1).astype(np.float32)
    flac = bytearray(written(tone, 8000, format="FLAC"))
    flac[21:26] = bytes([flac[21] | 0x0F]) + b"\xff" * 4  # the 36 bits of the number of samples
    wide = bytearray(good)
    wide[22:24] = b"\xff\xff"  # channels
    rate = bytearray(good)
    rate[24:28] = b"\x00\x00\x00\x00"
    return {
        "two hours of silence in a small FLAC": (
            written(np.zeros(2 * 3600 * 8000, np.int16), 8000, format="FLAC"),
            413,
        ),
        "a FLAC that states 99 days": (bytes(flac), 413),
        "a WAV that states 4 GB": (good[:40] + b"\xff\xff\xff\xff" + good[44:], 200),
        "a WAV that states nothing": (good[:40] + b"\x00\x00\x00\x00" + good[44:], 200),
        "a WAV of 65,535 channels": (bytes(wide), 422),
        "a WAV of 0 Hz": (bytes(rate), 422),
        "samples that are no numbers": (written(tone * np.nan, 8000, format="WAV", subtype="FLOAT"), 422),
        "samples of 1e30": (written(tone * np.float32(1e30), 8000, format="WAV", subtype="FLOAT"), 422),
        "one sample": (written(np.zeros(1, np.int16), 8000, format="WAV"), 200),
        "no samples": (written(np.zeros(0, np.int16), 8000, format="WAV"), 422),
        "a zip": (b"PK\x03\x04" + bytes(1000), 422),
        "a page": (b"<html><script>alert(1)</script></html>", 422),
        "a playlist of this machine's files": (PLAYLIST, 422),
        "a list of files to join": (b"ffconcat version 1.0\nfile /etc/passwd\n", 422),
        "an SDP file": (b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n", 422),
    }


def good_request(host: str, content: bytes | None = None) -> bytes:
    """An upload as a client should send it."""
    parts = [
        b'Content-Disposition: form-data; name="channels"\r\n\r\nmix',
        b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
        + (recording() if content is None else content),
    ]
    body = b"".join(b"--" + BOUNDARY + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + BOUNDARY + b"--\r\n"
    lines = [
        "POST /predict HTTP/1.1", f"host: {host}", f"content-type: multipart/form-data; boundary={BOUNDARY.decode()}",
        f"content-length: {len(body)}", "connection: close", "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + body


def damaged(request: bytes, draw: random.Random) -> bytes:
    """The request with one to four kinds of damage, most of it where the heads are."""
    data = bytearray(request)
    for _ in range(draw.randint(1, 4)):
        end = len(data) if draw.random() < 0.3 else min(len(data), 500)
        place, length = draw.randrange(max(end, 1)), draw.randint(1, 40)
        kind = draw.choice(("cut", "flip", "repeat", "insert"))
        if kind == "cut":
            del data[place : place + length]
        elif kind == "flip":
            data[place : place + 1] = bytes([draw.randrange(256)])
        elif kind == "repeat":
            data[place:place] = data[place : place + length] * draw.randint(1, 100)
        else:
            data[place:place] = draw.randbytes(length)
    return with_its_length(bytes(data)) if draw.random() < WHOLE else bytes(data)


def with_its_length(request: bytes) -> bytes:
    """The request with the length of its body in its head, if it still has a head."""
    head, end, body = request.partition(b"\r\n\r\n")
    return re.sub(rb"content-length: *\d+", b"content-length: %d" % len(body), head) + end + body


def send_bytes(address: str, request: bytes, patience: float = TIMEOUT) -> int:
    """The status of the answer to some bytes; UNANSWERED where the server closes the connection or waits for more.

    patience: s after which the client leaves.
    """
    parts = urlsplit(address)
    try:
        with socket.create_connection((parts.hostname, parts.port), timeout=patience) as connection:
            connection.sendall(request)
            answer = connection.recv(1 << 16)
    except OSError:
        return UNANSWERED
    match = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    return int(match[1]) if match else UNANSWERED


def damaged_statuses(address: str, count: int, seed: int, patience: float) -> Counter[tuple[str, int]]:
    """How many damaged uploads got which status."""
    draw, good = random.Random(seed), good_request(urlsplit(address).netloc)
    requests = [damaged(good, draw) for _ in range(count)]
    with ThreadPoolExecutor(CLIENTS) as clients:
        statuses = list(clients.map(lambda request: send_bytes(address, request, patience), requests))
    return Counter(("damaged bytes", status) for status in statuses)


def schema_statuses(address: str, count: int, seed: int) -> tuple[Counter[tuple[str, int]], list[str]]:
    """How many requests that schemathesis made got which status, and what the document does not have."""
    import schemathesis

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        document = schemathesis.openapi.from_url(f"{address}openapi.json")
    operations = [result.ok() for result in document.get_all_operations()]
    weights = [4 if operation.method.upper() == "POST" else 1 for operation in operations]
    statuses: Counter[tuple[str, int]] = Counter()
    undocumented: list[str] = []
    for operation, weight in zip(operations, weights, strict=True):
        known = {int(status) for status in operation.responses.status_codes}
        for number, mode in enumerate(schemathesis.GenerationMode):
            size = max(1, round(count * weight / sum(weights) / 2))
            for status in _sent(operation, mode, size, seed + number, address):
                statuses[f"{operation.label}, {mode.value}", status] += 1
                if status not in known:
                    undocumented.append(f"{operation.label}: {status}")
    return statuses, undocumented


def _sent(operation, mode, count: int, seed: int, address: str) -> list[int]:
    """The statuses of `count` requests to an operation."""
    import hypothesis

    statuses: list[int] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def send(case) -> None:
        statuses.append(case.call(base_url=address, timeout=TIMEOUT).status_code)

    try:
        send()
    except hypothesis.errors.Unsatisfiable:  # an address without input has no invalid request
        return statuses
    return statuses


def is_well(address: str) -> bool:
    """Whether a good upload is answered."""
    return send_bytes(address, good_request(urlsplit(address).netloc)) == 200


def fuzz(
    address: str, count: int, seed: int, report: Callable[[str], None] = print, patience: float = PATIENCE
) -> list[str]:
    """Send some requests to a service, half of them of each kind; what is wrong with its answers."""
    wrong = [] if is_well(address) else ["a good upload is not answered at the start"]
    statuses, undocumented = schema_statuses(address, count // 2, seed)
    statuses += damaged_statuses(address, count - statuses.total(), seed, patience)
    host = urlsplit(address).netloc
    for name, (content, expected) in malicious_recordings().items():
        status = send_bytes(address, good_request(host, content))
        statuses[name, status] += 1
        if status != expected:
            wrong.append(f"{name}: status {status or 'none'}, expected {expected}")
    for (kind, status), number in sorted(statuses.items()):
        report(f"{kind:36} {status or 'no answer'!s:>9} {number:6,}")
        if kind == "damaged bytes" and status and status not in DAMAGED_STATUSES:
            undocumented.append(f"{kind}: {status}")
    report(f"{'requests':36} {'':9} {statuses.total():6,}")
    wrong += [f"{kind}: status {status}" for kind, status in statuses if status >= 500 and status != 503]
    wrong += [f"not in the document: {line}" for line in sorted(set(undocumented))]
    return wrong if is_well(address) else [*wrong, "a good upload is not answered at the end"]


def served(model: str) -> Iterator[str]:
    """The address of a model that the command serves."""
    command = [sys.executable, "-m", "emobridge", "serve", model, "--port", "0", "--waiting", "8"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("ready: ").strip()
    finally:
        process.terminate()
        process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="the folder of a bundle or a diarizer")
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for address in served(options.model):
        began = time.perf_counter()
        wrong = fuzz(address, options.requests, options.seed)
        print(f"{time.perf_counter() - began:.0f} s")
        print("\n".join(wrong) or "every answer is in the document, no 500, and the service is well")
        return 1 if wrong else 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
