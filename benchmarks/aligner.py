"""The aligner against phone labels made by hand: those of EMO-DB, over all files that have them.

    python benchmarks/aligner.py [--corpora DIR] [--weights DIR] [--out docs/results/aligner.md]

Corpora and weights are those of the folder that EMOBRIDGE_SHARED names. Without weights the rows of an encoder are left
out. It takes a few minutes of one core. The exit code is 1 where the aligner is not twice as good as a uniform stretch.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import torch
from measuring import machine
from numpy.typing import NDArray

from emobridge.corpora import scan
from emobridge.data.audio import read_utterance
from emobridge.encoders import load_encoder
from emobridge.encoders.logmel import Logmel
from emobridge.phones.aligner import SpokenText, speech_features, spoken_text
from emobridge.phones.base import Phone
from emobridge.phones.reading import read_alignments
from emobridge.phones.speaking import voice_of, wave_of
from emobridge.phones.warping import cosine_costs, mapped_times, warp
from emobridge.types import Utterance

RATE = Logmel.frame_rate
BANDS = 64  # of the features; the others are their slopes
LAYERS = (2, 3, 4, 6)  # of the encoder
GOAL = 2.0  # times
WHERE = re.compile(r" \(the first: [^)]*\)|, the first: [^)]*")  # in notes
GAP = 0.7  # cost of a phone without counterpart; of two phones it is 0 where they are the same
LIKE, KIND, OTHER = 0.3, 0.8, 1.6  # of like phones, of two vowels or two consonants, of a vowel and a consonant
# Sounds that a transcription may have for each other; length is left out.
LIKE_PHONES = tuple(
    frozenset(group.split())
    for group in (
        "i ɪ j y ʏ", "e ɛ ə ɪ", "a ɑ ɐ ɜ ə", "o ɔ ʊ u", "ø œ ʏ y ə", "ɐ ɜ ɛɐ iɐ aɐ əɐ ɪɐ ʏɐ", "aʊ aɔ ao", "ɔʏ ɔø",
        "b p β", "d t ð ɾ", "ɡ k ɣ x", "v ʋ f b β", "s z ʃ", "x χ ç h ɦ ʀ ʁ", "n m ŋ ɲ", "r ɾ ʀ ʁ ɐ ɜ χ", "l l̥",
    )
)  # fmt: skip

Times = NDArray[np.float64]  # (P, 2): start and end (s) of each phone of the spoken text in the recording


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording, and what the aligner takes of it."""

    utterance: Utterance
    wave: NDArray[np.float32]
    features: NDArray[np.float32]
    start: float  # s, of the first frame of the features


Place = Callable[[SpokenText, Recording], Times]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One recording: the errors (s) of starts and ends of phones, and seconds of phones."""

    utterance: Utterance
    errors: NDArray[np.float64]
    counterpart: float  # s where the phone is placed that is matched with the one by hand
    same: float  # s of these in which both are the same sound
    seconds: float  # of all phones by hand
    matched: int
    count: int  # phones by hand


def main(arguments: list[str] | None = None) -> int:
    """Print the tables, and write them where --out says."""
    options = _options(arguments)
    utterances = list(scan("emodb", options.corpora / "emodb"))
    notes: list[str] = []
    labels = read_alignments(utterances, on_note=notes.append)
    recordings = [_recording(row) for row in utterances if row.id in labels]
    hands = [[phone for phone in labels[row.utterance.id].phones if phone.kind != "pause"] for row in recordings]
    results = {
        name: [_outcome(row, hand, place) for row, hand in zip(recordings, hands)] for name, place in _systems(options)
    }
    lines = ["# The aligner against phone labels made by hand\n"]
    lines += ["    python benchmarks/aligner.py --out docs/results/aligner.md\n"]
    lines += [*_introduction(results["aligner"], notes), *_table(results), *_by_emotion(results), *_finding(results)]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return int(_ratio(results, "uniform, speech") < GOAL)


def _systems(options: argparse.Namespace) -> Iterator[tuple[str, Place]]:
    yield "uniform, file", _uniform_over_file
    yield "uniform, speech", _uniform_over_speech
    yield "aligner", functools.partial(_warped, change=lambda features: features)
    yield "without slopes", functools.partial(_warped, change=lambda features: features[:, :BANDS])
    yield "MFCC and slopes", functools.partial(_warped, change=_cepstra)
    if options.weights.is_dir():
        states = _States(str(options.weights))
        for layer in LAYERS:
            name = f"{options.weights.name}, layer {layer}"
            yield name, functools.partial(_by_encoder, states=states, layer=layer, with_bands=False)
            yield f"{name}, and aligner's", functools.partial(_by_encoder, states=states, layer=layer, with_bands=True)


def _times(spoken: SpokenText) -> Times:
    return np.array([(phone.start, phone.end) for phone in spoken.synthesis.phones])


def _uniform_over_file(spoken: SpokenText, row: Recording) -> Times:
    """The synthesis, stretched to the length of the recording."""
    return _times(spoken) / len(wave_of(spoken.synthesis)) * len(row.wave)


def _uniform_over_speech(spoken: SpokenText, row: Recording) -> Times:
    """The same between the first and the last loud frame of each, which the aligner looks between."""
    return row.start + (_times(spoken) - spoken.start) * (len(row.features) / len(spoken.features))


def _warped(
    spoken: SpokenText,
    row: Recording,
    change: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> Times:
    path = warp(cosine_costs(change(spoken.features), change(row.features)))
    return row.start + mapped_times(path, _times(spoken) - spoken.start, RATE)


def _cepstra(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Thirteen cosines over the standardised bands, and over their slopes."""
    basis = np.cos(np.pi * np.outer(np.arange(BANDS) + 0.5, np.arange(13)) / BANDS)
    return np.hstack([features[:, :BANDS] @ basis, features[:, BANDS:] @ basis]).astype(np.float32)


