"""The results of docs/results/across-languages.md: what is reached in a language that gave no label.

    python benchmarks/across_languages.py --work across-languages-work

English (RAVDESS), German (EmoDB) and Italian (EMOVO), each from each other one and from both: nine pairs.
`source-only`, `class-wise` and `blend`, measured by `emobridge budget --budgets 0`, and `soft-pseudo-labels`, trained
by gradients, as a yardstick. `--only` runs some of the studies below, `--pairs` some of their pairs, `--pools` one of
two pools of unlabelled speech; all that is finished goes into the page, whose other rows stay. What stands behind `--`
is passed on to `emobridge budget`, and makes tables of its own:

    python benchmarks/across_languages.py --only whisper-base -- --statistic mean --statistic std

An interrupted run goes on. Its exit code is 1 where the goals below are missed. Real corpora and weights are not part
of the project: they lie in the folder that EMOBRIDGE_SHARED names.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from page_tables import Table, read
from published import write_page

from emobridge.cli.main import main as emobridge
from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest

LABELS = "anger,happiness,neutral,sadness"
CORPORA = {"ravdess": "RAVDESS (en)", "emodb": "EmoDB (de)", "emovo": "EMOVO (it)"}
PAIRS = (
    *itertools.permutations(CORPORA, 2),
    *(("+".join(name for name in CORPORA if name != target), target) for target in CORPORA),
)
METHODS = ("source-only", "class-wise", "blend")
YARDSTICK = "soft-pseudo-labels"
POOLS = ("open", "closed")
SUMMARY = "**Means over the pairs:**"
UNHARMED = -1.0  # points: a pair that loses no more counts as kept


@dataclass(frozen=True, slots=True)
class Study:
    """One `emobridge budget` for each pool and pair."""

    encoder: str  # folder under SHARED/weights, or a name
    normalise: str = "speaker"
    layer: str = "middle"
    methods: tuple[str, ...] = METHODS
    seeds: int = 3


STUDIES = {
    "whisper-base": Study("whisper-base"),
    "texts": Study("whisper-base", "speaker+text"),
    "whisper-tiny.en": Study("whisper-tiny.en"),
    "byol-s": Study("byol-s-512", layer="0"),
    "logmel": Study("logmel", layer="0"),
    "before": Study("whisper-base", methods=("source-only", YARDSTICK), seeds=1),
}
PAIR_GOALS = {  # UA of the blend
    "whisper-base": (82, 74, 93, 80),
    "texts": (96, 84, 97, 84),
}
GOAL_PAIRS = (("ravdess", "emodb"), ("ravdess", "emovo"), ("ravdess+emovo", "emodb"), ("ravdess+emodb", "emovo"))
MEAN_GOAL = 80  # UA of the blend over all pairs, by speaker, whisper-base
GAIN_GOAL = 4  # points of the blend on average, byol-s and logmel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("EMOBRIDGE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    parser.add_argument("--shared", type=Path, default=shared)
    parser.add_argument("--work", type=Path, default=Path("across-languages-work"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/across-languages.md"))
    parser.add_argument("--only", default=",".join(STUDIES), help="studies, by comma; empty: write the page")
    parser.add_argument("--pairs", help="by comma, as source:target, such as ravdess+emovo:emodb; default: all")
    parser.add_argument("--pools", default=",".join(POOLS), help="of unlabelled target speech, by comma")
    parser.add_argument("--seeds", type=int, help="default: those of the study")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--store", type=Path, help="of features; default: a folder in --work")
    parser.add_argument("options", nargs="*", help="of emobridge budget, after --")
    args = parser.parse_args()
    pairs = [tuple(pair.split(":")) for pair in args.pairs.split(",")] if args.pairs else PAIRS
    if not set(pairs) <= set(PAIRS):
        parser.error(f"--pairs: expected some of {', '.join(map(':'.join, PAIRS))}, got {args.pairs}")
    args.work.mkdir(parents=True, exist_ok=True)
    for corpus in CORPORA:
        if not (args.work / f"{corpus}.jsonl").exists():
            write_manifest(args.work / f"{corpus}.jsonl", scan(corpus, args.shared / "corpora" / corpus))
    for name, pool in itertools.product(filter(None, args.only.split(",")), args.pools.split(",")):
        for pair in (pair for pair in PAIRS if pair in pairs):
            run(args, name, pool, pair)
    measured = list(all_measured(args))
    rewrite(args.out, measured)
    print(args.out)
    missed = [line for part in measured for line in missed_goals(part)]
    print("\n".join(missed) or "no goal is missed where all pairs are finished")
    sys.exit(bool(missed))


def run(args: argparse.Namespace, name: str, pool: str, pair: tuple[str, str]) -> None:
    """One `emobridge budget` without target labels, unless its results are there."""
    study = STUDIES[name]
    folder = folder_of(args.work, name, pool, pair, args.options)
    if (folder / "budget.json").exists():
        return
    weights = args.shared / "weights" / study.encoder
    command = ["emobridge", "budget", "--labels", LABELS, "--methods", ",".join(study.methods), "--budgets", "0"]
    for corpus in pair[0].split("+"):
        command += ["--source", str(args.work / f"{corpus}.jsonl")]
    command += ["--target", str(args.work / f"{pair[1]}.jsonl"), "--pool", pool]
    command += ["--encoder", str(weights) if weights.is_dir() else study.encoder, "--layer", study.layer]
    command += ["--normalise", study.normalise, "--seeds", str(args.seeds or study.seeds)]
    command += ["--folds", str(args.folds), "--store", str(args.store or args.work / "features")]
    command += ["--out", str(folder), *args.options]
    print(" ".join(command), flush=True)
    # In this process: to start it anew takes as long as the fits of a pair. `main` reads the arguments of the process.
    arguments, sys.argv = sys.argv, command
    try:
        with redirect_stdout(sys.stderr):
            emobridge()
    finally:
        sys.argv = arguments


def folder_of(work: Path, name: str, pool: str, pair: tuple[str, str], options: Sequence[str]) -> Path:
    """The folder of one grid."""
    extra = "".join(option if option.startswith("--") else f"={option}" for option in options)
    return work / f"{name}{extra.replace('/', '_')}" / pool / "-".join(pair)


@dataclass(frozen=True, slots=True)
class System:
    """What one method reached on one pair: UA and differences in points, ECE in per cent."""

    target: tuple[float, float, float]  # UA and its interval
    source: float
    before: float  # ECE on the target
    after: float  # by the temperature
    temperature: float
    gain: tuple[float, float, float] | None  # over source-only, and its interval; None for source-only

    @property
    def gained(self) -> float:
        """The gain alone, 0 for source-only."""
        return self.gain[0] if self.gain else 0.0


def systems_of(path: Path) -> dict[str, System]:
    """The systems of a finished grid, by method."""
    record = json.loads(path.read_text(encoding="utf-8"))["record"]
    systems = {}
    for method in dict.fromkeys(row["method"] for row in record["systems"]):
        target, source = (score(record, method, side) for side in ("target", "source"))
        trust = find_row(record["calibrations"], method, side="target")
        gain = None
        if method != record["baseline"]:
            gain = triple(find_row(record["differences"], method, side="target")["estimate"])
        before, after = trust["before"]["error"], (trust["after"] or trust["before"])["error"]
        systems[method] = System(target, source[0], 100 * before, 100 * after, trust["temperature"], gain)
    return systems


def score(record: dict[str, Any], method: str, side: str) -> tuple[float, float, float]:
    """UA over all seeds, and its interval, in per cent."""
    return triple(find_row(record["scores"], method, side=side, measure="UA", seed="all"))


def find_row(rows: list[dict[str, Any]], method: str, **values: str) -> dict[str, Any]:
    """The first row of a method and some other values."""
    values_of_row = {"method": method, **values}
    for row in rows:
        if values_of_row.items() <= row.items():
            return row
    raise LookupError(f"no row of {method}, {values}")


def triple(row: dict[str, Any]) -> tuple[float, float, float]:
    """Value, low and high of a score, in per cent."""
    value, low, high = (100 * row[name] for name in ("value", "low", "high"))
    return value, low, high


@dataclass(frozen=True, slots=True)
class Measured:
    """The finished pairs of one study, pool and normalisation."""

    study: str
    pool: str
    options: tuple[str, ...]
    pairs: dict[tuple[str, str], dict[str, System]]  # by method

    @property
    def methods(self) -> tuple[str, ...]:
        """Those that adapt."""
        return STUDIES[self.study].methods[1:]

    @property
    def title(self) -> str:
        """The line over its table."""
        extra = f" -- {' '.join(self.options)}" if self.options else ""
        encoder = STUDIES[self.study].encoder
        return f"**{encoder}, by {STUDIES[self.study].normalise}, {self.pool} pool** (`--only {self.study}{extra}`):"

    def gains(self, method: str) -> dict[tuple[str, str], float]:
        """Points of UA over source-only, by pair."""
        return {pair: systems[method].gained for pair, systems in self.pairs.items()}

    def mean(self, method: str, value: Callable[[System], float]) -> float:
        """Of a value over the pairs."""
        return float(np.mean([value(systems[method]) for systems in self.pairs.values()]))

    def table(self) -> Table:
        """A row for each pair: UA of target and source, gains over source-only, and ECE on the target."""
        columns = ["source-only", *(column for method in self.methods for column in (method, "gain"))]
        columns += [f"ECE of {method}" for method in ("source-only", *self.methods)]
        table = Table(self.title, f"| source -> target | {' | '.join(columns)} |")
        for pair, systems in self.pairs.items():
            cells = [scored(systems["source-only"])]
            for method in self.methods:
                cells += [scored(systems[method]), gain_cell(systems[method])]
            cells += [f"{part.before:.1f} -> {part.after:.1f}" for part in systems.values()]
            table.add(pair_title(pair), *cells)
        return table


def all_measured(args: argparse.Namespace) -> Iterator[Measured]:
    """What is finished, with the options of this run."""
    for name in STUDIES:
        for pool in POOLS:
            pairs = {}
            for pair in PAIRS:
                path = folder_of(args.work, name, pool, pair, args.options) / "budget.json"
                if path.exists():
                    pairs[pair] = systems_of(path)
            if pairs:
                yield Measured(name, pool, tuple(args.options), pairs)


def summary(measured: Sequence[Measured]) -> Table:
    """A row for each method of each table: means over the pairs, and the pair that gains least."""
    columns = ("UA of the target", "gain", "least gain", "worse / better by over 1", "UA of the source", "ECE")
    table = Table(SUMMARY, f"| measured | method | pairs | {' | '.join(columns)} |")
    for part in measured:
        # The yardstick's own source-only has the same name, and is of one seed.
        for method in part.methods if part.study == "before" else ("source-only", *part.methods):
            gains = part.gains(method)
            least = min(gains, key=lambda pair: gains[pair])
            worse, better = (sum(sign * gain > 1 for gain in gains.values()) for sign in (-1, 1))
            cells = [f"{len(gains)}", f"{part.mean(method, lambda system: system.target[0]):.1f}"]
            if method == "source-only":
                cells += ["-", "-", "-"]
            else:
                mean = f"{np.mean(list(gains.values())):+.1f}"
                cells += [mean, f"{gains[least]:+.1f} ({pair_title(least)})", f"{worse} / {better}"]
            before = part.mean(method, lambda system: system.before)
            after = part.mean(method, lambda system: system.after)
            cells += [f"{part.mean(method, lambda system: system.source):.1f}", f"{before:.1f} -> {after:.1f}"]
            table.add(name_in(part.title), method, *cells)
    return table


def missed_goals(part: Measured) -> Iterator[str]:
    """A line for each goal that the blend misses on a study whose pairs are all finished."""
    if part.study == "before" or len(part.pairs) < len(PAIRS):
        return
    mean, gains = part.mean("blend", lambda system: system.target[0]), part.gains("blend")
    where = name_in(part.title)
    for pair, goal in zip(GOAL_PAIRS, PAIR_GOALS.get(part.study, ())):
        reached = part.pairs[pair]["blend"].target[0]
        if reached < goal:
            yield f"{where}: {pair_title(pair)}: {reached:.1f}, goal {goal}"
    if part.study == "whisper-base" and mean < MEAN_GOAL:
        yield f"{where}: mean {mean:.1f}, goal {MEAN_GOAL}"
    if part.study in ("byol-s", "logmel") and np.mean(list(gains.values())) < GAIN_GOAL:
        yield f"{where}: mean gain {np.mean(list(gains.values())):+.1f}, goal {GAIN_GOAL:+}"
    for pair, gain in gains.items():
        if gain < UNHARMED:
            yield f"{where}: {pair_title(pair)}: {gain:+.1f} against source-only"


def rewrite(page: Path, measured: Sequence[Measured]) -> None:
    """Put the tables into the page; rows that were not measured anew stay."""
    before, _, rest = page.read_text(encoding="utf-8").partition("<!-- measured -->")
    old, _, after = rest.partition("<!-- end -->")
    tables = {table.title: table for table in read(old)}
    for table in (summary(measured), *(part.table() for part in measured)) if measured else ():
        tables[table.title] = table.over(tables.get(table.title), position)
    text = "\n".join(str(table) for table in sorted(tables.values(), key=lambda table: table_position(table.title)))
    write_page(page, f"{before}<!-- measured -->\n{text}\n\n<!-- end -->{after}")


def table_position(title: str) -> tuple[int, int, str]:
    """The position of a table on the page: the summary, then by study and pool, with further options last."""
    if title == SUMMARY:
        return 0, 0, ""
    named = title.partition("(`--only ")[2].partition("`")[0]
    study, _, options = named.partition(" ")
    return 1 + list(STUDIES).index(study), bool(options) * 10 + POOLS.index(pool_in(title)), title


def position(row: tuple[str, str]) -> int:
    """The position of a row in its table: by pair; rows of the summary stay in their order."""
    names = [pair_title(pair) for pair in PAIRS]
    return names.index(row[0]) if row[0] in names else 0


def pool_in(title: str) -> str:
    """The pool that a title names."""
    return next(pool for pool in POOLS if f"{pool} pool" in title)


def name_in(title: str) -> str:
    """What a title says of encoder, normalisation and pool, and of further options."""
    name, _, command = title.strip("*").partition("** (")
    options = command.partition(" -- ")[2].partition("`")[0]
    return f"{name}, {options}" if options else name


def pair_title(pair: tuple[str, str]) -> str:
    """A pair as the tables name it."""
    return f"{' + '.join(CORPORA[corpus] for corpus in pair[0].split('+'))} -> {CORPORA[pair[1]]}"


def scored(system: System) -> str:
    """UA of the target with its interval, and behind a slash that of the source."""
    value, low, high = system.target
    return f"{value:.1f} [{low:.1f}, {high:.1f}] / {system.source:.1f}"


def gain_cell(system: System) -> str:
    """Points over source-only, with the paired interval."""
    assert system.gain is not None
    value, low, high = system.gain
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


if __name__ == "__main__":
    main()
