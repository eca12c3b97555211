"""The results of docs/results/harm.md: what adaptation gains on whole and cut-down targets, and what the sign without
labels foretells of it.

    python benchmarks/harm.py --work harm-work [--encoders whisper-base] [--pairs ravdess:emodb] [--cuts whole,60]

RAVDESS, EmoDB and EMOVO, one or two of them to another, the default method against source-only. A cell is a pair and a
cut of its target. What is finished is read from `--work`; an interrupted run goes on, and the page shows what is there.
Real corpora and weights are not part of the project: they lie in the folder that EMOBRIDGE_SHARED names.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from page_tables import Table
from published import write_page

from emobridge.cache import Cache
from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest
from emobridge.data.speech import Fold, Speech
from emobridge.scores.harm import LEAST_ADAPTED, LEAST_AGREEMENT
from emobridge.scores.measures.ua import Ua
from emobridge.settings import Adapt
from emobridge.study.cases import decide
from emobridge.study.harm import measure_harm
from emobridge.study.prepare import Prepared, prepare, resolve
from emobridge.study.run import Runner

LABELS = ("anger", "happiness", "neutral", "sadness")
NAMES = {"ravdess": "RAVDESS (en)", "emodb": "EmoDB (de)", "emovo": "EMOVO (it)"}
PAIRS = tuple(
    (sources, target)
    for target in NAMES
    for count in (1, 2)
    for sources in itertools.combinations([name for name in NAMES if name != target], count)
)
ENCODERS = ("whisper-base", "whisper-tiny.en")
CUTS = {
    "whole": "whole",
    "thin": "one class thinned to a quarter",
    "120": "120 unlabelled utterances",
    "60": "60 unlabelled utterances",
    "30": "30 unlabelled utterances",
    "two": "two emotions a speaker",
    "one": "one emotion a speaker",
}
LOSS = 2.0  # points
THRESHOLDS = np.arange(50, 100) / 100  # of agreement


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("EMOBRIDGE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    parser.add_argument("--shared", type=Path, default=shared)
    parser.add_argument("--work", type=Path, default=Path("harm-work"))
    parser.add_argument("--store", default="", help="folder of computed features; default: the user's cache")
    parser.add_argument("--out", type=Path, default=Path("docs/results/harm.md"))
    parser.add_argument("--encoders", default=ENCODERS[0], help="by comma; empty: write the page")
    parser.add_argument("--pairs", help="by comma, as source:target, such as ravdess+emodb:emovo; default: all")
    parser.add_argument("--cuts", default=",".join(CUTS), help="by comma; default: all")
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    chosen = {title(pair): pair for pair in PAIRS}
    pairs = [chosen[name] for name in args.pairs.split(",")] if args.pairs else list(PAIRS)
    args.work.mkdir(parents=True, exist_ok=True)
    for corpus in NAMES:
        if not (args.work / f"{corpus}.jsonl").exists():
            write_manifest(args.work / f"{corpus}.jsonl", scan(corpus, args.shared / "corpora" / corpus))
    for encoder, cut, pair in itertools.product(filter(None, args.encoders.split(",")), args.cuts.split(","), pairs):
        path = args.work / encoder / f"{title(pair).replace(':', '-')}-{cut}.json"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            values = measure(args, encoder, pair, cut)
            path.write_text(json.dumps(values), encoding="utf-8")
            print(encoder, title(pair), cut, values, flush=True)
    before, _, page = args.out.read_text(encoding="utf-8").partition("<!-- measured -->")
    _, _, after = page.partition("<!-- end -->")
    parts = [part for encoder in ENCODERS for part in page_of(args.work, encoder)]
    write_page(args.out, f"{before}<!-- measured -->\n{''.join(parts)}\n<!-- end -->{after}")
    print(args.out)


def title(pair: tuple[tuple[str, ...], str]) -> str:
    """A pair as an option names it: "ravdess+emodb:emovo"."""
    return f"{'+'.join(pair[0])}:{pair[1]}"


def measure(args: argparse.Namespace, encoder: str, pair: tuple[tuple[str, ...], str], cut: str) -> dict[str, Any]:
    """One cell: UA of both systems in per cent, and what the sign is made of; means over seeds."""
    request = resolve(
        Adapt.of(
            source=tuple(str(args.work / f"{name}.jsonl") for name in pair[0]),
            target=str(args.work / f"{pair[1]}.jsonl"),
            labels=LABELS,
            encoder=str(args.shared / "weights" / encoder),
            store=args.store,
            seeds=1,
        )
    )
    prepared = prepare(request, lambda speech: None)
    rows = [measure_seed(request, prepared, PAIRS.index(pair), cut, seed) for seed in range(args.seeds)]
    return {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}


def measure_seed(request: Adapt, prepared: Prepared, number: int, cut: str, seed: int) -> dict[str, float]:
    """One draw of a cell. A number of utterances is drawn anew in each fold, and the sign is of the first; the other
    cuts are drawn once. Where too few are left, their number is the sign, and no halves are compared.
    """
    speech = prepared.speech
    rng = np.random.default_rng(seed)
    if not cut.isdecimal():
        speech = speech.of(cut_rows(speech, cut, LABELS[number % len(LABELS)], rng))
    runner = Runner(speech, request.split, Cache(None))
    cases = decide(request, prepared.drafts, prepared.encoder, runner).cases
    answers = []
    for fold in runner.folds(seed, "none"):
        if cut.isdecimal():
            drawn = sorted(rng.choice(fold.target, min(int(cut), len(fold.target)), replace=False).tolist())
            fold = replace(fold, target=tuple(drawn))
        answers.append((fold, [runner.fit(case, seed, fold).probabilities for case in cases]))
    least = min(len(fold.target) for fold, _ in answers)
    alone = speech if not cut.isdecimal() else speech.of([*np.flatnonzero(~speech.is_target), *answers[0][0].target])
    halves = runner if alone is speech else Runner(alone, request.split, Cache(None))
    sign = measure_harm(halves, cases[-1], compare=least >= LEAST_ADAPTED)
    assert sign is not None  # the default method adapts to unlabelled audio
    before, after = (100 * ua(speech, [(fold, p[index]) for fold, p in answers]) for index in (0, -1))
    return {
        "before": before,
        "after": after,
        "agreement": sign.agreement,
        "utterances": float(least),
        "guarded": float(speech.corpora[-1][0] in cases[-1].by_corpus),
    }


def cut_rows(speech: Speech, cut: str, emotion: str, rng: np.random.Generator) -> list[int]:
    """The rows of a speech that a cut leaves; thinned is one emotion, and speakers show other emotions in turn."""
    utterances = speech.utterances
    people = sorted({str(utterances[row].speaker) for row in np.flatnonzero(speech.is_target)})
    shown = {"one": 1, "two": 2}.get(cut, 0)
    allowed = {name: {LABELS[(at + n) % len(LABELS)] for n in range(shown)} for at, name in enumerate(people) if shown}
    thinned = [row for row in np.flatnonzero(speech.is_target) if utterances[row].emotion == emotion]
    left_out = set(rng.permutation(thinned)[max(1, len(thinned) // 4) :].tolist()) if cut == "thin" else set()
    left_out |= {
        row
        for row in np.flatnonzero(speech.is_target)
        if allowed and utterances[row].emotion not in allowed[str(utterances[row].speaker)]
    }
    return [row for row in range(len(utterances)) if row not in left_out]


def ua(speech: Speech, answers: Sequence[tuple[Fold, np.ndarray]]) -> float:
    """UA of what the folds answer on the target, together."""
    truth, predicted = [], []
    for fold, p in answers:
        classes = p[len(fold.source_test) :].argmax(1)
        truth += [LABELS[speech.label[row]] for row in fold.target_test]
        predicted += [LABELS[label] for label in classes]
    return Ua()(truth, predicted, labels=sorted(set(truth)))


def page_of(work: Path, encoder: str) -> Iterator[str]:
    """The count of losses and alarms of an encoder, then every cell."""
    cells = {
        (cut, pair): json.loads(path.read_text(encoding="utf-8"))
        for cut, pair in itertools.product(CUTS, PAIRS)
        if (path := work / encoder / f"{title(pair).replace(':', '-')}-{cut}.json").exists()
    }
    if not cells:
        return
    yield f"\n## {encoder}\n"
    counts = Table(
        f"**Losses of more than {LOSS:g} points, and alarms** ({encoder}):",
        "| target | pairs | mean gain | worst | losses | foretold | alarms where it gained |",
    )
    for cut, words in CUTS.items():
        rows = [values for (name, _), values in cells.items() if name == cut]
        if rows:
            counts.add(words, *counted(rows))
    counts.add("all", *counted(list(cells.values())))
    yield f"{counts}\n{thresholds(cells)}\n"
    table = Table(
        f"**Every cell** ({encoder}; UA in per cent, agreement in per cent, utterances of the smallest fit):",
        "| target | source -> target | source-only | default | gain | agreement | utterances | by corpus | sign |",
    )
    for (cut, pair), values in cells.items():
        gain = values["after"] - values["before"]
        raised = "may harm" if is_raised(values) else ""
        numbers = (
            f"{values['before']:.1f}",
            f"{values['after']:.1f}",
            f"{gain:+.1f}",
            "" if np.isnan(values["agreement"]) else f"{100 * values['agreement']:.0f}",
        )
        guarded = "guard" if values["guarded"] else ""
        table.add(CUTS[cut], pair_title(pair), *numbers, f"{values['utterances']:.0f}", guarded, raised)
    yield f"{table}\n"


def is_raised(values: dict[str, float], least: float = LEAST_AGREEMENT) -> bool:
    """Whether the sign of a cell foretells harm."""
    return values["utterances"] < LEAST_ADAPTED or values["agreement"] < least


def thresholds(cells: dict[tuple[str, tuple[tuple[str, ...], str]], dict[str, float]]) -> Table:
    """The agreement below which taking source-only gains most, chosen without a target and tried on it."""
    table = Table(
        "**The threshold of agreement that gains most on the other targets, on the target left out:**",
        "| left out | threshold | losses | foretold | alarms where it gained | mean gain | with the sign | at 75 % |",
    )
    for target, name in NAMES.items():
        other = [values for (_, pair), values in cells.items() if pair[1] != target]
        own = [values for (_, pair), values in cells.items() if pair[1] == target]
        chosen = max(THRESHOLDS, key=lambda least: guarded_gain(other, least)) if other else LEAST_AGREEMENT
        if own:
            _, mean, _, losses, foretold, false = counted(own, chosen)
            gains = (f"{guarded_gain(own, least):+.1f}" for least in (chosen, LEAST_AGREEMENT))
            table.add(name, f"{100 * chosen:.0f} %", losses, foretold, false, mean, *gains)
    return table


def guarded_gain(rows: Sequence[dict[str, float]], least: float) -> float:
    """Mean points over source-only where it is taken wherever the sign foretells harm."""
    return float(np.mean([0.0 if is_raised(row, least) else row["after"] - row["before"] for row in rows]))


def counted(rows: Sequence[dict[str, float]], least: float = LEAST_AGREEMENT) -> tuple[str, ...]:
    """Pairs, mean and worst gain, losses, those foretold, and alarms where adaptation gained."""
    gains = [row["after"] - row["before"] for row in rows]
    losses = [row for row, gain in zip(rows, gains) if gain < -LOSS]
    false = [row for row, gain in zip(rows, gains) if gain > 0 and is_raised(row, least)]
    mean = f"{np.mean(gains):+.1f}", f"{min(gains):+.1f}"
    return str(len(rows)), *mean, str(len(losses)), str(sum(is_raised(row, least) for row in losses)), str(len(false))


def pair_title(pair: tuple[tuple[str, ...], str]) -> str:
    """A pair as the tables name it."""
    return f"{' + '.join(NAMES[name] for name in pair[0])} -> {NAMES[pair[1]]}"


if __name__ == "__main__":
    main()
