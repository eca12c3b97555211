"""The name of a file that is written says what will be in it; a name for anything else is refused before the work."""

from __future__ import annotations

import csv
import json

import pytest

from emobridge.cli.requests import EvaluateRequest, check_folder
from emobridge.errors import UserError
from emobridge.files import check_suffix


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("scan", "folder", ".", "-o", "m.csv"), "--out m.csv: unknown suffix '.csv'"),
        (("scan", "folder", ".", "-o", "m.json"), "--out m.json: unknown suffix '.json': did you mean '.jsonl'?"),
        (("scan", "folder", ".", "-o", "m"), "--out m: expected a name that ends in .jsonl"),
        (("import", "textgrid", ".", "-o", "m.tsv"), "--out m.tsv: unknown suffix '.tsv'"),
        (("constructed", "a.jsonl", "-o", "m.txt"), "--out m.txt: unknown suffix '.txt'"),
        (("evaluate", "b", "--on", "a.jsonl", "--out", "s.xlsx"), "--out s.xlsx: unknown suffix '.xlsx'"),
        (("suggest", "b", "--on", "a.jsonl", "--out", "l.xlsx"), "l.xlsx: expected a file that ends in .csv"),
        (("predict", "b", "a.wav", "--out", "p.cvs"), "--out p.cvs: unknown suffix '.cvs': did you mean '.csv'?"),
        (("audit", "a.jsonl", "--out", "audit.html"), "--out: audit.html is the name of a file; expected a folder"),
        (("adapt", "--source", "a", "--target", "b", "--out", "report.HTML"), "such as report"),
        (("join", "a", "b", "--out", "both.json"), "both.json is the name of a file"),
    ],
)
def test_a_name_for_another_format_is_refused_before_the_work(cli, monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    done = cli(*words)
    assert done.code == 2 and len(done.complaints) == 1 and message in done.err
    assert not list(tmp_path.iterdir())


def test_scores_as_a_table(recorded, finished, cli):
    words = ("evaluate", finished / "bundle", "--on", recorded / "xx.jsonl")
    for name in ("scores.json", "scores.csv"):
        assert cli(*words, "--out", recorded / name).code == 0
    records = json.loads((recorded / "scores.json").read_text())
    with (recorded / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [list(row) for row in rows] == [list(record) for record in records]
    assert [float(row["value"]) for row in rows] == pytest.approx([row["value"] for row in records], abs=1e-6)
    assert [row["measure"] for row in rows] == [row["measure"] for row in records]


def test_devices_and_folders_may_have_any_name(tmp_path):
    (tmp_path / "run.json").mkdir()
    check_folder("--out", tmp_path / "run.json")
    check_folder("--out", tmp_path / "run.2")
    check_suffix("--out", "/dev/null", ".jsonl")
    assert EvaluateRequest(bundle="b", on="a.jsonl", out="S.CSV").out == "S.CSV"
    (tmp_path / "run").write_text("x")
    with pytest.raises(UserError, match="run is a file; expected a folder"):
        check_folder("--out", tmp_path / "run")
