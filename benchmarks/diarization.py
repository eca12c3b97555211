"""The results of docs/results/diarization.md: how well a diarizer that learnt from English utterances alone tells which
emotion is heard when, in English of other speakers, German and Italian.

    python benchmarks/diarization.py --work diarization-work [--encoders whisper-tiny.en] [--seeds 3]

Trained on RAVDESS without TEST_ACTORS; tested on recordings with known boundaries of these, of EmoDB and of EMOVO, and
on the same recordings of a speaker one after the other. What is finished is read from `--work`, and the page shows what
is there. The exit code is 1 where boundaries of clips are missed by more than NEAR s in the median, in English or, with
the moments of unlabelled speech, in another language. Real corpora and weights are not part of the project: they lie in
the folder that EMOBRIDGE_SHARED names.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from page_tables import Table
from published import write_page

from emobridge.corpora import scan
from emobridge.diarization.frame_model import Diarizer, DiarizerSpec, resolve_layer
from emobridge.diarization.made import Composition, LabelledSound, compose, draw_compositions, merged
from emobridge.diarization.steps import LabelledSteps, labelled_steps, timeline_of
from emobridge.diarization.training import DiarizerSource, fit_diarizer
from emobridge.encoders import load_encoder
from emobridge.scores.diarization import NEUTRAL, boundary_errors
from emobridge.scores.timelines import TimelineEvaluation
from emobridge.settings import Composing, FrameTraining
from emobridge.types import SAMPLE_RATE, Segment, Utterance

LABELS = ("anger", "happiness", "neutral", "sadness")
EMOTIONS = tuple(label for label in LABELS if label != NEUTRAL)
NAMES = {"ravdess": "RAVDESS (en), other speakers", "emodb": "EmoDB (de)", "emovo": "EMOVO (it)"}
TEST_ACTORS = ("19", "20", "21", "22", "23", "24")
ENCODERS = ("whisper-tiny.en", "whisper-base")
JOINED = 20.0  # s that recordings of a speaker are joined to, at least
NEAR = 0.3  # s
KINDS = {"recordings": "recordings with one emotion", "joined": "recordings of a speaker, one after the other"}
Segments = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class TestSound:
    """A sound of one speaker with known boundaries, and what the encoder makes of it."""

    sound: LabelledSound
    speaker: str | None
    steps: LabelledSteps

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.sound.wave) / SAMPLE_RATE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("EMOBRIDGE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    parser.add_argument("--shared", type=Path, default=shared)
    parser.add_argument("--work", type=Path, default=Path("diarization-work"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/diarization.md"))
    parser.add_argument("--encoders", default=",".join(ENCODERS), help="by comma; empty: write the page")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    for name in filter(None, args.encoders.split(",")):
        rows = list(measured(args.shared, name, args.seeds))
        (args.work / f"{name}.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    results = {path.stem: json.loads(path.read_text()) for path in sorted(args.work.glob("*.json"))}
    before, _, page = args.out.read_text(encoding="utf-8").partition("<!-- measured -->")
    after = page.partition("<!-- end -->")[2]
    text = "\n".join(str(table) for name in ENCODERS if name in results for table in tables(name, results[name]))
    write_page(args.out, f"{before}<!-- measured -->\n{text}\n\n<!-- end -->{after}")
    print(args.out)
    rows = [row for rows in results.values() for row in rows if is_bound(row)]
    sys.exit(any(row["boundaries"]["median"] is None or row["boundaries"]["median"] > NEAR for row in rows))


def is_bound(row: dict[str, Any]) -> bool:
    """Whether the bound is to hold: in the language of training, and in others with unlabelled speech of them."""
    return row["system"] == ("trained" if row["corpus"] == "ravdess" else "trained, moments of the target")


def measured(shared: Path, name: str, seeds: int) -> Iterator[dict[str, Any]]:
    """A row for each corpus, kind of recording and system, from an encoder."""
    started = time.process_time()
    weights = str(shared / "weights" / name)
    encoder = load_encoder(weights, engine="torch")
    spec = DiarizerSpec(labels=LABELS, encoder=weights, digest=encoder.digest, layer=resolve_layer("middle", encoder))
    rows = {corpus: labelled(shared / "corpora" / corpus, corpus) for corpus in NAMES}
    source = DiarizerSource(tuple(row for row in rows["ravdess"] if row.speaker not in TEST_ACTORS))
    fits = [
        fit_diarizer(source, encoder, spec, composing=Composing(), training=FrameTraining(seed=seed))
        for seed in range(seeds)
    ]
    print(name, "held out:", [round(100 * (fit.accuracy or 0), 1) for fit in fits], flush=True)
    most = most_heard([recording for fit in fits for recording in fit.recordings])
    for corpus in NAMES:
        utterances = [row for row in rows[corpus] if corpus != "ravdess" or row.speaker in TEST_ACTORS]
        for kind in KINDS:
            tests = [
                TestSound(sound, row.speaker, labelled_steps(Composition("", (row,)), sound, encoder, spec))
                for row, sound in sounds(utterances, kind)
            ]
            diarizers = [fit.diarizer for fit in fits]
            for system, hypotheses in systems(diarizers, tests, kind, most).items():
                yield {"corpus": corpus, "kind": kind, "system": system, **scored(tests, hypotheses)}
            print(name, corpus, kind, len(tests), f"{time.process_time() - started:.0f} s CPU", flush=True)


def labelled(folder: Path, corpus: str) -> list[Utterance]:
    """The utterances of LABELS."""
    return [row for row in scan(corpus, folder) if row.emotion in LABELS]


def sounds(utterances: Sequence[Utterance], kind: str) -> Iterator[tuple[Utterance, LabelledSound]]:
    """Sounds with known boundaries, each with an utterance of its speaker."""
    drawn = draw_compositions(utterances, Composing(), seed=0).compositions
    pairs = [(composition.first, compose(composition, Composing())) for composition in drawn]
    if kind == "recordings":
        yield from pairs
        return
    for _, group in itertools.groupby(pairs, key=lambda pair: pair[0].speaker):
        parts: list[LabelledSound] = []
        for row, sound in group:
            parts.append(sound)
            if sum(len(part.wave) for part in parts) >= JOINED * SAMPLE_RATE:
                yield row, joined(parts)
                parts = []


def joined(parts: Sequence[LabelledSound]) -> LabelledSound:
    """Sounds one after the other."""
    segments, offset = [], 0.0
    for part in parts:
        segments += [replace(item, start=item.start + offset, end=item.end + offset) for item in part.segments]
        offset = segments[-1].end
    return LabelledSound(np.concatenate([part.wave for part in parts]), merged(segments))


def most_heard(recordings: Sequence[Any]) -> str:
    """The emotion of most recordings that are learnt from, by name where several are."""
    counts = {emotion: 0 for emotion in EMOTIONS}
    for recording in recordings:
        for emotion in {row.emotion for row in recording.rows} & set(EMOTIONS):
            counts[emotion] += 1
    return max(sorted(counts), key=lambda emotion: counts[emotion])


def systems(
    diarizers: Sequence[Diarizer], tests: Sequence[TestSound], kind: str, most: str
) -> dict[str, list[list[Segments]]]:
    """What each system answers, for each seed, in each sound."""
    trained = [[timeline_of(diarizer, test.steps) for test in tests] for diarizer in diarizers]
    x = torch.cat([test.steps.features[torch.from_numpy(test.steps.speech)] for test in tests])
    moments = {"mean": x.mean(0), "deviation": x.std(0, correction=0)}
    moved = [[timeline_of(replace(diarizer, **moments), test.steps) for test in tests] for diarizer in diarizers]
    answers = {
        "all neutral": [[() for _ in tests]],
        f"one emotion: {most}": [[(Segment(0.0, test.seconds, most),) for test in tests]],
        "trained": trained,
        "trained, moments of the target": moved,
    }
    if kind == "recordings":
        answers["oracle emotion"] = [
            [oracle_emotion(segments, test) for segments, test in zip(row, tests)] for row in trained
        ]
    answers["oracle boundaries"] = [[oracle_boundaries(diarizer, test) for test in tests] for diarizer in diarizers]
    return answers


def oracle_emotion(segments: Segments, test: TestSound) -> Segments:
    """The segments, of which each that is emotional has the recording's true emotion."""
    truth = next(item.emotion for item in test.sound.segments if item.emotion != NEUTRAL)
    return tuple(item if item.emotion == NEUTRAL else replace(item, emotion=truth) for item in segments)


