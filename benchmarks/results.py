"""The results of docs/results/adaptation.md and of the README: all pairs of real corpora, by `emobridge adapt`.

    python benchmarks/results.py --shared ../shared --work results-work --out docs/results

An interrupted run goes on; what is finished is read. Real corpora and weights are not part of the project.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emobridge.corpora import scan
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.data.splits import by_fold
from emobridge.encoders import load_encoder
from emobridge.features import FeatureStore
from emobridge.files import cache_folder
from emobridge.metrics import read_scores, ua
from emobridge.types import Score

LABELS = "anger,happiness,neutral,sadness"
PAIRS = (
    (("ravdess",), "emodb"),
    (("ravdess",), "emovo"),
    (("emodb",), "emovo"),
    (("emovo",), "emodb"),
    (("ravdess", "emovo"), "emodb"),
    (("ravdess", "emodb"), "emovo"),
)
CONDITIONS = (
    ("none", "none", False),
    ("speaker", "none", False),
    ("speaker", "coral", False),
    ("speaker", "coral", True),
)
ALONE = (("ravdess", "emodb"), ("emodb", "emovo"), ("emovo", "emodb"))  # scored in language, beside any other corpus
NAMES = {"ravdess": "RAVDESS (en)", "emodb": "EmoDB (de)", "emovo": "EMOVO (it)"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, default=Path("results-work"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--encoder", default="whisper-base", help="folder under SHARED/weights")
    parser.add_argument("--layer", default="3")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    for corpus in NAMES:
        write_manifest(args.work / f"{corpus}.jsonl", scan(corpus, args.shared / "corpora" / corpus))
    inside, across = [], []
    for corpus, other in ALONE:
        for normalise in ("none", "speaker"):
            options = f"--method source-only --align none --normalise {normalise} --batch-size 32"
            options += " --head-option input_dropout=0.5"
            inside += run(args, (corpus,), other, f"in-language-{normalise}", *options.split())
    for sources, target in PAIRS:
        for normalise, align, transductive in CONDITIONS:
            options = f"--method pseudo-labels --normalise {normalise} --align {align}"
            name = f"{normalise}-{align}"
            if transductive:
                options, name = f"{options} --transductive", f"{name}-transductive"
            across += run(args, sources, target, name, *options.split())
    references = {}
    if args.layer != "auto":
        references = {(corpus, name): plain(args, corpus, name) for corpus, _ in ALONE for name in ("none", "speaker")}
    page = args.out / ("adaptation.md" if args.encoder == "whisper-base" else f"adaptation-{args.encoder}.md")
    page.parent.mkdir(parents=True, exist_ok=True)
    text = page.read_text(encoding="utf-8") if page.exists() else "<!-- measured -->\n<!-- end -->\n"
    before, _, rest = text.partition("<!-- measured -->")
    after = rest.partition("<!-- end -->")[2]
    page.write_text(
        f"{before}<!-- measured -->\n{tables(inside, across, references)}\n<!-- end -->{after}", encoding="utf-8"
    )
    print(page)


def run(args: argparse.Namespace, sources: tuple[str, ...], target: str, name: str, *options: str) -> list[Score]:
    """One `emobridge adapt`, which scores source-only and the method asked for on both sides."""
    out = args.work / f"{args.encoder}-{args.layer}" / f"{'+'.join(sources)}-{target}-{name}"
    command = [sys.executable, "-m", "emobridge.cli", "adapt", "--target", str(args.work / f"{target}.jsonl")]
    for source in sources:
        command += ["--source", str(args.work / f"{source}.jsonl")]
    command += ["--encoder", str(args.shared / "weights" / args.encoder), "--layer", args.layer]
    command += ["--labels", LABELS, "--target-labels", "0", "--seeds", "3", *options, "--out", str(out)]
    print(" ".join(command[3:]), flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return list(read_scores(out / "scores.json"))


def plain(args: argparse.Namespace, corpus: str, normalise: str) -> float:
    """UA of a plain linear model on the same folds: logistic regression (C = 0.01) on mean and deviation of the layer.

    It is the reference of the in-language table; with `speaker`, features are standardised by speaker first.
    """
    rows = [one for one in read_manifest(args.work / f"{corpus}.jsonl") if one.emotion in LABELS.split(",")]
    store = FeatureStore(cache_folder(), load_encoder(args.shared / "weights" / args.encoder))
    x = store.extract(rows, layer=args.layer).values
    truth = np.array([one.emotion for one in rows])
    speakers = np.array([one.speaker for one in rows])
    if normalise == "speaker":
        for speaker in set(speakers):
            mine = speakers == speaker
            x[mine] = (x[mine] - x[mine].mean(0)) / (x[mine].std(0) + 1e-6)
    scores = []
    for seed in range(3):
        said = truth.copy()
        for part in by_fold(rows, 5, seed=seed):
            test = np.isin(np.arange(len(rows)), part)
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=300))
            said[test] = model.fit(x[~test], truth[~test]).predict(x[test])
        scores.append(ua(truth.tolist(), said.tolist(), labels=LABELS.split(",")))
    return float(np.mean(scores))


def tables(inside: list[Score], across: list[Score], references: dict[tuple[str, str], float]) -> str:
    """In language, then across languages."""
    names = ("none", "speaker")
    alone = {(row.source, row.normalisation): row for row in overall(inside) if row.side == "source"}
    lines = [
        "",
        "Trained and scored on one corpus (five folds by speaker, source-only):",
        "",
        "| corpus | no normalisation | by speaker | plain linear model, same folds | by speaker |",
        "|---|---|---|---|---|",
    ]
    for corpus, _ in ALONE:
        cells = [cell(alone.get((corpus, name))) for name in names]
        cells += [f"{100 * references[corpus, name]:.1f}" for name in names] if references else ["-", "-"]
        lines.append(f"| {NAMES[corpus]} | {' | '.join(cells)} |")
    lines += [
        "",
        "Trained on labelled source, scored on the target; no target label seen; in brackets the 95 % interval. "
        "New speakers: five folds by speaker on both sides. Transductive: the unlabelled audio of the scored target "
        "speakers adapts too.",
        "",
        "| source -> target | method | none | speaker | speaker+coral | speaker+coral, transductive | source score |",
        "|---|---|---|---|---|---|---|",
    ]
    found = {
        (row.source, row.target, row.normalisation, "transductive" in row.split, row.method, row.side): row
        for row in overall(across)
    }
    for sources, target in PAIRS:
        for method in ("source-only", "pseudo-labels"):
            key = ("+".join(sources), target)
            kinds = (("none", False), ("speaker", False), ("speaker+coral", False), ("speaker+coral", True))
            cells = [cell(found.get((*key, *kind, method, "target"))) for kind in kinds]
            cells.append(cell(found.get((*key, *kinds[2], method, "source"))))
            where = f"{' + '.join(NAMES[one] for one in sources)} -> {NAMES[target]}"
            lines.append(f"| {where} | {method} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def overall(rows: list[Score]) -> list[Score]:
    """UA over all seeds."""
    return [row for row in rows if row.measure == "UA" and row.seed == "all"]


def cell(row: Score | None) -> str:
    """UA in per cent with its interval."""
    return "-" if row is None else f"{100 * row.value:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]"


if __name__ == "__main__":
    main()
