"""The results of docs/results/suggest.md: what few labels are worth, and labels chosen by each strategy of `suggest`.

    python benchmarks/suggest_results.py --shared ../shared --work suggest-work

In each fold a recogniser without target labels ranks the target utterances that are not scored; exactly the first n get
their labels, and it is trained again. Random choice is drawn three times. An interrupted run goes on; what is finished
is read. Real corpora and weights are not part of the project.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from published import write_page
from safetensors.numpy import load_file, save_file
from torch import Tensor

from emobridge.bundle import columns
from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest
from emobridge.data.speech import Fold, Speech, folds_of
from emobridge.encoders import load_encoder
from emobridge.features.store import FeatureStore
from emobridge.files import cache_folder, whole_file
from emobridge.heads.base import Head, principal_components
from emobridge.methods.base import Labelled, Task
from emobridge.options import Plugin
from emobridge.scores.base import Estimate
from emobridge.scores.classes import Evaluation
from emobridge.settings import Data, Split, Training
from emobridge.study.reading import read_speech
from emobridge.study.suggest import ranked
from emobridge.training.case import Case
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Plan, fit
from emobridge.training.tasks import build

LABELS = ("anger", "happiness", "neutral", "sadness")
NAMES = {"ravdess": "RAVDESS (en)", "emodb": "EmoDB (de)", "emovo": "EMOVO (it)"}
PAIRS = tuple(permutations(NAMES, 2))
METHODS = ("source-only", "class-wise", "blend")
RANKED_BY = "blend"  # the default of adapt, and so the recogniser that ranks
LAYERS = "2+3+4"
BUDGETS = (5, 10, 25, 50, 100)
DRAWS = 3  # of random choice
ORDER = ("representative", "margin", "entropy", "mixed", "core-set")
Pair = tuple[str, str]
Probabilities = dict[str, np.ndarray]  # "blend margin 25 0" -> (scored target utterances, C); the last is the draw
Scores = dict[tuple[Pair, str, str, int], Estimate]  # by pair, method, strategy, budget


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, default=Path("suggest-work"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--store", type=Path, default=cache_folder())
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    for corpus in NAMES:
        write_manifest(args.work / f"{corpus}.jsonl", scan(corpus, args.shared / "corpora" / corpus))
    encoder = load_encoder(args.shared / "weights" / "whisper-base")
    scores: Scores = {}
    for source, target in PAIRS:
        paths = (str(args.work / f"{source}.jsonl"),), str(args.work / f"{target}.jsonl")
        data = Data(source=paths[0], target=paths[1], labels=LABELS, pool="closed")
        speech, _ = read_speech(data, LABELS)
        store = FeatureStore(args.store, encoder)
        values = store.extract(speech.utterances, layer=tuple(LAYERS.split("+")), strict=True).values
        speech = replace(speech, features=torch.from_numpy(values)[..., columns(encoder, ("mean",))])
        for (method, by, n), evaluation in evaluations(speech, args.seeds, args.work / f"{source}-{target}").items():
            scores[(source, target), method, by, n] = evaluation.estimates(details=False)[0]
    page = args.out / "suggest.md"
    before, _, old = page.read_text(encoding="utf-8").partition("<!-- measured -->")
    after = old.partition("<!-- end -->")[2]
    text = "\n".join(tables(scores, args.seeds))
    write_page(page, f"{before}<!-- measured -->\n{text}\n<!-- end -->{after}")
    print(page)


def evaluations(speech: Speech, seeds: int, work: Path) -> dict[tuple[str, str, int], Evaluation]:
    """By method, strategy and budget; a seed's folds together, draws of random choice beside each other."""
    rows: np.ndarray = np.flatnonzero(speech.is_target)
    predictions: dict[tuple[str, str, int], list[tuple[str, ...]]] = {}
    work.mkdir(exist_ok=True)
    for seed in range(seeds):
        indices: dict[str, np.ndarray] = {}  # of the predicted labels, over all utterances
        for number, fold in enumerate(folds_of(speech, Split(seeds=seeds), seed)):
            path = work / f"seed{seed}-fold{number}.safetensors"
            for name, p in fold_probabilities(speech, seed, fold, path).items():
                predicted = indices.setdefault(name, np.empty(len(speech.label), dtype=np.int64))
                predicted[list(fold.target_test)] = p.argmax(1)
        for name, predicted in indices.items():
            method, by, n, _ = name.split()
            labels = tuple(LABELS[index] for index in predicted[rows])
            predictions.setdefault((method, by, int(n)), []).append(labels)
    truth = tuple(LABELS[index] for index in speech.label[rows])
    speakers = tuple(speech.utterances[row].speaker for row in rows)
    return {key: Evaluation(LABELS, truth, tuple(by_seed), speakers) for key, by_seed in predictions.items()}


