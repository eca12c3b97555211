"""The results of docs/results/calibration.md: how far a confidence is the share of right answers, before and after the
temperature, measured by `emobridge budget`.

    python benchmarks/calibration.py --work calibration-work

RAVDESS, EmoDB and EMOVO, each to each, the baseline and soft pseudo-labels, no target label. `--encoders` runs some of
the encoders below, `--pairs` some of the pairs; all that is finished goes into the page, whose other rows stay. An
interrupted run goes on. Its exit code is 1 where the error on held-out source speakers is above 0.10 after the
temperature. Real corpora and weights are not part of the project: they lie in the folder that EMOBRIDGE_SHARED names.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from page_tables import Table, read
from published import write_page

from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest

LABELS = "anger,happiness,neutral,sadness"
METHODS = ("source-only", "soft-pseudo-labels")
NAMES = {"ravdess": "RAVDESS (en)", "emodb": "EmoDB (de)", "emovo": "EMOVO (it)"}
PAIRS = tuple(itertools.permutations(NAMES, 2))
LAYERS = {"logmel": "0", "whisper-base": "3"}  # of the encoders, which lie in SHARED/weights or have no weights
SIDES = {"source": "held-out speakers of the source", "target": "the target, which gave no label"}
COLUMNS = ("accuracy", "confidence", "after", "ECE", "after", "T", "surest 75 %", "surest 50 %", "surest 25 %")
HIGHEST = 0.10  # expected calibration error on the source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("EMOBRIDGE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    parser.add_argument("--shared", type=Path, default=shared)
    parser.add_argument("--work", type=Path, default=Path("calibration-work"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/calibration.md"))
    parser.add_argument("--encoders", default=",".join(LAYERS), help="by comma; empty: write the page")
    parser.add_argument("--pairs", help="by comma, as source:target, such as emodb:emovo; default: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    pairs = [tuple(pair.split(":")) for pair in args.pairs.split(",")] if args.pairs else PAIRS
    if not set(pairs) <= set(PAIRS):
        parser.error(f"--pairs: expected some of {', '.join(map(':'.join, PAIRS))}, got {args.pairs}")
    args.work.mkdir(parents=True, exist_ok=True)
    for corpus in NAMES:
        if not (args.work / f"{corpus}.jsonl").exists():
            write_manifest(args.work / f"{corpus}.jsonl", scan(corpus, args.shared / "corpora" / corpus))
    for encoder, (source, target) in itertools.product(filter(None, args.encoders.split(",")), pairs):
        run(args, encoder, source, target)
    before, _, page = args.out.read_text(encoding="utf-8").partition("<!-- measured -->")
    old, _, after = page.partition("<!-- end -->")
    by_title = {table.title: table for table in read(old)}
    for encoder, side in itertools.product(LAYERS, SIDES):
        table = table_of(args.work, encoder, side)
        if table.rows:
            by_title[table.title] = table.over(by_title.get(table.title), position)
    titles = [title_of(encoder, side) for encoder, side in itertools.product(LAYERS, SIDES)]
    text = "\n".join(str(by_title[title]) for title in titles if title in by_title)
    write_page(args.out, f"{before}<!-- measured -->\n{text}\n\n<!-- end -->{after}")
    print(args.out)
    errors = [row["after"]["error"] for _, _, row in rows_of(args.work) if row["side"] == "source"]
    sys.exit(max(errors, default=0.0) > HIGHEST)


def run(args: argparse.Namespace, encoder: str, source: str, target: str) -> None:
    """One `emobridge budget` without target labels."""
    weights = args.shared / "weights" / encoder
    command = [sys.executable, "-m", "emobridge", "budget", "--labels", LABELS, "--methods", ",".join(METHODS)]
    command += ["--source", str(args.work / f"{source}.jsonl"), "--target", str(args.work / f"{target}.jsonl")]
    command += ["--encoder", str(weights) if weights.is_dir() else encoder, "--layer", LAYERS[encoder]]
    command += ["--budgets", "0", "--seeds", str(args.seeds), "--folds", str(args.folds), "--jobs", str(args.jobs)]
    command += ["--out", str(folder(args.work, encoder, source, target))]
    print(" ".join(command[2:]), flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def folder(work: Path, encoder: str, source: str, target: str) -> Path:
    """The folder of one pair's grid."""
    return work / encoder / f"{source}-{target}"


def rows_of(work: Path) -> Iterator[tuple[str, tuple[str, str], dict[str, Any]]]:
    """The rows of calibration of all finished grids, with encoder and pair."""
    for encoder, pair in itertools.product(LAYERS, PAIRS):
        path = folder(work, encoder, *pair) / "budget.json"
        if path.exists():
            for row in json.loads(path.read_text(encoding="utf-8"))["record"]["calibrations"]:
                yield encoder, pair, row


def table_of(work: Path, encoder: str, side: str) -> Table:
    """A row for each pair and method."""
    table = Table(title_of(encoder, side), f"| source -> target | method | {' | '.join(COLUMNS)} |")
    for name, pair, row in rows_of(work):
        if (name, row["side"]) == (encoder, side):
            trusts = row["before"], row["after"]
            cells = [f"{100 * trust[key]:.1f}" for key in ("confidence", "error") for trust in trusts]
            coverage = [f"{100 * accuracy:.1f}" for _, accuracy in row["after"]["coverage"][1:]]
            values = (f"{100 * row['accuracy']:.1f}", *cells, f"{row['temperature']:.2f}", *coverage)
            table.add(pair_title(pair), row["method"], *values)
    return table


def title_of(encoder: str, side: str) -> str:
    """The line over a table."""
    return f"**{encoder}, answers on {SIDES[side]}** (`--encoders {encoder}`; per cent, T a number):"


def pair_title(pair: tuple[str, str]) -> str:
    """A pair as the tables name it."""
    return " -> ".join(NAMES[corpus] for corpus in pair)


def position(row: tuple[str, str]) -> int:
    """The position of a row in its table: by pair, then by method."""
    return [(pair_title(pair), method) for pair, method in itertools.product(PAIRS, METHODS)].index(row)


if __name__ == "__main__":
    main()
