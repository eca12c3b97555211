"""The results of docs/results/speaker-statistics.md: what a speaker's other utterances do to the answer to one.

    python benchmarks/speaker_statistics.py --shared ../shared --work speaker-statistics-work

A bundle RAVDESS -> EMOVO (log-mels, source-only, four emotions) answers each EMOVO clip of these by the moments
that it stores, and by those of the speaker over the clip and others of the same speaker, drawn at random. Real corpora
are not part of the project.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from measuring import machine
from published import write_page

from emobridge.bundle import Recognizer
from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest
from emobridge.inference.predict import predict
from emobridge.settings import Answering
from emobridge.types import Utterance

LABELS = ("anger", "happiness", "neutral", "sadness")
SIZES = (1, 3, 10, 20)  # utterances of a speaker that are given together
PAGE = """# What a speaker's other utterances do to an answer

`python benchmarks/speaker_statistics.py` makes this page. Measured on {machine}.

A bundle RAVDESS -> EMOVO, log-mels, source-only, answers {count} EMOVO clips of {labels}. `--statistics stored`
standardises their features by the moments in the bundle, `these` by those of their speaker over so many clips that are
given together, drawn at random in one order. UA in per cent.

| statistics | utterances of the speaker | UA | labels that differ from `stored` |
|---|---|---|---|
{rows}

EMOVO took part in training without its labels, as the target that the bundle was adapted to.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with corpora/")
    parser.add_argument("--work", type=Path, default=Path("speaker-statistics-work"), help="folder for the run")
    parser.add_argument("--page", type=Path, default=Path("docs/results/speaker-statistics.md"))
    options = parser.parse_args()
    if not (options.shared / "corpora").is_dir():
        raise SystemExit(f"{options.shared / 'corpora'}: no such folder; give --shared")
    work = options.work
    work.mkdir(parents=True, exist_ok=True)
    for name in ("ravdess", "emovo"):
        write_manifest(work / f"{name}.jsonl", scan(name, options.shared / "corpora" / name))
    command = [sys.executable, "-m", "emobridge", "adapt", "--source", str(work / "ravdess.jsonl"), "--method"]
    command += ["source-only", "--target", str(work / "emovo.jsonl"), "--labels", ",".join(LABELS), "--seeds", "1"]
    subprocess.run([*command, "--store", str(work / "store"), "--out", str(work / "run")], check=True)
    recognizer = Recognizer.load(work / "run" / "bundle")
    clips = [row for row in scan("emovo", options.shared / "corpora" / "emovo") if row.emotion in LABELS]
    truth = {row.id: str(row.emotion) for row in clips}
    stored = answers(recognizer, [clips], Answering(statistics="stored"), work)
    rows = [f"| stored | any | {ua(stored, truth):.1f} | |"]
    for size in SIZES:
        labels = answers(recognizer, groups(clips, size), Answering(statistics="these"), work)
        changed = np.mean([labels[name] != stored[name] for name in truth])
        rows.append(f"| these | {size} | {ua(labels, truth):.1f} | {100 * changed:.0f} % |")
    page = PAGE.format(machine=machine(), count=len(clips), labels=", ".join(LABELS), rows="\n".join(rows))
    write_page(options.page, page)
    print(options.page)


def groups(clips: list[Utterance], size: int) -> list[list[Utterance]]:
    """Clips of one speaker in groups of `size`, in a random order; the last group takes earlier ones to be as large."""
    by_speaker = defaultdict(list)
    for row in np.random.default_rng(0).permutation(len(clips)):
        by_speaker[clips[row].speaker].append(clips[row])
    cut = []
    for rows in by_speaker.values():
        for first in range(0, len(rows), size):
            cut.append(rows[min(first, len(rows) - size) :][:size])
    return cut


def answers(
    recognizer: Recognizer, parts: list[list[Utterance]], settings: Answering, work: Path
) -> dict[str, str | None]:
    """The label of each clip, where the clips of a part are given together; a clip of two parts has the latter's."""
    return {row.id: row.label for part in parts for row in predict(recognizer, part, settings, store=work / "store")}


def ua(labels: dict[str, str | None], truth: dict[str, str]) -> float:
    """Mean recall over LABELS in per cent; no label is a wrong one."""
    recalls = [np.mean([labels[name] == label for name, label in truth.items() if label == own]) for own in LABELS]
    return 100 * float(np.mean(recalls))


if __name__ == "__main__":
    main()