def fold_probabilities(speech: Speech, seed: int, fold: Fold, path: Path) -> Probabilities:
    """Probabilities for the fold's scored target speakers: without labels ("none", 0), by strategy and budget."""
    if path.exists():
        return load_file(path)
    print(path, flush=True)
    case = case_of(RANKED_BY)
    built = build(speech, fold, case, case.make_method(), ())
    inputs, pool = built.task.inputs, built.task.target
    assert isinstance(inputs, Frozen) and pool is not None
    x = inputs.x
    components = principal_components(x[: len(x) - inputs.copies], 200)  # once: each fit would find the same again
    task = replace(built.task, inputs=Frozen(components.of(x), inputs.copies))
    first = len(fold.source_test)
    tests = torch.arange(first, first + len(fold.target_test))
    test = components.of(built.test.batch(tests))
    label = torch.from_numpy(speech.label[list(fold.target)])
    z = components.of(x[pool])
    p = answers(task, z)[RANKED_BY]
    probabilities = {f"{method} none 0 0": values for method, values in answers(task, test).items()}
    for by, draw in [*((by, 0) for by in ORDER), *(("random", draw) for draw in range(DRAWS))]:
        chosen = ranked(by, p, z.double().numpy(), count=max(BUDGETS), seed=DRAWS * seed + draw)
        order = torch.from_numpy(chosen)
        for n in BUDGETS:
            unlabelled = torch.ones(len(pool), dtype=torch.bool).index_fill(0, order[:n], False)
            labelled = Labelled(pool[order[:n]], label[order[:n]])
            assert len(labelled.rows) == n == len(pool) - int(unlabelled.sum())
            few = replace(task, labelled_target=labelled, target=pool[unlabelled])
            for method, values in answers(few, test).items():
                probabilities[f"{method} {by} {n} {draw}"] = values
    with whole_file(path) as temporary:
        save_file({name: np.ascontiguousarray(values) for name, values in probabilities.items()}, temporary)
    return probabilities


def case_of(method: str) -> Case:
    """The system that ranks and that is trained again: the default of `adapt` on these layers."""
    return Case(
        labels=LABELS, layer=LAYERS, method=Plugin(method), head=Plugin("discriminant"), training=Training(epochs=10)
    )


def answers(task: Task, test: Tensor) -> dict[str, np.ndarray]:
    """Probabilities (N, C) of the test utterances (N, D) by each method, trained on the task."""
    with torch.no_grad():
        logits = {method: trained(task, method).output(test).double() for method in METHODS}
    return {method: values.softmax(1).numpy() for method, values in logits.items()}


def trained(task: Task, method: str) -> Head:
    """The head as a method trains it on a task."""
    case = case_of(method)
    head: Head = case.head.make("heads", width=task.inputs.width, classes=case.classes)
    training = case.training
    plan = Plan(training.epochs, training.batch_size, training.learning_rate, training.decay)
    fit(task if method != "source-only" else replace(task, target=None), case.make_method(), head, plan, seed=0)
    return head


