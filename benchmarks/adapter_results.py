"""The results of docs/results/adapters.md: systems of Goncalves et al. 2024, strategies of Han et al. 2025.

    python benchmarks/adapter_results.py --shared ../shared --work adapters-work

Three corpora (English, German, Italian), every way from one to another. `--only` runs some of the studies below; all
that is finished goes into the page, where a study of which nothing is keeps its tables. An interrupted run goes on,
within a fit too; what two systems begin with is trained once. Several processes may work on it at the same time. Real
corpora and weights are not part of the project.
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

from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest
from emobridge.data.speech import folds_of
from emobridge.settings import Settings
from emobridge.study.adapt import prepare, with_head
from emobridge.study.run import Predicted, Runner, Work, evaluation_of, unweighted
from emobridge.types import Utterance

LABELS = ("anger", "happiness", "neutral", "sadness")
CORPORA = ("ravdess", "emodb", "emovo")
NAMES = {"ravdess": "English", "emodb": "German", "emovo": "Italian"}
PAIRS = tuple(itertools.permutations(CORPORA, 2))
ALL = "lora+bottleneck+gating"


@dataclass(frozen=True, slots=True)
class System:
    """A method, and how it is called in the tables."""

    title: str
    method: str
    adapters: str = "lora"
    both_ways: bool = False  # the same from one language to the other as back
    source: str = ""  # the only one it is run from

    @property
    def needs_target(self) -> bool:
        return self.method in ("ft-dual", "ft-lora", "two-stage")


SYSTEMS = {
    "off-the-shelf": System("off-the-shelf / none", "source-only"),
    "fine-tuned": System("fine-tuned", "fine-tuned"),
    "lora": System("LoRA", "lora"),
    "ft-dual": System("FT(dual)", "ft-dual", both_ways=True),
    "ft-lora": System("FT+LoRA", "ft-lora"),
    "all": System("LoRA + bottleneck + gating", "lora", ALL),
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
    budgets: tuple[str, ...] = ("all",)  # target labels of the systems that see some
    learning_rate: float = 3e-4
    encoder_rate: float = 3e-5

    def fits(self) -> Iterator[tuple[str, str, str, str]]:
        """System, source, target and number of target labels of each."""
        for system, pair in itertools.product(self.systems, self.pairs):
            for budget in self.budgets if SYSTEMS[system].needs_target else ("0",):
                if SYSTEMS[system].source in ("", pair[0]):
                    yield system, *pair, budget


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
            write_manifest(args.work / f"{corpus}.jsonl", (one for one in rows if not again(one)))
    for name in filter(None, args.only.split(",")):
        study = STUDIES[name]
        for _ in range(2):  # what another process was at the first time is there the second time, or was given up
            for seed in range(study.seeds):
                for fit in study.fits():
                    run(args, name, *fit, seed)
    before, _, rest = args.out.read_text(encoding="utf-8").partition("<!-- measured -->")
    old, _, after = rest.partition("<!-- end -->")
    earlier = {one.partition(",")[0]: f"\n### {one.rstrip()}" for one in old.split("\n### ")[1:]}
    found = {study.title: "\n".join(tables(args, name)) for name, study in STUDIES.items()}
    text = "\n".join(found[title] or earlier.get(title, f"\n{title}: not run.") for title in found)
    args.out.write_text(f"{before}<!-- measured -->\n{text}\n<!-- end -->{after}", encoding="utf-8")
    print(args.out)


def again(one: Utterance) -> bool:
    """RAVDESS has everything twice; without the second time the three corpora are of one size."""
    return one.corpus == "ravdess" and Path(one.path).stem.split("-")[5] == "02"


def swapped(one: System, source: str, target: str) -> bool:
    """Whether the system is the same the other way round, and is fitted that way."""
    return one.both_ways and CORPORA.index(source) > CORPORA.index(target)


def run(
    args: argparse.Namespace,
    name: str,
    system: str,
    source: str,
    target: str,
    budget: str,
    seed: int,
    only_read: bool = False,
) -> tuple[Predicted, ...]:
    """One fit, from the work folder where it is there; nothing where another process is at it."""
    one, study = SYSTEMS[system], STUDIES[name]
    if swapped(one, source, target):
        other = {"source": "target", "target": "source"}
        back = run(args, name, system, target, source, budget, seed, only_read)
        return tuple(replace(said, side=other[said.side]) for said in back)
    runner = runner_of(args, study, one, source, target, budget)
    assert runner.work is not None
    fold = folds_of(runner.speech, runner.settings, seed)[0]
    fit = f"{one.method}-seed{seed}-fold0"
    if runner.work.read(fit) is None:
        if only_read:
            return ()
        # What learns from the source alone is the same for all targets: one process trains it.
        parts = (name, system, source, *((target, budget) if one.needs_target else ()), str(seed))
        lock = args.work / f"{'-'.join(parts)}.lock"
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return ()
        try:
            print(
                f"{name}: {one.title}, {source} -> {target}, {budget} labels, seed {seed}", file=sys.stderr, flush=True
            )
            return tuple(runner.system(one.method, seed, [fold]))
        finally:
            lock.unlink()
    return tuple(runner.system(one.method, seed, [fold]))


SPEECH: dict[tuple[str, ...], object] = {}  # settings and speech of each study, pair and system


def runner_of(args: argparse.Namespace, study: Study, one: System, source: str, target: str, budget: str) -> Runner:
    key = (study.title, one.title, source, target, budget)
    if key not in SPEECH:
        settings = Settings(
            source=(str(args.work / f"{source}.jsonl"),),
            target=str(args.work / f"{target}.jsonl"),
            labels=LABELS,
            encoder=str(args.shared / "weights" / study.encoder),
            method="fine-tuned" if one.method == "source-only" else one.method,  # whose layer and head it shares
            method_options=("rebalance=no",) if one.method == "ft-dual" else (),  # as published
            adapters=one.adapters,
            target_labels=budget,
            normalise="none",
            folds=0,
            epochs=study.epochs,
            batch_size=4,
            learning_rate=study.learning_rate,
            encoder_rate=study.encoder_rate,
            decay=1.0,
            out=str(args.work / "run"),
        )
        ready = prepare(with_head(settings))
        settings = ready.settings
        if one.method == "source-only":  # on stored features an epoch costs nothing
            settings = replace(settings, epochs=100, batch_size=100)
        work = Work(args.work / "fits", settings, ready.speech, ready.encoder.digest)
        SPEECH[key] = Runner(settings, ready.speech, work, kept=args.work / "stages")
    found = SPEECH[key]
    assert isinstance(found, Runner)
    return found


def tables(args: argparse.Namespace, name: str) -> list[str]:
    """UA of every system and pair, of the finished ones."""
    study = STUDIES[name]
    lines = [
        f"\n### {study.title}, {study.epochs} epochs a stage, up to {study.seeds} seeds\n",
        "| system | from | to | target labels | seeds | source (95 %; each) | target (95 %; each) | n of both |",
        "|---|---|---|---|---|---|---|---|",
    ]
    values: dict[tuple[str, str, str, str], list[tuple[float, float]]] = {}
    for system, source, target, budget in study.fits():
        fit = (system, source, target, budget)
        said = [one for seed in range(study.seeds) for one in run(args, name, *fit, seed, True)]
        if not said:
            continue
        one = SYSTEMS[system]
        pair = (target, source) if swapped(one, source, target) else (source, target)
        speech = runner_of(args, study, one, *pair, budget).speech
        seeds = sorted({each.seed for each in said})
        cells, sizes, by_side = [], [], []
        for side in ("source", "target"):
            some = [each for each in said if each.side == side]
            found = evaluation_of(speech, LABELS, some)
            assert found is not None
            ua = found.estimates(details=False)[0]
            own = [unweighted(speech, [each for each in some if each.seed == seed], LABELS) for seed in seeds]
            words = f"{100 * ua.value:.1f} [{100 * ua.low:.1f}, {100 * ua.high:.1f}]"
            cells.append(f"{words} ({', '.join(f'{100 * one_seed:.1f}' for one_seed in own)})")
            sizes.append(str(ua.n))
            by_side.append(own)
        values[fit] = list(zip(*by_side))
        words = f"| {one.title} | {NAMES[source]} | {NAMES[target]} | {budget} | {len(seeds)} "
        lines.append(f"{words}| {cells[0]} | {cells[1]} | {', '.join(sizes)} |")
    return [*lines, *verdicts(values)] if values else []


def verdicts(values: dict[tuple[str, str, str, str], list[tuple[float, float]]]) -> list[str]:
    """FT+LoRA beside fine-tuned and FT(dual): what it forgets, and what it gains."""
    gaps = ("FT+LoRA - fine-tuned, source", "FT+LoRA - FT(dual), target", "FT(dual) - fine-tuned, source")
    lines = [f"\n| from | to | target labels | {' | '.join(gaps)} |", "|---|---|---|---|---|---|"]
    for (system, source, target, budget), own in values.items():
        if system != "ft-lora":
            continue
        plain, dual = values.get(("fine-tuned", source, target, "0")), values.get(("ft-dual", source, target, budget))
        cells = []
        for one, other, side in ((own, plain, 0), (own, dual, 1), (dual, plain, 0)):
            if not one or not other:
                cells.append("")
                continue
            count = min(len(one), len(other))
            points = np.array([100 * (one[at][side] - other[at][side]) for at in range(count)])
            cells.append(f"{points.mean():+.1f} ({', '.join(f'{one:+.1f}' for one in points)})")
        lines.append(f"| {NAMES[source]} | {NAMES[target]} | {budget} | {' | '.join(cells)} |")
    return lines if len(lines) > 2 else []


if __name__ == "__main__":
    main()
