"""The results of docs/results/adapters.md: systems of Goncalves et al. 2024, strategies of Han et al. 2025.

    python benchmarks/adapter_results.py --shared ../shared --work adapters-work

Three corpora (English, German, Italian), every way from one to another. `--only` runs some of the studies below; all
that is finished goes into the page, where a study without results keeps its tables. An interrupted run goes on,
within a fit too; a stage that two systems begin with is trained a single time. Several processes may work on it at the
same time. Real corpora and weights are not part of the project.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from published import write_page

from emobridge.cache import Cache
from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest
from emobridge.methods.base import BASELINE
from emobridge.settings import Adapt, Training
from emobridge.study.evaluations import class_evaluation, ua_of
from emobridge.study.prepare import Started, resolve, start
from emobridge.study.run import Predicted, Unit
from emobridge.types import Utterance

LABELS = ("anger", "happiness", "neutral", "sadness")
CORPORA = ("ravdess", "emodb", "emovo")
NAMES = {"ravdess": "English", "emodb": "German", "emovo": "Italian"}
PAIRS = tuple(itertools.permutations(CORPORA, 2))
ALL = "lora+bottleneck+layer-sum"
LAST_LAYERS = {"whisper-tiny.en": "4", "whisper-base": "6"}  # what every system hears, the baseline too


@dataclass(frozen=True, slots=True)
class System:
    """A method, and its name in the tables."""

    title: str
    method: str
    adapters: str = "lora"
    both_ways: bool = False  # the same system in both directions of a pair
    source: str = ""  # the only corpus that it is run from; "" is any

    @property
    def needs_target(self) -> bool:
        return self.method in ("ft-joint", "ft-lora", "two-stage")


SYSTEMS = {
    "off-the-shelf": System("off-the-shelf / none", "source-only"),
    "fine-tuned": System("fine-tuned", "fine-tuned"),
    "lora": System("LoRA", "lora"),
    "ft-joint": System("FT(joint)", "ft-joint", both_ways=True),
    "ft-lora": System("FT+LoRA", "ft-lora"),
    "all": System("LoRA + bottleneck + layer sum", "lora", ALL),
    "two-stage": System("two-stage (LoRA)", "two-stage", source="ravdess"),  # the encoder's language, as published
}


@dataclass(frozen=True, slots=True)
class Study:
    """One encoder, some seeds."""

    title: str
    encoder: str  # folder under SHARED/weights
    seeds: int
    epochs: int
    systems: tuple[str, ...] = tuple(SYSTEMS)
    pairs: tuple[tuple[str, str], ...] = PAIRS
    budgets: tuple[str, ...] = ("all",)  # target labels of the systems that see any
    learning_rate: float = 3e-4
    encoder_rate: float = 3e-5

    def fits(self, name: str) -> Iterator[Fit]:
        """All fits of the study, which STUDIES has by `name`."""
        for system, pair in itertools.product(self.systems, self.pairs):
            for budget in self.budgets if SYSTEMS[system].needs_target else ("0",):
                if SYSTEMS[system].source in ("", pair[0]):
                    yield Fit(name, system, *pair, budget)


STUDIES = {
    "tiny": Study("whisper-tiny.en", "whisper-tiny.en", 3, 3),
    "base": Study("whisper-base", "whisper-base", 1, 3),
    # Twelve epochs, for three of 25 utterances are twenty steps.
    "few": Study(
        "few target labels with whisper-tiny.en",
        "whisper-tiny.en",
        3,
        12,
        ("fine-tuned", "ft-lora"),
        (("ravdess", "emodb"), ("ravdess", "emovo")),
        ("25", "50", "100", "all"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, default=Path("adapters-work"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/adapters.md"))
    parser.add_argument("--only", default=",".join(STUDIES), help="studies, by comma; empty: write the page")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    for corpus in CORPORA:
        if not (args.work / f"{corpus}.jsonl").exists():
            rows = scan(corpus, args.shared / "corpora" / corpus)
            write_manifest(args.work / f"{corpus}.jsonl", (row for row in rows if not is_repetition(row)))
    for name in filter(None, args.only.split(",")):
        study = STUDIES[name]
        for _ in range(2):  # a fit of another process in the first round is finished in the second, or was given up
            for seed in range(study.seeds):
                for fit in study.fits(name):
                    run(args, fit, seed)
    before, _, page = args.out.read_text(encoding="utf-8").partition("<!-- measured -->")
    old, _, after = page.partition("<!-- end -->")
    earlier = {part.partition(",")[0]: f"\n### {part.rstrip()}" for part in old.split("\n### ")[1:]}
    measured = {study.title: "\n".join(tables(args, name)) for name, study in STUDIES.items()}
    text = "\n".join(measured[title] or earlier.get(title, f"\n{title}: not run.") for title in measured)
    write_page(args.out, f"{before}<!-- measured -->\n{text}\n<!-- end -->{after}")
    print(args.out)


def is_repetition(row: Utterance) -> bool:
    """RAVDESS has everything twice; without the second time the three corpora are of one size."""
    return row.corpus == "ravdess" and Path(row.path).stem.split("-")[5] == "02"


@dataclass(frozen=True, slots=True)
class Fit:
    """One system, trained on one pair with some target labels."""

    study: str
    system: str
    source: str
    target: str
    budget: str

    @property
    def is_swapped(self) -> bool:
        """Whether the system is the same in both directions and is trained in the opposite one."""
        return SYSTEMS[self.system].both_ways and CORPORA.index(self.source) > CORPORA.index(self.target)


def run(args: argparse.Namespace, fit: Fit, seed: int, *, only_read: bool = False) -> tuple[Predicted, ...]:
    """The predictions of one fit, read from the work folder where they are there.

    Nothing where another process is training it, or with `only_read` where nobody has.
    """
    system = SYSTEMS[fit.system]
    if fit.is_swapped:
        other = {"source": "target", "target": "source"}
        back = run(args, replace(fit, source=fit.target, target=fit.source), seed, only_read=only_read)
        return tuple(replace(predicted, side=other[predicted.side]) for predicted in back)
    started = started_of(args, fit)
    runner, case = started.runner, started.decision.cases[-1 if system.method != BASELINE else 0]
    if runner.cache.read(runner.key(case, seed, runner.folds(seed, case.validation)[0])) is None:
        if only_read:
            return ()
        # What learns from the source alone is the same for all targets: one process trains it.
        target = (fit.target, fit.budget) if system.needs_target else ()
        lock = args.work / f"{'-'.join((fit.study, fit.system, fit.source, *target, str(seed)))}.lock"
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return ()
        try:
            what = f"{fit.study}: {system.title}, {fit.source} -> {fit.target}, {fit.budget} labels, seed {seed}"
            print(what, file=sys.stderr, flush=True)
            return runner.unit(Unit(case, seed)).predicted
        finally:
            lock.unlink()
    return runner.unit(Unit(case, seed)).predicted


STARTED: dict[Fit, Started] = {}


def started_of(args: argparse.Namespace, fit: Fit) -> Started:
    """The study of a fit, ready to train."""
    if fit not in STARTED:
        system, study = SYSTEMS[fit.system], STUDIES[fit.study]
        is_baseline = system.method == BASELINE  # on stored features an epoch costs nothing
        defaults = Training()
        request = Adapt.of(
            source=(str(args.work / f"{fit.source}.jsonl"),),
            target=str(args.work / f"{fit.target}.jsonl"),
            labels=LABELS,
            encoder=str(args.shared / "weights" / study.encoder),
            method=system.method,
            method_options=("rebalance=no",) if system.method == "ft-joint" else (),
            adapters=system.adapters,
            layer=LAST_LAYERS[study.encoder],
            align="none",
            target_labels=fit.budget,
            pool="closed",
            normalise="none",
            folds=0,
            epochs=defaults.epochs if is_baseline else study.epochs,
            batch_size=defaults.batch_size if is_baseline else 4,
            learning_rate=study.learning_rate,
            encoder_rate=study.encoder_rate,
            decay=1.0,
            out=str(args.work / "run"),
        )
        caches = {"cache": Cache(args.work / "fits"), "shared": Cache(args.work / "stages")}
        STARTED[fit] = start(resolve(request), lambda speech: None, **caches)
    return STARTED[fit]


def tables(args: argparse.Namespace, name: str) -> list[str]:
    """UA of every system and pair, of the finished ones."""
    study = STUDIES[name]
    lines = [
        f"\n### {study.title}, {study.epochs} epochs a stage, up to {study.seeds} seeds\n",
        "| system | from | to | target labels | seeds | source (95 %; each) | target (95 %; each) | n of both |",
        "|---|---|---|---|---|---|---|---|",
    ]
    values: dict[Fit, list[tuple[float, float]]] = {}
    for fit in study.fits(name):
        predicted = [part for seed in range(study.seeds) for part in run(args, fit, seed, only_read=True)]
        if not predicted:
            continue
        trained = replace(fit, source=fit.target, target=fit.source) if fit.is_swapped else fit
        speech = started_of(args, trained).runner.speech
        seeds = sorted({part.seed for part in predicted})
        cells, sizes, by_side = [], [], []
        for side in ("source", "target"):
            scored = [part for part in predicted if part.side == side]
            evaluation = class_evaluation(speech, LABELS, scored)
            assert evaluation is not None
            ua = evaluation.estimates(details=False)[0]
            by_seed = [ua_of(speech, [part for part in scored if part.seed == seed], LABELS) for seed in seeds]
            interval = f"{100 * ua.value:.1f} [{100 * ua.low:.1f}, {100 * ua.high:.1f}]"
            cells.append(f"{interval} ({', '.join(f'{100 * value:.1f}' for value in by_seed)})")
            sizes.append(str(ua.n))
            by_side.append(by_seed)
        values[fit] = list(zip(*by_side))
        pair = f"{NAMES[fit.source]} | {NAMES[fit.target]}"
        row = f"| {SYSTEMS[fit.system].title} | {pair} | {fit.budget} | {len(seeds)} "
        lines.append(f"{row}| {cells[0]} | {cells[1]} | {', '.join(sizes)} |")
    return [*lines, *differences(values)] if values else []


def differences(values: dict[Fit, list[tuple[float, float]]]) -> list[str]:
    """FT+LoRA compared with fine-tuned and FT(joint): what it forgets, and what it gains."""
    gaps = ("FT+LoRA - fine-tuned, source", "FT+LoRA - FT(joint), target", "FT(joint) - fine-tuned, source")
    lines = [f"\n| from | to | target labels | {' | '.join(gaps)} |", "|---|---|---|---|---|---|"]
    for fit, adapted in values.items():
        if fit.system != "ft-lora":
            continue
        plain = values.get(replace(fit, system="fine-tuned", budget="0"))
        dual = values.get(replace(fit, system="ft-joint"))
        cells = []
        for minuend, subtrahend, side in ((adapted, plain, 0), (adapted, dual, 1), (dual, plain, 0)):
            if not minuend or not subtrahend:
                cells.append("")
                continue
            points = np.array([100 * (a[side] - b[side]) for a, b in zip(minuend, subtrahend)])
            cells.append(f"{points.mean():+.1f} ({', '.join(f'{point:+.1f}' for point in points)})")
        lines.append(f"| {NAMES[fit.source]} | {NAMES[fit.target]} | {fit.budget} | {' | '.join(cells)} |")
    return lines if len(lines) > 2 else []


if __name__ == "__main__":
    main()
