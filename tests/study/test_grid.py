"""Grids of label budgets: what each fit sees, what is done once, what is done again, and mistakes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from emobridge.errors import UserError
from emobridge.methods.pseudo_labels import PseudoLabels
from emobridge.settings import Settings
from emobridge.study import adapt as adaptation
from emobridge.study.grid import BudgetSettings, cells_of, run_grid, size_of
from emobridge.training import stages


@pytest.fixture
def asked(recorded, tmp_path):
    """A function that makes a quick grid of the recorded corpora; each fold has eight target labels."""

    def make(*, methods=("source-only", "pseudo-labels"), budgets=("0", "2", "4", "all"), normalise=("speaker",),
             jobs=1, **base):  # fmt: skip
        plain = {"source": (str(recorded / "en.jsonl"),), "target": str(recorded / "xx.jsonl")}
        plain |= {"labels": ("anger", "sadness"), "out": str(tmp_path / "grid"), "store": str(tmp_path / "store")}
        plain |= {"seeds": 2, "folds": 2, "epochs": 3, "batch_size": 16, "learning_rate": 0.02, "guard": False}
        settings = Settings(**{**plain, **base})
        return BudgetSettings(base=settings, methods=methods, budgets=budgets, normalise=normalise, jobs=jobs)

    return make


@pytest.fixture
def built(monkeypatch):
    """What each fit was made from: (method, budget's rows, fold, settings)."""
    seen = []
    original = stages.build

    def noted(speech, fold, method, classes, settings, encoder, few, *rest, **named):
        seen.append((method.name, few, fold, settings))
        return original(speech, fold, method, classes, settings, encoder, few, *rest, **named)

    monkeypatch.setattr(stages, "build", noted)
    return seen


def said(grid):
    return [
        (one.settings.method, one.settings.target_labels, one.settings.normalise, each.seed, each.side,
         each.rows.tolist(), each.probabilities.tolist())
        for one in grid.outcomes
        for each in one.predicted
    ]  # fmt: skip


def rewrite(path: Path, change) -> None:
    rows = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if row is not None))


def test_every_cell_seed_and_side_once(asked):
    grid = run_grid(asked(normalise=("none", "speaker")))
    found = [key[:5] for key in said(grid)]
    assert len(set(found)) == len(found) == 2 * 4 * 2 * 2 * 2
    assert grid.largest == 8
    for one in grid.outcomes:
        assert all(each.method == one.settings.method for each in one.predicted)


def test_smaller_budgets_lie_inside_larger_ones_and_away_from_the_scored_speakers(asked, built):
    grid = run_grid(asked())
    speech = grid.speech
    fits = {}
    for method, few, fold, settings in built:
        fits[settings.target_labels, fold.target_test, method, len(fits) if few is None else 0] = (few, fold)
        scored = {speech.utterances[row].speaker for row in fold.target_test}
        assert not scored & {speech.utterances[row].speaker for row in few}
        assert set(few) <= set(fold.target) and speech.is_target[list(few)].all()
        assert len(few) == {"0": 0, "2": 2, "4": 4, "all": 8}[settings.target_labels]
    tests = {key[1] for key in fits}
    for test in tests:
        for method in ("source-only", "pseudo-labels"):
            mine = [set(fits[amount, test, method, 0][0]) for amount in ("0", "2", "4", "all")]
            assert mine[0] < mine[1] < mine[2] < mine[3]
    for amount in ("2", "4"):
        for test in tests:
            assert fits[amount, test, "source-only", 0][0] == fits[amount, test, "pseudo-labels", 0][0]


def test_features_and_corals_matrices_are_made_once(asked, monkeypatch):
    from emobridge.training import tasks

    extracted, found = [], []
    extract, coral = adaptation.FeatureStore.extract, tasks.coral_by_layer
    monkeypatch.setattr(adaptation.FeatureStore, "extract", lambda *a, **k: extracted.append(0) or extract(*a, **k))
    monkeypatch.setattr(tasks, "coral_by_layer", lambda *a: found.append(0) or coral(*a))
    run_grid(asked(normalise=("none", "speaker")))
    assert len(extracted) == 1
    assert len(found) == 2 * 2 * 2, "one a seed, fold and normalisation, for all methods and budgets"


