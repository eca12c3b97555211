"""The results of docs/results/semi-supervised.md: every method, label budget and normalisation,
measured by `emobridge budget`.

    python benchmarks/semi_supervised_results.py --shared ../shared --work semi-supervised-work

Three corpora (English, German, Italian), six ways from one or two of them to another, five encoders. `--only` runs some
of the studies below, `--pairs`, `--methods` and `--normalise` some of their pairs, methods and normalisations; all that
is finished goes into the page, whose other rows stay.
An interrupted run goes on. All runs pass `--pool closed`: target utterances of other emotions are left out of the
unlabelled ones too, as when the page was first measured. Real corpora and weights are not part of the project.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter_results import is_repetition
from page_tables import Table, read
from published import write_page

from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest
from emobridge.types import Utterance

LABELS = "anger,happiness,neutral,sadness"
PAIRS = (
    ("ravdess", "emodb"),
    ("ravdess", "emovo"),
    ("emodb", "emovo"),
    ("emovo", "emodb"),
    ("ravdess+emovo", "emodb"),
    ("ravdess+emodb", "emovo"),
)
NAMES = {"ravdess": "RAVDESS (en)", "emodb": "EmoDB (de)", "emovo": "EMOVO (it)"}
LABELLING = "source-only,pseudo-labels,soft-pseudo-labels"
OTHERS = "dann,multitask,fluda,nnpm"  # these shape a representation
METHODS = (*LABELLING.split(","), *OTHERS.split(","))
SOFT = "source-only,soft-pseudo-labels"
TRAINED = ("--train", "end-to-end", "--align", "none", "--epochs", "20", "--method-option", "interval=8")
TRAINED += ("--batch-size", "25")  # of corpora this small 100 make four steps an epoch
LINEAR = ("--head-option", "hidden=64")  # of the methods that shape a representation


@dataclass(frozen=True, slots=True)
class Study:
    """Some grids of `emobridge budget`, one per pair; `options` in addition to those of all studies."""

    encoder: str  # folder under SHARED/weights, or a name
    methods: str
    budgets: str
    normalise: str
    folds: int = 3
    layer: str = "middle"
    options: tuple[str, ...] = ()
    emotions: int = 0  # of each target speaker, the others are left out; 0 is all
    repetitions: bool = True  # of RAVDESS, which has everything twice


STUDIES = {
    "goals": Study("whisper-base", LABELLING, "0", "none,speaker,speaker+text", 5),
    "base": Study("whisper-base", LABELLING, "0,25,50,100,all", "speaker"),
    "one-unguarded": Study("whisper-base", SOFT, "0", "speaker,corpus", options=("--no-guard",), emotions=1),
    "one-guarded": Study("whisper-base", SOFT, "0", "speaker", emotions=1),
    "goals-tiny": Study("whisper-tiny.en", LABELLING, "0", "none,speaker,speaker+text", 5),
    "others": Study("whisper-base", OTHERS, "0", "speaker", options=LINEAR),
    "byol": Study("byol-s-512", LABELLING, "0,25,50,100,all", "speaker", layer="0"),
    "logmel": Study("logmel", LABELLING, "0,25,50,100,all", "speaker", layer="0"),
    "two-unguarded": Study("whisper-base", SOFT, "0", "speaker,corpus", options=("--no-guard",), emotions=2),
    "two-guarded": Study("whisper-base", SOFT, "0", "speaker", emotions=2),
    "others-all": Study("whisper-base", OTHERS, "all", "speaker", options=LINEAR),
    "others-labels": Study("whisper-base", OTHERS, "25,50,100", "speaker", options=LINEAR),
    "others-none": Study("whisper-base", OTHERS, "0", "none", options=LINEAR),
    "tiny": Study("whisper-tiny.en", LABELLING, "0,25,50,100,all", "speaker", 0),
    "others-tiny": Study("whisper-tiny.en", OTHERS, "0", "none,speaker", 0, options=LINEAR),
    "others-byol": Study("byol-s-512", OTHERS, "0", "none,speaker", 0, "0", LINEAR),
    "others-logmel": Study("logmel", OTHERS, "0", "none,speaker", 0, "0", LINEAR),
    "cnn": Study("emotion-cnn", LABELLING, "0", "none", 0, "0", TRAINED, repetitions=False),
}
# glibc returns large blocks after each operation; an epoch of EmotionCNN takes half the time if it does not.
ENVIRONMENT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
CLOSED = ("--pool", "closed")  # of the target, unlabelled utterances of the four emotions only


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, default=Path("semi-supervised-work"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/semi-supervised.md"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", default=",".join(STUDIES), help="studies, by comma; empty: write the page")
    parser.add_argument("--pairs", help="by comma, as source:target, such as ravdess+emovo:emodb; default: all")
    parser.add_argument("--methods", help="by comma, of those that a study has; default: all")
    parser.add_argument("--normalise", help="by comma, of those that a study has; default: all")
    args = parser.parse_args()
    pairs = [tuple(pair.split(":")) for pair in args.pairs.split(",")] if args.pairs else PAIRS
    if not set(pairs) <= set(PAIRS):
        parser.error(f"--pairs: expected some of {', '.join(map(':'.join, PAIRS))}, got {args.pairs}")
    args.work.mkdir(parents=True, exist_ok=True)
    for corpus in NAMES:
        if not all((args.work / f"{corpus}{part}.jsonl").exists() for part in ("-once", "-2")):
            rows = list(scan(corpus, args.shared / "corpora" / corpus))
            write_manifest(args.work / f"{corpus}.jsonl", rows)
            write_manifest(args.work / f"{corpus}-once.jsonl", (row for row in rows if not is_repetition(row)))
            for count in (1, 2):
                write_manifest(args.work / f"{corpus}-{count}.jsonl", one_sided(rows, count))
    for name in filter(None, args.only.split(",")):
        for source, target in (pair for pair in PAIRS if pair in pairs):
            run(args, name, STUDIES[name], source, target)
    curves = []
    for source, target in PAIRS:
        drawn = folder(args.work, "base", source, target) / "figures" / "budget.svg"
        curve = args.out.with_suffix("") / f"{source}-{target}.svg"
        if drawn.exists():
            curve.parent.mkdir(exist_ok=True)
            shutil.copy(drawn, curve)
        if curve.exists():
            curves.append(f"![{source} to {target}: UA by label budget]({args.out.stem}/{curve.name})")
    before, _, page = args.out.read_text(encoding="utf-8").partition("<!-- measured -->")
    old, _, after = page.partition("<!-- end -->")
    by_title = {table.title: table for table in read(old)}
    for name in STUDIES:
        for table in tables(args.work, name):
            by_title[table.title] = table.over(by_title.get(table.title), position)
    names = [f"`--only {name}`" for name in STUDIES]
    ordered = sorted(
        by_title.values(), key=lambda table: next(at for at, name in enumerate(names) if name in table.title)
    )
    text = "\n".join([*(str(table) for table in ordered), "", *curves])
    write_page(args.out, f"{before}<!-- measured -->\n{text}\n<!-- end -->{after}")
    print(args.out)


def one_sided(rows: list[Utterance], count: int) -> list[Utterance]:
    """The utterances of `count` emotions of each speaker, other emotions for the next speaker."""
    labels = LABELS.split(",")
    speakers = sorted({str(row.speaker) for row in rows})
    emotions = {name: [labels[(at + n) % len(labels)] for n in range(count)] for at, name in enumerate(speakers)}
    return [row for row in rows if row.emotion in emotions[str(row.speaker)]]


def run(args: argparse.Namespace, name: str, study: Study, source: str, target: str) -> None:
    """One `emobridge budget`."""
    weights = args.shared / "weights" / study.encoder
    suffix = "" if study.repetitions else "-once"
    manifest = f"{target}-{study.emotions}" if study.emotions else f"{target}{suffix}"
    command = [sys.executable, "-m", "emobridge.cli.main", "budget", "--target", str(args.work / f"{manifest}.jsonl")]
    for corpus in source.split("+"):
        command += ["--source", str(args.work / f"{corpus}{suffix}.jsonl")]
    command += ["--encoder", str(weights) if weights.is_dir() else study.encoder, "--layer", study.layer]
    command += ["--labels", LABELS, "--methods", args.methods or study.methods, "--budgets", study.budgets]
    command += [
        "--normalise",
        args.normalise or study.normalise,
        "--folds",
        str(study.folds),
        "--seeds",
        "3",
        "--jobs",
        str(args.jobs),
    ]
    command += [*CLOSED, *study.options, "--out", str(folder(args.work, name, source, target))]
    print(" ".join(command[3:]), flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **ENVIRONMENT})


def folder(work: Path, name: str, source: str, target: str) -> Path:
    """The folder of one pair's grid."""
    return work / name / f"{source}-{target}"


