"""Tiny models with random weights, recordings, and a service with an engine that holds no model."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from serving_fakes import FakeEngine, sound
from sounds import RATE, syllables
from starlette.testclient import TestClient

from emobridge.serve.app import make_service_app
from emobridge.serve.service import Service


@pytest.fixture(scope="session")
def bundles(made, tmp_path_factory):
    """A function that saves the bundle of a language once, and gives its folder; options are those of `made`."""
    folders = {}

    def folder_of(language, **options):
        key = (language, repr(sorted(options.items())))
        if key not in folders:
            folders[key] = tmp_path_factory.mktemp("served") / language
            made(language, seed=len(folders), **options).save(folders[key], "SYNTHETIC card")
        return str(folders[key])

    return folder_of


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """Paths by name: a mono clip, a longer one, a stereo one whose channels differ, one of silence, and text."""
    folder = tmp_path_factory.mktemp("uploads")
    left, right = syllables(1.5, 110.0, seed=1), syllables(1.5, 210.0, seed=2)
    waves = {
        "mono": left,
        "short": syllables(0.9, 160.0, seed=3),
        "long": np.concatenate([syllables(2.0, 120.0, seed=4), np.zeros(8 * RATE), syllables(1.0, 180.0, seed=5)]),
        "stereo": np.stack([left, right], 1),
        "silence": np.zeros(RATE, np.float32),
    }
    for name, wave in waves.items():
        soundfile.write(folder / f"{name}.wav", wave, RATE)
    (folder / "text.wav").write_text("no audio")
    (folder / "empty.wav").write_bytes(b"")
    return {path.stem: str(path) for path in folder.iterdir()}


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
