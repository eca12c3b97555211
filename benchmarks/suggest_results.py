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
from emobridge.options import Plugin
from emobridge.scores.base import Estimate
from emobridge.scores.classes import Evaluation
from emobridge.settings import Data, Split, Training
from emobridge.study.reading import read_speech
from emobridge.study.suggest import ranked
from emobridge.training.case import Case
from emobridge.training.tasks import build

LABELS = ("anger", "happiness", "neutral", "sadness")
PAIRS = (("ravdess", "emodb"), ("ravdess", "emovo"), ("emodb", "emovo"), ("emovo", "emodb"))
NAMES = {"ravdess": "RAVDESS (en)", "emodb": "EmoDB (de)", "emovo": "EMOVO (it)"}
METHODS = ("source-only", "pseudo-labels")
BUDGETS = (10, 25, 50, 100)
ORDER = ("random", "margin", "entropy", "core-set", "mixed")
Key = tuple[str, str, str]  # source, target, method
Probabilities = dict[str, np.ndarray]  # "margin 25" -> (scored target utterances, C)


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
    by_pair = {}
    for source, target in PAIRS:
        paths = (str(args.work / f"{source}.jsonl"),), str(args.work / f"{target}.jsonl")
        data = Data(source=paths[0], target=paths[1], labels=LABELS, pool="closed")
        speech, _ = read_speech(data, LABELS)
        values = FeatureStore(cache_folder(), encoder).extract(speech.utterances, layer="3", strict=True).values
        speech = replace(speech, features=torch.from_numpy(values[:, columns(encoder, ("mean",))]))
        for method in METHODS:
            work = args.work / f"{source}-{target}-{method}"
            by_pair[source, target, method] = evaluations(speech, case_of(method), args.seeds, work)
    page = args.out / "suggest.md"
    before, _, old = page.read_text(encoding="utf-8").partition("<!-- measured -->")
    after = old.partition("<!-- end -->")[2]
    text = "\n".join(tables(by_pair, args.seeds))
    page.write_text(f"{before}<!-- measured -->\n{text}\n<!-- end -->{after}", encoding="utf-8")
    print(page)


def case_of(method: str) -> Case:
    """The system that ranks and that is trained again."""
    head = Plugin.parse("single", ["input_dropout=0.8"]).check("heads")
    return Case(labels=LABELS, layer="3", method=Plugin(method), head=head, training=Training())


def evaluations(speech: Speech, case: Case, seeds: int, work: Path) -> dict[str, Evaluation]:
    """The evaluation of each strategy and budget on the scored target, all folds of a seed together."""
    rows: np.ndarray = np.flatnonzero(speech.is_target)
    predictions: dict[str, list[tuple[str, ...]]] = {}
    for seed in range(seeds):
        indices: dict[str, np.ndarray] = {}  # of the predicted labels, over all utterances
        for number, fold in enumerate(folds_of(speech, Split(seeds=seeds), seed)):
            path = work / f"seed{seed}-fold{number}.safetensors"
            for name, p in fold_probabilities(speech, case, seed, fold, path).items():
                predicted = indices.setdefault(name, np.empty(len(speech.label), dtype=np.int64))
                predicted[list(fold.target_test)] = p.argmax(1)
        for name, predicted in indices.items():
            predictions.setdefault(name, []).append(tuple(LABELS[index] for index in predicted[rows]))
    truth = tuple(LABELS[index] for index in speech.label[rows])
    speakers = tuple(speech.utterances[row].speaker for row in rows)
    return {name: Evaluation(LABELS, truth, tuple(by_seed), speakers) for name, by_seed in predictions.items()}


