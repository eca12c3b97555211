"""Check a score in scores.json: exit 1 where it isn't there, or is not above a bound.

python check_score.py run/scores.json 50 measure=UA side=target method=blend
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(path: str, bound: str, *wanted: str) -> None:
    """bound: in per cent. wanted: `field=value` of the row; the mean over seeds is looked at."""
    fields = {"seed": "all"} | dict(word.split("=", 1) for word in wanted)
    rows = [
        row
        for row in json.loads(Path(path).read_text(encoding="utf-8"))
        if all(row[name] == value for name, value in fields.items())
    ]
    if len(rows) != 1:
        sys.exit(f"{path}: expected one row with {fields}, found {len(rows)}")
    if not 100 * rows[0]["value"] > float(bound):
        sys.exit(f"{path}: expected {fields} above {bound}, got {100 * rows[0]['value']:.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
