"""The benchmarks: they can be imported, skipped and run, and their table tells when a bound does not hold."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("bench_*.py"))


@pytest.fixture
def benchmarks(monkeypatch):
    """A function to import a module of the benchmarks' folder."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # run.py sets it; here it is put back
    return importlib.import_module


@pytest.mark.parametrize("simulations", [60, pytest.param(150, marks=pytest.mark.slow)])
def test_intervals_hold_with_few_speakers(benchmarks, simulations):
    """Fewer simulations than benchmarks/intervals.py makes; their number is fixed, and so is their seed."""
    intervals = benchmarks("intervals")
    rows = [
        *intervals.class_coverage(simulations, (4,)),
        *intervals.ccc_coverage(simulations, (4,)),
        *intervals.class_differences(simulations, (4,)),
        *intervals.ccc_differences(simulations, (4,)),
        intervals.tests(simulations, (4,))[0],
    ]
    assert len(rows) == 5 * 3 + 2 + 3 + 2 + 1
    for row in rows:
        low, high = row.bounds
        error = 2.5 * 100 * np.sqrt(0.05 * 0.95 / simulations)
        assert all(low - error < value < high + error for value in row.values.values()), row
        if row.bounds == intervals.COVERAGE:
            assert row.earlier[4] < 88, "the bootstrap of before did not hold"


def test_a_table_of_intervals_tells_what_is_outside(benchmarks, tmp_path, monkeypatch):
    intervals = benchmarks("intervals")
    inside = intervals.Row("UA", {4: 95.0, 8: 94.25}, {4: 77.0}, (92.0, 97.0))
    outside = dataclasses.replace(inside, values={4: 91.9})
    assert intervals.table([inside]).splitlines()[2] == "| UA | 95.0 (77.0) | 94.2 |"
    page = tmp_path / "page.md"
    for rows, code in (([inside], 0), ([inside, outside], 1)):
        monkeypatch.setattr(intervals, "measure", lambda simulations, rows=rows: {"Coverage:": rows})
        page.write_text("before\n<!-- measured -->\nold\n<!-- end of measured -->\nafter\n")
        assert intervals.main(["--out", str(page)]) == code
        assert page.read_text().startswith("before\n<!-- measured -->\nCoverage:") and "after" in page.read_text()
        assert "old" not in page.read_text()


def test_losses_foretold_and_false_alarms_are_counted(benchmarks):
    harm = benchmarks("harm")
    cells = [
        {"before": 70.0, "after": 67.0, "agreement": 0.5, "utterances": 300.0},  # foretold
        {"before": 70.0, "after": 66.0, "agreement": 0.9, "utterances": 300.0},  # not
        {"before": 70.0, "after": 75.0, "agreement": 0.9, "utterances": 99.0},  # a false alarm
        {"before": 70.0, "after": 69.0, "agreement": 0.5, "utterances": 300.0},  # neither
    ]
    assert harm.counted(cells) == ("4", "-0.8", "-4.0", "2", "1", "1")


def test_cut_down_targets(benchmarks, toy_speech):
    harm = benchmarks("harm")
    speech = toy_speech(speakers=4, each=4)
    rng = np.random.default_rng(0)
    thinned = speech.of(harm.cut_rows(speech, "thin", "anger", rng))
    assert np.bincount(thinned.label[thinned.is_target]).tolist() == [4, 16]
    one = speech.of(harm.cut_rows(speech, "one", "", rng))
    shown = {}
    for row in one.utterances:
        if row.corpus == "xx":
            shown.setdefault(row.speaker, set()).add(row.emotion)
    assert shown == {"0": {"anger"}, "3": {"sadness"}}, "happiness and neutral are not there"
    assert all((part.is_target == 0).sum() == 32 for part in (thinned, one))


