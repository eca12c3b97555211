"""The results of docs/results/unfamiliar.md: how unfamiliar noise, music, other corpora and changed speech are.

    python benchmarks/unfamiliar.py [--shared ../shared] [--work unfamiliar-work] [--only logmel,whisper-base]

In each of three parts a third of the speakers of both sides is held out, and a recogniser of the default method is
trained on the others. Each held-out clip is answered as a lone clip of nobody known. What is finished is read from
`--work`. Real corpora and weights are not part of the project.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import _sounds as sounds
import numpy as np
import torch
from adapter_results import is_repetition
from published import write_page
from safetensors.numpy import load_file, save_file
from sklearn.metrics import roc_auc_score

from emobridge.bundle import Recognizer
from emobridge.cache import Cache
from emobridge.corpora import scan
from emobridge.corpora.demo import make_corpora
from emobridge.data.audio import read_utterance
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.inference.features import encode, stored_features
from emobridge.settings import Adapt
from emobridge.study.final import train_recognizer
from emobridge.study.prepare import resolve, start
from emobridge.types import SAMPLE_RATE, Utterance

LABELS = ("anger", "happiness", "neutral", "sadness")
NAMES = {"ravdess": "RAVDESS", "emodb": "EmoDB", "emovo": "EMOVO"}
TARGETS = ("emodb", "emovo")
ENCODERS = ("logmel", "whisper-base")
PARTS = 3
CHANGED = 20  # clips a part that are changed, and as many sounds of their lengths
OF_SOURCE, HELD_OUT = "held-out speakers of the source", "held-out speakers of the target"
ANOTHER, DEMO = "another corpus (EMOVO or EmoDB)", "SYNTHETIC speech of espeak-ng"
SPOKEN = ("in pink noise, 10 dB", "in pink noise, 0 dB", "telephone band, 300-3400 Hz")  # whose emotion is still known
MIXED, REVERSED = "two speakers at once", "reversed in time"
SOUNDS: dict[str, Callable[..., sounds.Wave]] = {
    "white noise": sounds.white,
    "pink noise": sounds.pink,
    "mains hum": sounds.hum,
    "a tone": sounds.tone,
    "chords (SYNTHETIC)": sounds.music,
}
ORDER = (HELD_OUT, OF_SOURCE, ANOTHER, REVERSED, MIXED, *SPOKEN, DEMO, *SOUNDS)
Answers = dict[str, np.ndarray]  # by condition: (N, 3) of unfamiliarity, confidence, and whether it is right (or -1)


@dataclass(frozen=True, slots=True)
class Part:
    """A recogniser and the clips of the speakers that were held out."""

    recognizer: Recognizer
    source: list[Utterance]
    target: list[Utterance]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EMOBRIDGE_SHARED", "../shared")))
    parser.add_argument("--work", type=Path, default=Path("unfamiliar-work"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/unfamiliar.md"))
    parser.add_argument("--only", default=",".join(ENCODERS), help="encoders, by comma; empty: write the page")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    corpora = {name: list(clips_of(name, args.shared)) for name in NAMES}
    make_corpora(args.work / "demo", ("en", "de"), speakers=4)
    for encoder in filter(None, args.only.split(",")):
        for target in TARGETS:
            path = args.work / f"{encoder}-{target}.safetensors"
            if not path.exists():
                save_file(measure(encoder, target, corpora, args), path)
    answers = {path.stem: load_file(path) for path in sorted(args.work.glob("*-*.safetensors"))}
    before, _, page = args.out.read_text(encoding="utf-8").partition("<!-- measured -->")
    after = page.partition("<!-- end of measured -->")[2]
    text = f"{table(answers)}\n\n{table_of_errors(answers)}"
    write_page(args.out, f"{before}<!-- measured -->\n\n{text}\n\n<!-- end of measured -->{after}")
    print(args.out)


def clips_of(corpus: str, shared: Path) -> Iterator[Utterance]:
    """The clips of the four emotions, once each."""
    for utterance in scan(corpus, shared / "corpora" / corpus):
        if utterance.emotion in LABELS and not is_repetition(utterance):
            yield utterance


def measure(encoder: str, target: str, corpora: dict[str, list[Utterance]], args: argparse.Namespace) -> Answers:
    """The answers of all parts to all conditions."""
    parts: list[Answers] = []
    for number in range(PARTS):
        part = trained(encoder, corpora["ravdess"], corpora[target], number, args)
        rng = np.random.default_rng(number)
        (other,) = set(TARGETS) - {target}
        of_target = {"corpus": "files", "language": part.target[0].language, "speaker": None}
        lone = [replace(row, **of_target) for row in part.target]
        answers = {
            OF_SOURCE: stored(part, [replace(row, speaker=None) for row in part.source], args),
            HELD_OUT: stored(part, lone, args),
            ANOTHER: stored(part, [replace(row, **of_target) for row in corpora[other]], args),
        }
        chosen = [lone[row] for row in rng.permutation(len(lone))[:CHANGED]]
        for name, waves in conditions([read_utterance(row) for row in chosen], rng):
            answers[name] = of_waves(part.recognizer, waves, chosen if name in SPOKEN else None)
        spoken = [row for path in sorted((args.work / "demo").glob("*.jsonl")) for row in read_manifest(path)]
        waves = [read_utterance(row) for row in spoken[number :: len(spoken) // CHANGED]]
        answers[DEMO] = of_waves(part.recognizer, waves, None)
        parts.append(answers)
    return {name: np.concatenate([answers[name] for answers in parts]) for name in parts[0]}


def trained(
    encoder: str, source: Sequence[Utterance], target: Sequence[Utterance], number: int, args: argparse.Namespace
) -> Part:
    """A recogniser without every third speaker of both sides."""
    held_out, paths = [], []
    for rows in (source, target):
        speakers = sorted({str(row.speaker) for row in rows})[number::PARTS]
        held_out.append([row for row in rows if row.speaker in speakers])
        paths.append(args.work / f"{rows[0].corpus}-{number}.jsonl")
        write_manifest(paths[-1], (row for row in rows if row.speaker not in speakers))
    request = Adapt.of(
        source=(str(paths[0]),),
        target=str(paths[1]),
        labels=LABELS,
        encoder=encoder if encoder == "logmel" else str(args.shared / "weights" / encoder),
        out=str(args.work / "run"),
        store=str(args.work / "store"),
    )
    started = start(resolve(request), lambda speech: None, cache=Cache(args.work / "cache"))
    recognizer = train_recognizer(started.runner, started.decision.cases[-1], started.prepared.encoder).recognizer
    folder = recognizer.save(args.work / f"bundle-{encoder}-{target[0].corpus}", "card")
    familiarity = recognizer.last.familiarity
    size = sum(part.nbytes for part in (familiarity.centres, familiarity.deviation, familiarity.distances))
    print(f"{folder.name}: {(folder / 'model.safetensors').stat().st_size} bytes, {size} of them familiarity")
    return Part(recognizer, *held_out)


def stored(part: Part, rows: Sequence[Utterance], args: argparse.Namespace) -> np.ndarray:
    """The answers to clips of corpora, whose features are kept."""
    recognizer = part.recognizer
    features, _ = stored_features(recognizer, rows, [[None]] * len(rows), args.work / "store")
    return answered(recognizer, [features[None][row] for row in range(len(rows))], rows)


def of_waves(recognizer: Recognizer, waves: Sequence[sounds.Wave], rows: Sequence[Utterance] | None) -> np.ndarray:
    """The answers to waves; rows: whose emotions they still have."""
    return answered(recognizer, [encode(recognizer, [wave], [None])[0] for wave in waves], rows)


def answered(recognizer: Recognizer, features: Sequence[torch.Tensor], rows: Sequence[Utterance] | None) -> np.ndarray:
    """(N, 3): see `Answers`; each clip alone, by the corpus of its row, or of the target."""
    values = []
    for index, pooled in enumerate(features):
        row = rows[index] if rows else None
        domain = recognizer.domain(row.corpus, row.language) if row else recognizer.domain()
        probabilities = recognizer.answers(pooled[None], domain, None)[0]
        unfamiliarity = recognizer.last.unfamiliarity(recognizer.normalised(pooled[None], domain, None))
        right = float(recognizer.labels[int(probabilities.argmax())] == row.emotion) if row else -1.0
        values.append((float(unfamiliarity), float(probabilities.max()), right))
    return np.array(values)


def conditions(waves: Sequence[sounds.Wave], rng: np.random.Generator) -> Iterator[tuple[str, list[sounds.Wave]]]:
    """Changed clips and sounds of their lengths, by what they are called."""
    yield SPOKEN[0], [sounds.in_noise(wave, 10, rng) for wave in waves]
    yield SPOKEN[1], [sounds.in_noise(wave, 0, rng) for wave in waves]
    yield SPOKEN[2], [sounds.through_telephone(wave) for wave in waves]
    yield MIXED, [sounds.mixed(wave, other) for wave, other in zip(waves, [*waves[7:], *waves[:7]])]
    yield REVERSED, [sounds.reversed_in_time(wave) for wave in waves]
    for name, make in SOUNDS.items():
        yield name, [make(len(wave) / SAMPLE_RATE, rng) for wave in waves]


def table(answers: dict[str, Answers]) -> str:
    """Median, share beyond the edge and AUROC of each condition, a column a recogniser."""
    columns = [column_name(key) for key in answers]
    lines = ["| clips | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in ORDER:
        cells = []
        for by_name in answers.values():
            scores, usual = by_name[name][:, 0], by_name[HELD_OUT][:, 0]
            above = 100 * (scores > 1).mean()
            cells.append(f"{np.median(scores):.2f} / {above:.0f} / {auroc(scores, usual):.2f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def table_of_errors(answers: dict[str, Answers]) -> str:
    """How well unfamiliarity and confidence tell wrong answers from right ones."""
    lines = [
        "| recogniser | clips | right | AUROC of unfamiliarity | AUROC of 1 - confidence |",
        "|---|---|---|---|---|",
    ]
    for key, by_name in answers.items():
        groups = {"held-out target speakers": [HELD_OUT], "these and the changed ones": [HELD_OUT, *SPOKEN]}
        for name, conditions_of in groups.items():
            values = np.concatenate([by_name[condition] for condition in conditions_of])
            wrong = values[:, 2] == 0
            areas = [auroc(column[wrong], column[~wrong]) for column in (values[:, 0], 1 - values[:, 1])]
            right = f"{100 * (~wrong).mean():.0f} % of {len(values)}"
            lines.append(f"| {column_name(key)} | {name} | {right} | {areas[0]:.2f} | {areas[1]:.2f} |")
    return "\n".join(lines)


def column_name(key: str) -> str:
    encoder, _, target = key.rpartition("-")
    return f"{encoder}, RAVDESS -> {NAMES[target]}"


def auroc(higher: np.ndarray, lower: np.ndarray) -> float:
    """The probability that one of `higher` is above one of `lower`; 0.5 is chance."""
    truth = np.repeat([1, 0], [len(higher), len(lower)])
    return float(roc_auc_score(truth, np.concatenate([higher, lower])))


if __name__ == "__main__":
    main()
