"""The results of docs/results/agarla2024.md: the BYOL-S study of the recipe agarla2024 on the corpora that are here.

    python benchmarks/agarla2024.py --shared ../shared --work agarla2024-work

One `emobridge recipe run`, which an interruption does not set back: RAVDESS to EmoDB and to EMOVO, end to end, with
SERAB's split. It is cut to one seed and 20 epochs, and the weights are those of 512 features; the page says so. Real
corpora and weights are not part of the project.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from pathlib import Path

from published import write_page

from emobridge.literature.published import numbers_of

NAMES = {"emodb": "EmoDB (de)", "emovo": "EMOVO (it)"}
METHODS = ("source-only", "pseudo-labels", "soft-pseudo-labels")
ENCODER = "byol-s-1024"  # of the recipe and the paper
COLUMNS = ("target", "method", "test utterances", "WA", "UA", "WA on the source", "printed: Table 4, English only")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, default=Path("agarla2024-work"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/agarla2024.md"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--page", action="store_true", help="write the page of what is finished, and run nothing")
    args = parser.parse_args()
    if not args.page:
        subprocess.run(command(args), check=True)
    before, _, page = args.out.read_text(encoding="utf-8").partition("<!-- measured -->")
    _, _, after = page.partition("<!-- end -->")
    write_page(args.out, f"{before}<!-- measured -->\n{table(args.work)}\n<!-- end -->{after}")
    print(args.out)


def command(args: argparse.Namespace) -> list[str]:
    """The command line that runs the study."""
    encoder = args.shared / "weights" / "byol-s-512"
    options = ["--data", str(args.shared / "corpora"), "--encoder", f"{ENCODER}={encoder}", "--other-sizes"]
    for only in ("studies=byol-s", "corpora=ravdess,emodb,emovo", "budgets=0"):
        options += ["--only", only]
    options += ["--seeds", "1", "--epochs", str(args.epochs), "--jobs", str(args.jobs), "--out", str(args.work)]
    return [sys.executable, "-m", "emobridge", "recipe", "run", "agarla2024", *options]


def table(work: Path) -> str:
    """The scores of all finished fits, a row a target and method, with the paper's number beside."""
    scores: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    path = work / "summary.csv"
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                scores.setdefault((row["target"], row["method"]), {})[row["measure"]] = row
    lines = ["", f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for target, name in NAMES.items():
        for method in METHODS:
            by_measure = scores.get((target, method))
            cells = [name, method, *(cells_of(by_measure) if by_measure else ["", "not finished", "", ""])]
            lines.append(f"| {' | '.join([*cells, printed(target) if method == METHODS[0] else '-'])} |")
    return "\n".join([*lines, *summary(scores)])


def summary(scores: dict[tuple[str, str], dict[str, dict[str, str]]]) -> list[str]:
    """How far the model of English alone is from the printed number, and what pseudo-labels change; a line a target."""
    lines = []
    for target, name in NAMES.items():
        if all((target, method) in scores for method in METHODS):
            first, hard, soft = (100 * float(scores[target, method]["WA"]["target_value"]) for method in METHODS)
            distance = first - float(printed(target))
            lines += [
                "",
                f"{name}: `source-only` is {distance:+.1f} points from the printed number. Hard pseudo-labels change "
                f"WA by {hard - first:+.1f} points, soft ones by "
                f"{soft - first:+.1f}, at one seed and two test speakers.",
            ]
    return lines


def cells_of(by_measure: dict[str, dict[str, str]]) -> list[str]:
    """Test utterances, WA and UA of the target with their intervals, and WA of the source."""
    wa, ua = by_measure["WA"], by_measure["UA"]
    return [wa["target_n"], interval(wa, "target"), interval(ua, "target"), interval(wa, "source")]


def interval(row: dict[str, str], side: str) -> str:
    value, low, high = (100 * float(row[f"{side}_{key}"] or "nan") for key in ("value", "low", "high"))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]" if low == low else f"{value:.1f}"


def printed(target: str) -> str:
    """The number that the paper prints for a target, per cent."""
    wanted = ("Table 4", ENCODER, {"emodb": "de", "emovo": "it"}[target])
    (value,) = [
        row.value for row in numbers_of("Agarla et al. 2024") if (row.table, row.encoder, row.target_language) == wanted
    ]
    return f"{value:g}"


if __name__ == "__main__":
    main()
