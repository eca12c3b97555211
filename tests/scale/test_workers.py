"""The same work on a Ray cluster of two machines, one of which is lost on the way: the same bytes, the same scores."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from toys import case_of

from emobridge.cache import Cache
from emobridge.data.audio import AudioError
from emobridge.errors import UserError
from emobridge.features.store import FeatureStore
from emobridge.features.work import EncoderSource, StoreSettings, compute_units, plan_units
from emobridge.scale import encoding, fitting, worker
from emobridge.scale.cluster import check_address, connected
from emobridge.settings import Split
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
        fitting("127.0.0.1:1", tmp_path).run(float, ["1"], start=str, arguments=())
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


def test_work_that_kills_its_process_is_given_up(machines, tmp_path):
    workers = fitting(machines.start(), tmp_path)
    with pytest.raises(UserError, match="cluster: a process died 4 times at the same work"):
        workers.run(os._exit, [1], start=str, arguments=())
    with pytest.raises(ValueError, match="could not convert string to float: 'x'"):
        workers.run(float, ["1", "x"], start=str, arguments=())
    assert workers.run(float, ["1", "2"], start=str, arguments=()) == [1, 2]
    assert workers.run(float, [], start=str, arguments=()) == [] and not list(tmp_path.iterdir())


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


def test_without_an_address_nobody_works_elsewhere():
    assert fitting("") is None and encoding("", "store") is None
