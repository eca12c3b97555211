"""Files of `emobridge to-onnx` beside their bundles, on real clips: the page docs/results/onnx.md.

    python benchmarks/onnx_export.py BUNDLE ... [--clips 200] [--packages node_modules] [--out docs/results/onnx.md]

Each bundle is exported, and answers clips of EMO-DB, EMOVO and RAVDESS: by `predict`, by ONNX Runtime in a process that
imports neither torch nor emobridge, and by onnxruntime-web in Chromium, always from the same samples. Real
corpora are not part of the project: they lie in the folder that EMOBRIDGE_SHARED names. packages: the folder
node_modules with onnxruntime-web (`npm install` in examples/onnx/browser). The exit code is 1 where an answer differs
by more than 1e-4.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emobridge.bundle import Recognizer
from emobridge.corpora import scan
from emobridge.data.audio import read_utterance
from emobridge.types import SAMPLE_RATE

ROOT = Path(__file__).resolve().parents[1]
BROWSER = ROOT / "examples" / "onnx" / "browser"
CORPORA = ("emodb", "emovo", "ravdess")
TOLERANCE = 1e-4
PAGE = """\
# ONNX files beside their bundles

`emobridge to-onnx` writes a recogniser as one file ([how](../onnx.md)). Here {count} clips of EMO-DB, EMOVO and RAVDESS
({seconds:.0f} s of speech) are answered three times: by `predict`, by ONNX Runtime {runtime} in a process that imports
neither torch nor emobridge, and by onnxruntime-web {web} in Chromium, from the same samples. The largest difference of
a probability from that of `predict`:

| recogniser | in Python | in the browser | clips with another label |
|---|---|---|---|
{differences}

Sizes, and the time for a second of sound. The bundle's time is that of its encoder, pooling and head, with torch and
with the onnx engine, which runs the encoder's blocks alone. One thread; CPU seconds.

| recogniser | file | bundle and its encoder | bundle, torch | bundle, onnx engine | file, Python | file, browser |
|---|---|---|---|---|---|---|
{costs}

The folders of these encoders hold weights in half precision; the file has those up to the last layer that is read, in
single precision. The file computes spectra by products in double precision, which take longer than the FFT of the
bundle: of Whisper that is a small part, of `logmel` nearly all.

