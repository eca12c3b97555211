"""A small study with sound files, for the tests of the listening test."""

from __future__ import annotations

from pathlib import Path

import pytest
from listening_toys import make_study, write_audio

from emobridge.listening.records import ListeningStudy


@pytest.fixture
def study() -> ListeningStudy:
    return make_study()


@pytest.fixture
def study_folder(tmp_path, study) -> Path:
    write_audio(tmp_path, study)
    return tmp_path
