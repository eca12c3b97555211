"""The results of docs/results/suggest.md: what labels chosen by each strategy of `emobridge suggest` are worth.

    python benchmarks/suggest_results.py --shared ../shared --work suggest-work

In each fold a recogniser without target labels ranks the target utterances that are not scored; the first n get their
labels, and it is trained again. An interrupted run goes on; what is finished is read. Real corpora and weights are not
part of the project.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from _together import trained
from safetensors.numpy import load_file, save_file

from emobridge.bundle import columns
from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest
from emobridge.data.speech import Fold, Speech, folds_of
from emobridge.encoders import load_encoder
from emobridge.features.store import FeatureStore
from emobridge.files import cache_folder, whole_file
from emobridge.methods.base import Labelled
from emobridge.scores.base import Estimate
from emobridge.scores.classes import Evaluation
from emobridge.settings import Settings
from emobridge.study.reading import read_speech
from emobridge.study.run import made_method
from emobridge.study.suggest import ranked
from emobridge.training.tasks import build

LABELS = ("anger", "happiness", "neutral", "sadness")
PAIRS = (("ravdess", "emodb"), ("ravdess", "emovo"), ("emodb", "emovo"), ("emovo", "emodb"))
NAMES = {"ravdess": "RAVDESS (en)", "emodb": "EmoDB (de)", "emovo": "EMOVO (it)"}
METHODS = ("source-only", "pseudo-labels")
BUDGETS = (10, 25, 50, 100)
ORDER = ("random", "margin", "entropy", "core-set", "mixed")
Key = tuple[str, str, str]  # source, target, method
Said = dict[str, np.ndarray]  # "margin 25" -> (scored target utterances, C) probabilities


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, default=Path("suggest-work"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    for corpus in NAMES:
        write_manifest(args.work / f"{corpus}.jsonl", scan(corpus, args.shared / "corpora" / corpus))
    encoder = load_encoder(args.shared / "weights" / "whisper-base")
    found = {}
    for source, target in PAIRS:
        settings = Settings(
            source=(str(args.work / f"{source}.jsonl"),),
            target=str(args.work / f"{target}.jsonl"),
            labels=LABELS,
            layer="3",
            statistics=("mean",),
            head="single",
            head_options=("input_dropout=0.8",),
            seeds=args.seeds,
        )
        speech, _ = read_speech(settings)
        values = FeatureStore(cache_folder(), encoder).extract(speech.utterances, layer="3", strict=True).values
        speech = replace(speech, features=torch.from_numpy(values[:, columns(encoder, ("mean",))]))
        for method in METHODS:
            chosen = replace(settings, method=method)
            found[source, target, method] = evaluations(speech, chosen, args.work / f"{source}-{target}-{method}")
    page = args.out / "suggest.md"
    before, _, rest = page.read_text(encoding="utf-8").partition("<!-- measured -->")
    text = "\n".join(tables(found, args.seeds))
    page.write_text(
        f"{before}<!-- measured -->\n{text}\n<!-- end -->{rest.partition('<!-- end -->')[2]}", encoding="utf-8"
    )
    print(page)


def evaluations(speech: Speech, settings: Settings, work: Path) -> dict[str, Evaluation]:
    """What each strategy and budget made of the scored target, all folds of a seed together."""
    rows: np.ndarray = np.flatnonzero(speech.is_target)
    said: dict[str, list[tuple[str, ...]]] = {}
    for seed in range(settings.seeds):
        whole: dict[str, np.ndarray] = {}
        for place, fold in enumerate(folds_of(speech, settings, seed)):
            for name, p in one_fold(speech, settings, seed, fold, work / f"seed{seed}-fold{place}.safetensors").items():
                whole.setdefault(name, np.empty(len(speech.label), dtype=np.int64))[list(fold.target_test)] = p.argmax(
                    1
                )
        for name, best in whole.items():
            said.setdefault(name, []).append(tuple(LABELS[one] for one in best[rows]))
    truth = tuple(LABELS[one] for one in speech.label[rows])
    speakers = tuple(speech.utterances[row].speaker for row in rows)
    return {name: Evaluation(LABELS, truth, tuple(seeds), speakers) for name, seeds in said.items()}


def one_fold(speech: Speech, settings: Settings, seed: int, fold: Fold, path: Path) -> Said:
    """What is said of the fold's scored target speakers: without labels ("none 0"), and by strategy and budget."""
    if path.exists():
        return load_file(path)
    print(path, flush=True)
    hears = made_method("pseudo-labels", settings)  # one that has the target's audio among its inputs
    built = build(speech, fold, hears, len(LABELS), settings, None, ())
    task, pool, label = built.task, built.task.target, torch.from_numpy(speech.label[list(fold.target)])
    assert pool is not None
    tests = torch.arange(len(fold.source_test), len(fold.source_test) + len(fold.target_test))
    blind = trained([task], settings, seed)
    p = blind.said(task.inputs, pool)[0].double().numpy()
    x = task.inputs.batch(pool).double().numpy()
    names = [f"{by} {n}" for by in ORDER for n in BUDGETS]
    tasks = []
    for by in ORDER:
        order = torch.from_numpy(ranked(by, p, x, count=max(BUDGETS), seed=seed))
        for n in BUDGETS:
            rest = torch.ones(len(pool), dtype=torch.bool).index_fill(0, order[:n], False)
            tasks.append(replace(task, labelled_target=Labelled(pool[order[:n]], label[order[:n]]), target=pool[rest]))
    bank = trained(tasks, settings, seed)
    said = dict(zip(names, bank.said(built.test, tests).numpy()))
    said["none 0"] = blind.said(built.test, tests)[0].numpy()
    with whole_file(path) as temporary:
        save_file({name: np.ascontiguousarray(values) for name, values in said.items()}, temporary)
    return said


