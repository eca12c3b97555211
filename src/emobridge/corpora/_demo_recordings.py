"""What a user brings, SYNTHETIC: a folder of recordings without labels, and a telephone call of two channels.

folder/recordings/caller-1/001.flac ...   four further speakers of a demonstration language; no name tells an emotion
folder/recordings.jsonl                   what they were made as, to check answers by
folder/call.wav                           two of them in turn, one a channel, after a tone of somebody on hold
folder/call.jsonl                         the turns of the call: channel, start, end, emotion
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from emobridge.corpora import _demo_voices as voices
from emobridge.corpora._demo_worker import DemoPlan, Take, pink_noise
from emobridge.data.audio import read_audio
from emobridge.data.manifest import write_manifest
from emobridge.files import whole_file
from emobridge.types import SAMPLE_RATE, Utterance

CALLERS = 4
TURNS = 12  # of a call, both speakers together
HOLD = (5.0, (440.0, 554.4, 659.3))  # s, and Hz of the chord that is heard on hold
PAUSES = (0.5, 1.5)  # s between turns, drawn evenly
LINE_NOISE = 3e-4  # of full scale, on both channels of a call
Speak = Callable[[DemoPlan], None]


def make_recordings(
    folder: Path, language: str, *, speakers: int, emotions: Sequence[str], seed: int, speak: Speak
) -> tuple[Path, Path]:
    """Make the recordings and the call, unless they are there, and return the folder and the call's path.

    speakers: of the corpus of this language; the callers are others. speak: makes the takes of a plan.
    """
    recordings, call = folder / "recordings", folder / "call.wav"
    if (folder / "call.jsonl").exists():
        return recordings, call
    with tempfile.TemporaryDirectory(prefix="emobridge-", ignore_cleanup_errors=True) as home:
        plan = DemoPlan(home, (language,), tuple(emotions), speakers + CALLERS, 1, seed)
        count = len(plan.takes()) * speakers // (speakers + CALLERS)
        speak(replace(plan, first=count))
        by_caller: dict[str, list[Take]] = {}
        for take in plan.takes()[count:]:
            by_caller.setdefault(take.speaker, []).append(take)
        rows = [
            row
            for number, takes in enumerate(by_caller.values(), 1)
            for row in _copy(plan, _shuffled(takes, seed), recordings / f"caller-{number}")
        ]
    write_manifest(folder / "recordings.jsonl", rows)
    wave, turns = _call(call, rows, np.random.default_rng(seed))
    with whole_file(call) as path:
        soundfile.write(path, wave, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    write_manifest(folder / "call.jsonl", turns)
    return recordings, call


def _shuffled(takes: Sequence[Take], seed: int) -> list[Take]:
    order = voices.seeded_generator(seed, takes[0].language, takes[0].speaker, "order").permutation(len(takes))
    return [takes[index] for index in order]


def _copy(plan: DemoPlan, takes: Sequence[Take], folder: Path) -> list[Utterance]:
    """Copy takes under numbers, and describe them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, take in enumerate(takes, 1):
        path = folder / f"{number:03}.flac"
        shutil.copyfile(Path(plan.folder) / take.audio, path)
        row = replace(plan.utterance(take), id=f"{folder.name}/{number:03}", path=str(path), phones=None)
        rows.append(replace(row, corpus=f"demo-{take.language}-recordings", speaker=folder.name))
    return rows


def _call(
    path: Path, rows: Sequence[Utterance], chance: np.random.Generator
) -> tuple[NDArray[np.float32], list[Utterance]]:
    """(T, 2) of a call of the first two speakers, and its turns."""
    people = list(dict.fromkeys(row.speaker for row in rows))[:2]
    waiting = [[row for row in rows if row.speaker == name] for name in people]
    seconds, pitches = HOLD
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    chord = 0.05 * np.sin(2 * np.pi * np.outer(time, pitches)).sum(1)
    pieces = [np.stack([np.zeros_like(chord), chord], 1)]
    turns, length = [], len(chord)
    for number in range(TURNS):
        channel = number % 2
        pause = round(chance.uniform(*PAUSES) * SAMPLE_RATE)
        row = waiting[channel][number // 2]
        wave = read_audio(row.path)
        piece = np.zeros((pause + len(wave), 2))
        piece[pause:, channel] = wave
        pieces.append(piece)
        start = (length + pause) / SAMPLE_RATE
        length += len(piece)
        turn = replace(row, id=f"call {number + 1:02}", path=str(path), channel=channel)
        turns.append(replace(turn, start=round(start, 4), end=round(length / SAMPLE_RATE, 4)))
    call = np.concatenate(pieces)
    call += LINE_NOISE * np.stack([pink_noise(length, chance) for _ in range(2)], 1)
    return np.clip(call, -1, 1).astype(np.float32), turns
