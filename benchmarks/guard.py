"""The results of docs/results/guard.md: how often the guard is right, and what it wins and loses.

    python benchmarks/guard.py --shared ../shared --work guard-work

Three corpora (English, German, Italian), each the target of one or two others, whole and cut down. An interrupted run
goes on. Real corpora and weights are not part of the project. About 6 minutes on one core, features aside.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from published import write_page

from emobridge.cache import Cache
from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest
from emobridge.data.speech import Speech, everything
from emobridge.features.normalisation import add_texts, fit_domain, normalise_features
from emobridge.heads.base import LinearMap
from emobridge.methods.base import BASELINE
from emobridge.scores.variety import LEAST_VARIETY, least_variety
from emobridge.settings import Adapt
from emobridge.study.guard import guard_map, varieties
from emobridge.study.prepare import prepare, resolve
from emobridge.study.run import Runner
from emobridge.training.case import Case
from emobridge.types import person

NAMES = {"ravdess": "English", "emodb": "German", "emovo": "Italian"}
LABELS = ("anger", "happiness", "neutral", "sadness")
CHOSEN_ON = ("whisper-base", "whisper-tiny.en", "logmel")  # encoders that the thresholds were chosen on
ENCODERS = (*CHOSEN_ON, "byol-s-512")
BALANCED = ("whole", "a class thinned to a quarter", "120 utterances", "60 utterances", "30 utterances")
GROUPS = {"speaker": "speaker", "text": "sentence"}
ADAPTED = "blend"  # whose scores are compared too, with whisper-base
ADAPTED_ON = ("whole", "1 emotion a speaker", "2 emotions a speaker")  # DRAWS of each
DRAWS = 2
MOST_FALSE = 1 / 20  # false alarms of balanced runs
MATTERS = 2.0  # points
THRESHOLDS = np.arange(60, 111) / 100


@dataclass(frozen=True, slots=True)
class Trial:
    """One target, whole or cut down: what the guard measures, and the score with and without the normalisation."""

    encoder: str
    sources: tuple[str, ...]
    target: str
    group: str  # "speaker" or "text"
    cut: str
    value: float
    freedom: int  # utterances less groups
    normalised: float  # UA in per cent with the normalisation by this group
    without: float  # with the one that the guard falls back to
    method: str = BASELINE

    @property
    def languages(self) -> set[str]:
        """The corpora that take part."""
        return {*self.sources, self.target}

    @property
    def gain(self) -> float:
        """Points that the guard wins where it acts, below 0 where it loses."""
        return self.without - self.normalised

    def alarms(self, least: float = LEAST_VARIETY) -> bool:
        """Whether the guard acts, with this threshold before what is taken off for few utterances."""
        return self.value < least_variety(self.freedom, least)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with corpora/ and weights/")
    parser.add_argument("--work", type=Path, default=Path("guard-work"), help="folder for features and trials")
    parser.add_argument("--store", default="", help="folder of computed features; default: one in --work")
    parser.add_argument("--page", type=Path, default=Path("docs/results/guard.md"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        if not (options.work / f"{name}.jsonl").exists():
            write_manifest(options.work / f"{name}.jsonl", scan(name, options.shared / "corpora" / name))
    trials: list[Trial] = []
    for encoder, target in itertools.product(ENCODERS, NAMES):
        others = [name for name in NAMES if name != target]
        for sources in [*((name,) for name in others), tuple(others)]:
            trials += trials_of(options, encoder, sources, target)
            if encoder == CHOSEN_ON[0]:
                trials += trials_of(options, encoder, sources, target, ADAPTED)
    before, mark, _ = options.page.read_text(encoding="utf-8").partition("<!-- measured -->\n")
    write_page(options.page, f"{before}{mark}\n{tables(trials)}")
    print(options.page)


def trials_of(
    options: argparse.Namespace, encoder: str, sources: tuple[str, ...], target: str, method: str = BASELINE
) -> list[Trial]:
    """All trials of one pair, from their file where an earlier run made them."""
    start = "" if method == BASELINE else f"{method}-"
    path = options.work / f"{start}{encoder}-{'+'.join(sources)}-{target}.json"
    if path.exists():
        return [Trial(**{**row, "sources": tuple(row["sources"])}) for row in json.loads(path.read_text())]
    request = resolve(
        Adapt.of(
            source=[str(options.work / f"{name}.jsonl") for name in sources],
            target=str(options.work / f"{target}.jsonl"),
            labels=LABELS,
            encoder="logmel" if encoder == "logmel" else str(options.shared / "weights" / encoder),
            method=method,
            align="none",
            pool="closed",
            store=options.store or str(options.work / "store"),
        )
    )
    prepared = prepare(request, lambda speech: None)
    case = prepared.drafts[-1]
    by_text = replace(case, normalise="speaker+text")
    solved, runner = guard_map(prepared.speech, case), Runner(prepared.speech, request.split, Cache(None))
    models = {"speaker": solve(runner, case), "text": solve(runner, by_text)} if method == BASELINE else {}
    trials = []
    for group, cut, rows in targets(prepared.speech, sources, method):
        speech = prepared.speech.of(rows)
        found = varieties(speech, case, solved)
        (variety,) = (part.variety for part in found if (part.corpus, part.group) == (target, group))
        assert variety is not None  # no target here is too small to judge
        plain = case if group == "speaker" else by_text
        spared = (target,)
        without = replace(plain, by_corpus=spared) if group == "speaker" else replace(plain, without_texts=spared)
        if models:
            normalised, other = (ua(speech, answers(models[group], speech, way)) for way in (plain, without))
        else:
            runner = Runner(speech, request.split, Cache(None))
            normalised, other = (ua(speech, adapted(runner, way)) for way in (plain, without))
        trials.append(
            Trial(encoder, sources, target, group, cut, variety.value, variety.freedom, normalised, other, method)
        )
    path.write_text(json.dumps([asdict(trial) for trial in trials]))
    print(path, flush=True)
    return trials


def targets(speech: Speech, sources: Sequence[str], method: str) -> Iterator[tuple[str, str, list[int]]]:
    """Group, name and rows of the targets of a pair: fewer where the method adapts."""
    if method == BASELINE:
        for group in GROUPS if len(sources) == 1 else ("speaker",):
            for cut, rows in cuts(speech, group):
                yield group, cut, rows
        return
    left = {cut: DRAWS for cut in ADAPTED_ON}
    for cut, rows in cuts(speech, "speaker"):
        if left.get(cut):
            left[cut] -= 1
            yield "speaker", cut, rows


def solve(runner: Runner, case: Case) -> LinearMap:
    """Source-only: without alignment it is the same whatever is left of the target."""
    fold = everything(runner.speech, runner.split, 0)
    output = runner.train(case, 0, fold, runner.key(case, 0, fold)).head.output
    return LinearMap(output.weight.detach(), output.bias.detach())


def answers(model: LinearMap, speech: Speech, case: Case) -> np.ndarray:
    """The classes that source-only gives to the target, normalised as the case has it."""
    target = speech.of(np.flatnonzero(speech.is_target)).at(case.layer, case.views)
    name, language = target.corpora[-1]
    people, texts = [person(part) for part in target.utterances], [part.text for part in target.utterances]
    assert target.features is not None
    domain = replace(fit_domain(name, language, target.features), by_speaker=name not in case.by_corpus)
    if case.normalise == "speaker+text" and name not in case.without_texts:
        domain = add_texts(domain, target.features, people, texts)
    return model.of(normalise_features(target.features, domain, people, texts).flatten(1)).argmax(1).numpy()


def adapted(runner: Runner, case: Case) -> np.ndarray:
    """The classes that a method gives to the whole target, whose audio it adapts to."""
    target = np.flatnonzero(runner.speech.is_target)
    fold = replace(everything(runner.speech, runner.split, 0), target_test=tuple(target.tolist()))
    return runner.fit(case, 0, fold).probabilities.argmax(1)


def ua(speech: Speech, predicted: np.ndarray) -> float:
    """UA (per cent) of the whole target, whose labels are not seen before."""
    label = speech.label[speech.is_target]
    return 100 * float(np.mean([(predicted[label == index] == index).mean() for index in np.unique(label)]))


def cuts(speech: Speech, group: str) -> Iterator[tuple[str, list[int]]]:
    """Name and rows of the speech with its target whole and cut down, drawn anew in the same way for every run."""
    random = np.random.default_rng(0)
    source, target = np.flatnonzero(~speech.is_target), np.flatnonzero(speech.is_target)
    label = speech.label[target]
    names = np.array([getattr(speech.utterances[row], group) or "" for row in target])
    parts = [("whole", np.arange(len(target)))]
    for index in range(len(LABELS) if group == "speaker" else 0):
        rare = np.flatnonzero(label == index)
        thinned = np.setdiff1d(np.arange(len(target)), random.permutation(rare)[len(rare) // 4 :])
        parts.append((BALANCED[1], thinned))
    for count, _ in itertools.product((120, 60, 30), range(3)):
        parts.append((f"{count} utterances", random.choice(len(target), count, replace=False)))
    for count, draws in ((1, 4), (2, 4), (3, 2)):
        for _ in range(draws):
            few = one_sided(names, label, count, random)
            parts.append((f"{count} emotion{'s' * (count > 1)} a {GROUPS[group]}", few))
            if count == 1:
                parts.append((f"1 emotion a {GROUPS[group]}, 60 utterances", random.permutation(few)[:60]))
    for cut, part in parts:
        yield cut, [*source.tolist(), *target[np.sort(part)].tolist()]


def one_sided(names: np.ndarray, label: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """The rows of `count` emotions of each speaker or text, drawn so that all emotions are shown about as often."""
    shown = {}
    order = random.permutation(len(LABELS))
    for place, name in enumerate(random.permutation(np.unique(names))):
        shown[name] = [order[(place + step) % len(LABELS)] for step in range(count)]
    return np.array([row for row in range(len(names)) if label[row] in shown[names[row]]])


def tables(trials: Sequence[Trial]) -> str:
    """What is measured."""
    parts = []
    for group in GROUPS:
        of_group = [trial for trial in trials if (trial.group, trial.method) == (group, BASELINE)]
        parts += [TITLES[group], choice(of_group), summary(of_group), detail(of_group, ENCODERS)]
    adapted = [trial for trial in trials if trial.method == ADAPTED]
    return "\n".join([*parts, TITLES[ADAPTED], detail(adapted, CHOSEN_ON[:1])])


def is_balanced(trial: Trial) -> bool:
    """Whether an alarm would be false."""
    return trial.cut in BALANCED


def rate(trials: Iterable[Trial], holds: Callable[[Trial], bool]) -> float:
    """The share of trials for which something holds; 0 of none."""
    return float(np.mean([float(holds(trial)) for trial in trials] or [0.0]))


def largest_threshold(trials: Sequence[Trial]) -> float:
    """The largest threshold with at most MOST_FALSE false alarms on each encoder."""

    def false(threshold: float, encoder: str) -> float:
        balanced = (trial for trial in trials if trial.encoder == encoder and is_balanced(trial))
        return rate(balanced, lambda trial: trial.alarms(threshold))

    fine = [value for value in THRESHOLDS if all(false(value, name) <= MOST_FALSE for name in CHOSEN_ON)]
    return float(max(fine, default=THRESHOLDS[0]))


def choice(trials: Sequence[Trial]) -> str:
    """The threshold with each language left out, and how it does on the pairs that have the language."""
    rows = []
    for name, language in NAMES.items():
        inside = [trial for trial in trials if name in trial.languages and trial.encoder in CHOSEN_ON]
        threshold = largest_threshold([trial for trial in trials if name not in trial.languages])
        rows.append((language, f"{threshold:.2f}", *errors(inside, threshold)))
    everywhere = [trial for trial in trials if trial.encoder in CHOSEN_ON]
    rows.append(("none", f"{largest_threshold(trials):.2f}", *errors(everywhere, largest_threshold(trials))))
    return table(("language left out", "threshold chosen", *ERRORS), rows)


ERRORS = (
    "false alarms",
    "1 emotion each, not found",
    f"of these, costing over {MATTERS:g} points",
    "2 each, not found",
)


def errors(trials: Sequence[Trial], threshold: float) -> tuple[str, ...]:
    """False alarms of balanced runs, and what is not found of cut-down ones."""
    balanced = [trial for trial in trials if is_balanced(trial)]
    single = [trial for trial in trials if trial.cut.startswith("1 ")]
    missed = [trial for trial in single if not trial.alarms(threshold)]
    double = [trial for trial in trials if trial.cut.startswith("2 ")]
    return (
        f"{sum(trial.alarms(threshold) for trial in balanced)} of {len(balanced)}",
        f"{len(missed)} of {len(single)}",
        str(sum(trial.gain > MATTERS for trial in missed)),
        f"{sum(not trial.alarms(threshold) for trial in double)} of {len(double)}",
    )


def summary(trials: Sequence[Trial]) -> str:
    """What the guard of the package does, an encoder a row."""
    rows = []
    for encoder in ENCODERS:
        inside = [trial for trial in trials if trial.encoder == encoder]
        rows.append((encoder, *errors(inside, LEAST_VARIETY)))
    return "At the threshold of the package, an encoder a row:\n\n" + table(("encoder", *ERRORS), rows)


def detail(trials: Sequence[Trial], encoders: Sequence[str]) -> str:
    """Each kind of target: what is measured, how often the guard acts, and the points that it wins and loses."""
    rows = []
    for encoder, cut in itertools.product(encoders, dict.fromkeys(trial.cut for trial in trials)):
        inside = [trial for trial in trials if (trial.encoder, trial.cut) == (encoder, cut)]
        acts = [trial for trial in inside if trial.alarms()]
        passes = [trial for trial in inside if not trial.alarms()]
        low, middle, high = np.quantile([trial.value for trial in inside], (0.05, 0.5, 0.95))
        rows.append(
            (
                encoder,
                cut,
                f"{middle:.2f} ({low:.2f} to {high:.2f})",
                f"{len(acts)} of {len(inside)}",
                points(acts),
                points(passes, -1),
                f"{np.mean([trial.normalised for trial in inside]):.1f}",
                f"{np.mean([trial.without for trial in inside]):.1f}",
                f"{np.mean([trial.without if trial in acts else trial.normalised for trial in inside]):.1f}",
            )
        )
    return table(COLUMNS, rows)


COLUMNS = (
    "encoder", "target", "variety (5 to 95 %)", "guard acts", "won where it acts", "won where it does not",
    "UA never", "UA always", "UA guarded",
)  # fmt: skip


def points(trials: Sequence[Trial], sign: int = 1) -> str:
    """Mean points that the guard's choice won; below 0 it lost."""
    return f"{sign * np.mean([trial.gain for trial in trials]):+.1f}" if trials else ""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


TITLES = {
    "speaker": "## Speakers that show few emotions each: `speaker` or `corpus`\n",
    ADAPTED: f"## The same with `{ADAPTED}`, which adapts to the target\n",
    "text": "## Sentences that are read in few emotions each: `speaker+text` or `speaker`\n",
}


if __name__ == "__main__":
    main()
