"""Labels and languages that a person brings, through the command line."""

from __future__ import annotations

import json
import shlex

TABLE = """path,emotion,speaker
a.wav,fru,1
b.wav,"hot, spicy",1
c.wav,it's,2
d.wav,boredem,2
e.wav,glücklich,3
"""


def emotions_in(path):
    return [json.loads(line).get("emotion") for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_proposed_options_work_when_they_are_pasted(cli, tmp_path):
    table, out = tmp_path / "calls.csv", tmp_path / "calls.jsonl"
    table.write_text(TABLE, encoding="utf-8")
    command = ("scan", "table", table, "-o", out)
    done = cli(*command)
    assert done.code == 2 and len(done.complaints) == 1 and not out.exists()
    (message,) = done.complaints
    explained = "'fru' (1, frustration is an emotion that emobridge does not have), 'hot, spicy' (1), \"it's\" (1)"
    assert explained in message and "'boredem' (1, did you mean 'boredom'?)" in message
    drop, mapped = message.partition("Leave their rows out: ")[2].split(". Or say what they mean: ")
    done = cli(*command, *shlex.split(drop))
    assert done.code == 0 and emotions_in(out) == ["happiness"]
    assert "left out 4 utterances with unknown labels: 'fru' (1), 'hot, spicy' (1)" in done.out
    done = cli(*command, *shlex.split(mapped.partition(" (an emotion")[0]))
    assert done.code == 0 and emotions_in(out) == ["other", "other", "other", "boredom", "happiness"]
    done = cli(*command, "--option", "others=unlabelled")
    assert done.code == 0 and emotions_in(out) == [None] * 4 + ["happiness"]


def test_no_is_norwegian_and_names_are_tags(cli, tmp_path):
    table, out = tmp_path / "calls.csv", tmp_path / "calls.jsonl"
    table.write_text("path,emotion\na.wav,happy\n", encoding="utf-8")
    for word, tag in (("no", "no"), ("Norwegian", "no"), ("italiano", "it"), ("none", "und")):
        assert cli("scan", "table", table, "-o", out, "--option", f"language={word}").code == 0
        assert json.loads(out.read_text(encoding="utf-8"))["language"] == tag
    done = cli("scan", "table", table, "-o", out, "--option", "language=Itallian")
    (complaint,) = done.complaints
    assert done.code == 2 and complaint.startswith("emobridge: language 'Itallian': did you mean 'it' (Italian)? ")
