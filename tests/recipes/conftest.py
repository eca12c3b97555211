"""Tiny recipes and recordings, to run published experiments from end to end."""

from __future__ import annotations

import csv
import re
from importlib import resources

import numpy as np
import pytest
import soundfile

CAMEO_HEADER = "file_id,emotion,transcription,speaker_id,gender,age,dataset,language,license\n"
LOUD = {"anger": 0.5, "happiness": 0.3, "neutral": 0.1, "sadness": 0.03}


@pytest.fixture(autouse=True)
def _stand_ins(stand_ins):
    """Tiny encoders stand for others here."""


@pytest.fixture
def noise():
    """A function that writes a fifth of a second of noise, as loud as an emotion is, to a path."""
    rng = np.random.default_rng(0)

    def write(path, emotion):
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, LOUD[emotion] * rng.standard_normal(3200), 16000)

    return write


@pytest.fixture
def short(tmp_path):
    """A function that writes a recipe with other text in places, as a file of the same name, and returns its path."""

    def write(name, *changes):
        text = (resources.files("emobridge.recipes") / f"{name}.toml").read_text(encoding="utf-8")
        for old, new in changes:
            text, count = re.subn(old, new, text, flags=re.MULTILINE)
            assert count, old
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
        return tmp_path / f"{name}.toml"

    return write


@pytest.fixture
def run_recipe(cli):
    """A function that runs a recipe on a folder of data; it returns how that ended and the rows of its summary."""

    def run(recipe, data, out, *more):
        ran = cli("recipe", "run", recipe, "--data", data, "--out", out, "--store", out / "features", *more)
        if not (out / "summary.csv").exists():
            return ran, []
        with (out / "summary.csv").open(newline="") as file:
            return ran, list(csv.DictReader(file))

    return run


@pytest.fixture
def cameo(tmp_path, noise):
    """CAMEO with three languages of four speakers; of a fourth the speakers are not known."""
    root = tmp_path / "CAMEO"
    corpora = {"cafe": ("CaFE", "French"), "crema_d": ("CREMA-D", "English"), "nemo": ("nEMO", "Polish")}
    for folder, (name, language) in (corpora | {"resd": ("RESD", "Russian")}).items():
        lines = [CAMEO_HEADER]
        for emotion in LOUD:
            for number in range(8):
                file = f"{folder}{emotion}{number}.flac"
                noise(root / folder / file, emotion)
                speaker = "" if folder == "resd" else f"{folder}_{number % 4}"
                lines.append(f"{file},{emotion},,{speaker},,,{name},{language},MIT\n")
        lines.append(lines[-1].replace(emotion, "sarcasm").replace("7.flac", "8.flac"))
        noise(root / folder / lines[-1].partition(",")[0], "anger")
        (root / folder / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    return root
