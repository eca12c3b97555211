#!/usr/bin/env bash
# A published table: which there are, what one needs, a toy run, and the page with published numbers beside measured ones.
set -euo pipefail

# --8<-- [start:list]
emobridge recipe list
# --8<-- [end:list]

# --8<-- [start:show]
emobridge recipe show cameo > cameo.txt
head -14 cameo.txt
# --8<-- [end:show]

# --8<-- [start:dry]
mkdir data
emobridge recipe run cameo --data data --dry-run || echo "exit code $?"
# --8<-- [end:dry]

# --8<-- [start:toy]
emobridge recipe run cameo --toy --only studies=six-others-to-cameo-pl --out toy
# --8<-- [end:toy]
test -s toy/recipe.html
python "$TUTORIALS/parts/check_score.py" toy/scores.json 25 measure=UA side=target method=blend

cp "$TUTORIALS/parts/beside.py" .
# --8<-- [start:page]
python beside.py toy/published.csv
# --8<-- [end:page]
grep -q SYNTHETIC toy/recipe.md
