"""The results of docs/results/source-free.md: adaptation without source speech beside adaptation with it.

    python benchmarks/sourcefree.py --work source-free-work

English (RAVDESS), German (EmoDB) and Italian (EMOVO), each from each other one and from both: nine pairs, whisper-base,
by speaker, no label of the target. A recogniser of the source is trained and saved; `adapt --from` adapts it to the
target, and `adapt --source` adapts with the source speech itself. Then recognisers of RAVDESS, adapted to the third
corpus, answer the target as a stream with `predict --adapt-online`, in three random orders. The exit code is 1 where a
pair loses more than 2 points without the source, or a stream loses more than 1. An interrupted run goes on. Real
corpora and weights are not part of the project: they lie in the folder that EMOBRIDGE_SHARED names.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from pathlib import Path

import numpy as np
from published import write_page

from emobridge.bundle import Recognizer
from emobridge.corpora import scan
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.inference.predict import predict
from emobridge.scores.measures.ua import Ua
from emobridge.settings import Adapt, Answering
from emobridge.study.evaluations import ua_of
from emobridge.study.train import Adapted, train

LABELS = ("anger", "happiness", "neutral", "sadness")
CORPORA = {"ravdess": "RAVDESS (en)", "emodb": "EmoDB (de)", "emovo": "EMOVO (it)"}
PAIRS = (
    *(((source,), target) for source, target in itertools.permutations(CORPORA, 2)),
    *((tuple(name for name in CORPORA if name != target), target) for target in CORPORA),
)
ALLOWED = 2.0  # points that may be lost without the source
STREAMED = ("emodb", "emovo")  # targets of RAVDESS
ORDERS = 3
LOST = -1.0  # points of a stream, at most
SYSTEMS = ("source-only", "blend")
PAGE = """# Adaptation without the source

`python benchmarks/sourcefree.py --seeds {count}` makes this page. A recogniser is trained on the source and saved.
Where the pair has one source, its own target is the third corpus, so that it has nothing of the new target; of two
sources it is the new target, and `--from` takes nothing of its old target out of a bundle. `emobridge
adapt --from BUNDLE --target T` then adapts it by the moments in the bundle, and `emobridge adapt --source S --target T`
adapts with the source speech at hand. UA of the target in per cent, {seeds}, {folds} folds by speaker; {encoder}, by
speaker, four emotions, no label of the target. With source speech a fold leaves a fifth of the source's speakers out,
to score them; the moments are of all of them.

| source -> target | source-only with | without | blend with | without | blend: without less with | bundle |
|---|---|---|---|---|---|---|
{rows}

Mean of the blend: {means}. The most that is lost without the source is {lost:.1f} points; {allowed:g} were allowed.

## Answers that adapt as they come

`emobridge predict --adapt-online`: a recogniser of RAVDESS that was adapted to the third corpus hears all labelled
utterances of the target in random order, and adapts its class means to what it has heard. UA in per cent over the whole
stream, the first utterances included, less that of the same recogniser as it is; speakers are standardised by all that
is given of them in both.

| target | as it is | {orders} |
|---|---|{rule}
{streams}

