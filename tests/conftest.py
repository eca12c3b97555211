"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real corpora and weights; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("EMOBRIDGE_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "corpora").is_dir() or not (folder / "weights").is_dir():
        pytest.skip(f"no real corpora and weights at {folder.name}/ (set EMOBRIDGE_SHARED)")
    return folder
