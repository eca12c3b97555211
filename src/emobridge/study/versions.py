"""The versions that a report names."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import emobridge

PACKAGES = ("torch", "transformers", "numpy", "scikit-learn", "soundfile", "soxr", "av")


def versions() -> tuple[tuple[str, str], ...]:
    """The versions of emobridge, Python and the packages that numbers depend on."""
    pairs = [("emobridge", emobridge.__version__), ("Python", platform.python_version())]
    for package in PACKAGES:
        try:
            pairs.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(pairs)
