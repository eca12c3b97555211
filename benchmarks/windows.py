"""How long a window of sound a recogniser's timeline needs: the table of docs/diarization.md.

    python benchmarks/windows.py BUNDLE [--windows 1,2,4,8] [--recordings 48]

BUNDLE tells anger, happiness, neutral and sadness, such as that of `emobridge adapt --source ravdess.jsonl --target
emodb.jsonl`. Recordings with known boundaries are made of EMO-DB and EMOVO, and GROUP of a corpus follow one another
without a pause. Real corpora are not part of the project: they lie in the folder that EMOBRIDGE_SHARED names.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch

from emobridge.bundle import Recognizer
from emobridge.corpora import scan
from emobridge.diarization.base import Waveform
from emobridge.diarization.made import compose, draw_compositions
from emobridge.diarization.smoothing import smooth
from emobridge.diarization.timeline import joined_frames
from emobridge.diarization.windowed import WindowedRecognizer
from emobridge.scores.diarization import boundary_errors, error_times
from emobridge.settings import Composing
from emobridge.types import SAMPLE_RATE, Segment

CORPORA = {"emodb": "EMO-DB", "emovo": "EMOVO"}
GROUP = 4  # recordings that follow one another


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("EMOBRIDGE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--corpora", type=Path, default=shared / "corpora")
    parser.add_argument("--windows", default="1,2,4,8", help="seconds, by comma")
    parser.add_argument("--recordings", type=int, default=48, help="of each corpus")
    args = parser.parse_args()
    torch.set_num_threads(1)
    recognizer = Recognizer.load(args.bundle)
    sounds = {name: list(conversations(args.corpora / name, name, args.recordings)) for name in CORPORA}
    names = " | ".join(f"{name}: {what}" for name in CORPORA.values() for what in ("EDER", "boundaries"))
    print(f"| window | {names} |\n|---|---|---|---|---|")
    for window in map(float, args.windows.split(",")):
        model = WindowedRecognizer(recognizer, window=window)
        cells = [cell for name in CORPORA for cell in measured(model, sounds[name])]
        print(f"| {window:g} s | {' | '.join(cells)} |", flush=True)


def conversations(folder: Path, corpus: str, count: int) -> Iterator[tuple[Waveform, list[Segment]]]:
    """Sounds of GROUP recordings each, and their segments."""
    labels = ("anger", "happiness", "neutral", "sadness")
    rows = [row for row in scan(corpus, folder) if row.emotion in labels]
    drawn = draw_compositions(rows, Composing(), seed=0).compositions
    chosen = np.random.default_rng(0).permutation(len(drawn))[:count]
    parts = [compose(drawn[index], Composing()) for index in chosen]
    for first in range(0, len(parts), GROUP):
        group, segments, offset = parts[first : first + GROUP], [], 0.0
        for part in group:
            segments += [replace(item, start=item.start + offset, end=item.end + offset) for item in part.segments]
            offset = segments[-1].end
        yield np.concatenate([part.wave for part in group]), segments


def measured(model: WindowedRecognizer, sounds: list[tuple[Waveform, list[Segment]]]) -> list[str]:
    """EDER of all sounds together; the median error of matched boundaries, how many these are, of how many."""
    wrong, seconds, changes, distances = 0.0, 0.0, 0, list[float]()
    for wave, truth in sounds:
        length, rate = len(wave) / SAMPLE_RATE, model.frame_rate
        frames = np.concatenate([values for _, values in joined_frames(model, [wave])])
        answer = [
            Segment(row.first / rate, min(row.last / rate, length), model.labels[row.label or 0])
            for row in smooth(frames, np.ones(len(frames), dtype=bool), rate)
        ]
        wrong, seconds = wrong + sum(error_times(truth, answer, length).parts), seconds + length
        errors = boundary_errors(truth, answer, length)
        distances += errors.distances
        changes += len(errors.distances) + errors.missed
    return [f"{100 * wrong / seconds:.1f}", f"{median(distances):.2f} s ({len(distances)} of {changes})"]


if __name__ == "__main__":
    main()