class _States:
    """Hidden states of an encoder at the rate of the aligner's frames, those of a clip computed once."""

    def __init__(self, weights: str) -> None:
        self._encoder = load_encoder(weights, engine="torch")
        self._states: dict[str, tuple[NDArray[np.float32], float]] = {}

    def frames(self, name: str, wave: NDArray[np.float32], layer: int, start: float, count: int) -> NDArray[np.float32]:
        """(count, D) of unit length from `start` (s) on, each dimension standardised over the clip."""
        if name not in self._states:
            with torch.inference_mode():
                layers = self._encoder(torch.from_numpy(wave)[None], torch.ones(1, len(wave), dtype=torch.bool))
            chosen = layers.hidden[list(LAYERS), 0][:, layers.mask[0]].half().numpy()
            self._states[name] = chosen, layers.frame_rate
        chosen, rate = self._states[name]
        hidden = chosen[LAYERS.index(layer)].astype(np.float32)
        hidden = (hidden - hidden.mean(0)) / (hidden.std(0) + 1e-6)
        places = np.clip((start + np.arange(count) / RATE) * rate - 0.5, 0, len(hidden) - 1)
        low = places.astype(int)
        high = np.minimum(low + 1, len(hidden) - 1)
        return _unit(hidden[low] + (hidden[high] - hidden[low]) * (places - low)[:, None])


def _by_encoder(spoken: SpokenText, row: Recording, states: _States, layer: int, with_bands: bool) -> Times:
    parts = [
        [states.frames(row.utterance.text or "", wave_of(spoken.synthesis), layer, spoken.start, len(spoken.features))],
        [states.frames(row.utterance.id, row.wave, layer, row.start, len(row.features))],
    ]
    if with_bands:
        parts[0].append(_unit(spoken.features))
        parts[1].append(_unit(row.features))
    path = warp(cosine_costs(*(np.hstack(part).astype(np.float32) for part in parts)))
    return row.start + mapped_times(path, _times(spoken) - spoken.start, RATE)


