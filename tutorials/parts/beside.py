"""Published numbers beside measured ones, from the table that a recipe leaves."""

import csv
import sys

with open(sys.argv[1], encoding="utf-8", newline="") as file:
    for row in csv.DictReader(file):
        measured, low, high = (100 * float(row[name]) for name in ("measured", "low", "high"))
        print(f"{row['measure']}: published {row['printed']} ({row['method']})")
        print(f"    measured {measured:.1f} [{low:.1f}, {high:.1f}] ({row['system']}): {row['verdict']}")