def fold_probabilities(speech: Speech, case: Case, seed: int, fold: Fold, path: Path) -> Probabilities:
    """Probabilities for the fold's scored target speakers: without labels ("none 0"), and by strategy and budget."""
    if path.exists():
        return load_file(path)
    print(path, flush=True)
    method = Plugin("pseudo-labels").make("methods")  # whose inputs include the target's audio
    built = build(speech, fold, case, method, ())
    task, pool, label = built.task, built.task.target, torch.from_numpy(speech.label[list(fold.target)])
    assert pool is not None
    tests = torch.arange(len(fold.source_test), len(fold.source_test) + len(fold.target_test))
    blind = trained([task], case, seed)
    p = blind.predict(task.inputs, pool)[0].double().numpy()
    x = task.inputs.batch(pool).double().numpy()
    names = [f"{by} {n}" for by in ORDER for n in BUDGETS]
    tasks = []
    for by in ORDER:
        order = torch.from_numpy(ranked(by, p, x, count=max(BUDGETS), seed=seed))
        for n in BUDGETS:
            unlabelled = torch.ones(len(pool), dtype=torch.bool).index_fill(0, order[:n], False)
            tasks.append(
                replace(task, labelled_target=Labelled(pool[order[:n]], label[order[:n]]), target=pool[unlabelled])
            )
    bank = trained(tasks, case, seed)
    probabilities = dict(zip(names, bank.predict(built.test, tests).numpy()))
    probabilities["none 0"] = blind.predict(built.test, tests)[0].numpy()
    with whole_file(path) as temporary:
        save_file({name: np.ascontiguousarray(values) for name, values in probabilities.items()}, temporary)
    return probabilities


def tables(by_pair: dict[Key, dict[str, Evaluation]], seeds: int) -> list[str]:
    """All pairs together, the labels that each strategy needs, and each pair by itself."""
    scores = {
        key: {name: evaluation.estimates(details=False)[0] for name, evaluation in evaluations.items()}
        for key, evaluations in by_pair.items()
    }
    heads = " | ".join(map(str, BUDGETS))
    lines = [
        "",
        f"UA minus that of random choice, in points, mean over the pairs (seeds: {seeds}, folds: 5):",
        "",
    ]
    lines += [f"| method | strategy | {heads} | mean |", "|---" * (len(BUDGETS) + 3) + "|"]
    for method in METHODS:
        of_pairs = [scores[source, target, method] for source, target in PAIRS]
        for by in ORDER[1:]:
            gains = [mean_of(of_pairs, by, n) - mean_of(of_pairs, "random", n) for n in BUDGETS]
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
    for (source, target, method), estimates in scores.items():
        for by in ORDER:
            cells = " | ".join(map(cell, (estimates["none 0"], *(estimates[f"{by} {n}"] for n in BUDGETS))))
            lines.append(f"| {title((source, target))} | {method} | {by} | {cells} |")
    return [*lines, ""]


def mean_of(scores: list[dict[str, Estimate]], by: str, n: int) -> float:
    """UA of a strategy and budget, mean over pairs."""
    return float(np.mean([estimates[f"{by} {n}"].value for estimates in scores]))


def needed(scores: dict[str, Estimate], by: str, goal: int) -> str:
    """How many labels `by` needs to reach the score of `goal` random ones, interpolated between budgets."""
    enough, sizes = scores[f"random {goal}"].value, (0, *BUDGETS)
    curve = [scores["none 0"].value, *(scores[f"{by} {n}"].value for n in BUDGETS)]
    if curve[0] >= enough:
        return "0"
    for n in range(1, len(curve)):
        if curve[n] >= enough:
            share = (enough - curve[n - 1]) / (curve[n] - curve[n - 1])
            return f"{sizes[n - 1] + share * (sizes[n] - sizes[n - 1]):.0f}"
    return f"> {BUDGETS[-1]}"


def title(pair: tuple[str, str]) -> str:
    """A pair as tables name it."""
    return " -> ".join(NAMES[corpus] for corpus in pair)


def cell(score: Estimate) -> str:
    """UA in per cent with its interval."""
    return f"{100 * score.value:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"


if __name__ == "__main__":
    main()
