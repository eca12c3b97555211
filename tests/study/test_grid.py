"""Grids of label budgets: what each fit sees, what is done once, what is done again, and mistakes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from emobridge.errors import UserError
from emobridge.methods.pseudo_labels import PseudoLabels
from emobridge.settings import Adapt, Budget
from emobridge.study import prepare
from emobridge.study.cases import choices_of_request
from emobridge.study.grid import Grid, run_grid
from emobridge.study.train import Adapted, train
from emobridge.training import stages


@pytest.fixture
def plain(recorded, tmp_path):
    """Options of a quick run of the recorded corpora; each fold has eight target labels."""
    values = {"source": (str(recorded / "en.jsonl"),), "target": str(recorded / "xx.jsonl")}
    values |= {"labels": ("anger", "sadness"), "out": str(tmp_path / "grid"), "store": str(tmp_path / "store")}
    return values | {
        "seeds": 2, "folds": 2, "epochs": 3, "batch_size": 16, "learning_rate": 0.02, "guard": False
    }  # fmt: skip


@pytest.fixture
def asked(plain):
    """A function that makes a quick grid."""

    def make(**changes) -> Budget:
        lists = {"methods": ("source-only", "pseudo-labels"), "budgets": ("0", "2", "4", "all")}
        return Budget.of(**{"head": "single", **plain, **lists, **changes})

    return make


@pytest.fixture
def built(monkeypatch):
    """What each fit was made from: (case, budget's rows, fold)."""
    seen = []
    original = stages.build

    def noted(speech, fold, case, method, labelled_target, **named):
        seen.append((case, labelled_target, fold))
        return original(speech, fold, case, method, labelled_target, **named)

    monkeypatch.setattr(stages, "build", noted)
    return seen


def said(study: Grid | Adapted) -> list[tuple]:
    return [
        (system.method, system.case.target_labels, system.case.normalise, part.seed, part.side, part.rows.tolist(),
         part.probabilities.tolist())
        for system in study.answers
        for part in system.predicted
    ]  # fmt: skip


def rewrite(path: Path, change) -> None:
    rows = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if row is not None))


def test_every_cell_seed_and_side_once(asked):
    grid = run_grid(asked(normalisations=("none", "speaker")))
    found = [key[:5] for key in said(grid)]
    assert len(set(found)) == len(found) == 2 * 4 * 2 * 2 * 2
    assert grid.largest == 8
    for system in grid.answers:
        assert all(part.method == system.case.method.name for part in system.predicted)


def test_smaller_budgets_lie_inside_larger_ones_and_away_from_the_scored_speakers(asked, built):
    grid = run_grid(asked())
    speech = grid.speech
    fits = {}
    for case, few, fold in built:
        amount, method = case.target_labels, case.method.name
        fits[amount, fold.target_test, method] = few
        scored = {speech.utterances[row].speaker for row in fold.target_test}
        assert not scored & {speech.utterances[row].speaker for row in few}
        assert set(few) <= set(fold.target) and speech.is_target[list(few)].all()
        assert len(few) == {"0": 0, "2": 2, "4": 4, "all": 8}[amount]
    tests = {key[1] for key in fits}
    assert len(tests) >= 2
    for test in tests:
        for method in ("source-only", "pseudo-labels"):
            mine = [set(fits[amount, test, method]) for amount in ("0", "2", "4", "all")]
            assert mine[0] < mine[1] < mine[2] < mine[3]
        for amount in ("2", "4"):
            assert fits[amount, test, "source-only"] == fits[amount, test, "pseudo-labels"]


def test_features_and_corals_matrices_are_made_once(asked, monkeypatch):
    from emobridge.training import tasks

    extracted, found = [], []
    extract, coral = prepare.FeatureStore.extract, tasks.coral_by_layer
    monkeypatch.setattr(prepare.FeatureStore, "extract", lambda *a, **k: extracted.append(0) or extract(*a, **k))
    monkeypatch.setattr(tasks, "coral_by_layer", lambda *a: found.append(0) or coral(*a))
    run_grid(asked(normalisations=("none", "speaker")))
    assert len(extracted) == 1
    assert len(found) == 2 * 2 * 2, "one a seed, fold and normalisation, for all methods and budgets"


