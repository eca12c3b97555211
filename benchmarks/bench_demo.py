"""How many utterances of the demonstration corpus are made a minute.

python benchmarks/bench_demo.py [workers ...]
"""

from __future__ import annotations

import sys
import tempfile
import time

from emobridge.corpora import demo


def main() -> None:
    """Make a corpus of 320 utterances with each number of workers and print the rate."""
    for workers in map(int, sys.argv[1:] or ("1", "2")):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            demo.make(folder, ["en"], workers=workers)
            took = time.perf_counter() - began
        print(f"{workers} workers: 320 utterances in {took:.1f} s, {320 * 60 / took:.0f} a minute")


if __name__ == "__main__":
    main()
