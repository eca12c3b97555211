"""One recogniser of three languages, with the language given or not: the second part of docs/results/adapters.md.

    python benchmarks/language_results.py --shared ../shared --work languages-work

An encoder is fine-tuned on English; German and Italian are added by LoRA (method ft-lora). Of each corpus three fifths
of the speakers train, one fifth teaches the router (its languages, not its emotions), one fifth is scored. An
interrupted run goes on. Real corpora and weights are not part of the project.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from adapter_results import CORPORA, LABELS, is_repetition
from published import write_page

from emobridge.bundle import Recognizer
from emobridge.cache import Cache
from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest
from emobridge.data.splits import by_ratio
from emobridge.inference.compare import compare
from emobridge.inference.routing import learn_router
from emobridge.settings import Adapt
from emobridge.study.final import train_recognizer
from emobridge.study.prepare import resolve, start

PARTS = {"train": 0.6, "router": 0.2, "test": 0.2}
LANGUAGES = {"en": "English", "de": "German", "it": "Italian"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, default=Path("languages-work"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/adapters.md"))
    parser.add_argument("--encoder", default="whisper-tiny.en")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    by_seed = [scores(args, seed) for seed in range(args.seeds)]
    modes = list(dict.fromkeys(mode for mode, _ in by_seed[0]))
    lines = [
        f"| {args.encoder}, {args.seeds} seeds | {' | '.join(LANGUAGES.values())} | mean |",
        "|---|---|---|---|---|",
    ]
    for mode in modes:
        values = np.array([[result[mode, language] for language in LANGUAGES] for result in by_seed])
        values = np.concatenate([values, values.mean(1, keepdims=True)], 1)
        cells = [
            f"{mean:.1f} ({low:.1f} to {high:.1f})"
            for mean, low, high in zip(values.mean(0), values.min(0), values.max(0))
        ]
        lines.append(f"| {mode} | {' | '.join(cells)} |")
    before, _, old = args.out.read_text(encoding="utf-8").partition("<!-- languages -->")
    text = "\n".join(lines)
    after = old.partition("<!-- end of languages -->")[2]
    write_page(args.out, f"{before}<!-- languages -->\n{text}\n<!-- end of languages -->{after}")
    print(args.out)


def scores(args: argparse.Namespace, seed: int) -> dict[tuple[str, str], float]:
    """UA in per cent by mode and language, of one seed."""
    folder = args.work / f"seed{seed}"
    done = folder / "scores.json"
    if not done.exists():
        spoken = {part: [] for part in PARTS}
        for corpus in CORPORA:
            rows = list(scan(corpus, args.shared / "corpora" / corpus))
            rows = [row for row in rows if row.emotion in LABELS and not is_repetition(row)]
            for part, indices in zip(PARTS, by_ratio(rows, tuple(PARTS.values()), seed=seed)):
                utterances = [rows[index] for index in indices]
                write_manifest(folder / f"{corpus}-{part}.jsonl", utterances)
                spoken[part] += utterances
        recognizer = Recognizer.joined([bundle(args, folder, corpus, seed) for corpus in CORPORA[1:]], replace=True)
        rows = []
        for hears_base in (False, True):
            recognizer.router = learn_router(
                recognizer, spoken["router"], hears_base=hears_base, store=folder / "store"
            )
            modes = None if not hears_base else ("routed",)
            for row in compare(recognizer, spoken["test"], modes=modes, store=folder / "store"):
                name = f"{row.mode}, by the base's features too" if hears_base else row.mode
                rows.append([name, row.language, 100 * row.ua])
        done.write_text(json.dumps(rows))
    return {(mode, language): value for mode, language, value in json.loads(done.read_text())}


def bundle(args: argparse.Namespace, folder: Path, corpus: str, seed: int) -> Path:
    """The bundle that adds the language of `corpus` to English."""
    out = folder / corpus
    if not (out / "bundle.json").exists():
        print(f"English + {corpus}, seed {seed}", file=sys.stderr, flush=True)
        request = Adapt.of(
            source=(str(folder / "ravdess-train.jsonl"),),
            target=str(folder / f"{corpus}-train.jsonl"),
            labels=LABELS,
            encoder=str(args.shared / "weights" / args.encoder),
            method="ft-lora",
            target_labels="all",
            pool="closed",
            normalise="none",
            epochs=3,
            batch_size=4,
            learning_rate=3e-4,
            encoder_rate=3e-5,
            decay=1.0,
            seeds=1,
            out=str(out),
            store=str(folder / "store"),
        )
        caches = {"cache": Cache(out / "work"), "shared": Cache(folder / "stages")}
        started = start(resolve(request), lambda speech: None, **caches)
        recognizer = train_recognizer(started.runner, started.decision.cases[-1], started.prepared.encoder).recognizer
        recognizer.save(out, "One of benchmarks/language_results.py.")
    return out


if __name__ == "__main__":
    main()
