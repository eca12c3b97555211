"""The results of docs/results/anchoring.md: study D's methods on real corpora, without a label of the target.

    python benchmarks/anchoring.py --work anchoring-work

RAVDESS, EmoDB and EMOVO, each to each other: six pairs, whisper-base frozen, all six transformer layers, four emotions,
three seeds, normalised by speaker and not at all. Study D's systems (Upadhyay et al. 2024), four methods of domain
adaptation for comparison, and the product's source-only and soft pseudo-labels beside. Each seed holds a fifth of the
speakers of both sides out, and its layer sets follow from the similarity of the two corpora's other speakers, the
target's emotions being pseudo-labels of source-only.

An interrupted run goes on: every fit is kept. `--quick` runs two systems on one pair with few epochs, to test the
script. `--pairs`, `--systems` and `--normalise` run some of all; the page shows what is finished. Phones, for the
phonetic constraint, are EmoDB's own and those that `emobridge align` makes of the texts of RAVDESS and EMOVO. Real
corpora and weights are not part of the project: they lie in the folder that EMOBRIDGE_SHARED names.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from published import write_page
from scipy.stats import t as student

from emobridge.cache import Cache
from emobridge.cli.main import main as command_line
from emobridge.corpora import scan
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.data.speech import Fold, Speech
from emobridge.data.threads import one_thread
from emobridge.encoders import load_encoder
from emobridge.features.similarity import UTTERANCE, Totals, layer_sets, ranking, set_name, similarities
from emobridge.files import whole_file
from emobridge.settings import Budget
from emobridge.study.cases import decide, draft
from emobridge.study.prepare import Prepared, prepare, resolve
from emobridge.study.run import Runner
from emobridge.training.case import Case
from emobridge.types import person

LABELS = ("anger", "happiness", "neutral", "sadness")
CORPORA = {"ravdess": "RAVDESS (en)", "emodb": "EmoDB (de)", "emovo": "EMOVO (it)"}
PAIRS = tuple(itertools.permutations(CORPORA, 2))
NORMALISATIONS = ("speaker", "none")
SEEDS, FOLDS = 3, 3
EPOCHS = 20
TRAINING = {"batch_size": 64, "learning_rate": 1e-3}
TOP, ALL = "top", "all"
HEAD = "layer-transformer"


@dataclass(frozen=True, slots=True)
class System:
    """A row of the page. What it does not say is the default of `emobridge budget`."""

    method: str
    layer: str = ""
    head: str = ""
    method_options: tuple[str, ...] = ()
    head_options: tuple[str, ...] = ()
    set_name: str = ""  # of the layer sets: fills the option `layers` of the method
    phones: bool = False


LAM = {
    f"LAM-{name}": System("layer-anchoring", ALL, HEAD, set_name=name)
    for name in ("GL", "AL", "BL", "WL", "RL1", "RL2", "RL3")
}
SYSTEMS = {
    "source-only": System("source-only"),
    "soft-pseudo-labels": System("soft-pseudo-labels"),
    "CC": System("source-only", TOP, HEAD),
    "ensemble": System("ensemble", TOP, "ensemble"),
    "fluda": System("fluda", TOP, HEAD),
    "PC": System("phonetic-constraint", TOP, HEAD, ("layers=top",), phones=True),
    "PC-Avg": System("phonetic-constraint", ALL, HEAD, ("layers=average",), ("pooling=average",), phones=True),
    "PC-Atn": System("phonetic-constraint", ALL, HEAD, ("layers=attention",), phones=True),
    **LAM,
    "deep-coral": System("deep-coral", ALL, HEAD),
    "mmd": System("mmd", ALL, HEAD),
    "mcc": System("mcc", ALL, HEAD),
    "optimal-transport": System("optimal-transport", ALL, HEAD),
}


def request_of(args: argparse.Namespace, pair: tuple[str, str], normalise: str, system: System) -> Budget:
    """What `emobridge budget` would be asked for."""
    own: dict[str, Any] = {"epochs": args.epochs} if args.quick else {}  # the product's systems as they come
    if system.head:
        layer = args.blocks[-1] if system.layer == TOP else system.layer
        own = {"align": "none", "head": system.head, "layer": layer}
    if system.head == HEAD:
        own |= {"epochs": args.epochs, **TRAINING}
    if normalise == "speaker":
        own["guard"] = False
    return resolve(
        Budget.of(
            source=[str(manifest(args, pair[0]))],
            target=str(manifest(args, pair[1])),
            labels=list(LABELS),
            pool="closed",
            encoder=args.encoder,
            methods=[system.method],
            method_options=list(system.method_options),
            head_options=list(system.head_options),
            budgets=["0"],
            normalisations=[normalise],
            seeds=args.seeds,
            folds=FOLDS,
            store=str(args.store or args.work / "store"),
            **own,
        )
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("EMOBRIDGE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    parser.add_argument("--shared", type=Path, default=shared)
    parser.add_argument("--work", type=Path, default=Path("anchoring-work"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/anchoring.md"))
    parser.add_argument("--store", type=Path, help="of features; default: a folder in --work")
    parser.add_argument("--encoder", help="default: whisper-base, of SHARED/weights")
    parser.add_argument("--pairs", help="by comma, as source:target, such as ravdess:emodb; default: all")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="by comma; empty: write the page")
    parser.add_argument("--normalise", default=",".join(NORMALISATIONS), help="by comma")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--quick", action="store_true", help="one pair, three systems, one seed and two epochs")
    args = parser.parse_args(arguments)
    args.encoder = args.encoder or str(args.shared / "weights" / "whisper-base")
    if args.quick:
        args.pairs, args.systems = "ravdess:emodb", "source-only,CC,LAM-GL"
        args.seeds, args.folds, args.epochs = 1, 1, 2
    pairs = [tuple(pair.split(":")) for pair in args.pairs.split(",")] if args.pairs else PAIRS
    systems = list(filter(None, args.systems.split(",")))
    for words, choices in ((pairs, PAIRS), (systems, SYSTEMS), (args.normalise.split(","), NORMALISATIONS)):
        if not set(words) <= set(choices):
            parser.error(f"expected some of {', '.join(map(str, choices))}, got {', '.join(map(str, words))}")
    args.work.mkdir(parents=True, exist_ok=True)
    encoder = load_encoder(args.encoder)
    args.blocks = [str(layer) for layer in encoder.block_layers]
    args.every = "+".join(map(str, range(encoder.layers)))
    write_manifests(args)
    with one_thread():
        for fold, phones in itertools.product(range(args.folds), (False, True)):  # a page can be made of one fold
            chosen = [name for name in systems if SYSTEMS[name].phones == phones]
            for pair in pairs:
                units = itertools.product(args.normalise.split(","), range(args.seeds), chosen)
                missing = [unit for unit in units if not result_path(args, pair, *unit, fold).exists()]
                if missing:
                    run(args, pair, missing, fold)
    write_finished(args)
    print(args.out)


def write_manifests(args: argparse.Namespace) -> None:
    """A manifest of each corpus, where there is none."""
    for corpus in CORPORA:
        if not manifest(args, corpus).exists():
            write_manifest(manifest(args, corpus), scan(corpus, args.shared / "corpora" / corpus))


def manifest(args: argparse.Namespace, corpus: str) -> Path:
    """Of a corpus: where it has been aligned, that of the alignments."""
    aligned: Path = args.work / f"{corpus}-phones" / "manifest.jsonl"
    return aligned if aligned.exists() else args.work / f"{corpus}.jsonl"


def align(args: argparse.Namespace) -> None:
    """Alignments of the corpora that come without."""
    for corpus in CORPORA:
        path = manifest(args, corpus)
        if not any(row.phones for row in read_manifest(path)):
            emobridge("align", str(path), "--out", str(args.work / f"{corpus}-phones"))


def emobridge(*words: str) -> None:
    """A command, in this process."""
    before, sys.argv = sys.argv, ["emobridge", *words]
    try:
        command_line()
    finally:
        sys.argv = before


def run(args: argparse.Namespace, pair: tuple[str, str], units: Sequence[tuple[str, int, str]], fold: int) -> None:
    """Fit systems on one pair, each for a normalisation and a seed, and write what each says of the target."""
    everything = System("source-only", args.every, "discriminant")  # with both views of all layers
    if SYSTEMS[units[0][2]].phones:
        align(args)
        everything = SYSTEMS["PC-Avg"]
    request = request_of(args, pair, units[0][0], everything)
    prepared = prepare(request, lambda speech: None)
    runner = Runner(prepared.speech, request.split, Cache(None))
    sets: dict[tuple[str, int], dict[str, str]] = {}
    for normalise, seed, name in units:
        system, started = SYSTEMS[name], time.process_time()
        part = runner.folds(seed, "none")[fold]
        if system.set_name:
            if (normalise, seed) not in sets:
                sets[normalise, seed] = sets_of(args, pair, normalise, prepared, runner, part)
            system = replace(system, method_options=(f"layers={sets[normalise, seed][system.set_name]}",))
        fit = runner.fit(case_of(args, pair, normalise, system, prepared, runner), seed, part)
        facts = answers_of(prepared.speech, part, fit.probabilities)
        facts |= {"options": " ".join(system.method_options), "seconds": time.process_time() - started}
        with whole_file(result_path(args, pair, normalise, seed, name, fold)) as temporary:
            temporary.write_text(json.dumps(facts), encoding="utf-8")
    done = f"{units[0][0]} to {units[-1][0]}, {len(units)} fits of fold {fold}"
    print(f"{':'.join(pair)} {done}: {time.process_time():.0f} s in all", flush=True)


def case_of(
    args: argparse.Namespace, pair: tuple[str, str], normalise: str, system: System, prepared: Prepared, runner: Runner
) -> Case:
    """The case of a system, as `emobridge budget` decides it."""
    request = request_of(args, pair, normalise, system)
    return decide(request, draft(request, prepared.encoder), prepared.encoder, runner, lambda done, count: None).cases[
        -1
    ]


def sets_of(
    args: argparse.Namespace, pair: tuple[str, str], normalise: str, prepared: Prepared, runner: Runner, fold: Fold
) -> dict[str, str]:
    """The layer sets of a fold, from its training utterances, the target's emotions as source-only names them."""
    speech = prepared.speech
    assert speech.features is not None
    labeller = case_of(args, pair, normalise, SYSTEMS["source-only"], prepared, runner)
    answered = Fold(fold.source, (), fold.target, fold.target)
    emotions = speech.label[list(fold.source)], runner.fit(labeller, 0, answered).probabilities.argmax(1)
    rows = []
    for layer in args.blocks:
        totals, index = [], speech.layers.index(layer)
        for part, emotion in zip((fold.source, fold.target), emotions):
            x = speech.features[list(part), index].numpy()[:, None]
            totals.append(Totals(len(LABELS), 1, 1, x.shape[2]))
            totals[-1].add(x, emotion, np.zeros(len(x), np.int64))
        rows += similarities(int(layer), LABELS, (UTTERANCE,), *totals)
    sets = layer_sets(ranking(rows, UTTERANCE))
    return {name: set_name(layers) for name, layers in sets.items()}


