"""The results of docs/results/probe*: layer-wise studies of the real corpora, by `emobridge probe`.

    python benchmarks/probe_results.py whisper-base --shared ../shared --work probe-work
    python benchmarks/probe_results.py whisper-tiny.en --shared ../shared --work probe-work
    python benchmarks/probe_results.py compare --shared ../shared --work probe-work

An encoder's name runs its study (all layers, four heads, two norms, floors, all pairs of corpora) and copies page and
plots to docs/results/probe-ENCODER. `compare` runs what it is compared with: input padded to 30 s, the int8 engine, and
shorter stretches of averaged frames; the tables go into docs/results/probe.md. An interrupted run goes on; what is
finished is read. Real corpora and weights are not part of the project.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from published import write_page

from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest
from emobridge.scores.files import read_scores

CORPORA = ("ravdess", "emodb", "emovo")
ENCODERS = ("whisper-base", "whisper-tiny.en")
LABELS = "anger,happiness,neutral,sadness"
HEADS = "single,linear,nonlinear,multilayer"
SEGMENTS = ("1", "0.5", "0.2", "0")
Key = tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=(*ENCODERS, "compare"))
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, default=Path("probe-work"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    for corpus in CORPORA:
        write_manifest(args.work / f"{corpus}.jsonl", scan(corpus, args.shared / "corpora" / corpus))
    if args.what == "compare":
        compare(args)
        return
    folder = study(args, args.what, "", "--heads", HEADS)
    page = args.out / f"probe-{args.what}"
    shutil.rmtree(page, ignore_errors=True)
    shutil.copytree(folder / "figures", page / "figures")
    shutil.copy(folder / "probe.md", page / "README.md")
    print(page)


def study(args: argparse.Namespace, encoder: str, name: str, *more: str, corpora: tuple[str, ...] = CORPORA) -> Path:
    """One `emobridge probe`; the folder of what it wrote."""
    out = args.work / f"probe-{encoder}{name}"
    command = [sys.executable, "-m", "emobridge.cli.main", "probe", "--encoder", str(args.shared / "weights" / encoder)]
    for corpus in corpora:
        command += ["--corpus", str(args.work / f"{corpus}.jsonl")]
    command += ["--labels", LABELS, "--normalise", "none,speaker", "--segment", "1", "--frames", "stored"]
    command += ["--settings", "mono,trans,cross,other", *more, "--out", str(out)]
    print(" ".join(command[3:]), flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return out


def compare(args: argparse.Namespace) -> None:
    """The tables of docs/results/probe.md."""
    lines = []
    for encoder in ENCODERS:
        clip = scores(study(args, encoder, "", "--heads", HEADS))
        options = ("--heads", "single,linear", "--encoder-option", "padding=full", "--no-floors")
        full = scores(study(args, encoder, "-padded", *options))
        lines += ["", f"{encoder}: input of the clip's own length / padded to 30 s, UA of the layers, in language:", ""]
        lines += compare_layers(clip, full, ("single", "linear"))
    for encoder in ENCODERS:
        torch = scores(study(args, encoder, "", "--heads", HEADS))
        int8 = scores(study(args, encoder, "-int8", "--heads", "single", "--engine", "onnx-int8", "--no-floors"))
        lines += ["", f"{encoder}: single precision / the engine onnx-int8:", ""]
        lines += compare_layers(torch, int8, ("single",))
    lines += [
        "",
        "whisper-tiny.en, layer 3 on EmoDB, one seed: the nonlinear head on means over stretches of frames:",
        "",
    ]
    lines += ["| stretch | UA |", "|---|---|"]
    for seconds in SEGMENTS:
        options = ("--heads", "nonlinear", "--layers", "3", "--seeds", "1", "--no-floors", "--segment", seconds)
        values = scores(study(args, "whisper-tiny.en", f"-segment{seconds}", *options, corpora=("emodb",)))
        value = values["emodb", "emodb", "none", "nonlinear", "3"]
        lines.append(f"| {f'{seconds} s' if seconds != '0' else 'every frame'} | {value} |")
    page = args.out / "probe.md"
    before, _, old = page.read_text(encoding="utf-8").partition("<!-- measured -->")
    after = old.partition("<!-- end -->")[2]
    text = "\n".join([*lines, ""])
    write_page(page, f"{before}<!-- measured -->\n{text}\n<!-- end -->{after}")
    print(page)


def scores(folder: Path) -> dict[Key, str]:
    """UA over all seeds, per cent with its interval, by training and test corpus, norm, head and layer."""
    return {
        (row.source, row.target, row.normalisation, row.head, row.layer): " ".join(
            (f"{100 * row.value:.1f}", f"[{100 * row.low:.1f}, {100 * row.high:.1f}]")
        )
        for row in read_scores(folder / "scores.json")
        if (row.measure, row.seed, row.method) == ("UA", "all", "probe") and row.encoder != "logmel"
    }


def compare_layers(first: dict[Key, str], second: dict[Key, str], heads: tuple[str, ...]) -> list[str]:
    """A row a corpus, head and norm; a column a layer, and the mean difference over them."""
    layers = sorted({key[4] for key in second if key[4].isdecimal()}, key=int)
    lines = [
        f"| corpus | head | normalisation | {' | '.join(layers)} | mean difference |",
        "|---" * (len(layers) + 4) + "|",
    ]
    for corpus in dict.fromkeys(key[0] for key in second):
        for head in heads:
            for norm in ("none", "speaker"):
                pairs = [(first[corpus, corpus, norm, head, n], second[corpus, corpus, norm, head, n]) for n in layers]
                values = [tuple(float(text.split()[0]) for text in pair) for pair in pairs]
                mean = sum(b - a for a, b in values) / len(values)
                cells = " | ".join(f"{a:.1f} / {b:.1f}" for a, b in values)
                lines.append(f"| {corpus} | {head} | {norm} | {cells} | {mean:+.1f} |")
    return lines


if __name__ == "__main__":
    main()
