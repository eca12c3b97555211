"""A Ray cluster of two processes beside `--jobs 2`, and what 10,000 hours cost on a cluster, from measured parts.

    python benchmarks/bench_scale.py [--clips N] [--encoder NAME_OR_FOLDER] [--parts FILE.json]

prints the table of docs/scale.md. All parts are measured in this run; --parts keeps them. The cluster is one of
`ray.cluster_utils` on this machine, started before the clock. Both run twice, on a quarter of the clips and on all:
what does not grow with the clips is the start, paid once a command; the rest is the cost of a clip.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from measuring import Resources, Row

from emobridge.features.store import SHARD, bytes_per_clip
from emobridge.features.work import EncoderSource, StoreSettings, compute_unit, compute_units, plan_units
from emobridge.scale import encoding
from emobridge.types import SAMPLE_RATE, Utterance

NEEDS = ()
CNN = EncoderSource("emotion-cnn")  # small, its weights are random
FEW, MANY = 20, 1020  # units of no work
CLIPS = 2000
SECONDS = 3.0  # of a clip
HOURS = 10_000
DEVICES = (1, 16, 64, 256)
MEMORY = 100 << 20  # bytes of each machine's object store


def measure(resources: Resources) -> list[Row]:
    """The ratio on 2,000 clips, and the parts of the table."""
    parts = measure_parts(CLIPS, CNN, CNN)
    ratio = parts["ray"] / parts["jobs"]
    return [
        Row(f"features of {CLIPS} clips on two Ray machines / by --jobs 2, clock", ratio, "", most=1.10),
        Row(
            "... the same for each further clip, without the start",
            parts["ray_clip"] / parts["jobs_clip"],
            "",
            most=1.10,
        ),
        Row("... start of Ray's processes, once a command", parts["ray_start"], "s"),
    ]


def measure_parts(count: int, source: EncoderSource, costed: EncoderSource) -> dict[str, float]:
    """Seconds of each part: a clip of `SECONDS` where its name ends in _clip, a unit in _unit, else of the whole.

    source: the encoder of the comparison of Ray with processes. costed: that of the table.
    """
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = _clips(folder / "audio", count)
        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": MEMORY}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
            clocks = {}
            for size in (count // 4, count):
                for kind in ("jobs", "ray"):
                    store = folder / f"{kind}-{size}"
                    units = plan_units(StoreSettings(str(store), source), clips[:size])
                    began = time.perf_counter()
                    if kind == "jobs":
                        compute_units(units, jobs=2)
                    else:
                        compute_units(units, workers=encoding(cluster.address, store))
                    clocks[kind, size] = time.perf_counter() - began
            dispatch = []
            for size in FEW, MANY:  # of work that takes no time
                began = time.perf_counter()
                encoding(cluster.address).run(str, range(size), start=str, arguments=())
                dispatch.append(time.perf_counter() - began)
        finally:
            cluster.shutdown()
        parts = {"clips": float(count), "seconds": SECONDS, "ray_unit": (dispatch[1] - dispatch[0]) / (MANY - FEW)}
        for kind in ("jobs", "ray"):
            parts[kind] = clocks[kind, count]
            parts[f"{kind}_clip"] = (clocks[kind, count] - clocks[kind, count // 4]) / (count - count // 4)
            parts[f"{kind}_start"] = clocks[kind, count] - count * parts[f"{kind}_clip"]
        return parts | _single_parts(folder, clips, costed)


def _single_parts(folder: Path, clips: list[Utterance], source: EncoderSource) -> dict[str, float]:
    """CPU seconds of this process for planning, computing and reading, a clip."""
    settings = StoreSettings(str(folder / "alone"), source)
    began = time.process_time()
    units = plan_units(settings, clips)
    planned = time.process_time()
    compute_unit(units[0])  # opens the encoder
    opened = time.process_time()
    some = units[1:3]
    for unit in some:
        compute_unit(unit)
    computed = time.process_time()
    store = settings.open()
    rows = [row for unit in some for row in unit.utterances]
    reading = time.process_time()
    store.extract(rows, layer="0")
    read = time.process_time()
    return {
        "plan_clip": (planned - began) / len(clips),
        "compute_clip": (computed - opened) / len(rows),
        "open": max(0.0, opened - planned - (computed - opened) / len(some)),
        "read_clip": (read - reading) / len(rows),
        "bytes_clip": float(bytes_per_clip(store.encoder)),
    }


def cost_table(parts: dict[str, float]) -> str:
    """What HOURS of speech in clips of SECONDS cost, by the number of devices.

    Features take start + max(clips * compute / devices, units * dispatch): one process hands the units out.
    """
    clips = HOURS * 3600 / parts["seconds"]
    units = clips / SHARD
    dispatch = units * parts["ray_unit"]
    lines = ["| devices | plan, on one | features, on all | handing out, meanwhile | read one layer, on one | store |"]
    lines += ["|---" * 6 + "|"]
    for devices in DEVICES:
        features = parts["open"] + parts["ray_start"] + max(clips * parts["compute_clip"] / devices, dispatch)
        cells = [clips * parts["plan_clip"], features, dispatch, clips * parts["read_clip"]]
        disk = f"{clips * parts['bytes_clip'] / 1e9:,.0f} GB in {units:,.0f} shards"
        lines.append("| " + " | ".join((str(devices), *(f"{cell / 3600:,.2f} h" for cell in cells), disk)) + " |")
    return "\n".join(lines)


def _clips(folder: Path, count: int) -> list[Utterance]:
    """Noise, each clip another. Rows have their end, as those of a large corpus should: no header is read to plan."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.1, 0.1, round(SECONDS * SAMPLE_RATE) + count)
    rows = []
    for number in range(count):
        path = folder / f"{number}.wav"
        soundfile.write(path, noise[number : number + round(SECONDS * SAMPLE_RATE)], SAMPLE_RATE)
        rows.append(Utterance(f"clip {number}", "noise", str(path), end=SECONDS))
    return rows


def main() -> None:
    """Measure, and print the parts and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--encoder", default="emotion-cnn")
    parser.add_argument("--parts", type=Path, help="file for the measured parts")
    options = parser.parse_args()
    parts = measure_parts(options.clips, CNN, EncoderSource(options.encoder))
    if options.parts:
        options.parts.write_text(json.dumps(parts, indent=1) + "\n", encoding="utf-8")
    print("\n".join(f"{name:<13} {value:.6g}" for name, value in parts.items()), file=sys.stderr)
    print(cost_table(parts))


if __name__ == "__main__":
    main()