Mean {gain:+.1f}, worst {worst:+.1f} points.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("EMOBRIDGE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    parser.add_argument("--shared", type=Path, default=shared)
    parser.add_argument("--work", type=Path, default=Path("source-free-work"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/source-free.md"))
    parser.add_argument("--encoder", default="whisper-base", help="folder under SHARED/weights")
    parser.add_argument("--store", type=Path, help="of features; default: a folder in --work")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=5)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    for corpus in CORPORA:
        if not manifest(args, corpus).exists():
            write_manifest(manifest(args, corpus), scan(corpus, args.shared / "corpora" / corpus))
    rows = [row(args, sources, target) for sources, target in PAIRS]
    streams = {target: stream(args, target) for target in STREAMED}
    lost = max(0.0, *(values[2] - values[3] for _, values, _ in rows))
    before, after = (float(np.mean([values[index] for _, values, _ in rows])) for index in (2, 3))
    page = PAGE.format(
        count=args.seeds,
        seeds=f"{args.seeds} seed{'s' * (args.seeds > 1)}",
        folds=args.folds,
        encoder=args.encoder,
        rows="\n".join(map(line, rows)),
        means=f"{before:.1f} with the source, {after:.1f} without",
        lost=lost,
        allowed=ALLOWED,
        orders=" | ".join(f"order {order + 1}" for order in range(ORDERS)),
        rule="---|" * ORDERS,
        streams="\n".join(
            f"| {CORPORA[target]} | {plain:.1f} | {' | '.join(f'{gain:+.1f}' for gain in gains)} |"
            for target, (plain, gains) in streams.items()
        ),
        gain=np.mean([gains for _, gains in streams.values()]),
        worst=min(min(gains) for _, gains in streams.values()),
    )
    write_page(args.out, page)
    print(page)
    sys.exit(lost > ALLOWED or any(min(gains) < LOST for _, gains in streams.values()))


def row(args: argparse.Namespace, sources: tuple[str, ...], target: str) -> tuple[str, tuple[float, ...], float]:
    """Name, UA (source-only with, without; blend with, without) and size of the bundle in MB."""
    name = "+".join(sources)
    third = next((corpus for corpus in CORPORA if corpus not in sources and corpus != target), target)
    options = {"source": tuple(str(manifest(args, corpus)) for corpus in sources), **shared_options(args)}
    bundle = bundle_of(args, sources, third)
    scored = {"target": str(manifest(args, target)), "seeds": args.seeds, "folds": args.folds}
    with_source = train(Adapt.of(**options, **scored, out=str(args.work / f"{name}-{target}")))
    options = shared_options(args) | {"from_bundle": str(bundle)}
    without = train(Adapt.of(**options, **scored, out=str(args.work / f"{name}-{target}-free")))
    values = tuple(scores(run)[system] for system in SYSTEMS for run in (with_source, without))
    size = sum(path.stat().st_size for path in bundle.iterdir()) / 1e6
    print(f"{name} -> {target}: {', '.join(f'{value:.1f}' for value in values)}; {size:.1f} MB", flush=True)
    return f"{' + '.join(CORPORA[corpus] for corpus in sources)} -> {CORPORA[target]}", values, size


def bundle_of(args: argparse.Namespace, sources: tuple[str, ...], target: str) -> Path:
    """The folder of a recogniser of some corpora that was adapted to another by the default method."""
    bundle = args.work / f"{'+'.join(sources)}-to-{target}"
    if not (bundle / "bundle.json").exists():
        source = tuple(str(manifest(args, corpus)) for corpus in sources)
        options = {"target": str(manifest(args, target)), "seeds": 1, "folds": 0, "bundle": "adapted"}
        run = train(Adapt.of(**shared_options(args), source=source, **options, out=f"{bundle}-run"))
        run.recognizer.save(bundle, "")
    return bundle


def stream(args: argparse.Namespace, target: str) -> tuple[float, list[float]]:
    """UA of a recogniser as it is, and what adaptation to a stream adds in each order; per cent."""
    (third,) = set(STREAMED) - {target}
    recognizer = Recognizer.load(bundle_of(args, ("ravdess",), third))
    utterances = [row for row in read_manifest(manifest(args, target)) if row.emotion in LABELS]
    store = shared_options(args)["store"]

    def score(order: np.ndarray | range, online: bool) -> float:
        rows = [utterances[index] for index in order]
        settings = Answering(segments="whole", detector="energy", adapt_online=online)
        answers = list(predict(recognizer, rows, settings, store=store))
        pairs = [(row.emotion or "", answer.label) for row, answer in zip(rows, answers) if answer.label]
        return 100 * Ua()([truth for truth, _ in pairs], [label for _, label in pairs], labels=LABELS)

    plain = score(range(len(utterances)), False)
    orders = [np.random.default_rng(seed).permutation(len(utterances)) for seed in range(ORDERS)]
    gains = [score(order, True) - plain for order in orders]
    print(f"stream of {target}: {plain:.1f}; {', '.join(f'{gain:+.1f}' for gain in gains)}", flush=True)
    return plain, gains


def shared_options(args: argparse.Namespace) -> dict[str, object]:
    return {
        "labels": LABELS,
        "encoder": str(args.shared / "weights" / args.encoder),
        "store": str(args.store or args.work / "store"),
    }


def manifest(args: argparse.Namespace, corpus: str) -> Path:
    return args.work / f"{corpus}.jsonl"


def scores(run: Adapted) -> dict[str, float]:
    """UA of each system on the target, per cent, the mean over seeds."""
    values = {}
    for answers in run.answers:
        parts = [part for part in answers.predicted if part.side == "target"]
        values[answers.method] = 100 * float(np.mean([ua_of(run.speech, [part], LABELS) for part in parts]))
    return values


def line(measured: tuple[str, tuple[float, ...], float]) -> str:
    """A row of the page."""
    name, values, size = measured
    cells = [f"{value:.1f}" for value in values]
    return f"| {name} | {' | '.join(cells)} | {values[3] - values[2]:+.1f} | {size:.1f} MB |"


if __name__ == "__main__":
    main()