@pytest.mark.parametrize(("amount", "align"), [("0", "coral"), ("4", "coral"), ("4", "none")])
def test_a_cell_says_what_adapt_says(asked, plain, amount, align):
    """Of a method and of the baseline, bit by bit (A1)."""
    grid = run_grid(asked(budgets=(amount,), align=align, head="auto"))
    values = {**plain, "method": "pseudo-labels", "target_labels": amount, "align": align}
    alone = train(Adapt.of(**values | {"out": values["out"] + "-adapt"}))
    assert [system.case for system in alone.answers] == [system.case for system in grid.answers]
    mine, others = (
        [part.probabilities.tolist() for system in study.answers for part in system.predicted]
        for study in (grid, alone)
    )
    assert mine == others


def test_what_adapt_has_trained_is_read(asked, plain, built):
    """One cache: the same folder may be given to both."""
    train(Adapt.of(**plain, method="pseudo-labels"))
    del built[:]
    run_grid(asked(budgets=("0", "4"), methods=("pseudo-labels",), head="auto"))
    assert [case.target_labels for case, _, _ in built] == ["4"] * 8


def test_an_interrupted_grid_does_only_what_is_left(asked, tmp_path, monkeypatch):
    whole = said(run_grid(asked(budgets=("0", "4"), out=str(tmp_path / "whole"))))
    fit, fits, stop = stages.fit_together, [], True

    def noted(problems, *given):
        if stop and len(fits) == 8:
            raise KeyboardInterrupt
        fits.extend(problem.checkpoint.stem for problem in problems)
        return fit(problems, *given)

    monkeypatch.setattr(stages, "fit_together", noted)
    with pytest.raises(KeyboardInterrupt):
        run_grid(asked(budgets=("0", "4")))
    stop = False
    assert said(run_grid(asked(budgets=("0", "4")))) == whole
    assert len(fits) == len(set(fits)) == 2 * 2 * 2 * 2
    run_grid(asked(budgets=("0", "2", "4")))
    assert len(fits) == 16 + 8, "a budget more costs its own fits"


@pytest.mark.slow
def test_two_processes_say_what_one_says(asked, tmp_path, built):
    import torch

    torch.set_num_threads(1)
    one = said(run_grid(asked(budgets=("0",))))
    del built[:]
    two = said(run_grid(asked(budgets=("0",), jobs=2, out=str(tmp_path / "two"))))
    assert two == one
    assert not built, "this process only read"