Made by `python benchmarks/onnx_export.py BUNDLE ... --packages node_modules --out docs/results/onnx.md`; the bundles
are of `emobridge adapt --source ravdess.jsonl --target emodb.jsonl --labels anger,happiness,neutral,sadness`.
"""


@dataclass(frozen=True, slots=True)
class Answers:
    """Probabilities (N, C) of the clips, and the seconds that they took."""

    probabilities: np.ndarray
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("EMOBRIDGE_SHARED", ROOT.parent / "shared"))
    parser.add_argument("bundles", type=Path, nargs="*")
    parser.add_argument("--corpora", type=Path, default=shared / "corpora")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--packages", type=Path, default=BROWSER / "node_modules")
    parser.add_argument("--out", type=Path, help="the page; by default it is printed")
    parser.add_argument("--timed", type=Path, nargs=3, help=argparse.SUPPRESS)  # bundle, clips, answers: see `timed`
    args = parser.parse_args()
    if args.timed:
        return time_bundle(*args.timed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        waves = write_clips(folder / "clips", args.corpora, args.clips)
        rows = [measured(bundle, waves, folder, args.packages) for bundle in args.bundles]
    text = page(rows, waves, args.packages)
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    print(text)
    sys.exit(int(any(row["worst"] > TOLERANCE for row in rows)))


def write_clips(folder: Path, corpora: Path, count: int) -> list[np.ndarray]:
    """The samples of clips, drawn evenly from the corpora in turn, also written as raw float32."""
    folder.mkdir()
    drawn = []
    for index, corpus in enumerate(CORPORA):
        rows = list(scan(corpus, corpora / corpus))
        share = (count + index) // len(CORPORA)
        drawn += [rows[place * len(rows) // share] for place in range(share)]
    waves = [read_utterance(row) for row in drawn]
    for index, wave in enumerate(waves):
        wave.astype("<f4").tofile(folder / f"{index:03d}.f32")
    return waves


def measured(bundle: Path, waves: list[np.ndarray], folder: Path, packages: Path) -> dict:
    """A row of both tables."""
    recognizer = Recognizer.load(bundle)
    graph = folder / f"graph-{bundle.resolve().parent.name}"
    recognizer.to_onnx(graph)
    expected = [
        recognizer.predict(wave, sample_rate=SAMPLE_RATE, segments="whole", detector="energy")[0] for wave in waves
    ]
    answered = np.array([bool(row.probabilities) for row in expected])
    truth = np.stack([row.probabilities for row in expected if row.probabilities])
    run = [sys.executable, str(ROOT / "benchmarks" / "_onnx_worker.py"), str(graph / "model.onnx")]
    python = asked([*run, str(folder / "clips")], folder, {"PYTHONPATH": ""})
    again = [sys.executable, __file__, "--timed", str(bundle), str(folder / "clips")]
    bundles = {engine: asked(again, folder, {"EMOBRIDGE_ENGINE": engine}) for engine in ("torch", "onnx")}
    page_worker = [sys.executable, str(ROOT / "benchmarks" / "_onnx_browser.py")]
    browser = asked([*page_worker, str(site_of(graph, folder, packages))], folder, {})
    seconds = sum(map(len, waves)) / SAMPLE_RATE
    apart = [float(np.abs(answers.probabilities[answered] - truth).max()) for answers in (python, browser)]
    labels = [(answers.probabilities[answered].argmax(1) != truth.argmax(1)).sum() for answers in (python, browser)]
    encoder = Path(recognizer.spec.encoder)
    times = [answers.seconds / seconds for answers in (bundles["torch"], bundles["onnx"], python, browser)]
    sizes = (graph / "model.onnx").stat().st_size, size_of(bundle) + size_of(bundle.parent / encoder)
    return {
        "name": f"{encoder.name}, layer {recognizer.spec.layer}",
        "apart": apart,
        "worst": max(apart),
        "labels": int(max(labels)),
        "answered": int(answered.sum()),
        "sizes": sizes,
        "times": times,
    }


def asked(command: list[str], folder: Path, environment: dict[str, str]) -> Answers:
    """The answers that a command leaves in the file that is its last word."""
    out = folder / "answers.npz"
    subprocess.run([*command, str(out)], check=True, env={**os.environ, "OMP_NUM_THREADS": "1", **environment})
    with np.load(out) as stored:
        return Answers(stored["probabilities"], float(stored["seconds"]))


def time_bundle(bundle: Path, clips: Path, out: Path) -> None:
    """The bundle's own steps from samples to answers, without the search for speech, as the graph has them."""
    import torch

    from emobridge.bundle.onnx_graph import AnswerGraph
    from emobridge.bundle.onnx_parity import bundle_answer

    torch.set_num_threads(1)
    recognizer = Recognizer.load(bundle, device="cpu")
    graph = AnswerGraph(recognizer.encoder, recognizer.last, recognizer.domain(), recognizer.scale)
    waves = [np.fromfile(path, np.float32)[None] for path in sorted(clips.glob("*.f32"))]
    bundle_answer(graph, waves[0])
    begin = time.process_time()
    rows = [bundle_answer(graph, wave)["probabilities"][0] for wave in waves]
    np.savez(out, probabilities=np.stack(rows), seconds=time.process_time() - begin)


def site_of(graph: Path, folder: Path, packages: Path) -> Path:
    """A folder with the example's page, the graph, the packages and the clips."""
    site = folder / f"site-{graph.name}"
    site.mkdir()
    for path in BROWSER.glob("*.[hj]*"):
        shutil.copy(path, site)
    for name, target in {"node_modules": packages.resolve(), "model": graph, "clips": folder / "clips"}.items():
        (site / name).symlink_to(target)
    return site


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def page(rows: list[dict], waves: list[np.ndarray], packages: Path) -> str:
    """The page in Markdown."""
    import onnxruntime

    about = json.loads((packages / "onnxruntime-web" / "package.json").read_text())
    return PAGE.format(
        count=len(waves),
        seconds=sum(map(len, waves)) / SAMPLE_RATE,
        runtime=onnxruntime.__version__,
        web=about["version"],
        differences="\n".join(difference_rows(rows)),
        costs="\n".join(cost_rows(rows)),
    )


def difference_rows(rows: list[dict]) -> Iterator[str]:
    for row in rows:
        python, browser = row["apart"]
        yield f"| {row['name']} | {python:.1e} | {browser:.1e} | {row['labels']} of {row['answered']} |"


def cost_rows(rows: list[dict]) -> Iterator[str]:
    for row in rows:
        sizes = [f"{size / 1e6:.1f} MB" for size in row["sizes"]]
        times = [f"{seconds:.4f} s" for seconds in row["times"]]
        yield f"| {' | '.join([row['name'], *sizes, *times])} |"


if __name__ == "__main__":
    main()
