"""A service with an engine that holds no model."""

from __future__ import annotations

import pytest
from serving_fakes import FakeEngine, sound
from starlette.testclient import TestClient

from emobridge.serve.app import make_service_app
from emobridge.serve.service import Service


@pytest.fixture
def wav():
    """The bytes of one second of sound."""
    return sound(1.0)


@pytest.fixture
def site(tmp_path):
    """A function that makes a client of a service, whose options differ from the defaults."""
    clients = []

    def client(limits=None, engine=None, **options):
        engine = engine or FakeEngine(limits)
        folder = tmp_path / "uploads"
        folder.mkdir(exist_ok=True)
        service = Service(engine, engine.limits, folder)
        client = TestClient(make_service_app(service, **options), base_url="http://127.0.0.1:8000")
        client.engine, client.service, client.folder = engine, service, folder
        clients.append(client.__enter__())
        return client

    yield client
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(site):
    return site()