def tables(work: Path, name: str) -> Iterator[Table]:
    """The tables of one study, one per normalisation: a row per pair and method, a cell per budget."""
    rows = []
    for source, target in PAIRS:
        path = folder(work, name, source, target) / "scores.json"
        if path.exists():
            scores = json.loads(path.read_text(encoding="utf-8"))
            rows += [row for row in scores if row["seed"] == "all" and row["measure"] == "UA"]
    study = STUDIES[name]
    emotions = f"; {study.emotions} of four emotions of each target speaker kept" if study.emotions else ""
    split = f"{study.folds} folds by speaker" if study.folds else "one split by speaker a seed"
    emotions += ", no guard" if "--no-guard" in study.options else ", guarded" if study.emotions else ""
    amounts = study.budgets.split(",")
    for norm in dict.fromkeys(row["normalisation"] for row in rows):  # "speaker+coral"
        cells = {
            (row["source"], row["target"], row["method"], row["target_labels"], row["side"]): row
            for row in rows
            if row["normalisation"] == norm
        }
        table = Table(
            f"**{study.encoder}, normalisation {norm.removesuffix('+coral')}, {split}{emotions}** (`--only {name}`):",
            f"| source -> target | method | {' | '.join(f'{amount} labels: target / source' for amount in amounts)} |",
        )
        for (source, target), method in itertools.product(PAIRS, METHODS):
            keys = [(source, target, method, amount) for amount in amounts]
            if any((*key, "target") in cells for key in keys):
                table.add(pair_title(source, target), method, *(cell(cells, key) for key in keys))
        yield table


def pair_title(source: str, target: str) -> str:
    """A pair as the tables name it."""
    return f"{' + '.join(NAMES[corpus] for corpus in source.split('+'))} -> {NAMES[target]}"


def position(row: tuple[str, str]) -> int:
    """The position of a row in its table: by pair, then by method."""
    order = [(pair_title(*pair), method) for pair, method in itertools.product(PAIRS, METHODS)]
    return order.index(row)


def cell(rows: dict[tuple[str, ...], dict[str, Any]], key: tuple[str, ...]) -> str:
    """UA of the target with its interval, and of the source."""
    target, source = rows.get((*key, "target")), rows.get((*key, "source"))
    if target is None or source is None:
        return "-"
    value, low, high = (f"{100 * target[name]:.1f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}] / {100 * source['value']:.1f}"


if __name__ == "__main__":
    main()