def test_a_cell_says_what_adapt_says(asked):
    grid = run_grid(asked(budgets=("4",), align="coral"))
    one = next(one for one in grid.outcomes if one.settings.method == "pseudo-labels")
    base = asked().base
    alone = adaptation.adapt(replace(base, method="pseudo-labels", target_labels="4", out=base.out + "-adapt"))
    mine = [each.probabilities.tolist() for each in one.predicted]
    assert mine == [each.probabilities.tolist() for each in alone.predicted if each.method == "pseudo-labels"]


def test_an_interrupted_grid_does_only_what_is_left(asked, tmp_path, monkeypatch):
    whole = said(run_grid(asked(budgets=("0", "4"), out=str(tmp_path / "whole"))))
    fit, fits, stop = stages.fit, [], True

    def noted(*given, **named):
        if stop and len(fits) == 5:
            raise KeyboardInterrupt
        fits.append(named["checkpoint"].stem)
        return fit(*given, **named)

    monkeypatch.setattr(stages, "fit", noted)
    with pytest.raises(KeyboardInterrupt):
        run_grid(asked(budgets=("0", "4")))
    stop = False
    assert said(run_grid(asked(budgets=("0", "4")))) == whole
    assert len(fits) == len(set(fits)) == 2 * 2 * 2 * 2
    run_grid(asked(budgets=("0", "2", "4")))
    assert len(fits) == 16 + 8, "a budget more costs its own fits"


def test_two_processes_say_what_one_says(asked, tmp_path, built):
    import torch

    torch.set_num_threads(1)
    one = said(run_grid(asked(budgets=("0", "4"))))
    del built[:]
    two = said(run_grid(asked(budgets=("0", "4"), jobs=2, out=str(tmp_path / "two"))))
    assert two == one
    assert not built, "this process only read"


ENDLESS = """
import json, sys
from emobridge import settings
from emobridge.study.grid import BudgetSettings, run_grid
if __name__ == "__main__":
    base = settings.from_mapping(json.loads(sys.argv[1]))
    run_grid(BudgetSettings(base=base, budgets=("0", "4"), jobs=2))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes in /proc")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_it_ends_its_processes(asked, tmp_path, signum):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    base = asked(epochs=10_000_000).base
    process = subprocess.Popen(
        [sys.executable, str(script), json.dumps(asdict(base))],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    group = process.pid
    try:
        until = time.monotonic() + 90
        while sum(1 for _ in members(group)) < 4:  # itself, the tracker of multiprocessing, two that work
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.1)
        time.sleep(1.0)
        process.send_signal(signum)  # to the parent alone
        process.wait(timeout=30)
        until = time.monotonic() + 30
        while any(members(group)):
            assert time.monotonic() < until, "a process is left"
            time.sleep(0.1)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def members(group: int):
    """The processes of a group that are alive."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, own = path.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(own) == group and state != "Z":
            yield int(path.parent.name)


def test_a_method_that_cannot_use_labels_is_run_without_any(asked, monkeypatch):
    monkeypatch.setattr(PseudoLabels, "takes", frozenset())
    cells = [(cell.method, cell.target_labels) for cell in cells_of(asked(budgets=("all", "2", "0")))]
    assert cells == [("source-only", "0"), ("source-only", "2"), ("source-only", "all"), ("pseudo-labels", "0")]
    with pytest.raises(UserError, match="method pseudo-labels cannot use target labels: give 0 among them"):
        cells_of(asked(budgets=("2",)))


def test_a_method_that_needs_labels_is_never_run_without(asked, monkeypatch):
    monkeypatch.setattr(PseudoLabels, "needs", PseudoLabels.needs | {"target_labels"})
    cells = [(cell.method, cell.target_labels) for cell in cells_of(asked(budgets=("0", "2")))]
    assert ("pseudo-labels", "0") not in cells and ("pseudo-labels", "2") in cells
    with pytest.raises(UserError, match="method pseudo-labels needs them: give one above 0 among them"):
        cells_of(asked(budgets=("0",)))


