"""Whether the audit finds changed copies, and only those: kinds of copies, false matches, margins, and time.

    python benchmarks/duplicates.py [--corpora DIR] [--clips 200] [--of N] [--seed 0]

Clips are those of `corpora` in the folder that EMOBRIDGE_SHARED names (RAVDESS, EMO-DB, EMOVO), else synthetic speech.
Every clip is compared with every other; the copies of each kind, made of a sample, with their originals. A kind counts
as found where 99 % of its copies are. The exit code is 1 where a kind is not found, or where different clips match.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from _copies import KINDS, synthetic_speech, write_copy
from measuring import machine
from numpy.typing import NDArray

from emobridge.audit.coherence import Match, match_clips
from emobridge.audit.fingerprint import Fingerprint, fingerprint
from emobridge.audit.likely import likely_copies
from emobridge.data.audio import SILENT, read_audio

FOUND = 0.99  # of the copies of a kind
# The recordings that the corpora themselves hold twice, sample for sample and trimmed: to be found, and no false match.
TWICE = {
    frozenset({"03-01-03-01-02-01-07", "03-01-03-01-02-02-07"}),  # RAVDESS, the same samples
    frozenset({"tri-f3-n1", "tri-f3-n2"}),  # EMOVO, two texts: the waveforms correlate at 0.98, 0.107 s apart
}
STEPS = (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0)  # of evidence, for the histogram

Pairs = dict[tuple[int, int], Match]


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; 1 where a kind of copies is not found or different clips match."""
    options = _options(arguments)
    print(machine() + "\n")
    names, waves = _clips(options.corpora, options.of)
    began = time.process_time()
    prints = [fingerprint(wave) for wave in waves]
    printed = time.process_time()
    pairs = best_matches(prints)
    matched = time.process_time()
    false = [pair for pair in pairs if pairs[pair].evidence >= 1 and frozenset(names[i] for i in pair) not in TWICE]
    doubles = [pair for pair in pairs if pairs[pair].evidence >= 1 and pair not in false]
    n, size = len(prints), np.mean([len(p.subfingerprints) * 4 + len(p.levels) + len(p.signs) for p in prints])
    print(f"{n} different clips, {n * (n - 1) // 2} pairs: {len(false)} false matches, {len(doubles)} known doubles")
    for pair in false:
        print(f"  FALSE: {names[pair[0]]} and {names[pair[1]]}: {pairs[pair]}")
    print(
        f"CPU a clip: {1000 * (printed - began) / n:.1f} ms for the fingerprint, {1000 * (matched - printed) / n:.1f} "
        f"ms to match it ({len(pairs)} pairs compared); {size:.0f} bytes a clip of {_mean_seconds(waves):.1f} s\n"
    )
    missed, of_copies, mixed = _kinds(waves, options.clips, options.seed)
    different = [match.evidence for pair, match in pairs.items() if frozenset(names[i] for i in pair) not in TWICE]
    _print_margins(different, of_copies)
    expected = sum(double <= set(names) for double in TWICE)
    return int(bool(missed or false or mixed or len(doubles) != expected))


def best_matches(prints: Sequence[Fingerprint]) -> Pairs:
    """The match of greatest evidence of each likely pair, copies or not."""
    best: Pairs = {}
    rows = np.unique(np.concatenate([np.empty((0, 3), dtype=np.int64), *likely_copies(prints)]), axis=0)
    for a, b, lag in rows.tolist():
        match = match_clips(prints[a], prints[b], lag)
        if match is not None and ((a, b) not in best or match.evidence > best[a, b].evidence):
            best[a, b] = match
    return best


def _kinds(waves: Sequence[NDArray[np.float32]], count: int, seed: int) -> tuple[list[str], list[float], int]:
    """Print how many copies of each kind are found; the kinds that are not, the evidence of all, false matches."""
    chosen = np.random.default_rng(seed).permutation(len(waves))[:count]
    originals = [fingerprint(waves[index]) for index in chosen]
    missed, evidence, mixed = [], [], 0
    print(f"{'kind of copy':<40}  found / of   least evidence (1 is the limit)   false")
    for kind in KINDS:
        prints, source = list(originals), list(range(len(originals)))
        for number, copy in _copies([waves[index] for index in chosen], kind):
            prints.append(copy)
            source.append(number)
        pairs = best_matches(prints)
        true = {b: match.evidence for (a, b), match in pairs.items() if source[a] == source[b]}
        false = sum(match.evidence >= 1 and source[a] != source[b] for (a, b), match in pairs.items())
        copies = [true.get(b, 0.0) for b in range(len(originals), len(prints))]
        found = sum(value >= 1 for value in copies)
        print(f"{kind:<40} {found:>6} / {len(copies):<6} {min(copies):>6.2f} {'':>26} {false:>5}", flush=True)
        evidence += copies
        mixed += false
        if found < FOUND * len(copies):
            missed.append(kind)
    print(f"{len(KINDS) - len(missed)} of {len(KINDS)} kinds found{': not ' + ', '.join(missed) if missed else ''}\n")
    return missed, evidence, mixed


def _copies(waves: Sequence[NDArray[np.float32]], kind: str) -> Iterator[tuple[int, Fingerprint]]:
    """The fingerprints of copies, by the number of the clip; without what became silent or too short."""
    with tempfile.TemporaryDirectory() as folder:
        for number, wave in enumerate(waves):
            copy = read_audio(write_copy(Path(folder) / "copy", wave, kind))
            taken = fingerprint(copy) if 20 * np.log10(np.abs(copy).max() + 1e-6) > SILENT else None
            if taken is not None:
                yield number, taken


def _print_margins(different: Sequence[float], copies: Sequence[float]) -> None:
    print("evidence        different clips   copies")
    counts = [Counter(np.digitize(values, STEPS).tolist()) for values in (different, copies)]
    for index, (low, high) in enumerate(zip((0, *STEPS), (*STEPS, np.inf))):
        print(f"{low:>4.1f} to {high:<4.1f} {counts[0][index]:>17} {counts[1][index]:>8}")
    print(f"most among different clips: {max(different, default=0):.2f}; least among copies: {min(copies):.2f}")


def _mean_seconds(waves: Sequence[NDArray[np.float32]]) -> float:
    return float(np.mean([len(wave) for wave in waves]) / 16_000)


def _clips(corpora: Path | None, most: int | None) -> tuple[list[str], list[NDArray[np.float32]]]:
    """Names and waveforms of different clips."""
    if corpora is None:
        names = [f"SYNTHETIC {seed}" for seed in range(most or 300)]
        return names, [synthetic_speech(seed) for seed in range(len(names))]
    files = sorted(path for name in ("ravdess", "emodb", "emovo") for path in (corpora / name).rglob("*.flac"))[:most]
    return [path.stem for path in files], [read_audio(path) for path in files]


def _options(arguments: list[str] | None) -> argparse.Namespace:
    shared = Path(os.environ.get("EMOBRIDGE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpora", type=Path, help="folder with ravdess/, emodb/ and emovo/")
    parser.add_argument("--clips", type=int, default=200, help="clips that copies are made of (200)")
    parser.add_argument("--of", type=int, help="different clips to compare (all; 300 of synthetic speech)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample of clips (0)")
    options = parser.parse_args(arguments)
    options.corpora = options.corpora or (shared / "corpora" if (shared / "corpora" / "ravdess").is_dir() else None)
    return options


if __name__ == "__main__":
    sys.exit(main())
