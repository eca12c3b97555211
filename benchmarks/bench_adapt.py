"""What `emobridge adapt` and its parts take from English to German once the features are stored."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from measuring import Resources, Row, child, median_used

from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest
from emobridge.encoders import load_encoder
from emobridge.features.store import FeatureStore

NEEDS = ("weights", "corpora")
LABELS = ("anger", "happiness", "neutral", "sadness")
SECONDS = 60.0


def measure(resources: Resources) -> list[Row]:
    """The whole command: three seeds, five folds, two systems, the audit, the report and the bundle."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speech = {"en": list(scan("ravdess", resources.corpora / "ravdess"))}
        speech["de"] = list(scan("emodb", resources.corpora / "emodb"))
        for language, rows in speech.items():
            write_manifest(folder / f"{language}.jsonl", rows)
        labelled = [utterance for rows in speech.values() for utterance in rows if utterance.emotion in LABELS]
        FeatureStore(folder / "features", load_encoder(resources.weights)).extract(labelled, strict=True)
        runs, phases = [], []
        for number in range(resources.repeats):
            runs.append(child(_command(folder, resources.weights, number)))
            phases.append(json.loads((folder / f"{number}.json").read_text()))
    used = median_used(runs)
    what = "RAVDESS to EmoDB, features stored"
    parts = [
        Row(f"... of which {phase}, CPU", statistics.median(seconds.get(phase, 0.0) for seconds in phases), "s")
        for phase in phases[0]
    ]
    return [
        Row(f"{what}: CPU", used.cpu, "s", most=SECONDS),
        Row(f"{what}: on the clock", used.wall, "s", most=SECONDS),
        *parts,
    ]


def _command(folder: Path, weights: Path, number: int) -> list[str | Path]:
    """`emobridge adapt`, each time into another folder; _phases.py runs it and notes what its parts take."""
    here = Path(__file__).with_name("_phases.py")
    command: list[str | Path] = [sys.executable, here, folder / f"{number}.json", "adapt"]
    command += ["--source", folder / "en.jsonl", "--target", folder / "de.jsonl", "--encoder", weights, "--layer", "3"]
    command += ["--method", "pseudo-labels", "--labels", ",".join(LABELS), "--normalise", "speaker", "--seeds", "3"]
    return [*command, "--store", folder / "features", "--out", folder / f"run{number}"]