def _unit(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(frames / (np.linalg.norm(frames, axis=1, keepdims=True) + 1e-8), np.float32)


@functools.cache
def _spoken(text: str, language: str) -> SpokenText:
    return spoken_text(text, voice_of(language))


def _recording(utterance: Utterance) -> Recording:
    wave = read_utterance(utterance)
    return Recording(utterance, wave, *speech_features(wave))


def _outcome(row: Recording, hand: Sequence[Phone], place: Place) -> Outcome:
    spoken = _spoken(row.utterance.text or "", row.utterance.language)
    times = place(spoken, row)
    phones = spoken.synthesis.phones
    pairs = matched_phones(tuple(phone.ipa for phone in hand), tuple(phone.ipa for phone in phones))
    errors, counterpart, same = [], 0.0, 0.0
    for i, j in pairs:
        errors += [abs(hand[i].start - times[j, 0]), abs(hand[i].end - times[j, 1])]
        overlap = max(0.0, min(hand[i].end, times[j, 1]) - max(hand[i].start, times[j, 0]))
        counterpart += overlap
        same += overlap * (_plain(hand[i].ipa) == _plain(phones[j].ipa))
    seconds = sum(phone.end - phone.start for phone in hand)
    return Outcome(row.utterance, np.array(errors), counterpart, same, seconds, len(pairs), len(hand))


@functools.cache
def matched_phones(first: tuple[str, ...], second: tuple[str, ...]) -> list[tuple[int, int]]:
    """The pairs of phones of two transcriptions that the cheapest alignment by edits matches."""
    costs = np.array([[phone_cost(a, b) for b in second] for a in first]).reshape(len(first), len(second))
    totals = np.zeros((len(first) + 1, len(second) + 1))
    totals[:, 0], totals[0] = GAP * np.arange(len(first) + 1), GAP * np.arange(len(second) + 1)
    for i in range(1, len(first) + 1):
        for j in range(1, len(second) + 1):
            gaps = min(totals[i - 1, j], totals[i, j - 1]) + GAP
            totals[i, j] = min(totals[i - 1, j - 1] + costs[i - 1, j - 1], gaps)
    pairs, i, j = [], len(first), len(second)
    while i and j:
        if totals[i, j] == totals[i - 1, j - 1] + costs[i - 1, j - 1]:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif totals[i, j] == totals[i - 1, j] + GAP:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


@functools.cache
def phone_cost(first: str, second: str) -> float:
    """The cost of two phones for each other."""
    first, second = _plain(first), _plain(second)
    if first == second:
        return 0.0
    if any(first in group and second in group for group in LIKE_PHONES):
        return LIKE
    vowels = "aɛəioueɪɐɔʊyʏœøæɑɜ"
    return KIND if any(c in vowels for c in first) == any(c in vowels for c in second) else OTHER


def _plain(ipa: str) -> str:
    return ipa.rstrip("ːˑ")


def _introduction(outcomes: Sequence[Outcome], notes: Sequence[str]) -> Iterator[str]:
    speakers = {row.utterance.speaker for row in outcomes}
    count, matched = sum(row.count for row in outcomes), sum(row.matched for row in outcomes)
    yield f"{machine()}.\n"
    yield f"{len(outcomes)} recordings of EMO-DB by {len(speakers)} speakers have phone labels made by hand, {count:,}"
    yield f"phones; {matched / count:.1%} of them have a counterpart among the phones that espeak-ng says, matched by"
    yield "an alignment by edits. The error is that of the starts and ends of matched phones. Overlap is the share of"
    yield "the time of phones by hand in which their counterpart is placed; in brackets that in which both are the same"
    yield "sound, length aside. `uniform` stretches the times of the synthesis: over the whole file, or from the first"
    yield "to the last loud frame, which the aligner looks between. What the reader left out:\n"
    yield from (f"- {WHERE.sub('', note)}" for note in notes)
    yield ""


def _table(results: dict[str, list[Outcome]]) -> Iterator[str]:
    yield "| times by | median error, ms | mean | within 20 ms | within 50 ms | overlap |"
    yield "|---|---|---|---|---|---|"
    for name, rows in results.items():
        errors = np.concatenate([row.errors for row in rows])
        seconds = sum(row.seconds for row in rows)
        counterpart, same = (sum(getattr(row, field) for row in rows) / seconds for field in ("counterpart", "same"))
        yield (
            f"| {name} | {1000 * np.median(errors):.1f} | {1000 * errors.mean():.1f} | {np.mean(errors <= 0.02):.1%} | "
            f"{np.mean(errors <= 0.05):.1%} | {counterpart:.1%} ({same:.1%}) |"
        )
    yield ""


def _by_emotion(results: dict[str, list[Outcome]]) -> Iterator[str]:
    yield "Median error in ms, by the emotion of the speech.\n"
    emotions = sorted({row.utterance.emotion or "" for row in results["aligner"]})
    yield "| times by | " + " | ".join(emotions) + " |"
    yield "|---" * (1 + len(emotions)) + "|"
    for name in ("uniform, speech", "aligner"):
        cells = [
            np.median(np.concatenate([row.errors for row in results[name] if row.utterance.emotion == emotion]))
            for emotion in emotions
        ]
        yield f"| {name} | " + " | ".join(f"{1000 * cell:.1f}" for cell in cells) + " |"
    yield ""


def _median(rows: Sequence[Outcome]) -> float:
    return float(np.median(np.concatenate([row.errors for row in rows])))


def _ratio(results: dict[str, list[Outcome]], opponent: str) -> float:
    return _median(results[opponent]) / _median(results["aligner"])


def _finding(results: dict[str, list[Outcome]]) -> Iterator[str]:
    against = " and ".join(
        f"{_ratio(results, name):.1f} times ({name})" for name in ("uniform, file", "uniform, speech")
    )
    shares = [
        sum(row.counterpart for row in results[name]) / sum(row.seconds for row in results[name])
        for name in ("aligner", "uniform, speech")
    ]
    yield f"The aligner's median error is smaller by {against}; its overlap is {shares[0] / shares[1]:.1f} times"
    yield f"that of the better stretch. The goal is {GOAL:g} times."


def _options(arguments: list[str] | None) -> argparse.Namespace:
    shared = Path(os.environ.get("EMOBRIDGE_SHARED", "shared"))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpora", type=Path, default=shared / "corpora")
    parser.add_argument("--weights", type=Path, default=shared / "weights" / "whisper-base")
    parser.add_argument("--out", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