def answers_of(speech: Speech, fold: Fold, probabilities: np.ndarray) -> dict[str, Any]:
    """What a fit says of the target's held-out speakers."""
    people = [person(speech.utterances[row]) for row in fold.target_test]
    return {
        "speakers": [str(name).replace("\0", " ") for name in people],
        "truth": speech.label[list(fold.target_test)].tolist(),
        "predicted": probabilities[len(fold.source_test) :].argmax(1).tolist(),
    }


def result_path(
    args: argparse.Namespace, pair: tuple[str, str], normalise: str, seed: int, name: str, fold: int
) -> Path:
    """Where what a system says is kept."""
    folder: Path = args.work / "results" / f"{args.epochs}-epochs" / "-".join(pair)
    return folder / f"{normalise}-{name}-seed-{seed}-fold-{fold}.json"


@dataclass(frozen=True, slots=True)
class Answers:
    """What a system said of the target of one pair, all seeds one after the other."""

    speakers: np.ndarray  # (N,)
    truth: np.ndarray  # (N,) int64
    predicted: np.ndarray  # (N,) int64
    options: tuple[str, ...]  # of each seed and fold
    seconds: float

    def ua(self, without: str = "") -> float:
        """UA in per cent, of all speakers or without one of them."""
        kept = self.speakers != without
        truth, predicted = self.truth[kept], self.predicted[kept]
        return float(100 * np.mean([(predicted[truth == label] == label).mean() for label in range(len(LABELS))]))