def oracle_boundaries(diarizer: Diarizer, test: TestSound) -> Segments:
    """The true segments, each with the label of the largest mean probability of its steps with speech."""
    p, speech = diarizer.answers(test.steps.features), test.steps.speech
    middle = (np.arange(len(p)) + 0.5) / diarizer.frame_rate
    answered = []
    for item in test.sound.segments:
        inside = (item.start <= middle) & (middle < item.end)
        inside = inside & speech if (inside & speech).any() else inside
        label = LABELS[int(p[inside].mean(0).argmax())] if inside.any() else NEUTRAL
        answered.append(replace(item, emotion=label))
    return tuple(answered)


def scored(tests: Sequence[TestSound], hypotheses: list[list[Segments]]) -> dict[str, Any]:
    """EDER with its parts and intervals, and how far boundaries are missed."""
    references = tuple(test.sound.segments for test in tests)
    durations, speakers = tuple(test.seconds for test in tests), tuple(test.speaker for test in tests)
    evaluation = TimelineEvaluation(references, tuple(map(tuple, hypotheses)), durations, speakers)
    estimates = {row.measure: (row.value, row.low, row.high) for row in evaluation.estimates()}
    errors = [
        boundary_errors(reference, segments, seconds)
        for row in hypotheses
        for reference, segments, seconds in zip(references, row, durations)
    ]
    distances = [distance for error in errors for distance in error.distances]
    missed = sum(error.missed for error in errors)
    middle = median([*distances, *[float("inf")] * missed])
    boundaries = {
        "median": middle if middle < float("inf") else None,
        "missed": missed / (len(distances) + missed),
        "inserted": sum(error.inserted for error in errors) / (len(distances) + missed),
        "n": (len(distances) + missed) // len(hypotheses),
    }
    people = len(set(speakers))
    return {
        "estimates": estimates,
        "boundaries": boundaries,
        "n": len(tests),
        "speakers": people,
        "seeds": len(hypotheses),
    }