def tables(found: dict[Key, dict[str, Evaluation]], seeds: int) -> list[str]:
    """All pairs together, the labels that each strategy needs, and each pair by itself."""
    scores = {key: {name: one.estimates(details=False)[0] for name, one in said.items()} for key, said in found.items()}
    heads = " | ".join(map(str, BUDGETS))
    lines = [
        "",
        f"UA minus that of random choice, in points, mean over the pairs (seeds: {seeds}, folds: 5):",
        "",
    ]
    lines += [f"| method | strategy | {heads} | mean |", "|---" * (len(BUDGETS) + 3) + "|"]
    for method in METHODS:
        mine = [scores[source, target, method] for source, target in PAIRS]
        for by in ORDER[1:]:
            gains = [mean_of(mine, by, n) - mean_of(mine, "random", n) for n in BUDGETS]
            cells = " | ".join(f"{100 * gain:+.1f}" for gain in gains)
            lines.append(f"| {method} | {by} | {cells} | {100 * float(np.mean(gains)):+.1f} |")
    lines += ["", "Labels needed to reach what random choice reaches with 50 / with 100, interpolated:", ""]
    lines += ["| method | strategy | " + " | ".join(map(title, PAIRS)) + " |", "|---" * (len(PAIRS) + 2) + "|"]
    for method in METHODS:
        for by in ORDER[1:]:
            cells = " | ".join(
                " / ".join(needed(scores[source, target, method], by, goal) for goal in (50, 100))
                for source, target in PAIRS
            )
            lines.append(f"| {method} | {by} | {cells} |")
    lines += ["", "UA in per cent, in brackets the 95 % interval over speakers:", ""]
    lines += [f"| source -> target | method | strategy | 0 | {heads} |", "|---" * (len(BUDGETS) + 4) + "|"]
    for (source, target, method), mine in scores.items():
        for by in ORDER:
            cells = " | ".join(map(cell, (mine["none 0"], *(mine[f"{by} {n}"] for n in BUDGETS))))
            lines.append(f"| {title((source, target))} | {method} | {by} | {cells} |")
    return [*lines, ""]


def mean_of(scores: list[dict[str, Estimate]], by: str, n: int) -> float:
    """UA of a strategy and budget, mean over pairs."""
    return float(np.mean([one[f"{by} {n}"].value for one in scores]))


def needed(scores: dict[str, Estimate], by: str, goal: int) -> str:
    """With how many labels the curve of `by`, straight between budgets, first reaches what random has with `goal`."""
    wanted, sizes = scores[f"random {goal}"].value, (0, *BUDGETS)
    curve = [scores["none 0"].value, *(scores[f"{by} {n}"].value for n in BUDGETS)]
    if curve[0] >= wanted:
        return "0"
    for place in range(1, len(curve)):
        if curve[place] >= wanted:
            share = (wanted - curve[place - 1]) / (curve[place] - curve[place - 1])
            return f"{sizes[place - 1] + share * (sizes[place] - sizes[place - 1]):.0f}"
    return f"> {BUDGETS[-1]}"


def title(pair: tuple[str, str]) -> str:
    """A pair as tables name it."""
    return " -> ".join(NAMES[one] for one in pair)


def cell(score: Estimate) -> str:
    """UA in per cent with its interval."""
    return f"{100 * score.value:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"


if __name__ == "__main__":
    main()
