"""What `predict` makes of a long recording: 20 minutes of EMOVO clips, gaps of silence and noise, and a chord.

    python benchmarks/recording.py [--bundle FOLDER] [--minutes 20] [--seed 0]

Clips of anger, happiness, neutral and sadness by all six speakers stand 1 to 10 s apart, in gaps of silence, faint hiss
and loud white noise; once a chord sounds for 20 s. The same clips make a file of two channels. Without a bundle one is
trained: RAVDESS -> EMOVO, log-mels, source-only. Segments are scored against the clips alone, by the same statistics
(those stored in the bundle). The exit code is 1 where a part without speech is labelled, or where segments with one
utterance are right less often than the clips alone by more than 3 points.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import soundfile
from measuring import machine
from numpy.typing import NDArray

from emobridge.bundle import Recognizer
from emobridge.corpora import scan
from emobridge.data.activity import DETECTORS, resolve_detector
from emobridge.data.audio import read_audio
from emobridge.data.manifest import write_manifest
from emobridge.errors import UserError
from emobridge.inference import predict
from emobridge.settings import Answering
from emobridge.types import SAMPLE_RATE, Prediction, Utterance

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
CHORD = (220.0, 277.2, 329.6, 440.0)  # Hz
CHORD_SECONDS = 20.0
HISS, NOISE = 0.0003, 0.05  # deviation of the samples in a gap
COLLAR = 0.2  # s that a segment may reach into a clip and still count as one without speech
LEAST_OF_CLIP = 0.5  # of a clip that a segment holds, or of the segment that the clip fills
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
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    corpora = Path(os.environ.get("EMOBRIDGE_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "corpora"
    if not (corpora / "ravdess").is_dir() or not (corpora / "emovo").is_dir():
        print(f"no ravdess and emovo in {corpora}: set EMOBRIDGE_SHARED", file=sys.stderr)
        return 2
    print(machine() + "\n")
    with tempfile.TemporaryDirectory() as name:
        return measure(Path(name), corpora, options)


def measure(folder: Path, corpora: Path, options: argparse.Namespace) -> int:
    """The table of all ways, and the lines that are not reached."""
    recognizer = Recognizer.load(options.bundle or trained_bundle(folder, corpora))
    clips = [row for row in scan("emovo", corpora / "emovo") if row.emotion in EMOTIONS]
    rng = np.random.default_rng(options.seed)
    mono, placed = recording(clips, options.minutes * 60, rng)
    soundfile.write(folder / "mono.flac", mono, SAMPLE_RATE)
    sides = [recording(clips, options.minutes * 60, rng, minutes_of_one_side=0.5) for _ in range(2)]
    length = max(len(wave) for wave, _ in sides)
    stereo = np.stack([np.pad(wave, (0, length - len(wave))) for wave, _ in sides], 1)
    soundfile.write(folder / "stereo.flac", stereo, SAMPLE_RATE)
    ways, failures = [], []
    for detector in available_detectors():
        alone = accuracy_alone(recognizer, [clip.utterance for clip in placed], detector)
        for settings in (
            Answering(segments="speech", detector=detector, statistics="stored"),
            Answering(segments="windows", window=5.0, detector=detector, statistics="stored"),
            Answering(segments="windows", window=5.0, hop=2.5, detector=detector, statistics="stored"),
        ):
            hop = f"/{settings.hop:g}" if settings.hop else ""
            name = (
                f"{settings.segments}{f' {settings.window:g}{hop} s' if hop or settings.segments == 'windows' else ''}"
            )
            way = measured(f"{detector}: {name}", recognizer, folder / "mono.flac", settings, [placed])
            ways.append((way, alone))
            if settings.segments == "speech" and way.accuracy < alone - MARGIN:
                failures.append(f"{way.name}: {way.accuracy:.1f} % right, and {alone:.1f} of the clips alone")
        both = [clip.utterance for _, side in sides for clip in side]
        alone = accuracy_alone(recognizer, both, detector)
        each = Answering(segments="speech", detector=detector, channels="each", statistics="stored")
        way = measured(
            f"{detector}: speech, two channels", recognizer, folder / "stereo.flac", each, [side for _, side in sides]
        )
        ways.append((way, alone))
        if way.accuracy < alone - MARGIN:
            failures.append(f"{way.name}: {way.accuracy:.1f} % right, and {alone:.1f} of the clips alone")
    print(f"{options.minutes:g} minutes, {len(placed)} clips; two channels, {len(both)} clips\n")
    heads = (
        "rows",
        "labelled without speech",
        "segments with one clip",
        "clips held",
        "right %",
        "clips alone %",
        "CPU s",
    )
    print(f"| way | {' | '.join(heads)} |")
    print("|---|---|---|---|---|---|---|---|")
    for way, alone in ways:
        print(
            f"| {way.name} | {way.rows} | {way.labelled_without_speech} | {way.single} | {way.covered} | "
            f"{way.accuracy:.1f} | {alone:.1f} | {way.seconds:.1f} |"
        )
        if way.labelled_without_speech:
            failures.append(f"{way.name}: {way.labelled_without_speech} parts without speech are labelled")
    print("\n".join(["", *(f"NOT REACHED: {failure}" for failure in failures)]))
    return int(bool(failures))


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