Results = dict[tuple[tuple[str, str], str, str], Answers]  # by pair, normalisation and system


def read_results(args: argparse.Namespace) -> Results:
    """All that is finished: of each pair and normalisation the seeds and folds that all its systems have."""
    results: Results = {}
    for pair, normalise in itertools.product(PAIRS, NORMALISATIONS):
        parts: dict[str, dict[tuple[int, int], dict[str, Any]]] = {}
        for name, seed, fold in itertools.product(SYSTEMS, range(args.seeds), range(args.folds)):
            path = result_path(args, pair, normalise, seed, name, fold)
            if path.exists():
                parts.setdefault(name, {})[fold, seed] = json.loads(path.read_text(encoding="utf-8"))
        common = set.intersection(*map(set, parts.values())) if parts else set()
        for name, by_unit in parts.items():
            units = [by_unit[unit] for unit in sorted(common)]
            if units:
                columns = [np.concatenate([unit[key] for unit in units]) for key in ("speakers", "truth", "predicted")]
                options = tuple(unit["options"] for unit in units)
                results[pair, normalise, name] = Answers(*columns, options, sum(unit["seconds"] for unit in units))
    return results


def mean_difference(
    results: Results, cells: Sequence[tuple[tuple[str, str], str]], first: str, others: Sequence[str]
) -> tuple[float, float, float]:
    """The mean over pairs (and normalisations) of UA of one system minus the mean UA of others, in points, with its
    95 % interval: a jackknife over the target's speakers, each left out of all cells at once, stratified by corpus.
    """

    def gap(without: str = "") -> float:
        gaps = []
        for cell in cells:
            beside = np.mean([results[(*cell, name)].ua(without) for name in others])
            gaps.append(results[(*cell, first)].ua(without) - beside)
        return float(np.mean(gaps))

    value, variances, freedoms = gap(), [], []
    for corpus in sorted({pair[1] for pair, _ in cells}):
        scored = [results[(*cell, first)].speakers for cell in cells if cell[0][1] == corpus]
        people = sorted(set(np.concatenate(scored)))
        moved = np.array([gap(name) for name in people]) - value
        variances.append((len(people) - 1) / len(people) * float((moved**2).sum()))
        freedoms.append(max(len(people) - 1, 1))
    variance = sum(variances)
    if not variance > 0:
        return value, value, value
    degrees = variance**2 / sum(part**2 / freedom for part, freedom in zip(variances, freedoms) if part)
    margin = float(student.ppf(0.975, degrees)) * variance**0.5
    return value, value - margin, value + margin


