"""Fixtures that the tests of all formats share."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from emobridge.formats import export, import_


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Eight recordings of one second at 8 kHz, some with names that are easily mistaken."""
    folder = tmp_path_factory.mktemp("clips")
    names = ("a.wav", "b c.wav", "ü,ß.wav", 'd"e.wav', "f{g}.wav", "test/a.wav", "deep/er/h.wav", "i.flac")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, np.zeros(8000), 8000)
    return tuple(str(folder / name) for name in names)


@pytest.fixture
def there_and_back(tmp_path):
    """A function to export utterances to a path below a fresh folder and import them again."""

    def through(name, rows, path, read=None, **options):
        done = export(name, tmp_path / path, rows, **options)
        return list(import_(name, tmp_path / path, **(read or {}))), done

    return through
