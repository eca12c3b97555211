"""The same work on a Ray cluster of two machines, one of which is lost on the way: the same bytes, the same scores."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from sounds import syllables
from toys import case_of

from emobridge.bundle import Recognizer
from emobridge.cache import Cache
from emobridge.data.audio import AudioError
from emobridge.data.manifest import write_manifest
from emobridge.errors import UserError
from emobridge.features.parallel import Work
from emobridge.features.store import FeatureStore
from emobridge.features.work import EncoderSource, StoreSettings, compute_units, plan_units
from emobridge.inference import processes
from emobridge.inference.journal import Journal
from emobridge.inference.output import FORMATS
from emobridge.inference.predict import predict
from emobridge.inference.shared import BundleProcesses
from emobridge.scale import encoding, fitting, worker
from emobridge.scale.cluster import check_address, connected, slots
from emobridge.settings import Answering, Split
from emobridge.study.run import Runner, run
from emobridge.types import SAMPLE_RATE, Utterance

SOURCE = EncoderSource("logmel")
MEMORY = 80 << 20  # bytes of each machine's object store, the least that Ray takes


@pytest.fixture(scope="module")
def machines():
    """A cluster whose head does no work, and a function that brings the number of its workers to two or one."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'emobridge[scale]'")
    from ray.cluster_utils import Cluster

    class Machines:
        def __init__(self) -> None:
            head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": MEMORY}
            self.cluster = Cluster(initialize_head=True, head_node_args=head)
            self.workers = []

        def start(self) -> str:
            while len(self.workers) < 2:
                self.workers.append(self.cluster.add_node(num_cpus=1, object_store_memory=MEMORY))
            return self.cluster.address  # of one connection for all tests: each has processes of its own

        def kill(self) -> None:
            self.cluster.remove_node(self.workers.pop(), allow_graceful=False)

    machines = Machines()
    with connected(machines.start()):
        yield machines
    machines.cluster.shutdown()


