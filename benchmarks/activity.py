"""What the detectors of speech find in sounds without speech, in these between speech, and in real clips; their time.

    python benchmarks/activity.py [--corpora DIR] [--clips 60] [--out docs/results/activity.md]

Clips are those of `corpora` in the folder that EMOBRIDGE_SHARED names (RAVDESS, EMO-DB, EMOVO). Sounds without speech
are made here (`_nonspeech.py`). A detector whose package is not installed is left out.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from _nonspeech import NON_SPEECH, make_sound
from measuring import machine
from numpy.typing import NDArray

from emobridge.data.activity import resolve_detector, speech_segments
from emobridge.data.audio import read_audio
from emobridge.errors import UserError
from emobridge.types import SAMPLE_RATE

ALONE, BETWEEN = 30.0, 4.0  # s of a sound
TURNS = 10  # clips between which it is heard
EDGE = 0.3  # s at both ends of a gap that do not count: padding and joined gaps
CONDITIONS = {"clean": None, "white noise, 20 dB": 20.0, "white noise, 10 dB": 10.0}  # dB of the clip over the noise

Wave = NDArray[np.float32]
Segments = list[tuple[float, float]]


def main(arguments: list[str] | None = None) -> None:
    """Print the tables, and write them where --out says."""
    options = _options(arguments)
    detectors = list(_installed())
    clips = {name: _clips(options.corpora / name, options.clips) for name in ("ravdess", "emodb", "emovo")}
    clips_option = f" --clips {options.clips}" if options.clips else ""
    text = "\n".join(
        [
            "# Speech activity\n",
            f"    python benchmarks/activity.py{clips_option} --out docs/results/activity.md\n",
            f"{machine()}. `silero` is the network of Silero VAD, `energy` the rule that needs no package.\n",
            *_sound_table(detectors, [wave for waves in clips.values() for wave in waves]),
            *_clip_table(detectors, clips),
        ]
    )
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


def _sound_table(detectors: Sequence[str], clips: Sequence[Wave]) -> Iterator[str]:
    yield f"Per cent of {ALONE:g} s of a sound without speech that are taken for speech; and of {TURNS} stretches of"
    yield f"{BETWEEN:g} s of it between {TURNS} real clips, with the clips in which speech is found.\n"
    yield "| sound | " + " | ".join(f"{d}, alone | {d}, between | {d}, clips" for d in detectors) + " |"
    yield "|---" * (1 + 3 * len(detectors)) + "|"
    for name in NON_SPEECH:
        cells = []
        for detector in detectors:
            alone = sum(end - start for start, end in _segments(make_sound(name, ALONE), detector)) / ALONE
            wrong, hits = _between(name, clips, detector)
            cells += [f"{alone:.0%}", f"{wrong:.0%}", f"{hits} of {TURNS}"]
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""


def _between(name: str, clips: Sequence[Wave], detector: str) -> tuple[float, int]:
    """The share of the gaps that is taken for speech, and how many of the clips are found, up to 12 dB quieter."""
    rng = np.random.default_rng(0)
    parts: list[Wave] = []
    for turn, index in enumerate(rng.integers(len(clips), size=TURNS)):
        clip = clips[index] / np.sqrt(np.mean(np.square(clips[index]))) * 10 ** (rng.uniform(-32, -20) / 20)
        parts += [make_sound(name, BETWEEN, seed=turn), clip.astype(np.float32)]
    edges = np.cumsum([0, *map(len, parts)]) / SAMPLE_RATE
    segments = speech_segments(parts, detector=detector)
    gaps, turns = list(zip(edges[:-1:2], edges[1::2])), list(zip(edges[1:-1:2], edges[2::2]))
    wrong = sum(_overlap(segments, start + EDGE, end - EDGE) for start, end in gaps)
    hits = sum(_overlap(segments, start, end) > EDGE for start, end in turns)
    return wrong / (TURNS * (BETWEEN - 2 * EDGE)), hits


def _clip_table(detectors: Sequence[str], clips: dict[str, list[Wave]]) -> Iterator[str]:
    yield "Per cent of real clips in which speech is found, and, in brackets, of their time; seconds of CPU per hour.\n"
    yield "| corpus | clips | heard | " + " | ".join(f"{d} | {d}, s/h" for d in detectors) + " |"
    yield "|---" * (3 + 2 * len(detectors)) + "|"
    for corpus, waves in clips.items():
        seconds = sum(map(len, waves)) / SAMPLE_RATE
        for condition, ratio in CONDITIONS.items():
            noisy = [_with_noise(wave, ratio) for wave in waves]
            cells = []
            for detector in detectors:
                began = time.process_time()
                found = [_segments(wave, detector) for wave in noisy]
                cost = (time.process_time() - began) / seconds * 3600
                share = sum(end - start for segments in found for start, end in segments) / seconds
                cells += [f"{np.mean([bool(segments) for segments in found]):.1%} ({share:.0%})", f"{cost:.1f}"]
            yield f"| {corpus} | {len(waves)} | {condition} | " + " | ".join(cells) + " |"


def _with_noise(wave: Wave, ratio: float | None) -> Wave:
    if ratio is None:
        return wave
    scale = np.sqrt(np.mean(np.square(wave))) * 10 ** (-ratio / 20)
    return (wave + scale * np.random.default_rng(len(wave)).normal(size=len(wave))).astype(np.float32)


def _segments(wave: Wave, detector: str) -> Segments:
    return speech_segments([wave], detector=detector)


def _overlap(segments: Segments, start: float, end: float) -> float:
    """Seconds of the segments that lie between two times."""
    return sum(max(0.0, min(high, end) - max(low, start)) for low, high in segments)


def _installed() -> Iterator[str]:
    for detector in ("energy", "silero"):
        try:
            yield resolve_detector(detector)
        except UserError:
            continue


def _clips(folder: Path, most: int | None) -> list[Wave]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".flac", ".wav"))
    return [read_audio(path) for path in paths[:: max(1, len(paths) // most) if most else 1]]


def _options(arguments: list[str] | None) -> argparse.Namespace:
    shared = Path(os.environ.get("EMOBRIDGE_SHARED", "shared"))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpora", type=Path, default=shared / "corpora")
    parser.add_argument("--clips", type=int, help="of each corpus; all without it")
    parser.add_argument("--out", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
