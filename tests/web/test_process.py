"""The port of a server. That heads of requests are not waited for is tested with the servers."""

from __future__ import annotations

import asyncio
import socket

import pytest

from emobridge.errors import UserError
from emobridge.web.process import JoinedWrites, address_of, listening_socket


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("127.0.0.1", 65536, "--port: expected 0 to 65535"),
        ("127.0.0.1", -1, "--port: expected 0 to 65535"),
        ("no such host", 0, "--host no such host: no such host"),
        ("192.0.2.1", 0, "port 0 of 192.0.2.1 cannot be used"),
    ],
)
def test_an_address_that_cannot_be_used(host, port, words):
    with pytest.raises(UserError, match=words), listening_socket(host, port):
        pass


def test_the_address_of_a_socket():
    with listening_socket("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        assert bound.proto == socket.IPPROTO_TCP, "asyncio sends small packets at once only then"
        assert address_of("127.0.0.1", bound) == f"http://127.0.0.1:{port}/"
        assert address_of("::1", bound) == f"http://[::1]:{port}/"
        with pytest.raises(UserError, match=rf"^port {port} of 127\.0\.0\.1 is in use; choose another"):
            listening_socket("127.0.0.1", port).__enter__()


class Transport:
    """What is written, packet by packet."""

    def __init__(self):
        self.packets, self.closed = [], False

    def write(self, data):
        assert not self.closed
        self.packets.append(data)

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed


def test_what_is_written_in_one_turn_is_one_packet():
    async def packets():
        transport = Transport()
        joined = JoinedWrites(transport, asyncio.get_running_loop())
        joined.write(b"head, ")
        joined.write(b"body")
        await asyncio.sleep(0)
        joined.write(b"the end")
        joined.close()
        assert joined.is_closing()
        await asyncio.sleep(0)
        return transport.packets

    assert asyncio.run(packets()) == [b"head, body", b"the end"]
