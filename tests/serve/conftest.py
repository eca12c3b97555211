"""Tiny models with random weights, and recordings, for tests of the service."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from tests.sounds import RATE, syllables


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
