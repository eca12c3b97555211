"""`diarize` of a stereo call of an hour, each channel by itself: CPU time, and memory beside that of a shorter call.

The call is made of real clips, in turns in its two channels, with pauses between them. The recogniser is untrained;
that changes nothing about its time. Whisper tiny.en is taken where it lies beside the weights that were given.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from bench_predict import untrained_bundle
from measuring import Amount, Resources, Row, Used, child, emobridge

from emobridge.data.audio import read_audio
from emobridge.types import SAMPLE_RATE

NEEDS = ("weights", "corpora")
PAUSE = 0.7  # s between two clips
SHORTER = 6  # so many times shorter is the call whose memory stands beside


def measure(resources: Resources) -> list[Row]:
    """Two calls, once each: they hardly vary, and an hour takes its time."""
    assert resources.weights is not None and resources.corpora is not None
    tiny = resources.weights.with_name("whisper-tiny.en")
    weights = tiny if tiny.is_dir() else resources.weights
    clips = sorted((resources.corpora / "ravdess").rglob("*.flac"))[:100]
    minutes = (resources.minutes / SHORTER, resources.minutes)
    with tempfile.TemporaryDirectory() as name:
        untrained_bundle(Path(name) / "bundle", weights)
        shorter, longer = (_diarized(Path(name), clips, length) for length in minutes)
    job = f"emobridge diarize with {weights.name}, {resources.minutes:g} minutes in two channels"
    beside = Amount(shorter.peak / 1e6, f"{minutes[0]:g} minutes")
    return [
        Row(f"{job}: a second of the call", longer.cpu / (60 * resources.minutes), "s", most=0.1),
        Row(f"{job}: peak memory", longer.peak / 1e6, "MB", most=1.05, opponent=beside),
    ]


def _diarized(folder: Path, clips: list[Path], minutes: float) -> Used:
    """What the command takes for a call of so many minutes."""
    write_call(folder / "call.flac", clips, minutes)
    words = ("diarize", folder / "bundle", folder / "call.flac", "--channels", "each", "--out", folder / "call.rttm")
    return child(emobridge(*words, "--strict"))


def write_call(path: Path, clips: list[Path], minutes: float) -> None:
    """Clips of one speaker after the other, in channel 0 and 1 in turns, with pauses; 16 kHz."""
    missing = round(minutes * 60 * SAMPLE_RATE)
    pause = np.zeros(round(PAUSE * SAMPLE_RATE), dtype=np.float32)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 2) as file:
        for number, clip in enumerate(itertools.cycle(clips)):
            wave = np.concatenate([read_audio(clip), pause])[:missing]
            both = np.zeros((len(wave), 2), dtype=np.float32)
            both[:, number % 2] = wave
            file.write(both)
            missing -= len(wave)
            if not missing:
                return
