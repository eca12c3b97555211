"""All benchmarks, or some: one table of jobs, ours beside what one would pick and what the machine allows, and bounds.

    python benchmarks/run.py [--only NAME ...] [--weights DIR] [--corpora DIR] [--minutes M] [--out FILE.md]
    python benchmarks/run.py --list

A benchmark is a file bench_NAME.py with NEEDS, what of the weights and corpora it cannot do without, and
measure(resources), which returns rows; with BY_NAME = True it runs only where --only names it. All use one thread, and
CPU time unless the row says otherwise.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, here and in the commands that are measured

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from measuring import Resources, Row, machine, skipped, table  # noqa: E402

NAMES = tuple(path.stem.removeprefix("bench_") for path in sorted(HERE.glob("bench_*.py")))
NOTE = (
    "CPU time of one thread, the median of the repeats, unless the row says otherwise. Ratio: ours over what one would "
    "pick, which took turns with it. A bound is that of the ratio, or of ours where there is none. Limit: what this "
    "machine does in the same run, in matrix products or in copies, for the same sums. Where other work shares the "
    "machine, times on the clock say little, CPU times something, and ratios most."
)


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for and print the table; 1 where a benchmark crashed, whatever the bounds."""
    options = _options(arguments)
    if options.list:
        print("\n".join(f"{name:<10} {_title(name)}" for name in NAMES))
        return 0
    resources = Resources(options.weights, options.corpora, options.repeats, options.minutes)
    about = machine()
    rows: list[Row] = []
    crashed = False
    for name in options.only or NAMES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            rows += _measured(name, resources, is_named=bool(options.only))
        except Exception as error:
            traceback.print_exc()
            crashed = True
            rows.append(Row(name, float("nan"), "", crashed=type(error).__name__))
    counts = {word: sum(row.holds == word for row in rows) for word in ("yes", "no")}
    unmeasured = sum(bool(row.skipped) for row in rows)
    summary = f"{counts['yes']} bounds hold, {counts['no']} do not; {unmeasured} rows were skipped."
    text = "\n".join([about, "", table(rows), "", summary, NOTE, ""])
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return int(crashed)


def _title(name: str) -> str:
    """The first line of a benchmark's docstring, read without running the module."""
    source = (HERE / f"bench_{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def _measured(name: str, resources: Resources, is_named: bool) -> list[Row]:
    """The rows of one benchmark, or one with the reason why it was skipped."""
    benchmark = importlib.import_module(f"bench_{name}")
    if getattr(benchmark, "BY_NAME", False) and not is_named:
        return [skipped(name, f"slow; run.py --only {name}")]
    missing = [need for need in benchmark.NEEDS if not _there(need, resources)]
    if missing:
        return [skipped(name, f"no {' and no '.join(missing)}")]
    rows: list[Row] = benchmark.measure(resources)
    return rows


def _there(need: str, resources: Resources) -> bool:
    """`need`: a field of Resources, a GPU, or a module."""
    if need == "GPU":
        import torch

        return torch.cuda.is_available()
    if need in Resources.__slots__:
        return getattr(resources, need) is not None
    return importlib.util.find_spec(need) is not None


def _options(arguments: list[str] | None) -> argparse.Namespace:
    shared = Path(os.environ.get("EMOBRIDGE_SHARED", HERE.parents[1] / "shared"))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", type=_folder, help="folder of Whisper base (shared/weights/whisper-base)")
    parser.add_argument("--corpora", type=_folder, help="folder with ravdess/ and emodb/ (shared/corpora)")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"some of {', '.join(NAMES)}")
    parser.add_argument("--list", action="store_true", help="print the names of the benchmarks and what they measure")
    parser.add_argument("--repeats", type=int, default=3, help="of each part; the median counts (3)")
    parser.add_argument("--minutes", type=float, default=60.0, help="of audio in the long file of `predict` (60)")
    parser.add_argument("--out", type=Path, help="a Markdown file for the table too")
    options = parser.parse_args(arguments)
    if options.repeats < 1 or options.minutes <= 0:
        parser.error("expected --repeats of 1 or more and --minutes above 0")
    options.weights = options.weights or _if_there(shared / "weights" / "whisper-base")
    options.corpora = options.corpora or _if_there(shared / "corpora")
    return options


def _folder(word: str) -> Path:
    if not Path(word).is_dir():
        raise argparse.ArgumentTypeError(f"{word}: no such folder")
    return Path(word)


def _if_there(folder: Path) -> Path | None:
    return folder if folder.is_dir() else None


if __name__ == "__main__":
    sys.exit(main())
