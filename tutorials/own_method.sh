#!/usr/bin/env bash
# Your own method: one file, tried on arrays, run on speech, compared with the baseline.
set -euo pipefail
cp "$TUTORIALS"/parts/{sharpened,on_arrays,peeking}.py .

# --8<-- [start:arrays]
python on_arrays.py source-only ./sharpened.py
# --8<-- [end:arrays]

# --8<-- [start:needs]
python on_arrays.py ./peeking.py
# --8<-- [end:needs]

# --8<-- [start:adapt]
emobridge demo demo --languages en,it --speakers 4
emobridge adapt --source demo/en.jsonl --target demo/it.jsonl \
    --method ./sharpened.py --out run
# --8<-- [end:adapt]
python "$TUTORIALS/parts/check_score.py" run/scores.json 50 measure=UA side=target method=./sharpened.py

# --8<-- [start:option]
emobridge adapt --source demo/en.jsonl --target demo/it.jsonl \
    --method ./sharpened.py --method-option power=4 --seeds 1 --out run4
# --8<-- [end:option]

# --8<-- [start:mistake]
emobridge adapt --source demo/en.jsonl --target demo/it.jsonl \
    --method ./sharpened.py --method-option pover=4 --out run5 || echo "exit code $?"
# --8<-- [end:mistake]
test ! -e run5/bundle