def write_finished(args: argparse.Namespace) -> None:
    """Put what is finished between the marks of the page."""
    results = read_results(args)
    before, _, page = args.out.read_text(encoding="utf-8").partition("<!-- measured -->\n")
    after = page.partition("<!-- end -->")[2]
    text = "\n".join(page_lines(results, args))
    write_page(args.out, f"{before}<!-- measured -->\n{text}\n<!-- end -->{after}")


def page_lines(results: Results, args: argparse.Namespace) -> Iterator[str]:
    """The measured part of the page."""
    yield "\n".join(sentences(results))
    for normalise in NORMALISATIONS:
        table = score_table(results, normalise)
        if table:
            yield f"\n**UA (%) on the target's held-out speakers, normalised by {normalise}:**\n"
            yield from table
    yield from difference_table(results)
    yield from set_table(results)
    hours = sum(answers.seconds for answers in results.values()) / 3600
    yield f"\n{len(results)} cells of {args.epochs} epochs took {hours:.1f} CPU hours on one thread."


def complete_cells(results: Results, names: Iterable[str]) -> list[tuple[tuple[str, str], str]]:
    """The pairs and normalisations that some systems all have."""
    names = list(names)
    cells = itertools.product(PAIRS, NORMALISATIONS)
    return [cell for cell in cells if all((*cell, name) in results for name in names)]


COMPARED = {"AL": ("LAM-AL",), "WL": ("LAM-WL",), "RL": ("LAM-RL1", "LAM-RL2", "LAM-RL3"), "BL": ("LAM-BL",)}