@pytest.fixture
def killing(machines):
    """The progress of a run, which loses a machine when the first item is done."""
    seen = []

    def report(done: int, count: int) -> None:
        if not seen:
            machines.kill()
        seen.append((done, count))

    return report, seen


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def clips(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "audio").mkdir()
    rows = [Utterance(f"clip {number}", "c", str(tmp_path / "audio" / f"{number}.wav")) for number in range(80)]
    for number, row in enumerate(rows):
        soundfile.write(row.path, rng.uniform(-0.1, 0.1, SAMPLE_RATE // 2 + 40 * number), SAMPLE_RATE)
    Path(rows[9].path).write_text("no audio")
    return rows


def test_no_cluster_there(tmp_path):  # before the others connect
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=r"cluster 127\.0\.0\.1:1: nothing answers there"):
        fitting("127.0.0.1:1", tmp_path).run(Work(float, str), ["1"])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_features_are_the_same_bytes_though_a_machine_is_lost(machines, killing, clips, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # of a store that the command names by a relative path
    torch.set_num_threads(1)
    FeatureStore("alone", SOURCE(), frames=True).extract(clips)
    report, seen = killing
    workers = encoding(machines.start(), "spread")
    units = plan_units(StoreSettings("spread", SOURCE, frames=True), clips)
    reports = compute_units(units, workers=workers, on_progress=report)
    assert contents(tmp_path / "spread") == contents(tmp_path / "alone")
    assert [unit.number for unit in reports] == list(range(10)) and len(machines.workers) == 1
    (skipped,) = (item for unit in reports for item in unit.skipped)
    assert skipped[0] == "clip 9" and "9.wav" in skipped[1]
    assert seen[-1] == (80, 80) and [done for done, _ in seen] == sorted(done for done, _ in seen)
    with pytest.raises(AudioError, match=r"9\.wav"):
        compute_units(units, workers=workers, strict=True)


def test_fits_say_the_same_though_a_machine_is_lost(machines, killing, toy_speech, tmp_path, capfd):
    torch.set_num_threads(1)
    options = {"epochs": 3, "learning_rate": 0.01}
    cases = tuple(case_of(method=method, **options) for method in ("source-only", "pseudo-labels"))
    speech, split = toy_speech(extra=1, width=64), Split(seeds=2, folds=2)
    alone = run(Runner(speech, split, Cache(tmp_path / "alone")), cases)
    report, seen = killing
    runner = Runner(speech, split, Cache(tmp_path / "spread"))
    answers = run(runner, cases, workers=fitting(machines.start(), tmp_path / "spread"), progress=report)
    for system, expected in zip(answers, alone):
        for part, other in zip(system.predicted, expected.predicted):
            assert np.array_equal(part.probabilities, other.probabilities) and np.array_equal(part.rows, other.rows)
    assert {path.name for path in (tmp_path / "spread").iterdir()} == {
        path.name for path in (tmp_path / "alone").iterdir()
    }
    assert [done for done, _ in seen] == [1, 2, 3, 4]
    assert not capfd.readouterr().out, "words of Ray would stand amid predictions"


@pytest.fixture
def calls(tmp_path):
    """Twelve recordings of speech-like sound in two languages, one of two channels, and one that is no audio."""
    folder = tmp_path / "calls"
    folder.mkdir()
    rows = []
    for number in range(12):
        wave = syllables(0.5 + 0.1 * number, pitch=100.0 + 10 * number, seed=number)
        path = folder / f"{number}.wav"
        soundfile.write(path, np.stack([wave, wave[::-1]], 1) if number == 4 else wave, SAMPLE_RATE)
        rows.append(Utterance(f"call {number}", "calls", str(path), language=("und", "xh")[number % 2]))
    (folder / "text.wav").write_text("no audio")
    return [*rows[:3], Utterance("text", "calls", str(folder / "text.wav")), *rows[3:]]


SETTINGS = Answering(detector="energy", statistics="stored", segments="windows", window=0.5)


def answers(recognizer, rows, **options):
    """The predictions, what was skipped, and the notes."""
    skipped, notes = [], []
    hooks = {"on_skip": lambda *pair: skipped.append(pair), "on_note": notes.append}
    return list(predict(recognizer, rows, SETTINGS, **hooks, **options)), skipped, notes


def test_predictions_are_the_same_though_a_machine_is_lost(machines, killing, finished, calls, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(processes, "LOOK_AHEAD", 1)  # most recordings wait until the machine is gone
    expected = answers(Recognizer.load(finished / "bundle"), calls)
    assert len(expected[0]) > len(calls) and [name for name, _ in expected[1]] == ["text"]
    report, seen = killing
    shared = BundleProcesses.open(finished / "bundle", workers=encoding(machines.start()))
    assert answers(shared, calls, on_progress=report) == expected
    assert len(machines.workers) == 1 and len(seen) > 5


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_the_command_writes_the_same_bytes_in_every_format(machines, cli, finished, calls, tmp_path, monkeypatch, form):
    rows, manifest = processes.InProcesses.rows, tmp_path / "calls.jsonl"
    write_manifest(manifest, calls)
    monkeypatch.setattr(processes, "LOOK_AHEAD", 1)
    monkeypatch.setattr(
        processes.InProcesses, "rows", lambda self, unit: (unit == 1 and machines.kill(), rows(self, unit))[1]
    )
    more = ("--format", form, "--detector", "energy", "--segments", "windows", "--window", "0.5")
    written = []
    for place, cluster in (("alone", ()), ("spread", ("--cluster", machines.start()))):
        ran = cli("predict", finished / "bundle", manifest, "--out", tmp_path / place / "out", *more, *cluster)
        assert ran.code == 0, ran.err
        written.append(contents(tmp_path / place))
    assert written[0] == written[1] and written[0] and len(machines.workers) == 1


@pytest.mark.slow
def test_the_same_command_goes_on_where_it_was(machines, finished, calls, tmp_path, monkeypatch):
    expected = answers(Recognizer.load(finished / "bundle"), calls)
    shared = BundleProcesses.open(finished / "bundle", workers=encoding(machines.start()))
    with Journal(tmp_path / "journal", "request") as journal:
        rows = predict(shared, calls, SETTINGS, journal=journal, on_skip=print)
        while len(journal) < 4:
            next(rows)
        rows.close()
    sent = []
    submit = processes.InProcesses._submit
    monkeypatch.setattr(processes.InProcesses, "_submit", lambda self, unit: (sent.append(unit), submit(self, unit)))
    with Journal(tmp_path / "journal", "request") as journal:
        assert answers(shared, calls, journal=journal)[:2] == expected[:2]
    assert 0 < len(sent) <= len(calls) - 4


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate", "suggest"])
def test_scores_and_lists_are_those_of_this_machine(machines, cli, finished, tmp_path, command):
    rows = []
    for number in range(140):  # three shards
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, syllables(0.5, pitch=100.0 + number, seed=number), SAMPLE_RATE)
        emotion = ("anger", "sadness")[number % 2] if command == "evaluate" else None
        rows.append(Utterance(str(number), "new", str(path), language="xh", emotion=emotion, speaker=f"s{number % 5}"))
    write_manifest(tmp_path / "m.jsonl", rows)
    written, suffix = [], {"evaluate": "json", "suggest": "csv"}[command]
    for place, cluster in (("alone", ()), ("spread", ("--cluster", machines.start()))):
        out = ("--out", tmp_path / f"{place}.{suffix}", "--store", tmp_path / place)
        ran = cli(command, finished / "bundle", "--on", tmp_path / "m.jsonl", *out, *cluster)
        assert ran.code == 0, ran.err
        written.append((contents(tmp_path / place), (tmp_path / f"{place}.{suffix}").read_bytes()))
    assert written[0] == written[1]


def test_work_that_kills_its_process_is_given_up(machines, tmp_path):
    workers = fitting(machines.start(), tmp_path)
    with pytest.raises(UserError, match="cluster: a process died 4 times at the same work"):
        workers.run(Work(os._exit, str), [1])
    with pytest.raises(ValueError, match="could not convert string to float: 'x'"):
        workers.run(Work(float, str), ["1", "x"])
    assert workers.run(Work(float, str), ["1", "2"]) == [1, 2]
    assert workers.run(Work(float, str), []) == [] and not list(tmp_path.iterdir())


def test_a_machine_that_shares_no_folder_is_one_line(tmp_path):
    def setup(**changes) -> worker.Setup:
        options = {"key": "k", "folder": str(tmp_path), "shared": (), "engine": "torch", "start": str, "arguments": ()}
        return worker.Setup(**{**options, **changes})

    before, task = Path.cwd(), pickle.dumps((float, ("1",)))
    try:
        for wrong in ({"folder": str(tmp_path / "gone")}, {"shared": (str(tmp_path / "gone" / "mark"),)}):
            outcome = pickle.loads(worker.outcome(task, lambda: pickle.dumps(setup(**wrong)), "k"))  # noqa: B023
            assert isinstance(outcome, worker.Failure)
            with pytest.raises(UserError, match=r"does not see .*gone, .* it must be on a disk that all share"):
                outcome.throw()
        assert pickle.loads(worker.outcome(task, lambda: pickle.dumps(setup()), "k")) == 1.0
    finally:
        os.chdir(before)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("atuo", "expected auto, local, HOST:PORT or ray://HOST:PORT; did you mean 'auto'"),
        ("http://head:10001", "expected auto, local"),
        ("head", "expected auto, local"),
    ],
)
def test_what_is_no_address(address, message):
    with pytest.raises(UserError, match=message):
        fitting(address)


def test_without_ray_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"ray is not installed: pip install 'emobridge\[scale\]'"):
        check_address("auto")


@pytest.mark.parametrize(
    ("device", "gpus", "expected"),
    [("auto", 0, (8, False)), ("auto", 1, (1, True)), ("cuda", 2, (2, True)), ("cpu", 2, (8, False))],
)
def test_a_process_has_a_gpu_by_the_device_and_the_cluster(device, gpus, expected):
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 8.0, "GPU": float(gpus)})
    assert slots(ray, device) == expected


def test_a_device_that_no_process_of_a_cluster_has():
    with pytest.raises(UserError, match="the cluster has no GPU; give --device auto or cpu"):
        slots(SimpleNamespace(cluster_resources=lambda: {"CPU": 8.0}), "cuda")
    with pytest.raises(UserError, match=r"unknown device of a cluster 'mps' .*auto, cpu, cuda"):
        fitting("local", device="mps")
    with pytest.raises(UserError, match="each process of a cluster sees a single GPU: give cuda"):
        encoding("local", device="cuda:0")


def test_without_an_address_nobody_works_elsewhere():
    assert fitting("") is None and encoding("", "store") is None
