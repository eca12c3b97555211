"""Live sound over a WebSocket, and what closes it."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from emobridge.serve import sockets
from emobridge.serve.records import EngineError, Limits, Refused, StreamJob
from emobridge.settings import Live

TOKEN = "a token for the tests"
SECOND = bytes(32_000)  # of 16-bit samples at 16 kHz


def closed(socket):
    """The error and the code that close a socket."""
    line = socket.receive_json()["error"]
    with pytest.raises(WebSocketDisconnect) as end:
        socket.receive_json()
    return end.value.code, line


def open_stream(socket, **request):
    socket.send_json(request)
    return socket.receive_json()


def test_sound_is_answered_stretch_by_stretch(client):
    with client.websocket_connect("/stream") as socket:
        assert open_stream(
            socket, model="calls", rate=8000, channels=2, encoding="F32LE", every=0.5, language="de"
        ) == {
            "ready": True,
            "model": "calls",
        }
        socket.send_bytes(bytes(8000 * 2 * 4 // 2 + 3))
        row = socket.receive_json()
        assert (row["start"], row["end"], row["label"], row["trained_on"]) == (0.0, 0.5, "neutral", "SYNTHETIC")
        socket.send_bytes(bytes(8000 * 2 * 4 // 2 - 3))
        assert socket.receive_json()["start"] == 0.5
        socket.send_json({"end": True})
        assert socket.receive_json() == {"ended": True, "seconds": 1.0}
        with pytest.raises(WebSocketDisconnect) as end:
            socket.receive_json()
    assert end.value.code == 1000
    assert client.engine.stream_jobs == [StreamJob("calls", Live(every=0.5), "f32le", 8000, 2, "de")]
    assert client.engine.streams[0].closed and client.engine.open_streams == 0
    assert 'emobridge_sound_seconds_total{route="/stream"} 1.0' in client.get("/metrics").text


def test_a_stream_without_sound(client):
    with client.websocket_connect("/stream") as socket:
        assert open_stream(socket) == {"ready": True, "model": "de"}
        socket.send_json({"end": True})
        assert socket.receive_json() == {"ended": True, "seconds": 0.0}
    assert client.engine.stream_jobs == [StreamJob("de", Live())]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "first message: is not valid JSON"),
        ("hello", "first message: is not valid JSON"),
        ("[" * 4000, "first message: is not valid JSON"),
        ('{"rate": 1, "rate": 2}', "first message: is not valid JSON (the key 'rate' stands twice)"),
        ("[16000]", 'first message: expected an object, such as {"rate": 16000}'),
        ('{"rate": 7999}', "rate: expected 8000 or more"),
        ('{"rate": 1e9}', "first message: rate: expected int"),
        ('{"rate": 96001}', "rate: expected at most 96000"),
        ('{"rate": true}', "first message: rate: expected int"),
        ('{"channels": 0}', "channels: expected 1 or more"),
        ('{"channels": 9}', "channels: expected at most 8"),
        ('{"encoding": "s16be"}', "unknown encoding 's16be': did you mean 's16le'?"),
        ('{"every": 0.01}', "every: expected 0.1 or more"),
        ('{"every": NaN}', "every: expected 0.1 or more"),
        ('{"context": 3600}', "context: expected 0.1 to 60 s in a service"),
        ('{"evry": 1}', "first message: unknown key 'evry': did you mean 'every'?"),
        ('{"model": "dee"}', "unknown model 'dee': did you mean 'de'?"),
        ('{"live": {"every": "1"}}', "first message: every: expected float"),
    ],
)
def test_a_first_message_that_is_not_as_expected(client, text, line):
    with client.websocket_connect("/stream") as socket:
        socket.send_text(text)
        code, error = closed(socket)
    assert code == 1007 and error.startswith(line), error
    assert not client.engine.stream_jobs


def test_messages_of_another_kind(client):
    with client.websocket_connect("/stream") as socket:
        socket.send_bytes(SECOND)
        assert closed(socket) == (1003, "expected a text first, with what comes as JSON")
    for text in ("garbage", '{"end": 1}', '{"end": true, "x": 1}', "\x00"):
        with client.websocket_connect("/stream") as socket:
            open_stream(socket)
            socket.send_text(text)
            assert closed(socket)[0] in (1003, 1007)
    assert [stream.closed for stream in client.engine.streams] == [True] * 4 and client.engine.open_streams == 0
    with client.websocket_connect("/stream") as socket:
        socket.send_text(json.dumps({"language": "x" * 5000}))
        assert closed(socket) == (1007, "first message: expected at most 4,096 characters")


def test_nobody_is_waited_for_long(client, monkeypatch):
    monkeypatch.setattr(sockets, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(sockets, "SILENT_SECONDS", 0.03)
    with client.websocket_connect("/stream") as socket:
        assert closed(socket) == (1008, "nothing came for 0.02 s")
    with client.websocket_connect("/stream") as socket:
        open_stream(socket)
        assert closed(socket) == (1008, "nothing came for 0.03 s")
    assert client.engine.open_streams == 0


def test_streams_are_bounded(site):
    client = site(Limits(streams=1))
    with client.websocket_connect("/stream") as socket:
        open_stream(socket)
        with client.websocket_connect("/stream") as other:
            other.send_json({})
            assert closed(other) == (1013, "the service is busy; try again later")
    with client.websocket_connect("/stream") as socket:
        assert open_stream(socket)["ready"], "there is room again"


def test_sockets_without_a_stream_are_bounded(site, monkeypatch):
    monkeypatch.setattr(sockets, "WITHOUT_STREAM", 1)
    client = site(Limits(streams=0))
    with client.websocket_connect("/stream"):
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/stream"):
            pass
        assert denied.value.status_code == 429


@pytest.mark.parametrize(
    ("error", "code"),
    [(Refused("unknown language 'xx'"), 1007), (EngineError("a defect"), 1011), (KeyError("x"), 1011)],
)
def test_errors_of_the_engine(client, error, code):
    client.engine.error = error
    with client.websocket_connect("/stream") as socket:
        socket.send_json({})
        assert closed(socket)[0] == code


def test_a_worker_that_dies(client):
    with client.websocket_connect("/stream") as socket:
        open_stream(socket)
        socket.send_bytes(b"die!")
        assert closed(socket) == (1011, "the process that answered this stream died")
    assert client.engine.open_streams == 0


def test_a_client_that_leaves(client):
    with client.websocket_connect("/stream") as socket:
        open_stream(socket)
        socket.send_bytes(SECOND)
    assert client.engine.streams[0].closed and client.engine.open_streams == 0


def test_the_token_comes_as_a_header_or_in_the_first_message(site):
    client = site(token=TOKEN)
    with client.websocket_connect("/stream", headers={"authorization": f"Bearer {TOKEN}"}) as socket:
        assert open_stream(socket)["ready"]
    with client.websocket_connect("/stream") as socket:
        assert open_stream(socket, token=TOKEN)["ready"]
    for token in ("", "wrong", None):
        with client.websocket_connect("/stream") as socket:
            socket.send_json({} if token is None else {"token": token})
            code, line = closed(socket)
            assert code == 1008 and "token" in line
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        client.websocket_connect("/stream", headers={"authorization": "Bearer wrong"}),
    ):
        pass
    assert denied.value.status_code == 401 and len(client.engine.stream_jobs) == 2


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9"])
def test_pages_of_other_sites(client, origin):
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        client.websocket_connect("/stream", headers={"origin": origin}),
    ):
        pass
    assert denied.value.status_code == 403 and denied.value.json() == {
        "error": "the pages of other sites cannot use this service"
    }


def test_a_service_that_stops(client):
    with client.websocket_connect("/stream") as socket:
        open_stream(socket)
        client.portal.call(client.service.stopping.set)
        assert closed(socket) == (1001, "the service is stopping")
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/stream"):
        pass
    assert denied.value.status_code == 503


def test_sound_that_comes_before_its_time_is_held_back(client, monkeypatch):
    monkeypatch.setattr(sockets, "MOST_AHEAD", 0.0)
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    with client.websocket_connect("/stream") as socket:
        open_stream(socket)
        monkeypatch.setattr(sockets.asyncio, "sleep", sleep)
        for _ in range(3):
            socket.send_bytes(SECOND)
            socket.receive_json()
        socket.send_json({"end": True})
        assert socket.receive_json()["seconds"] == 3.0
    first, second = [seconds for seconds in waited if seconds > 0.5]
    assert first <= 1.0 < second <= 2.0