def test_each_method_has_its_own_head_and_options(asked, monkeypatch):
    monkeypatch.setattr(PseudoLabels, "head", "nonlinear")
    found = {
        cell.method: (cell.head, cell.head_options, cell.method_options)
        for cell in cells_of(
            asked(method_options=("threshold=0.7", "rebalance=no"), head_options=("input_dropout=0.5", "hidden=8"))
        )
    }
    assert found["source-only"] == ("single", ("input_dropout=0.5",), ("rebalance=no",))
    assert found["pseudo-labels"][0] == "nonlinear" and "hidden=8" in found["pseudo-labels"][1]
    assert found["pseudo-labels"][2] == ("threshold=0.7", "rebalance=no")


def test_the_baseline_is_run_in_any_case(asked):
    assert asked(methods=("pseudo-labels",)).systems == ("source-only", "pseudo-labels")


def test_budgets_of_any_size_in_ascending_order(asked):
    assert asked(budgets=("all", "5000", "0", "1000", "20")).amounts == ("0", "20", "1000", "5000", "all")
    assert size_of("1000") < size_of("5000") < size_of("all")


MISTAKES = {
    "no number": ({"budgets": ("0", "some")}, "budgets: expected numbers or 'all', by comma, got 'some'"),
    "a negative one": ({"budgets": ("-5",)}, "budgets: expected numbers or 'all', by comma, got '-5'"),
    "one twice": ({"budgets": ("25", "025")}, "budgets: 25 stands twice"),
    "a method twice": ({"methods": ("source-only", "source-only")}, "methods: source-only stands twice"),
    "none": ({"budgets": ()}, "budgets: expected at least one"),
    "an unknown method": (
        {"methods": ("pseudo-label",)},
        "unknown method 'pseudo-label': did you mean 'pseudo-labels'",
    ),
    "an unknown normalisation": ({"normalise": ("speakr",)}, "unknown normalise 'speakr': did you mean 'speaker'"),
    "too many labels": ({"budgets": ("0", "9")}, "budgets: 9: expected 8 at most"),
    "no jobs": ({"jobs": 0}, "jobs: expected 1 or more, got 0"),
    "an option of no method": ({"method_options": ("treshold=0.7",)}, "unknown method option 'treshold': did you mean"),
    "a bad value": ({"method_options": ("threshold=7",)}, "threshold: expected 0 <= threshold < 1"),
    "an unknown head": ({"head": "linaer"}, "unknown head 'linaer': did you mean 'linear'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_before_anything_long(asked, monkeypatch, case):
    changes, message = MISTAKES[case]
    monkeypatch.setattr(adaptation.FeatureStore, "extract", lambda *_, **__: pytest.fail("this is long"))
    with pytest.raises(UserError) as caught:
        run_grid(asked(**changes))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_target_without_labels_has_no_curve(asked, recorded, monkeypatch):
    rewrite(recorded / "xx.jsonl", lambda row: {key: value for key, value in row.items() if key != "emotion"})
    monkeypatch.setattr(adaptation.FeatureStore, "extract", lambda *_, **__: pytest.fail("this is long"))
    with pytest.raises(UserError, match=r"xx\.jsonl: no utterance is labelled anger, sadness, so there is no score"):
        run_grid(asked(budgets=("0",)))


def test_labels_whose_audio_cannot_be_read_do_not_count(asked, recorded):
    """Eight labels in a fold by the manifest; fewer once the audio was opened, and it says so then."""
    (recorded / "xx-b-sadness-1.wav").unlink()
    with pytest.raises(UserError, match="budgets: 8: expected 7 at most"):
        run_grid(asked(budgets=("0", "8")))
    assert run_grid(asked(budgets=("0", "7"), epochs=1)).largest == 7
