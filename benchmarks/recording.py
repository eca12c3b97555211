"""What `predict` makes of long recordings: 20 minutes of EMOVO clips, gaps of silence and noise, and a chord.

    python benchmarks/recording.py [--bundle FOLDER] [--minutes 20] [--recordings 5] [--page FILE]

Clips of anger, happiness, neutral and sadness by all six speakers stand 1 to 10 s apart, in gaps of silence, faint hiss
and loud white noise; once a chord sounds for 20 s. The same clips make a file of two channels. Without a bundle one is
trained: RAVDESS -> EMOVO, log-mels, source-only. Segments are scored against the clips alone, by the same statistics
(those stored in the bundle). One recording is 150 answers, whose share of right ones moves by 4 points by chance, so
that the mean over several recordings counts. At last `emobridge predict` of the first recording is killed at five
random moments. The exit code is 1 where a part without speech is labelled, where segments with one utterance are on
average right less often than the clips alone by more than 3 points, or where the killed run ends with another file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import soundfile
from measuring import machine
from numpy.typing import NDArray
from published import write_page

from emobridge.bundle import Recognizer
from emobridge.corpora import scan
from emobridge.data.activity import DETECTORS, resolve_detector
from emobridge.data.audio import read_audio
from emobridge.data.manifest import write_manifest
from emobridge.errors import UserError
from emobridge.inference.predict import predict
from emobridge.settings import Answering
from emobridge.types import SAMPLE_RATE, Prediction, Utterance

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
CHORD = (220.0, 277.2, 329.6, 440.0)  # Hz
CHORD_SECONDS = 20.0
HISS, NOISE = 0.0003, 0.05  # deviation of the samples in a gap
COLLAR = 0.2  # s that a segment may reach into a clip and still count as one without speech
LEAST_OF_CLIP = 0.5  # of a clip that a segment holds, or of the segment that the clip fills
CUTS: dict[str, dict[str, Any]] = {
    "speech": {"segments": "speech"},
    "windows 5 s": {"segments": "windows", "window": 5.0},
    "windows 5/2.5 s": {"segments": "windows", "window": 5.0, "hop": 2.5},
}
HEADS = (
    "way",
    "rows",
    "labelled without speech, all recordings",
    "segments with one clip",
    "right %",
    "clips alone %",
    "difference (least to largest)",
    "CPU s",
)
KILLS = 5
KILLED = f"`emobridge predict`, killed at {KILLS} random moments, ended with the file of a run that nobody disturbed."
INTRODUCTION = """`python benchmarks/recording.py --page docs/results/recording.md` makes this page: `predict` on
recordings of 20 minutes, made of EMOVO clips of four emotions, 1 to 10 s apart in silence, hiss and loud noise, and a
chord of 20 s; with one channel and with two. The bundle is RAVDESS -> EMOVO, log-mels, source-only. Numbers are means
over five such recordings; one recording moves by about 4 points by chance."""
MARGIN = 3.0  # points that segments may lie below the clips alone


@dataclass(frozen=True, slots=True)
class Placed:
    """A clip in the recording."""

    utterance: Utterance
    start: float  # s
    end: float  # s


@dataclass(frozen=True, slots=True)
class Way:
    """What one way of cutting made of a recording."""

    name: str
    rows: int
    labelled_without_speech: int
    right: int
    single: int  # labelled segments with one utterance
    covered: int  # clips that such a segment holds
    seconds: float  # of CPU

    @property
    def accuracy(self) -> float:
        return 100 * self.right / max(1, self.single)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 where a line is not reached, 2 where the corpora are not there."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--recordings", type=int, default=5)
    parser.add_argument("--page", type=Path, help="file for the table, such as docs/results/recording.md")
    options = parser.parse_args(arguments)
    corpora = Path(os.environ.get("EMOBRIDGE_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "corpora"
    if not (corpora / "ravdess").is_dir() or not (corpora / "emovo").is_dir():
        print(f"no ravdess and emovo in {corpora}: set EMOBRIDGE_SHARED", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = options.bundle or trained_bundle(folder, corpora)
        clips = [row for row in scan("emovo", corpora / "emovo") if row.emotion in EMOTIONS]
        ways: dict[str, list[tuple[Way, float]]] = {}
        for seed in range(options.recordings):
            print(f"recording {seed + 1} of {options.recordings}", file=sys.stderr)
            for way, alone in measure(folder, Recognizer.load(bundle), clips, options.minutes, seed):
                ways.setdefault(way.name, []).append((way, alone))
        failures = failures_of(ways)
        is_same = same_after_kills(bundle, folder / "mono-0.flac", folder)
        if not is_same:
            failures.append("the run that was killed five times ends with another file")
        lines = [f"Measured on {machine()}.", "", *table(ways), "", *[KILLED, ""] * is_same]
        lines += [f"NOT REACHED: {failure}" for failure in failures]
        text = "\n".join(lines).rstrip() + "\n"
        print(text)
        if options.page:
            write_page(options.page, f"# Long recordings\n\n{INTRODUCTION}\n\n{text}")
    return int(bool(failures))


def measure(
    folder: Path, recognizer: Recognizer, clips: Sequence[Utterance], minutes: float, seed: int
) -> list[tuple[Way, float]]:
    """Each way on one recording, and the accuracy of its clips alone in per cent."""
    rng = np.random.default_rng(seed)
    mono, placed = recording(clips, minutes * 60, rng)
    soundfile.write(folder / f"mono-{seed}.flac", mono, SAMPLE_RATE)
    sides = [recording(clips, minutes * 60, rng, minutes_of_one_side=0.5) for _ in range(2)]
    length = max(len(wave) for wave, _ in sides)
    stereo = np.stack([np.pad(wave, (0, length - len(wave))) for wave, _ in sides], 1)
    soundfile.write(folder / f"stereo-{seed}.flac", stereo, SAMPLE_RATE)
    ways = []
    for detector in available_detectors():
        alone = accuracy_alone(recognizer, [clip.utterance for clip in placed], detector)
        for name, cut in CUTS.items():
            settings = Answering(detector=detector, statistics="stored", **cut)
            path = folder / f"mono-{seed}.flac"
            ways.append((measured(f"{detector}: {name}", recognizer, path, settings, [placed]), alone))
        alone = accuracy_alone(recognizer, [clip.utterance for _, side in sides for clip in side], detector)
        settings = Answering(segments="speech", detector=detector, channels="each", statistics="stored")
        path = folder / f"stereo-{seed}.flac"
        way = measured(f"{detector}: speech, two channels", recognizer, path, settings, [side for _, side in sides])
        ways.append((way, alone))
    return ways


def table(ways: Mapping[str, Sequence[tuple[Way, float]]]) -> list[str]:
    """A row a way: sums and means over the recordings, and the least and largest difference to the clips alone."""
    lines = [f"| {' | '.join(HEADS)} |", f"|{'---|' * len(HEADS)}"]
    for name, results in ways.items():
        gaps = [way.accuracy - alone for way, alone in results]
        cells = (
            name,
            f"{np.mean([way.rows for way, _ in results]):.0f}",
            str(sum(way.labelled_without_speech for way, _ in results)),
            f"{np.mean([way.single for way, _ in results]):.0f}",
            f"{np.mean([way.accuracy for way, _ in results]):.1f}",
            f"{np.mean([alone for _, alone in results]):.1f}",
            f"{np.mean(gaps):+.1f} ({min(gaps):+.1f} to {max(gaps):+.1f})",
            f"{np.mean([way.seconds for way, _ in results]):.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def failures_of(ways: Mapping[str, Sequence[tuple[Way, float]]]) -> list[str]:
    """The lines that are not reached: labels without speech, and segments of speech that are right too rarely."""
    failures = []
    for name, results in ways.items():
        labelled = sum(way.labelled_without_speech for way, _ in results)
        if labelled:
            failures.append(f"{name}: {labelled} parts without speech are labelled")
        gap = float(np.mean([way.accuracy - alone for way, alone in results]))
        if "windows" not in name and gap < -MARGIN:
            failures.append(f"{name}: right {-gap:.1f} points less often than the clips alone")
    return failures


def same_after_kills(bundle: Path, path: Path, folder: Path) -> bool:
    """Whether `predict`, killed at five random moments, ends with the file of a run that nobody disturbs."""
    command = [sys.executable, "-m", "emobridge", "predict", str(bundle), str(path), "--detector", "energy", "--out"]
    began = time.monotonic()
    subprocess.run([*command, str(folder / "whole.jsonl")], check=True, stderr=subprocess.DEVNULL)
    seconds, rng = time.monotonic() - began, np.random.default_rng(0)
    for share in rng.uniform(0.4, 0.95, KILLS):
        process = subprocess.Popen([*command, str(folder / "killed.jsonl")], stderr=subprocess.DEVNULL)
        time.sleep(share * seconds)
        process.kill()
        process.wait()
    subprocess.run([*command, str(folder / "killed.jsonl")], check=True, stderr=subprocess.DEVNULL)
    return (folder / "whole.jsonl").read_bytes() == (folder / "killed.jsonl").read_bytes()


def trained_bundle(folder: Path, corpora: Path) -> Path:
    """The bundle of RAVDESS -> EMOVO, source-only."""
    from emobridge.study.adapt import adapt

    for name in ("ravdess", "emovo"):
        write_manifest(folder / f"{name}.jsonl", scan(name, corpora / name))
    adapt(
        source=(str(folder / "ravdess.jsonl"),),
        target=str(folder / "emovo.jsonl"),
        labels=EMOTIONS,
        method="source-only",
        seeds=1,
        folds=2,
        out=str(folder / "run"),
        store=str(folder / "store"),
    )
    return folder / "run" / "bundle"


def available_detectors() -> list[str]:
    """The detectors that can be used here."""
    names = []
    for name in DETECTORS[1:]:
        try:
            names.append(resolve_detector(name))
        except UserError as error:
            print(f"without {name}: {error}", file=sys.stderr)
    return names


def recording(
    clips: Sequence[Utterance], seconds: float, rng: np.random.Generator, minutes_of_one_side: float = 1.0
) -> tuple[NDArray[np.float32], list[Placed]]:
    """A recording of clips in a random order with gaps, about `seconds` times a share long, and where each clip is."""
    total = round(seconds * minutes_of_one_side * SAMPLE_RATE)
    waves: list[NDArray[np.float32]] = [gap(rng)]
    at, placed = len(waves[0]), []
    order = rng.permutation(len(clips)).tolist()
    while at < total and order:
        utterance = clips[order.pop()]
        wave = read_audio(utterance.path)
        placed.append(Placed(utterance, at / SAMPLE_RATE, (at + len(wave)) / SAMPLE_RATE))
        after = [wave, gap(rng)] + [chord(), gap(rng)] * (len(placed) == 3)
        waves += after
        at += sum(map(len, after))
    return np.concatenate(waves), placed


def gap(rng: np.random.Generator) -> NDArray[np.float32]:
    """1 to 10 s of digital silence, faint hiss or loud white noise."""
    count = round(rng.uniform(1.0, 10.0) * SAMPLE_RATE)
    deviation = (0.0, HISS, NOISE)[rng.integers(3)]
    return (deviation * rng.standard_normal(count)).astype(np.float32)


def chord() -> NDArray[np.float32]:
    time = np.arange(round(CHORD_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    waves = [np.sin(2 * np.pi * pitch * time) / number for number, pitch in enumerate(CHORD, start=1)]
    return (0.1 * np.sum(waves, 0)).astype(np.float32)


def accuracy_alone(recognizer: Recognizer, clips: Sequence[Utterance], detector: str) -> float:
    """Per cent of the clips that are right when each is a file of its own."""
    settings = Answering(segments="whole", detector=detector, statistics="stored")
    rows = predict(recognizer, clips, settings)
    return 100 * float(np.mean([row.label == clip.emotion for row, clip in zip(rows, clips)]))


def measured(
    name: str, recognizer: Recognizer, path: Path, settings: Answering, placed: Sequence[Sequence[Placed]]
) -> Way:
    """What `predict` makes of a file with clips placed in each of its channels."""
    began = time.process_time()
    rows = list(predict(recognizer, [Utterance(str(path), "files", str(path), language="it")], settings))
    spent = time.process_time() - began
    right = single = without = 0
    covered = set()
    for row in rows:
        side = placed[row.channel or 0]
        overlaps = [(min(row.end, clip.end) - max(row.start, clip.start), clip) for clip in side]
        touched = [(seconds, clip) for seconds, clip in overlaps if seconds > COLLAR]
        if row.label is None:
            continue
        without += not touched
        if len(touched) == 1 and _is_of(touched[0][0], touched[0][1], row):
            single += 1
            right += row.label == touched[0][1].utterance.emotion
            covered.add((row.channel, touched[0][1].start))
    return Way(name, len(rows), without, right, single, len(covered), spent)


def _is_of(seconds: float, clip: Placed, row: Prediction) -> bool:
    """Whether a row that shares `seconds` with a clip is about that clip."""
    return seconds >= LEAST_OF_CLIP * min(clip.end - clip.start, row.end - row.start)


if __name__ == "__main__":
    sys.exit(main())