def sentences(results: Results) -> Iterator[str]:
    """Whether anchoring the most similar layers beats anchoring others, here."""
    cells = complete_cells(results, LAM)
    if not cells:
        yield "Not all layer sets are finished."
        return
    words = []
    for name, others in COMPARED.items():
        value, low, high = mean_difference(results, cells, "LAM-GL", others)
        verdict = "beats" if low > 0 else "loses to" if high < 0 else "cannot be told from"
        words.append(f"{verdict} {name} ({value:+.1f} points, {low:+.1f} to {high:+.1f})")
    pairs, norms = len({pair for pair, _ in cells}), sorted({normalise for _, normalise in cells}, reverse=True)
    yield (
        f"**Anchoring the three most similar layers (GL) {', '.join(words[:-1])} and {words[-1]}**: means over "
        f"{pairs} pairs and normalisation {' and '.join(norms)}, RL the mean of three random sets, with 95 % intervals "
        "paired over the target's speakers."
    )


def score_table(results: Results, normalise: str) -> list[str]:
    """A row a system, a column a pair, the mean over the pairs that all have, and what the paper printed."""
    names = [name for name in SYSTEMS if any((pair, normalise, name) in results for pair in PAIRS)]
    if not names:
        return []
    pairs = [pair for pair in PAIRS if any((pair, normalise, name) in results for name in names)]
    printed = published()
    heads = [f"{CORPORA[source]} -> {CORPORA[target]}" for source, target in pairs]
    lines = [f"| system | {' | '.join(heads)} | mean | paper, Whisper: MSP -> BIIC / BIIC -> MSP |"]
    lines.append("|---" * (len(heads) + 3) + "|")
    for name in names:
        cells = [results.get((pair, normalise, name)) for pair in pairs]
        scores = ["-" if answers is None else f"{answers.ua():.1f}" for answers in cells]
        mean = "-" if None in cells else f"{np.mean([answers.ua() for answers in cells if answers]):.1f}"
        lines.append(f"| {name} | {' | '.join(scores)} | {mean} | {printed.get(name, '')} |")
    return lines


def published() -> dict[str, str]:
    """UAR of both directions of Table 2 of the paper, with Whisper, by our name of the system."""
    ours = {"few-shot": "fluda"}
    with resources.files("emobridge.literature").joinpath("upadhyay2024_uar.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["encoder"] == "whisper"]
    values: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: row["task"], reverse=True):
        values.setdefault(ours.get(row["method"], row["method"]), []).append(row["uar"])
    return {name: " / ".join(numbers) for name, numbers in values.items()}


def difference_table(results: Results) -> Iterator[str]:
    """LAM-GL less each other system, over all cells that both have."""
    rows = []
    for name in SYSTEMS:
        cells = complete_cells(results, ("LAM-GL", name))
        if name != "LAM-GL" and cells:
            parts = []
            for kind in ("both", *NORMALISATIONS):
                chosen = [cell for cell in cells if kind in ("both", cell[1])]
                value, low, high = mean_difference(results, chosen, "LAM-GL", (name,)) if chosen else (np.nan,) * 3
                parts.append(f"{value:+.1f} ({low:+.1f} to {high:+.1f})" if chosen else "-")
            rows.append(f"| {name} | {' | '.join(parts)} |")
    if rows:
        yield "\n**LAM-GL less the other system, points of UA, mean over pairs (95 %, paired over speakers):**\n"
        yield "| system | both | by speaker | none |"
        yield "|---|---|---|---|"
        yield from rows


def set_table(results: Results) -> Iterator[str]:
    """The layers of each set, by pair: those of each seed and normalisation, as they occurred."""
    rows = []
    for pair in PAIRS:
        cells = []
        for name in LAM:
            seen = [
                option.removeprefix("layers=")
                for normalise in NORMALISATIONS
                if (pair, normalise, name) in results
                for option in results[pair, normalise, name].options
            ]
            cells.append(", ".join(dict.fromkeys(seen)) or "-")
        if set(cells) != {"-"}:
            rows.append(f"| {CORPORA[pair[0]]} -> {CORPORA[pair[1]]} | {' | '.join(cells)} |")
    if rows:
        yield "\n**Layers of the sets, over seeds and normalisations:**\n"
        yield f"| source -> target | {' | '.join(name.removeprefix('LAM-') for name in LAM)} |"
        yield "|---" * (len(LAM) + 1) + "|"
        yield from rows


if __name__ == "__main__":
    main()