def test_a_blend_need_not_be_trained_and_components_need_not_be_found_again(benchmarks, toy_speech):
    """The shortcuts of suggest_results.py change no answer."""
    import torch
    from toys import case_of, everything

    from emobridge.heads.base import principal_components
    from emobridge.methods.base import Labelled
    from emobridge.training.inputs import Frozen
    from emobridge.training.tasks import build

    results = benchmarks("suggest_results")
    case = case_of(method="blend", head="discriminant")
    results.case_of = lambda method: dataclasses.replace(case, method=results.Plugin(method))
    speech = toy_speech(shift=1.0)
    fold = everything(speech)
    task = build(speech, fold, case, case.make_method(), ()).task
    label = torch.from_numpy(speech.label[list(fold.target)])
    task = dataclasses.replace(task, labelled_target=Labelled(task.target[:3], label[:3]), target=task.target[3:])
    x, copies = task.inputs.x, task.inputs.copies
    components = principal_components(x[: len(x) - copies], 200)
    reduced = dataclasses.replace(task, inputs=Frozen(components.of(x), copies))
    quick = results.answers(reduced, reduced.inputs.x)
    for method in results.METHODS:
        with torch.no_grad():
            p = results.trained(task, method).output(x).softmax(1)
        np.testing.assert_allclose(quick[method], p, atol=1e-4)


def test_help_names_all_without_running_them():
    done = subprocess.run([sys.executable, FOLDER / "run.py", "--help"], capture_output=True, text=True, check=True)
    assert NAMES and all(name.removeprefix("bench_") in done.stdout for name in NAMES)


def test_the_list_has_a_line_for_each(benchmarks, capsys):
    assert benchmarks("run").main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [name.removeprefix("bench_") for name in NAMES]
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_imported(benchmarks, name):
    module = benchmarks(name)
    assert callable(module.measure) and isinstance(module.NEEDS, tuple)


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*_results.py")))
def test_scripts_of_results_can_be_imported(benchmarks, name):
    assert callable(benchmarks(name).main)


def test_the_oracles_of_timelines(benchmarks):
    from types import SimpleNamespace

    import numpy as np

    from emobridge.types import Segment

    script = benchmarks("diarization")
    truth = (Segment(0.0, 1.0, "neutral"), Segment(1.0, 2.0, "sadness"))
    told = (Segment(0.0, 0.5, "neutral"), Segment(0.5, 1.0, "anger"), Segment(1.0, 2.0, "happiness"))
    steps = SimpleNamespace(features=None, speech=np.ones(4, dtype=bool))
    test = script.TestSound(SimpleNamespace(segments=truth, wave=np.zeros(32000, dtype=np.float32)), "a", steps)
    assert [item.emotion for item in script.oracle_emotion(told, test)] == ["neutral", "sadness", "sadness"]
    assert [(item.start, item.end) for item in script.oracle_emotion(told, test)] == [
        (item.start, item.end) for item in told
    ]
    p = np.array([[0.9, 0.0, 0.1, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.6, 0.0, 0.4], [0.0, 0.1, 0.0, 0.9]])
    model = SimpleNamespace(answers=lambda features: p, frame_rate=2.0)
    assert [item.emotion for item in script.oracle_boundaries(model, test)] == ["neutral", "sadness"]
    both = script.joined([test.sound, test.sound])
    assert [(item.start, item.emotion) for item in both.segments] == [
        (0.0, "neutral"), (1.0, "sadness"), (2.0, "neutral"), (3.0, "sadness"),
    ]  # fmt: skip
    row = script.scored([test], [[truth], [told]])
    assert row["seeds"] == 2
    assert row["estimates"]["EDER"][0] == pytest.approx((0.0 + 0.75) / 2)


def test_the_grid_of_budgets_in_small(benchmarks, monkeypatch, capsys):
    script = benchmarks("bench_budget")
    arguments = ["--utterances", "100", "--budgets", "0,25", "--seeds", "1", "--epochs", "1"]
    monkeypatch.setattr(sys, "argv", ["bench_budget.py", *arguments])
    script.main()
    assert capsys.readouterr().out.startswith("10 fits in ")