def tables(scores: Scores, seeds: int) -> list[str]:
    """What labels are worth, what each strategy adds, what was chosen without each language, each pair by itself."""
    lines = ["", f"UA in per cent with n labels drawn at random (seeds: {seeds}, folds: 5, draws: {DRAWS}), and the"]
    lines += ["largest loss on any pair against no label at all:", "", *worth_table(scores)]
    lines += ["", "UA minus that of random choice, in points, mean over the pairs, and the worst cell of a pair:", ""]
    lines += strategy_table(scores)
    lines += ["", f"The same by pair, mean over the budgets ({RANKED_BY}; worst cell in brackets):", ""]
    lines += ["| source -> target | 0 labels | " + " | ".join(ORDER) + " |", "|---" * (len(ORDER) + 2) + "|"]
    for pair in PAIRS:
        by_strategy = [gains(scores, RANKED_BY, by, (pair,)) for by in ORDER]
        cells = " | ".join(f"{gain.mean():+.1f} ({gain.min():+.1f})" for gain in by_strategy)
        lines.append(f"| {title(pair)} | {ua(scores, pair, RANKED_BY, 'none', 0):.1f} | {cells} |")
    lines += ["", "The strategy that is best on the two pairs without a language, on the four pairs with it:", ""]
    lines += choice_table(scores)
    lines += ["", f"UA in per cent of {RANKED_BY}, in brackets the 95 % interval over speakers:", ""]
    lines += ["| source -> target | strategy | 0 | " + " | ".join(map(str, BUDGETS)) + " |"]
    lines += ["|---" * (len(BUDGETS) + 3) + "|"]
    for pair in PAIRS:
        for by in ("random", *ORDER):
            columns_of = [scores[pair, RANKED_BY, "none", 0], *(scores[pair, RANKED_BY, by, n] for n in BUDGETS)]
            lines.append(f"| {title(pair)} | {by} | " + " | ".join(map(cell, columns_of)) + " |")
    return [*lines, ""]


def worth_table(scores: Scores) -> list[str]:
    """UA with labels drawn at random by method, and in brackets the worst pair's difference from no label."""
    lines = ["| method | 0 | " + " | ".join(map(str, BUDGETS)) + " |", "|---" * (len(BUDGETS) + 2) + "|"]
    for method in METHODS:
        values = np.array([[ua(scores, pair, method, "random", n) for n in BUDGETS] for pair in PAIRS])
        zero = np.array([[ua(scores, pair, method, "none", 0)] for pair in PAIRS])
        cells = [f"{mean:.1f} ({worst:+.1f})" for mean, worst in zip(values.mean(0), (values - zero).min(0))]
        lines.append(f"| {method} | {zero.mean():.1f} | " + " | ".join(cells) + " |")
    return lines


def strategy_table(scores: Scores) -> list[str]:
    """What each strategy adds to random choice."""
    lines = ["| method | strategy | " + " | ".join(map(str, BUDGETS)) + " | mean | worst cell |"]
    lines += ["|---" * (len(BUDGETS) + 4) + "|"]
    for method in METHODS:
        for by in ORDER:
            gain = gains(scores, method, by, PAIRS)
            cells = " | ".join(f"{value:+.1f}" for value in gain.mean(0))
            lines.append(f"| {method} | {by} | {cells} | {gain.mean():+.1f} | {gain.min():+.1f} |")
    return lines


def choice_table(scores: Scores) -> list[str]:
    """What would be chosen without a language, and what it adds to random choice with that language."""
    lines = ["| left out | chosen | mean | worst cell |", "|---|---|---|---|"]
    for corpus in NAMES:
        without, held_out = ([pair for pair in PAIRS if (corpus in pair) == inside] for inside in (False, True))
        chosen = max(ORDER, key=lambda by: mean_gain(scores, by, without))
        worst = min(gains(scores, method, chosen, held_out).min() for method in METHODS)
        lines.append(f"| {NAMES[corpus]} | {chosen} | {mean_gain(scores, chosen, held_out):+.1f} | {worst:+.1f} |")
    return lines


def ua(scores: Scores, pair: Pair, method: str, by: str, n: int) -> float:
    """UA in per cent."""
    return 100 * scores[pair, method, by, n].value


def gains(scores: Scores, method: str, by: str, pairs: Sequence[Pair]) -> np.ndarray:
    """UA minus that of random choice, in points: (pairs, budgets)."""
    return np.array(
        [[ua(scores, pair, method, by, n) - ua(scores, pair, method, "random", n) for n in BUDGETS] for pair in pairs]
    )


def mean_gain(scores: Scores, by: str, pairs: Sequence[Pair]) -> float:
    """The mean over methods, pairs and budgets."""
    return float(np.mean([gains(scores, method, by, pairs) for method in METHODS]))


def title(pair: Pair) -> str:
    """A pair as tables name it."""
    return " -> ".join(NAMES[corpus] for corpus in pair)


def cell(score: Estimate) -> str:
    """UA in per cent with its interval."""
    return f"{100 * score.value:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"


if __name__ == "__main__":
    main()
