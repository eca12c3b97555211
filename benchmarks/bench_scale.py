"""A Ray cluster of two processes beside `--jobs 2`, and what 10,000 hours cost on a cluster, from measured parts.

    python benchmarks/run.py --only scale                       # the cluster beside --jobs 2, on an idle machine
    python benchmarks/bench_scale.py [WEIGHTS] [--page docs/scale.md]   # the table; --page puts it at the page's end

Both are of Whisper base. The cluster is one of `ray.cluster_utils` on this machine, started before the clock. It takes
turns with `--jobs 2`, on a quarter of the clips and on all: what does not grow with the clips is the start, paid once a
command; the rest is the cost of a clip. All parts of the table are measured in one run.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from measuring import Resources, Row, machine

from emobridge.data.machine import has_bf16
from emobridge.features.parallel import Work
from emobridge.features.store import SHARD, bytes_per_clip
from emobridge.features.work import EncoderSource, StoreSettings, compute_unit, compute_units, plan_units
from emobridge.scale import encoding
from emobridge.types import SAMPLE_RATE, Utterance

NEEDS = ("weights", "ray", "onnxruntime")
BY_NAME = True
UNITS = 1000  # of no work
CLIPS = 2000
SECONDS = 3.0  # of a clip
HOURS = 10_000
DEVICES = (1, 16, 64, 256)
ENGINES = ("torch", "onnx", *(("openvino",) if has_bf16() else ()))
MEMORY = 100 << 20  # bytes of each machine's object store


def measure(resources: Resources) -> list[Row]:
    """The ratio on 2,000 clips, its start and the rest."""
    assert resources.weights is not None
    source, clocks = EncoderSource(str(resources.weights)), dict[tuple[str, int], list[float]]()
    with tempfile.TemporaryDirectory() as name, cluster() as address:
        clips = _clips(Path(name) / "audio", CLIPS)
        for number in range(resources.repeats):
            for size in (CLIPS // 4, CLIPS):
                for kind, where in (("jobs", ""), ("ray", address)):
                    store = Path(name) / f"{kind}-{size}-{number}"
                    clocks.setdefault((kind, size), []).append(_extraction(store, source, clips[:size], where))
    whole, each = {}, {}
    for kind in ("jobs", "ray"):
        few, many = (statistics.median(clocks[kind, size]) for size in (CLIPS // 4, CLIPS))
        whole[kind], each[kind] = many, (many - few) / (CLIPS - CLIPS // 4)
    job = f"features of {CLIPS} clips by Whisper base on two Ray machines / by --jobs 2, clock"
    return [
        Row(job, whole["ray"] / whole["jobs"], "", most=1.10),
        Row("... the same for each further clip, without the start", each["ray"] / each["jobs"], "", most=1.10),
        Row("... start on Ray, once a command", whole["ray"] - CLIPS * each["ray"], "s"),
        Row("... start by --jobs 2", whole["jobs"] - CLIPS * each["jobs"], "s"),
    ]


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """The address of two machines of one CPU each."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": MEMORY}
    machines = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            machines.add_node(num_cpus=1, object_store_memory=MEMORY)
        yield str(machines.address)
    finally:
        machines.shutdown()


def _extraction(store: Path, source: EncoderSource, clips: list[Utterance], address: str) -> float:
    """Seconds on the clock, in two processes here or on a cluster."""
    units = plan_units(StoreSettings(str(store), source), clips)
    began = time.perf_counter()
    if address:
        compute_units(units, workers=encoding(address, store))
    else:
        compute_units(units, jobs=2)
    return time.perf_counter() - began