def tables(encoder: str, rows: Sequence[dict[str, Any]]) -> Iterator[Table]:
    """A table for each kind of recording."""
    for kind, title in KINDS.items():
        chosen = [row for row in rows if row["kind"] == kind]
        seeds = max(row["seeds"] for row in chosen)
        columns = ["tested on", "system", "EDER", *(EMOTIONS if kind == "recordings" else ())]
        columns += ["missed", "false alarm", "confusion", "pooled", "boundary", "missed ones", "added ones"]
        table = Table(
            f"**{encoder}, {title}** (`--encoders {encoder} --seeds {seeds}`; per cent, boundary in s):",
            f"| {' | '.join(columns)} |",
        )
        for row in chosen:
            table.add(*cells(row, kind))
        yield table


def cells(row: dict[str, Any], kind: str) -> Iterator[str]:
    """A row of a table."""
    estimates, boundaries = row["estimates"], row["boundaries"]
    yield f"{NAMES[row['corpus']]}: {row['n']} of {row['speakers']} speakers"
    yield row["system"]
    yield bracketed(estimates["EDER"])
    if kind == "recordings":
        yield from (bracketed(estimates[f"EDER {emotion}"]) for emotion in EMOTIONS)
    yield from (f"{100 * estimates[f'EDER {part}'][0]:.1f}" for part in ("missed", "false alarm", "confusion"))
    yield f"{100 * estimates['EDER pooled'][0]:.1f}"
    yield "never" if boundaries["median"] is None else f"{boundaries['median']:.2f}"
    yield f"{100 * boundaries['missed']:.0f}"
    yield f"{100 * boundaries['inserted']:.0f}"


def bracketed(estimate: Sequence[float]) -> str:
    value, low, high = (100 * number for number in estimate)
    return f"{value:.1f} [{low:.1f}, {high:.1f}]" if low == low else f"{value:.1f}"


if __name__ == "__main__":
    main()