def test_the_untrained_bundle_can_be_loaded(benchmarks, tiny_encoder, tmp_path):
    from emobridge.bundle import Recognizer

    script = benchmarks("bench_predict")
    script.untrained_bundle(tmp_path / "bundle", tiny_encoder, engine="torch")
    recognizer = Recognizer.load(tmp_path / "bundle")
    assert recognizer.labels == script.LABELS and recognizer.spec.encoder_options == ("engine=torch",)


def test_a_long_recording_in_small(benchmarks, finished, recorded, tmp_path, monkeypatch, capsys):
    """Where clips stand is what is counted; without the corpora it says so."""
    import numpy as np
    import soundfile

    from emobridge.bundle import Recognizer
    from emobridge.data.manifest import read_manifest
    from emobridge.settings import Answering

    script = benchmarks("recording")
    monkeypatch.setenv("EMOBRIDGE_SHARED", str(tmp_path))
    assert script.main([]) == 2 and "set EMOBRIDGE_SHARED" in capsys.readouterr().err
    clips = list(read_manifest(recorded / "xx.jsonl"))
    wave, placed = script.recording(clips, 60.0, np.random.default_rng(0))
    assert len(wave) / 16000 > 60 and len({clip.utterance.id for clip in placed}) == len(placed) > 2
    for clip in placed:
        assert clip.end - clip.start == pytest.approx(0.3)
    soundfile.write(tmp_path / "call.flac", wave, 16000)
    # All counts as speech here: ten windows are labelled, and those that reach no clip are counted.
    settings = Answering(segments="windows", window=6.0)
    way = script.measured("all", Recognizer.load(finished / "bundle"), tmp_path / "call.flac", settings, [placed])
    touched = {int(clip.start // 6) for clip in placed} | {int(clip.end // 6) for clip in placed}
    assert way.rows >= 10 and way.rows - len(touched) <= way.labelled_without_speech <= way.rows - 2


@pytest.mark.parametrize("name", ["probe_results", "semi_supervised_results"])
def test_the_commands_of_scripts_have_the_options(benchmarks, monkeypatch, tmp_path, name):
    """The scripts start `emobridge` with options that it has; none is started here."""
    import typer

    from emobridge.cli.main import app

    script, calls = benchmarks(name), []
    monkeypatch.setattr(script.subprocess, "run", lambda command, **_: calls.append(command[3:]))
    args = argparse.Namespace(shared=tmp_path, work=tmp_path, methods=None, normalise=None, jobs=1)
    if name == "probe_results":
        script.study(args, "whisper-base", "", "--heads", script.HEADS)
    else:
        for study in script.STUDIES.values():
            script.run(args, "name", study, "ravdess+emovo", "emodb")
    commands = typer.main.get_command(app).commands
    for command, *arguments in calls:
        options = {
            option for parameter in commands[command].params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        assert {word for word in arguments if word.startswith("--")} <= options
    assert len(calls) == (1 if name == "probe_results" else len(script.STUDIES))


def test_the_commands_across_languages_have_the_options(benchmarks, monkeypatch, tmp_path):
    import typer

    from emobridge.cli.main import app

    script, calls = benchmarks("across_languages"), []
    monkeypatch.setattr(script, "emobridge", lambda: calls.append(sys.argv))
    args = argparse.Namespace(shared=tmp_path, work=tmp_path, seeds=None, folds=5, store=None, options=["--strict"])
    before = sys.argv
    for name in script.STUDIES:
        script.run(args, name, "open", script.PAIRS[-1])
    assert sys.argv is before and len(calls) == len(script.STUDIES) and len(script.PAIRS) == 9
    known = {option for parameter in typer.main.get_command(app).commands["budget"].params for option in parameter.opts}
    for _, command, *arguments in calls:
        assert command == "budget" and {word for word in arguments if word.startswith("--")} <= known
        assert arguments.count("--source") == 2 and arguments[-1] == "--strict"
    folders = {call[call.index("--out") + 1] for call in calls}
    assert len(folders) == len(calls) and all("--strict" in folder for folder in folders)


@pytest.mark.parametrize(
    ("study", "ua", "loss", "missed"),
    [
        ("whisper-base", 99.0, 0.0, []),
        ("whisper-base", 81.0, 0.0, ["81.0, goal 82", "81.0, goal 93"]),
        ("whisper-base", 99.0, -1.1, ["-1.1 against source-only"]),
        ("whisper-tiny.en", 40.0, 0.0, []),
        ("logmel", 99.0, -50.0, ["mean gain -0.7, goal +4", "-50.0 against source-only"]),
    ],
)
def test_goals_across_languages_are_missed_or_not(benchmarks, study, ua, loss, missed):
    script = benchmarks("across_languages")
    score = (ua, ua - 5, ua + 5)
    before = script.System(score, 90.0, 10.0, 5.0, 1.5, None)
    pairs = {}
    for pair in script.PAIRS:
        gain = 5.5 if pair != script.PAIRS[0] else loss
        after = dataclasses.replace(before, gain=(gain, gain - 1, gain + 1))
        pairs[pair] = {"source-only": before, "class-wise": after, "blend": after}
    measured = script.Measured(study, "open", (), pairs)
    lines = list(script.missed_goals(measured))
    assert len(lines) == len(missed) and all(line.endswith(end) for line, end in zip(lines, missed))
    assert not list(script.missed_goals(dataclasses.replace(measured, pairs={script.PAIRS[0]: pairs[script.PAIRS[0]]})))


def test_the_page_across_languages_is_written_as_it_was(benchmarks, tmp_path, monkeypatch):
    script, published = benchmarks("across_languages"), benchmarks("published")
    page = FOLDER.parent / "docs" / "results" / "across-languages.md"
    copy = tmp_path / page.name
    copy.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    engine = page.read_text(encoding="utf-8").rstrip().removesuffix("`.").rpartition("=")[2]
    monkeypatch.setattr(published, "ENGINE", engine)
    script.rewrite(copy, ())
    assert copy.read_text(encoding="utf-8") == page.read_text(encoding="utf-8")


def test_what_is_missing_is_skipped_with_the_reason(benchmarks, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("EMOBRIDGE_SHARED", str(tmp_path))
    assert benchmarks("run").main(["--only", "encoders"]) == 0
    assert "| encoders | skipped: no weights and no corpora |  |  |  |  |  |" in capsys.readouterr().out


def test_a_crash_is_told_and_the_others_run(benchmarks, monkeypatch, tmp_path, capsys):
    def crash(resources):
        raise ZeroDivisionError

    run, measuring = benchmarks("run"), benchmarks("measuring")
    monkeypatch.setattr(benchmarks("bench_training"), "measure", crash)
    monkeypatch.setattr(
        benchmarks("bench_help"), "measure", lambda resources: [measuring.Row("it", 0.7, "s", most=0.5)]
    )
    assert run.main(["--only", "training", "help", "--out", str(tmp_path / "table.md")]) == 1
    table = capsys.readouterr().out
    assert "| training | crashed: ZeroDivisionError |  |  |  |  | no |" in table
    assert "| it | 0.7 s |  |  |  | <= 0.5 s | no |" in table and "0 bounds hold, 2 do not; 0 rows were" in table
    assert (tmp_path / "table.md").read_text() in table


def test_a_bound_that_fails_is_no_crash(benchmarks, monkeypatch, capsys):
    run, measuring = benchmarks("run"), benchmarks("measuring")
    rows = [measuring.Row("fast", 1.0, "s", most=0.5, opponent=measuring.Amount(4.0, "bare torch"))]
    rows += [measuring.Row("slow", 3.0, "s", most=0.5, opponent=measuring.Amount(4.0, "bare torch"))]
    rows += [measuring.skipped("not here", ValueError("no such\nengine"))]
    monkeypatch.setattr(benchmarks("bench_help"), "measure", lambda resources: rows)
    assert run.main(["--only", "help"]) == 0
    table = capsys.readouterr().out
    assert "| fast | 1 s | 4 s, bare torch |  | 0.25 x | <= 0.5 x | yes |" in table
    assert "| slow | 3 s | 4 s, bare torch |  | 0.75 x | <= 0.5 x | no |" in table
    assert "| not here | skipped: no such engine |  |  |  |  |  |" in table
    assert "1 bounds hold, 1 do not; 1 rows were skipped" in table


def test_a_slow_benchmark_runs_only_by_its_name(benchmarks, monkeypatch, capsys):
    run, load = benchmarks("run"), benchmarks("bench_load")
    row = benchmarks("measuring").Row("load", 2.0, "x", most=3)
    monkeypatch.setattr(load, "measure", lambda resources: [row])
    monkeypatch.setattr(load, "NEEDS", ())
    monkeypatch.setattr(run, "NAMES", ("load",))
    assert run.main([]) == 0 and "| load | skipped: slow; run.py --only load |" in capsys.readouterr().out
    assert run.main(["--only", "load"]) == 0 and "| load | 2 x |  |  |  | <= 3 x | yes |" in capsys.readouterr().out


def test_a_row_says_what_the_machine_allows(benchmarks):
    measuring = benchmarks("measuring")
    row = measuring.Row("a | b", 0.25, "s", opponent=measuring.Amount(0.0, "none"), limit=measuring.Amount(0.1, "copy"))
    assert row.cells == ("a | b", "0.25 s", "0 s, none", "0.1 s, copy", "inf x", "", "")
    lines = measuring.table([row]).splitlines()
    assert lines[0] == "| " + " | ".join(measuring.COLUMNS) + " |" and lines[2].startswith("| a / b | 0.25 s |")
    assert len({line.count("|") for line in lines}) == 1


def test_the_limit_counts_products_and_takes_the_fastest_library(benchmarks, monkeypatch):
    import torch

    limits = benchmarks("limits")
    a, b = torch.randn(30, 20), torch.randn(20, 10)
    assert limits.operations(lambda: a @ b) == 2 * 30 * 20 * 10
    monkeypatch.setattr(limits, "fp32_rates", lambda: {"slow": 1e9, "quick": 4e9})
    amount = limits.fp32_limit(8e9)
    assert (amount.value, amount.name) == (2.0, "4 GFLOP/s fp32 (quick)")
    monkeypatch.setattr(limits, "bf16_rate", lambda: 0.0)
    assert limits.bf16_limit(8e9) == amount, "of a processor without bf16"
    monkeypatch.setattr(limits, "bf16_rate", lambda: 8e9)
    assert limits.bf16_limit(8e9).value == 1.0


def test_a_loop_by_hand_has_the_features_of_the_store(benchmarks, tmp_path):
    """The opponent does the same work: the means of every layer, at the clip's own length."""
    import json

    from emobridge.encoders import load_encoder

    encoders, loops = benchmarks("bench_encoders"), benchmarks("_loops")
    wave = np.random.default_rng(0).normal(0, 0.1, 9_999).astype(np.float32)
    model, hidden = loops.wav2vec2_model(num_hidden_layers=1, hidden_size=48, num_attention_heads=2)
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
    import torch

    with torch.inference_mode():
        expected = hidden(wave).mean(1).numpy()[None]
        x = torch.from_numpy(wave)[None]
        layers = load_encoder(tmp_path)(x, torch.ones_like(x, dtype=torch.bool))
        values = layers.hidden.mean(2).transpose(0, 1).numpy()
    assert encoders.distance(values, expected) < 1e-6
    assert encoders.distance(np.concatenate([values, -values]), np.concatenate([expected, expected])) > 1.9


def test_the_hours_of_a_cluster_by_hand(benchmarks, monkeypatch):
    """12 million clips in 187,500 units: computing is what takes long on few devices, handing out on many."""
    scale = benchmarks("bench_scale")
    monkeypatch.setattr(scale, "ENGINES", ("torch", "onnx"))
    parts = {"plan_clip": 3e-4, "read_clip": 6e-4, "bytes_clip": 1000.0, "dispatch_unit": 0.0192, "start": 180.0}
    parts |= {"compute_torch_clip": 0.03, "open_torch": 0.0, "compute_onnx_clip": 0.015, "open_onnx": 180.0}
    names, _, *rows = scale.cost_table(parts).splitlines()
    assert names.startswith("| devices | plan, on one | features on all, torch | features on all, onnx | handing out")
    store = "12 GB in 187,500 shards |"
    assert rows[0] == f"| 1 | 1.00 h | 100.05 h | 50.10 h | 1.00 h | 2.00 h | {store}"
    assert rows[-1] == f"| 256 | 1.00 h | 1.05 h | 1.10 h | 1.00 h | 2.00 h | {store}"
    assert "torch 30 ms, onnx 15 ms" in scale.measured(parts)


def test_busy_processes_end_with_the_block(benchmarks):
    import time

    load = benchmarks("bench_load")
    with load.busy(2):
        running = [line for line in commands() if "os.getppid() == parent" in line and "Popen" not in line]
        assert len(running) >= 2
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any("os.getppid() == parent" in line for line in commands()):
        time.sleep(0.1)
    assert not any("os.getppid() == parent" in line for line in commands())


def commands() -> list[str]:
    """The command lines of all processes."""
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("no /proc")
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_text(errors="replace"))
        except OSError:  # it has ended
            continue
    return lines


@pytest.mark.parametrize(
    ("value", "bounds", "holds"),
    [
        (3.0, {"least": 3}, "yes"),
        (2.9, {"least": 3}, "no"),
        (0.5, {"most": 0.5}, "yes"),
        (0.6, {"most": 0.5}, "no"),
        (7.0, {}, ""),
    ],
)
def test_a_bound_holds_or_not(benchmarks, value, bounds, holds):
    Row = benchmarks("measuring").Row
    assert Row("it", value, "s", **bounds).holds == holds
    other = benchmarks("measuring").Amount(2.0, "other")
    assert Row("it", 2 * value, "s", **bounds, opponent=other).holds == holds, "of the ratio"


def test_a_child_is_measured_alone(benchmarks):
    """Its peak is its own: this process is larger, and a child that takes 300 MB is seen."""
    held = np.ones(60_000_000)  # 480 MB
    child = benchmarks("measuring").child
    small = child([sys.executable, "-c", "print('hello')"])
    large = child([sys.executable, "-c", "b = b'x' * 300_000_000; sum(range(3_000_000))"])
    assert small.peak < 100e6 < 300e6 < large.peak < held.nbytes
    assert large.cpu > small.cpu > 0 and large.wall > 0


def test_a_child_that_fails_is_no_measurement(benchmarks):
    with pytest.raises(RuntimeError, match=r"exit code 3.*no luck"):
        benchmarks("measuring").child([sys.executable, "-c", "import sys; print('no luck'); sys.exit(3)"])


def test_the_bare_loop_and_ours_take_the_same_steps(benchmarks, monkeypatch):
    """As many optimiser steps in one as in the other: the ratio compares like with like."""
    import torch

    from emobridge.training.adam import Adam

    training = benchmarks("bench_training")
    steps = []
    for kind in (torch.optim.Adam, Adam):
        step = kind.step
        monkeypatch.setattr(kind, "step", lambda self, *a, step=step: (steps.append(1), step(self, *a)))
    x, label = torch.randn(250, 6), torch.randint(training.CLASSES, (250,))
    training.bare(x, label, training.Plan(epochs=2))
    assert len(steps) == 2 * 3
    training.ours(x, label, training.Plan(epochs=2))
    assert len(steps) == 2 * 2 * 3


def test_a_page_keeps_the_rows_that_were_not_measured_anew(benchmarks):
    page = benchmarks("page_tables")
    old = "words\n\n**A** (x):\n\n| pair | method | UA |\n|---|---|---|\n| p | one | 1 |\n| p | three | 3 |\n\n![a](b)"
    (table,) = page.read(old)
    assert f"words\n{table}\n\n![a](b)" == old
    new = page.Table("**A** (x):", "| pair | method | UA |")
    new.add("p", "three", "4")
    new.add("p", "two", "2")
    both = new.over(table, lambda row: ["one", "two", "three"].index(row[1]))
    assert list(both.rows.values()) == ["| p | one | 1 |", "| p | two | 2 |", "| p | three | 4 |"]
    other = page.Table("**A** (x):", "| pair | method | UA, WA |")
    assert other.over(table, lambda row: 0) is other  # of other columns: the old rows would not fit


def test_the_page_of_semi_supervised_results_is_written_as_it_was(benchmarks):
    page = FOLDER.parent / "docs" / "results" / "semi-supervised.md"
    measured = page.read_text(encoding="utf-8").partition("<!-- measured -->")[2].partition("<!-- end -->")[0]
    results = benchmarks("semi_supervised_results")
    tables = list(benchmarks("page_tables").read(measured))
    assert all(str(table) in measured for table in tables)
    studies = {f"`--only {name}`" for name in results.STUDIES}
    assert all(any(name in table.title for name in studies) for table in tables)


def test_copies_of_synthetic_speech(benchmarks, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("EMOBRIDGE_SHARED", str(tmp_path))
    script = benchmarks("duplicates")
    kinds = dict(list(script.KINDS.items())[:3])
    monkeypatch.setattr(script, "KINDS", kinds)
    assert script.main(["--of", "5", "--clips", "3"]) == 0
    printed = capsys.readouterr().out
    assert "5 different clips, 10 pairs: 0 false matches" in printed and "3 of 3 kinds found" in printed
    monkeypatch.setattr(script, "write_copy", lambda path, wave, kind: write(path, script.synthetic_speech(99)))
    assert script.main(["--of", "5", "--clips", "3"]) == 1
    assert "0 of 3 kinds found: not 8 kHz, 22.05 kHz, 44.1 kHz" in capsys.readouterr().out


def write(path, wave):
    import soundfile

    soundfile.write(path.with_suffix(".wav"), wave, 16_000)
    return path.with_suffix(".wav")


def test_rows_of_two_sizes(benchmarks, monkeypatch, capsys):
    script = benchmarks("rows")
    arguments = ["--rows", "100,200", "--only", "nemo", "textgrid", "audit, rows"]
    monkeypatch.setattr(script, "BOUND", 1e9)
    assert script.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    names = ("export nemo", "import nemo", "import textgrid", "audit, rows")
    assert all(line.startswith(name) for line, name in zip(lines[1:-1], names, strict=True))
    monkeypatch.setattr(script, "BOUND", 0)
    assert script.main([*arguments[:3], "manifest, write"]) == 1 and "OVER" in capsys.readouterr().out


@pytest.mark.slow  # a process for each of many jobs
def test_growth_in_small(benchmarks):
    growth = benchmarks("bench_growth")
    rows = growth.growth(list(growth.JOBS), (400, 800))
    assert len(rows) == len(growth.JOBS) and all(np.isfinite(row.ours) and row.most == growth.EXPONENT for row in rows)


def test_phones_by_hand_are_matched_with_those_of_the_text_by_the_fewest_edits(benchmarks):
    aligner = benchmarks("aligner")
    assert aligner.matched_phones(("a", "t"), ("a", "n", "d")) == [(0, 0), (1, 2)], "t is like d, and n is left over"
    assert aligner.matched_phones(("aː",), ("t", "a")) == [(0, 1)], "length is left out"
    assert aligner.matched_phones((), ("t",)) == []


def test_anchoring_in_small(benchmarks, recorded, tiny_encoder, tmp_path, monkeypatch, capsys):
    """Two systems of study D beside the baseline, and the page, which goes on where it was."""
    anchoring = benchmarks("anchoring")
    monkeypatch.setattr(anchoring, "LABELS", ("anger", "sadness"))
    for corpus, manifest in (("ravdess", "en"), ("emodb", "xx"), ("emovo", "xx")):
        shutil.copy(recorded / f"{manifest}.jsonl", recorded / f"{corpus}.jsonl")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- measured -->\n<!-- end -->\nafter\n")
    words = ["--quick", "--work", str(recorded), "--encoder", str(tiny_encoder), "--out", str(page)]
    anchoring.main(words)
    first = page.read_text()
    assert first.startswith("before\n") and "<!-- end -->\nafter\n\nEncoders of the last run: " in first
    assert first.count("\n| LAM-GL | ") == 2 and "| CC | " in first and "51.87 / 49.01" in first
    assert "| RAVDESS (en) -> EmoDB (de) | 1+2 | - |" in first
    monkeypatch.setattr(anchoring, "run", None)
    anchoring.main(words)
    assert page.read_text() == first


def test_a_mean_difference_of_pairs_is_paired_over_speakers(benchmarks):
    anchoring = benchmarks("anchoring")
    random, results = np.random.default_rng(0), {}
    for pair in anchoring.PAIRS[:2]:
        speakers = np.array([f"{pair[1]} {index % 4}" for index in range(160)])
        truth = np.arange(160) // 4 % 4
        for name, share in (("LAM-GL", 0.8), ("LAM-AL", 0.5)):
            predicted = np.where(random.random(160) < share, truth, (truth + 1) % 4)
            results[pair, "none", name] = anchoring.Answers(speakers, truth, predicted, ("",), 1.0)
    cells = anchoring.complete_cells(results, ("LAM-GL", "LAM-AL"))
    value, low, high = anchoring.mean_difference(results, cells, "LAM-GL", ("LAM-AL",))
    assert cells == [(pair, "none") for pair in anchoring.PAIRS[:2]]
    parts = [[results[(*cell, name)].ua() for cell in cells] for name in ("LAM-GL", "LAM-AL")]
    assert value == pytest.approx(np.mean(parts[0]) - np.mean(parts[1])) and low < value < high
    assert anchoring.mean_difference(results, cells, "LAM-GL", ("LAM-GL",)) == (0, 0, 0)


def test_pages_name_the_engine_of_their_encoders(benchmarks, tmp_path, monkeypatch):
    published = benchmarks("published")
    page = tmp_path / "page.md"
    for engine, text in (("torch", "# A page\n\n1.0\n"), ("onnx", None)):
        monkeypatch.setattr(published, "ENGINE", engine)
        published.write_page(page, text or page.read_text())
        assert page.read_text() == f"# A page\n\n1.0\n\nEncoders of the last run: `EMOBRIDGE_ENGINE={engine}`.\n"


NO_ENGINE = {"group_gaps", "intervals", "bench_scale"}  # simulated, and of each engine by name


def test_each_page_of_encoders_is_written_with_its_engine():
    for path in FOLDER.glob("*.py"):
        text = path.read_text()
        makes_a_page = 'default=Path("docs/results' in text or "<!-- measured -->" in text
        if makes_a_page and path.stem not in NO_ENGINE:
            assert "from published import write_page" in text, path.name
