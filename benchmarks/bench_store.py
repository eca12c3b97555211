"""What it takes to open a feature store of a million utterances, in a process of its own."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import zlib
from pathlib import Path

import limits
import numpy as np
from measuring import Amount, Resources, Row, child, median_used
from safetensors.numpy import save_file

from emobridge.features.store import SHARD

NEEDS = ()
UTTERANCES = 1_000_000
LOOKED_UP = 1000
OPEN = """
import json, sys, time
import numpy as np
import emobridge.features.store
from pathlib import Path
from emobridge.features.shards import Shards
keys = json.loads(Path(sys.argv[2]).read_text())
began = time.process_time()
store = Shards(Path(sys.argv[1]))
store.refresh()
opened = time.process_time()
values = store.read_rows(store.find(keys), ("0",), 2)
assert (values[:, 0, 1] == np.arange(len(keys)) + 0.5).all()
Path(sys.argv[3]).write_text(json.dumps([opened - began, time.process_time() - opened]))
"""
# One array and its keys, as a notebook has them: read, and put into a dictionary.
THEIRS = """
import json, sys, time
import numpy as np
from pathlib import Path
keys = json.loads(Path(sys.argv[2]).read_text())
began = time.process_time()
index = {key: row for row, key in enumerate(json.loads(Path(sys.argv[1], "keys.json").read_text()))}
values = np.load(Path(sys.argv[1], "values.npy"), mmap_mode="r")
opened = time.process_time()
rows = values[[index[key] for key in keys]]
assert (rows[:, 1] == np.arange(len(keys)) + 0.5).all()
Path(sys.argv[3]).write_text(json.dumps([opened - began, time.process_time() - opened]))
"""


def measure(resources: Resources) -> list[Row]:
    """Shards of two numbers a clip, as many as a million utterances have; what they hold has no part in opening."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(UTTERANCES)]
        write(folder / "store", keys)
        (folder / "keys.json").write_text(json.dumps(keys[:LOOKED_UP]))
        command = [sys.executable, "-c", OPEN, folder / "store", folder / "keys.json", folder / "took.json"]
        child(command)  # without an index: it is made
        first, _ = json.loads((folder / "took.json").read_text())
        (folder / "array").mkdir()
        (folder / "array" / "keys.json").write_text(json.dumps(keys))
        numbers = np.stack([np.zeros(len(keys)), np.arange(len(keys)) + 0.5], axis=1).astype(np.float32)
        np.save(folder / "array" / "values.npy", numbers)
        theirs = [sys.executable, "-c", THEIRS, folder / "array", folder / "keys.json", folder / "took.json"]
        runs, took, taken = [], [], []
        for _ in range(resources.repeats):
            runs.append(child(command))
            took.append(json.loads((folder / "took.json").read_text()))
            child(theirs)
            taken.append(json.loads((folder / "took.json").read_text()))
        size = sum(path.stat().st_size for path in (folder / "array").iterdir())
    opened, read = np.median(took, axis=0)
    loaded, indexed = np.median(taken, axis=0)
    job = f"opening a store of {UTTERANCES:,} utterances"
    array = "np.load and a dictionary of keys"
    return [
        Row(job, float(opened), "s", most=0.15, opponent=Amount(float(loaded), array), limit=limits.copy_limit(size)),
        Row(f"{job}: peak memory of the process", median_used(runs).peak / 1e9, "GB", most=1.0),
        Row(
            f"... then one layer of {LOOKED_UP:,} of them",
            float(read),
            "s",
            most=15,
            opponent=Amount(float(indexed), array),
        ),
        Row("... opening it for the first time, without an index", first, "s"),
    ]


def write(folder: Path, keys: list[str]) -> None:
    """The shards, without waiting for the disk as the store itself does."""
    folder.mkdir()
    for first in range(0, len(keys), SHARD):
        part = keys[first : first + SHARD]
        values = np.stack([np.zeros(len(part)), np.arange(first, first + len(part)) + 0.5], axis=1).astype(np.float32)
        sums = {"0": zlib.crc32(values.data)}
        name = hashlib.sha256("".join(part).encode()).hexdigest()[:32] + ".safetensors"
        save_file({"0": values}, folder / name, metadata={"keys": json.dumps(part), "sums": json.dumps(sums)})
