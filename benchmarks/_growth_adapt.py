"""`emobridge adapt` of many stored utterances without audio to speak of: _growth_adapt.py FOLDER UTTERANCES PEOPLE.

Makes short recordings of noise, manifests, and a store of three layers of 512 numbers a clip; runs `audit`, which
decodes all audio and notes what it hears, and then `adapt`, whose own audit reads the notes. Each is a process of its
own, as commands are; with `make` behind PEOPLE only the first is done. Written as JSON: CPU seconds and the peak of
memory of the audit, and of the training of `adapt` and of all else in it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from _growth import EMOTIONS, made_utterances
from measuring import child, emobridge

from emobridge.cli import main as cli
from emobridge.data.manifest import write_manifest
from emobridge.encoders import load_encoder
from emobridge.features import store as store_room
from emobridge.features.store import FeatureStore
from emobridge.features.units import cut_units
from emobridge.study import final
from emobridge.study import train as training
from emobridge.study.run import Runner
from emobridge.types import Utterance

LAYERS, WIDTH, SECONDS = 3, 512, 0.1
ENCODER = f"""
from emobridge.encoders.base import Encoder

class Stored(Encoder):
    layers, width, statistics = {LAYERS}, {WIDTH}, ("mean",)

    def __init__(self):
        super().__init__()
        self.digest = "0" * 64

    def encode(self, wave, lengths):
        raise AssertionError("its features are in the store")
"""
# What the fits of a fold share stays between them, and is of the training too; keys are not.
PARTS = ((training, "run", "training"), (Runner, "train", "training"), (Runner, "key", "else"))
PARTS += (
    (training, "train_recognizer", "training"),
    (final, "_source_moments", "else"),
    (final, "_familiarity", "else"),
)
taken: dict[str, float] = {"training": 0.0, "else": 0.0}
peaks: dict[str, float] = {"training": 0.0, "else": 0.0}
running = ["else"]
began = time.process_time()


def note() -> None:
    """Put down what the part that runs took since the last note, and its peak of memory in bytes."""
    global began
    now, part = time.process_time(), running[-1]
    taken[part] += now - began
    began = now
    lines = Path("/proc/self/status").read_text().splitlines()
    peaks[part] = max(peaks[part], next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")))
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew


def noted(call: Any, part: str) -> Any:
    """`call`, what it takes entered under `part`."""

    @functools.wraps(call)
    def run(*args: Any, **options: Any) -> Any:
        note()
        running.append(part)
        try:
            return call(*args, **options)
        finally:
            note()
            running.pop()

    return run


def main() -> None:
    """Make the speech and its features, audit it, then run the command in this process."""
    folder, count, people = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    os.environ["EMOBRIDGE_CACHE"] = str(folder / "cache")  # nothing was noted before
    if sys.argv[4:]:
        make(folder, count, people)
        return
    child([sys.executable, __file__, *sys.argv[1:], "make"])
    manifests = [str(folder / "en.jsonl"), str(folder / "de.jsonl")]
    audit = child(emobridge("audit", *manifests, "--out", folder / "audit"))
    for owner, attribute, part in PARTS:
        setattr(owner, attribute, noted(getattr(owner, attribute), part))
    command = ["adapt", "--source", manifests[0], "--target", manifests[1]]
    command += ["--encoder", str(folder / "stored.py"), "--labels", ",".join(EMOTIONS)]
    command += ["--store", str(folder / "store"), "--out", str(folder / "run"), "--seeds", "1", "--folds", "2"]
    command += ["--harm-sign", "never"]
    note()
    taken.update(dict.fromkeys(taken, 0.0))
    run_command(command)
    note()
    used = {"cpu": {**taken, "audit": audit.cpu}, "peak": {**peaks, "audit": audit.peak}}
    (folder / "took.json").write_text(json.dumps(used))
    if not (folder / "run" / "report.html").exists():
        raise SystemExit("no report was written")


def make(folder: Path, count: int, people: int) -> None:
    """The recordings, the manifests and the store."""
    (folder / "stored.py").write_text(ENCODER)
    rows = [row for side in ("en", "de") for row in recorded(folder, side, count // 2, people)]
    fill(FeatureStore(folder / "store", load_encoder(str(folder / "stored.py"))), rows)


def run_command(arguments: list[str]) -> None:
    """`emobridge` in this process; what it prints goes to standard error."""
    sys.argv = ["emobridge", *arguments]
    with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(SystemExit):
        cli.main()


def recorded(folder: Path, side: str, count: int, people: int) -> list[Utterance]:
    """A manifest of `count` stretches of noise, of one recording for each of the people."""
    (folder / side).mkdir(parents=True)
    rng = np.random.default_rng([0, side == "de"])
    rows = []
    for number, row in enumerate(made_utterances(count, people, side)):
        start = round(number // people * SECONDS, 3)
        path = str(folder / side / f"{row.speaker}.wav")
        rows.append(replace(row, path=path, start=start, end=round(start + SECONDS, 3)))
    size = round(16000 * SECONDS) * -(-count // people)
    for path in sorted({row.path for row in rows}):
        soundfile.write(path, (1000 * rng.standard_normal(size)).astype(np.int16), 16000)
    write_manifest(folder / f"{side}.jsonl", rows)
    return rows


def fill(store: FeatureStore, rows: list[Utterance]) -> None:
    """Shards as the store itself cuts them, of vectors that tell the emotions apart a little; not waiting for disks."""
    generator = torch.Generator().manual_seed(0)
    centres = 0.12 * torch.randn(len(EMOTIONS), LAYERS, WIDTH, generator=generator)
    emotion = torch.tensor([EMOTIONS.index(str(row.emotion)) for row in rows])

    def encode(clips: list[int]) -> np.ndarray:
        x = torch.randn(len(clips), LAYERS, WIDTH, generator=generator) + centres[emotion[clips]]
        return x.transpose(0, 1).contiguous().numpy()

    wait, os.fsync = os.fsync, lambda descriptor: None
    for unit in cut_units(rows, 64):
        keys = [store_room._key(rows[index]) for index in unit]
        store.shards.write(keys, {str(layer): x for layer, x in enumerate(encode(list(unit)))})
    os.fsync = wait


if __name__ == "__main__":
    main()