def measure_parts(weights: str) -> dict[str, float]:
    """Seconds of each part: a clip of `SECONDS` where its name ends in _clip, a unit in _unit, else of the whole."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = _clips(folder / "audio", 3 * SHARD)
        parts = {}
        for engine in ENGINES:
            source = EncoderSource(weights, (("engine", engine),))
            parts |= _single_parts(StoreSettings(str(folder / engine), source), clips, engine)
        return parts | _ray_parts()


def _ray_parts() -> dict[str, float]:
    """Seconds to the first of many units of no work, whose processes import what they need, and from one to the next.

    Both are of one run: the start varies by more than a thousand units take.
    """
    ready: list[float] = []
    with cluster() as address:
        began = time.perf_counter()
        encoding(address).run(Work(str, str), range(UNITS), lambda done, count: ready.append(time.perf_counter()))
    return {"start": ready[0] - began, "dispatch_unit": (ready[-1] - ready[0]) / (UNITS - 1)}


def _single_parts(settings: StoreSettings, clips: list[Utterance], engine: str) -> dict[str, float]:
    """CPU seconds of this process for planning, opening, computing and reading."""
    times = [time.process_time()]
    units = plan_units(settings, clips)
    times.append(time.process_time())
    compute_unit(units[0])  # opens the encoder
    times.append(time.process_time())
    for unit in units[1:]:
        compute_unit(unit)
    times.append(time.process_time())
    store = settings.open()
    times.append(time.process_time())
    store.extract(clips, layer="0")
    times.append(time.process_time())
    planned, opened, computed, _, read = (later - earlier for earlier, later in itertools.pairwise(times))
    compute = computed / (len(clips) - len(units[0].utterances))
    return {
        f"compute_{engine}_clip": compute,
        f"open_{engine}": max(0.0, opened - compute * len(units[0].utterances)),
        "plan_clip": planned / len(clips),
        "read_clip": read / len(clips),
        "bytes_clip": float(bytes_per_clip(store.encoder)),
    }


def cost_table(parts: dict[str, float]) -> str:
    """What HOURS of speech in clips of SECONDS cost, by the number of devices and by engine.

    Features take start + open + max(clips * compute / devices, units * dispatch): one process hands the units out.
    """
    clips = HOURS * 3600 / SECONDS
    units = clips / SHARD
    dispatch = units * parts["dispatch_unit"]
    engines = [engine for engine in ENGINES if f"compute_{engine}_clip" in parts]
    names = ["devices", "plan, on one", *(f"features on all, {engine}" for engine in engines)]
    names += ["handing out, meanwhile", "read one layer, on one", "store"]
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for devices in DEVICES:
        cells = [clips * parts["plan_clip"]]
        for engine in engines:
            compute = clips * parts[f"compute_{engine}_clip"] / devices
            cells.append(parts["start"] + parts[f"open_{engine}"] + max(compute, dispatch))
        cells += [dispatch, clips * parts["read_clip"]]
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


def measured(parts: dict[str, float]) -> str:
    """The machine, the parts and the table, as the page has them."""
    engines = [engine for engine in ENGINES if f"compute_{engine}_clip" in parts]
    compute = ", ".join(f"{engine} {1000 * parts[f'compute_{engine}_clip']:.3g} ms" for engine in engines)
    opening = ", ".join(f"{engine} {parts[f'open_{engine}']:.2g} s" for engine in engines)
    lines = [
        f"Measured: compute a clip, {compute}; opening the encoder, {opening}; dispatch "
        f"{1000 * parts['dispatch_unit']:.2g} ms a unit; start {parts['start']:.2g} s; planning "
        f"{1000 * parts['plan_clip']:.2g} ms a clip; reading one layer {1000 * parts['read_clip']:.2g} ms a clip; "
        f"{parts['bytes_clip']:,.0f} bytes a clip. Devices are CPUs of one thread. {machine()}.",
        "",
        cost_table(parts),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the parts and the table."""
    shared = Path(os.environ.get("EMOBRIDGE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    weights = shared / "weights" / "whisper-base"
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", nargs="?", default=weights, help="folder of Whisper base")
    parser.add_argument("--page", type=Path, help="a page whose text behind the line <!-- measured --> is replaced")
    options = parser.parse_args()
    text = measured(measure_parts(str(options.weights)))
    print(text)
    if options.page:
        before, mark, _ = options.page.read_text(encoding="utf-8").partition("<!-- measured -->\n")
        options.page.write_text(f"{before}{mark}\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
