"""The bars of the commands: each goes from 0 to all, and never back."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from emobridge import progress
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.features import store, work
from emobridge.probe import run as probe_run
from emobridge.study import run as study_run
from emobridge.study import target

SPEECH = ("--source", "{en}", "--target", "{xx}", "--layer", "auto", "--store", "{out}/store")
QUICK = ("--encoder", "{encoder}", "--epochs", "1", "--seeds", "1", "--folds", "2", "--out", "{out}/run", "--jobs", "2")
COMMANDS = {
    "evaluate": ("{bundle}", "--on", "{xx}", "--untold", "confident", "--out", "{out}/scores.json", "--jobs", "2"),
    "suggest": ("{bundle}", "--on", "{new}", "--out", "{out}/list.csv", "--jobs", "2"),
    "predict": ("{bundle}", "{new}", "--out", "{out}/p.jsonl", "--statistics", "these", "--language", "it"),
    "similarity": ("{en}", "{xx}", "--encoder", "{encoder}", "--out", "{out}/s", "--jobs", "2"),
    "probe": ("--corpus", "{en}", "--heads", "linear", *QUICK),
    "budget": (*SPEECH, *QUICK, "--budgets", "0", "--normalise", "corpus,speaker"),
    "adapt": (*SPEECH, *QUICK, "--prosody", "--method", "pseudo-labels", "--harm-sign", "always"),
}


@pytest.fixture
def bars(monkeypatch):
    """What each bar was given, by its label."""
    seen: dict[str, list[tuple[int, int]]] = {}

    def noted(label):
        assert label not in seen, f"{label} begins twice"
        seen[label] = []
        return lambda done, total: seen[label].append((done, total))

    monkeypatch.setattr(progress, "_plain", noted)
    return seen


@pytest.fixture
def in_this_process(monkeypatch):
    """Work of --jobs without its processes, whose start would take longer than the work."""

    def run_here(work, items, *, jobs, workers, on_progress):
        work.start(*work.arguments)
        results = []
        for done, item in enumerate(items, 1):
            results.append(work.function(item))
            on_progress(done, len(items))
        return results

    for module in (work, study_run, probe_run):
        monkeypatch.setattr(module, "run_parallel", run_here)


@pytest.mark.parametrize(
    "command",
    [command if command == "suggest" else pytest.param(command, marks=pytest.mark.slow) for command in COMMANDS],
)
def test_a_bar_goes_from_nothing_to_all_and_never_back(
    cli, recorded, made, tiny_encoder, tmp_path, monkeypatch, bars, in_this_process, command
):
    monkeypatch.setattr(store, "SHARD", 5)  # several shards, so that others than this process have work
    monkeypatch.setattr(target, "FRAMED", 5)
    (tmp_path / "out").mkdir()
    paths = {"en": recorded / "en.jsonl", "xx": recorded / "xx.jsonl", "new": recorded / "new.jsonl"}
    (recorded / "text.wav").write_text("no audio")  # the store looks for it again and again
    for name in ("en", "xx"):
        rows = [replace(row, language="en" if name == "en" else "und") for row in read_manifest(paths[name])]
        rows.append(replace(rows[0], id=f"text of {name}", path=str(recorded / "text.wav")))
        write_manifest(paths[name], rows)
    write_manifest(paths["new"], [replace(row, emotion=None, corpus="new") for row in rows])
    if "{bundle}" in COMMANDS[command]:
        made("de", 1).join(made("it", 2)).save(tmp_path / "bundle", "card")
    paths |= {"bundle": tmp_path / "bundle", "encoder": tiny_encoder, "out": tmp_path / "out"}
    ran = cli(command, *(word.format(**paths) for word in COMMANDS[command]))
    assert ran.code == 0, ran.err
    for label, reports in bars.items():
        done = [number for number, _ in reports]
        assert all(0 <= before <= after for before, after in itertools.pairwise([0, *done])), (label, reports)
        assert len({total for _, total in reports}) <= 1, (label, reports)
    assert any(len(reports) > 2 for reports in bars.values()), bars
