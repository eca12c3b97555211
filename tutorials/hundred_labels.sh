#!/usr/bin/env bash
# A hundred labels: which recordings to label, a recogniser that learns from them, and what they were worth.
set -euo pipefail

# --8<-- [start:before]
emobridge demo demo --languages en,it --speakers 4 --recordings it
emobridge scan folder demo/recordings -o calls.jsonl \
    --speaker folder --option language=it
emobridge adapt --source demo/en.jsonl --target calls.jsonl --seeds 1 --out before
# --8<-- [end:before]

# --8<-- [start:suggest]
emobridge suggest before/bundle --on calls.jsonl --count 100 --out to-label.csv
head -4 to-label.csv | cut -d, -f1,5-9
# --8<-- [end:suggest]
test "$(wc -l < to-label.csv)" -eq 101

cp "$TUTORIALS/parts/fill_in.py" .
# --8<-- [start:fill]
python fill_in.py to-label.csv demo/recordings.jsonl
head -4 to-label.csv | cut -d, -f1,5-9
# --8<-- [end:fill]

# --8<-- [start:adapt]
emobridge adapt --source demo/en.jsonl --target calls.jsonl \
    --labelled to-label.csv --seeds 1 --out after
# --8<-- [end:adapt]
python "$TUTORIALS/parts/check_score.py" after/scores.json 50 measure=UA side=target method=blend

# --8<-- [start:evaluate]
emobridge evaluate before/bundle --on demo/it.jsonl --out before.json
emobridge evaluate after/bundle --on demo/it.jsonl --out after.json
# --8<-- [end:evaluate]
python "$TUTORIALS/parts/check_score.py" before.json 50 measure=UA
python "$TUTORIALS/parts/check_score.py" after.json 50 measure=UA

cp "$TUTORIALS/parts/gain.py" .
# --8<-- [start:gain]
python gain.py before/bundle after/bundle demo/it.jsonl
# --8<-- [end:gain]
