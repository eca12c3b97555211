#!/usr/bin/env bash
# A new language without labels: from a folder of recordings to a recogniser, its report, answers and a timeline.
set -euo pipefail

# --8<-- [start:speech]
emobridge demo demo --languages en --speakers 4 --recordings it
ls demo/recordings
# --8<-- [end:speech]

# --8<-- [start:scan]
emobridge scan folder demo/recordings -o calls.jsonl \
    --speaker folder --option language=it
# --8<-- [end:scan]
test "$(wc -l < calls.jsonl)" -eq 160

# --8<-- [start:audit]
emobridge audit demo/en.jsonl calls.jsonl --out audit
# --8<-- [end:audit]
test -s audit/audit.html

# --8<-- [start:adapt]
emobridge adapt --source demo/en.jsonl --target calls.jsonl --out run
# --8<-- [end:adapt]
test -s run/report.html
python "$TUTORIALS/parts/check_score.py" run/scores.json 50 measure=UA side=source method=blend

# --8<-- [start:predict]
emobridge predict run/bundle demo/recordings/caller-1 --language it \
    --out answers.csv
head -4 answers.csv | cut -d, -f1,7,8
# --8<-- [end:predict]
test "$(wc -l < answers.csv)" -eq 41

# --8<-- [start:timeline]
emobridge diarize run/bundle demo/call.wav --channels each --language it \
    --out call.csv --page call.html
head -6 call.csv | cut -d, -f3-5,7,8
# --8<-- [end:timeline]
grep -q SYNTHETIC call.html

# --8<-- [start:trust]
emobridge evaluate run/bundle --on demo/recordings.jsonl --out scores.json
# --8<-- [end:trust]
python "$TUTORIALS/parts/check_score.py" scores.json 40 measure=UA
