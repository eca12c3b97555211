"""The results of docs/results/default-encoder.md: what each part of the encoder `logmel` is worth, by `adapt`.

    python benchmarks/default_encoder.py --shared ../shared --work default-encoder-work

Source-only by speaker, four emotions, five folds, three seeds. An interrupted run goes on. Real corpora are not part of
the project.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from published import write_page

from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest

PAIRS = (("ravdess", "emodb"), ("ravdess", "emovo"), ("emodb", "emovo"), ("emovo", "emodb"))
NAMES = {"ravdess": "RAVDESS", "emodb": "EmoDB", "emovo": "EMOVO"}
LABELS = "anger,happiness,neutral,sadness"
WITH_LEVEL = str(Path(__file__).with_name("_logmel_with_level.py"))
MEAN, BOTH = ("--statistic", "mean"), ("--statistic", "mean", "--statistic", "std")
# From what the encoder was to what it is, one change a row.
VARIANTS = {
    "level of the clip kept, all frames, mean": ("--encoder", WITH_LEVEL, *MEAN),
    "level taken out, all frames, mean": ("--encoder", "logmel", "--frames", "all", *MEAN),
    "level taken out, frames with speech, mean": ("--encoder", "logmel", *MEAN),
    "level taken out, frames with speech, mean and deviation (the default)": ("--encoder", "logmel", *BOTH),
    "level of the clip kept, frames with speech, mean and deviation": (
        "--encoder", WITH_LEVEL, "--frames", "speech", *BOTH,
    ),
}  # fmt: skip
PAGE = """# What the default encoder reaches

`python benchmarks/default_encoder.py` makes this page. Encoder `logmel`, which needs no weights: 64 log-mel bands.
Source-only, features standardised by speaker, aligned with CORAL; anger, happiness, neutral, sadness; five folds by
speaker, three seeds; UA of the target in per cent with a 95 % interval over speakers. The method sees no target label.
These corpora are the ones by which the parts were chosen: the page shows what each part is worth here.

| log-mel bands | {pairs} |
|---|{rule}|
{rows}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with corpora/")
    parser.add_argument("--work", type=Path, default=Path("default-encoder-work"), help="folder for runs")
    parser.add_argument("--page", type=Path, default=Path("docs/results/default-encoder.md"))
    options = parser.parse_args()
    if not (options.shared / "corpora").is_dir():
        raise SystemExit(f"{options.shared / 'corpora'}: no such folder; give --shared")
    options.work.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        write_manifest(options.work / f"{name}.jsonl", scan(name, options.shared / "corpora" / name))
    rows = [
        f"| {variant} | {' | '.join(measure(options.work, source, target, variant) for source, target in PAIRS)} |"
        for variant in VARIANTS
    ]
    pairs = " | ".join(f"{NAMES[source]} -> {NAMES[target]}" for source, target in PAIRS)
    write_page(options.page, PAGE.format(pairs=pairs, rule="---|" * (len(PAIRS) - 1) + "---", rows="\n".join(rows)))
    print(options.page)


def measure(work: Path, source: str, target: str, variant: str) -> str:
    """UA with its interval of one variant on one pair."""
    out = work / f"{source}-{target}-{list(VARIANTS).index(variant)}"
    command = [sys.executable, "-m", "emobridge", "adapt", "--source", str(work / f"{source}.jsonl")]
    command += ["--target", str(work / f"{target}.jsonl"), "--method", "source-only", "--labels", LABELS]
    command += [*VARIANTS[variant], "--store", str(work / "store"), "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (row,) = (
        row
        for row in json.loads((out / "scores.json").read_text())
        if (row["side"], row["measure"], row["seed"]) == ("target", "UA", "all")
    )
    return f"{100 * row['value']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"


if __name__ == "__main__":
    main()
