"""The process that speaks HTTP: it starts, bears slow clients, and ends in order."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import time

import pytest
from serving_fakes import sound
from serving_process import running
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from emobridge.errors import UserError
from emobridge.serve.records import Limits
from emobridge.serve.serving import run_service

TOKEN = "a token for the tests"


def stop(process):
    """End a service by SIGTERM: its exit code, and what it wrote."""
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=30)
    return process.returncode, output, errors


def form(wav, **fields):
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    head = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    return "".join(parts).encode() + head.encode() + wav + b"\r\n--b--\r\n"


def post(port, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/predict", body, {"content-type": "multipart/form-data; boundary=b"})
    return connection


def answer(connection):
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    return answer(connection)[0]


def test_an_answer_under_way_ends_and_new_ones_are_refused():
    with running() as (process, port):
        assert get(port, "/healthz") == 200
        slow = post(port, form(sound(1.0), language="slow"))
        time.sleep(0.4)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert get(port, "/healthz") == 503
        assert answer(post(port, form(sound(1.0)))) == (503, {"error": "the service is stopping"})
        assert answer(slow)[0] == 200
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, output.splitlines()[0], errors) == (0, "stopped", "")


def test_clients_that_mean_it_ill_do_not_stop_it():
    with running(rest=2.0) as (process, port):
        heads = [
            b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100_000,
            b"\x00\x01\x02\r\n\r\n",
            b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
            b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        ]
        for head in heads:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(head)
                assert connection.recv(4096).startswith(b"HTTP/1.1 4")
        head = b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: 999999\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(head)
            assert connection.recv(4096).startswith(b"HTTP/1.1 415")
            assert connection.recv(4096) == b"", "the rest of a refused body is not waited for"
        assert answer(post(port, form(bytes(8_000_000))))[0] == 413, "what comes after the answer is read for a while"
        cut = post(port, form(sound(1.0))[:-5])
        cut.sock.shutdown(socket.SHUT_WR)
        cut.close()
        assert answer(post(port, form(sound(1.0))))[0] == 200
        assert stop(process)[0] == 0


def test_a_stream_over_a_real_socket():
    with running(TOKEN) as (process, port):
        address = f"ws://127.0.0.1:{port}/stream"
        with connect(address) as stream:
            stream.send(json.dumps({"token": TOKEN, "every": 0.5}))
            assert json.loads(stream.recv()) == {"ready": True, "model": "de"}
            stream.send(bytes(16_000))
            assert json.loads(stream.recv())["end"] == 0.5
            stream.send(json.dumps({"end": True}))
            assert json.loads(stream.recv()) == {"ended": True, "seconds": 0.5}
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv()
            assert closed.value.rcvd.code == 1000
        with connect(address) as stream:
            stream.send(json.dumps({"token": TOKEN}))
            stream.recv()
            stream.send(bytes(300_000))
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv()
            assert closed.value.rcvd.code == 1009
        with pytest.raises(InvalidStatus, match="403"):
            connect(address, origin="https://evil.example")
        with connect(address) as stream:
            stream.send(json.dumps({"token": TOKEN}))
            stream.recv()
            process.send_signal(signal.SIGTERM)
            assert json.loads(stream.recv()) == {"error": "the service is stopping"}
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv()
            assert closed.value.rcvd.code == 1001
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")


def test_what_is_refused_before_it_starts():
    for options, line in (({"token": "short"}, "token: expected 16"), ({"port": 65536}, "--port: expected 0 to 65535")):
        with pytest.raises(UserError, match=line):
            run_service(None, Limits(), on_ready=print, **options)