ENDLESS = """
import json, sys
from emobridge.settings import Budget, from_mapping
from emobridge.study.grid import run_grid
if __name__ == "__main__":
    run_grid(from_mapping(json.loads(sys.argv[1]), "test", Budget))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes in /proc")
@pytest.mark.parametrize("signum", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL])
def test_whatever_ends_it_ends_its_processes(asked, tmp_path, signum):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    request = asked(epochs=10_000_000, budgets=("0", "4"), jobs=2)
    process = subprocess.Popen(
        [sys.executable, str(script), json.dumps(asdict(request))],
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


def chosen(request: Budget) -> list[tuple[str, str]]:
    return [(choice.method, choice.target_labels) for choice in choices_of_request(request)]


def test_a_method_that_cannot_use_labels_is_run_without_any(asked, monkeypatch):
    monkeypatch.setattr(PseudoLabels, "takes", frozenset())
    request = asked(budgets=("all", "2", "0"))
    expected = [("source-only", "0"), ("source-only", "2"), ("source-only", "all"), ("pseudo-labels", "0")]
    assert chosen(request) == expected
    assert [(system.method, system.case.target_labels) for system in run_grid(request).answers] == expected
    with pytest.raises(UserError, match="method pseudo-labels cannot use target labels: give 0 among them"):
        run_grid(asked(budgets=("2",)))


def test_a_method_that_needs_labels_is_never_run_without(asked, monkeypatch):
    monkeypatch.setattr(PseudoLabels, "needs", PseudoLabels.needs | {"target_labels"})
    cells = chosen(asked(budgets=("0", "2")))
    assert ("pseudo-labels", "0") not in cells and ("pseudo-labels", "2") in cells
    with pytest.raises(UserError, match="method pseudo-labels needs them: give a number above 0 among them"):
        run_grid(asked(budgets=("0",)))


def test_each_method_has_its_own_head_and_options(asked, monkeypatch):
    monkeypatch.setattr(PseudoLabels, "head", "nonlinear")
    options = {"method_options": ("threshold=0.7", "rebalance=no"), "head_options": ("shrinkage=0.5", "hidden=8")}
    cases = {
        system.method: system.case
        for system in run_grid(asked(budgets=("0",), epochs=1, head="auto", **options)).answers
    }
    baseline, method = cases["source-only"], cases["pseudo-labels"]
    assert (baseline.head.name, dict(baseline.head.options)) == ("discriminant", {"shrinkage": 0.5})
    assert dict(baseline.method.options) == {"rebalance": False}
    assert method.head.name == "nonlinear" and dict(method.head.options)["hidden"] == 8
    assert dict(method.method.options) == {"threshold": 0.7, "rebalance": False}


def test_the_baseline_is_run_in_any_case(asked):
    methods = [method for method, _ in chosen(asked(methods=("pseudo-labels",), budgets=("0",)))]
    assert methods == ["source-only", "pseudo-labels"]


MISTAKES = {
    "an unknown method": (
        {"methods": ("pseudo-label",)},
        "unknown method 'pseudo-label': did you mean 'pseudo-labels'",
    ),
    "too many labels": ({"budgets": ("0", "9")}, "budgets: 9: expected 8 at most"),
    "an option of no method": (
        {"method_options": ("treshold=0.7",)},
        "of method pseudo-labels 'treshold': did you mean 'threshold'",
    ),
    "a bad value": ({"method_options": ("threshold=7",)}, "threshold: expected 0 <= threshold < 1"),
    "an unknown head": ({"head": "linaer"}, "unknown head 'linaer': did you mean 'linear'"),
    "a list of adapt": ({"method": "dann"}, "method: does nothing here; budget takes methods, a list"),
    "a number of adapt": ({"target_labels": "4"}, "target_labels: does nothing here; budget takes budgets, a list"),
    "a word of adapt": ({"normalise": "none"}, "normalise: does nothing here; budget takes normalisations, a list"),
    "an option of adapt": ({"harm_sign": "always"}, "--harm-sign: does nothing here"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_before_anything_long(asked, monkeypatch, case):
    changes, message = MISTAKES[case]
    monkeypatch.setattr(prepare.FeatureStore, "extract", lambda *_, **__: pytest.fail("this is long"))
    with pytest.raises(UserError) as caught:
        run_grid(asked(**changes))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_target_without_labels_has_no_curve(asked, recorded, monkeypatch):
    rewrite(recorded / "xx.jsonl", lambda row: {key: value for key, value in row.items() if key != "emotion"})
    monkeypatch.setattr(prepare.FeatureStore, "extract", lambda *_, **__: pytest.fail("this is long"))
    with pytest.raises(UserError, match=r"xx\.jsonl: no utterance is labelled anger, sadness, so there is no score"):
        run_grid(asked(budgets=("0",)))


def test_labels_whose_audio_cannot_be_read_do_not_count(asked, recorded):
    """Eight labels in a fold by the manifest; fewer once the audio was opened, and it says so then."""
    (recorded / "xx-b-sadness-1.wav").unlink()
    with pytest.raises(UserError, match="budgets: 8: expected 7 at most"):
        run_grid(asked(budgets=("0", "8")))
    assert run_grid(asked(budgets=("0", "7"), epochs=1)).largest == 7
