"""Ten times the rows in at most 13 times the CPU time: scan, import, export, manifests and the audit's checks of rows.

    python benchmarks/rows.py [--rows 30000,300000] [--only NAME ...] [--list]

Each part runs in a process of its own, on made-up rows: 300 stretches a recording, 20 utterances a speaker. Audio is
never decoded; where a format needs lengths, headers are read. Memory a row is what the peak grows by from the smaller
to the larger number. The exit code is 1 where a part takes more than the bound, or fails.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROWS = (30_000, 300_000)
BOUND = 1.3  # times the ratio of the rows
EACH = 300  # stretches a recording
SECONDS = 301  # of a recording
EMOTIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
FORMATS = ("audformat", "emobox", "hf-audiofolder", "kaldi", "label-studio", "lhotse", "nemo", "nkululeko",
           "plain-csv", "s3prl", "speechbrain")  # fmt: skip
READ_ONLY = ("audacity", "elan", "funasr", "textgrid")
SUFFIXES = {"label-studio": ".json", "lhotse": ".jsonl", "nemo": ".jsonl", "nkululeko": ".csv", "plain-csv": ".csv"}
# How to import what was exported, where the path is not enough.
OPTIONS: dict[str, dict[str, Any]] = {"emobox": {"fold": 1}}


def rows_of(count: int, folder: Path, *, whole: bool = False) -> Iterator[dict[str, Any]]:
    """Values of utterances. whole: each is a file, which need not be there, and not a stretch of a recording."""
    for number in range(count):
        recording = folder / ("clips" if whole else "calls") / f"{number if whole else number // EACH:06}.wav"
        stretch = {} if whole else {"start": float(number % EACH), "end": number % EACH + 0.9}
        yield {
            "id": f"u{number:06}",
            "corpus": "made",
            "path": str(recording),
            **stretch,
            "language": "de",
            "speaker": f"s{number // 20}",
            "emotion": EMOTIONS[number % len(EMOTIONS)],
            "arousal": number % 9 / 8,
            "split": "test" if number // 20 % 4 == 0 else "train",
            "text": f"sentence {number // 2}",
            "gender": "female",
        }


def prepare(folder: Path, count: int) -> None:
    """Write what the parts read: recordings, a table, manifests, and files of the tools that are only read."""
    import numpy as np
    import soundfile

    (folder / "calls").mkdir()
    first = folder / "calls" / "000000.wav"
    soundfile.write(first, np.zeros(SECONDS * 8000, dtype=np.float32), 8000, subtype="PCM_U8")
    for number in range(1, -(-count // EACH)):
        os.link(first, folder / "calls" / f"{number:06}.wav")
    for name in READ_ONLY:
        os.link(first, folder / f"{name}.wav")
    for name, whole in (("stretches", False), ("files", True)):
        with (folder / f"{name}.jsonl").open("w") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows_of(count, folder, whole=whole))
    with (folder / "table.csv").open("w", newline="") as file:
        rows = rows_of(count, folder)
        writer = csv.DictWriter(file, next(rows_of(1, folder)))
        writer.writeheader()
        writer.writerows(rows)
    _write_annotations(folder, count)


def _write_annotations(folder: Path, count: int) -> None:
    """Label tracks of one recording, a label every millisecond."""
    labels = [(number / 1000, (number + 1) / 1000, EMOTIONS[number % 7]) for number in range(count)]
    text = "".join(f"{start:.3f}\t{end:.3f}\t{label}\n" for start, end, label in labels)
    (folder / "audacity.txt").write_text(text)
    lines = (
        json.dumps({"key": f"u{number}", "source": f"{number}.wav", "emo_target": f"<|{label.upper()}|>"}) + "\n"
        for number, (_, _, label) in enumerate(labels)
    )
    (folder / "funasr.jsonl").write_text("".join(lines))
    slots = "".join(f'<TIME_SLOT TIME_SLOT_ID="t{n}" TIME_VALUE="{n}"/>\n' for n in range(count + 1))
    annotations = "".join(
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{n}" TIME_SLOT_REF1="t{n}" TIME_SLOT_REF2="t{n + 1}">'
        f"<ANNOTATION_VALUE>{label}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>\n"
        for n, (_, _, label) in enumerate(labels)
    )
    (folder / "elan.eaf").write_text(
        '<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds"><MEDIA_DESCRIPTOR MEDIA_URL="elan.wav"/></HEADER>'
        f'<TIME_ORDER>{slots}</TIME_ORDER><TIER TIER_ID="emotion@anna">{annotations}</TIER></ANNOTATION_DOCUMENT>'
    )
    intervals = "".join(f'{start:.3f}\n{end:.3f}\n"{label}"\n' for start, end, label in labels)
    head = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n{count / 1000}\n<exists>\n1\n'
    tier = f'"IntervalTier"\n"emotion"\n0\n{count / 1000}\n{count}\n{intervals}'
    (folder / "textgrid.TextGrid").write_text(head + tier)


def parts() -> dict[str, Callable[[Path], Callable[[], Any]]]:
    """Name -> a function of the folder that gets ready and returns what is measured."""
    named: dict[str, Callable[[Path], Callable[[], Any]]] = {
        "manifest, read": lambda folder: lambda: _last(_manifest(folder)),
        "manifest, write": _write_manifest,
        "scan table": lambda folder: lambda: _last(_scan(folder)),
    }
    for name in FORMATS:
        named[f"export {name}"] = lambda folder, name=name: lambda: _export(folder, name)
        named[f"import {name}"] = lambda folder, name=name: lambda: _import(folder, name)
    for name in READ_ONLY:
        named[f"import {name}"] = lambda folder, name=name: lambda: _import_annotations(folder, name)
    named["audit, rows"] = lambda folder: lambda: _check_rows(folder)
    named["audit, unknown labels"] = lambda folder: lambda: _check_unknown(folder)
    return named


def _last(values: Iterator[Any]) -> int:
    """How many values there are; none is kept."""
    return sum(1 for _ in values)


def _manifest(folder: Path, name: str = "stretches") -> Iterator[Any]:
    from emobridge.data.manifest import read_manifest

    return read_manifest(folder / f"{name}.jsonl")


def _write_manifest(folder: Path) -> Callable[[], Any]:
    from emobridge.data.manifest import write_manifest
    from emobridge.types import Utterance

    count = sum(1 for _ in (folder / "stretches.jsonl").open())
    return lambda: write_manifest(folder / "written.jsonl", (Utterance(**row) for row in rows_of(count, folder)))


def _scan(folder: Path) -> Iterator[Any]:
    from emobridge.corpora import scan

    return scan("table", folder / "table.csv")


def _exported(folder: Path, name: str) -> Path:
    return folder / (f"exported-{name}" + SUFFIXES.get(name, ""))


def _export(folder: Path, name: str) -> None:
    from emobridge.formats import export

    rows = _manifest(folder, "files" if name == "s3prl" else "stretches")
    options = {"document_root": str(folder)} if name == "label-studio" else {}
    export(name, _exported(folder, name), rows, **options)


def _import(folder: Path, name: str) -> int:
    from emobridge.formats import import_

    return _last(import_(name, _exported(folder, name), **OPTIONS.get(name, {})))


def _import_annotations(folder: Path, name: str) -> int:
    from emobridge.formats import import_

    suffix = {"audacity": ".txt", "elan": ".eaf", "funasr": ".jsonl", "textgrid": ".TextGrid"}[name]
    return _last(import_(name, folder / f"{name}{suffix}"))


def _check_rows(folder: Path) -> None:
    """Two manifests, read and checked."""
    from emobridge.audit.rows import check_rows, count_values

    rows = list(_manifest(folder))
    half = len(rows) // 2
    manifests = {"first": rows[:half], "second": rows[half - 10 :]}
    check_rows(manifests)
    for name, part in manifests.items():
        _last(count_values(name, part))


def _check_unknown(folder: Path) -> None:
    """Every row has an emotion of its own, as where a column of texts was taken for emotions."""
    from dataclasses import replace

    from emobridge.audit.rows import check_rows

    check_rows({"m": [replace(row, emotion=f"{row.text} {row.id}") for row in _manifest(folder)]})


def _measure_here(name: str, folder: Path) -> None:
    """In a child: print CPU seconds, and the peak of memory in bytes."""
    import emobridge.corpora
    import emobridge.formats  # noqa: F401

    call = parts()[name](folder)
    began = time.process_time()
    call()
    print(json.dumps([time.process_time() - began, _peak()]))


def _peak() -> int:
    """The greatest memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # the number of getrusage may be the parent's
        return 1024 * int(next(line for line in status.read_text().splitlines() if "VmHWM" in line).split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _child(*arguments: str | Path) -> list[float]:
    """What a child prints. Errors: RuntimeError with the end of its errors, where it fails."""
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-1000:])
    result: list[float] = json.loads(done.stdout or "[]")
    return result


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 where a part takes more than its bound or fails."""
    options = _options(arguments)
    if options.child:
        _measure_here(options.child, options.folder)
        return 0
    if options.prepare:
        prepare(options.folder, options.prepare)
        return 0
    counts = [int(word) for word in options.rows.split(",")]
    limit = BOUND * counts[-1] / counts[0]
    print(f"{'part':<24} {'rows/s':>9} {'CPU, s':>16} {'ratio':>6}  {'peak, MB':>12} {'bytes a row':>12}")
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / str(count) for count in counts]
        for folder, count in zip(folders, counts):
            folder.mkdir()
            _child("--folder", folder, "--prepare", str(count))
        for part in parts():
            if options.only and not any(word in part for word in options.only):
                continue
            try:
                small, low = _child("--folder", folders[0], "--child", part)
                large, high = _child("--folder", folders[-1], "--child", part)
            except RuntimeError as error:
                print(f"{part:<24} FAILED: {error}", flush=True)
                failed = True
                continue
            ratio = large / small
            failed |= ratio > limit
            times, memory = f"{small:.2f} {large:.2f}", (high - low) / (counts[-1] - counts[0])
            print(
                f"{part:<24} {counts[-1] / large:>9,.0f} {times:>16} {ratio:>6.1f}  {high / 1e6:>12.0f} {memory:>12.0f}"
                f"{'  OVER' if ratio > limit else ''}",
                flush=True,
            )
    print(f"bound: {limit:.1f} times the CPU for {counts[-1]:,} rows against {counts[0]:,}")
    return int(failed)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", default=",".join(map(str, ROWS)), help="the smaller and the larger number of rows")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="parts with one of these words in their names")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--prepare", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
