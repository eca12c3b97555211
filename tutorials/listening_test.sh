#!/usr/bin/env bash
# A listening test: made, served, answered by made listeners, scored, and models on the same items.
set -euo pipefail

# --8<-- [start:model]
emobridge demo demo --languages en,it --speakers 4 --recordings it
emobridge scan folder demo/recordings -o calls.jsonl \
    --speaker folder --option language=it
emobridge adapt --source demo/en.jsonl --target calls.jsonl --seeds 1 --out run
# --8<-- [end:model]

# --8<-- [start:new]
emobridge listening new demo/it.jsonl --per-emotion 4 --out study
# --8<-- [end:new]
test "$(ls study/audio | wc -l)" -ge 20

cp "$TUTORIALS/parts/listeners.py" .
# --8<-- [start:serve]
echo "a token of 16 characters or more" > token
emobridge listening serve study --port 8765 --token-file token > server.log 2>&1 &
server=$!
# --8<-- [end:serve]
trap 'kill $server 2> /dev/null || true' EXIT

# --8<-- [start:answer]
python listeners.py http://127.0.0.1:8765 study/study.json --natives 4 --others 4
# --8<-- [end:answer]

# --8<-- [start:stop]
cat server.log
kill $server
wait $server || true
# --8<-- [end:stop]

# --8<-- [start:results]
emobridge predict run/bundle demo/it.jsonl --out model.csv
emobridge listening results study --model cross:blend=model.csv --out results
# --8<-- [end:results]
test -s results/results.html
