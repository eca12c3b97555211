"""Units of work: the same bytes in the store whoever computes them, in any order, after any accident."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from forked import end_of, fork_pools, start_forked

from emobridge.data.audio import AudioError
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.features import store as features
from emobridge.features.store import FeatureStore
from emobridge.features.work import EncoderSource, StoreSettings, compute_unit, compute_units, plan_units
from emobridge.types import SAMPLE_RATE, Utterance

SOURCE = EncoderSource("emotion-cnn")


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """Ten good clips, two of one length, and two bad files, one of whose rows has an end."""
    monkeypatch.setattr(features, "SHARD", 4)
    (tmp_path / "audio").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(10):
        path = tmp_path / "audio" / f"{number}.wav"
        samples = rng.uniform(-0.1, 0.1, SAMPLE_RATE // 4 * (1 + number // 2))
        soundfile.write(path, samples, SAMPLE_RATE)
        rows.append(Utterance(f"clip {number}", "c", str(path)))
    (tmp_path / "audio" / "text.wav").write_text("no audio")
    rows.insert(3, Utterance("text", "c", str(tmp_path / "audio" / "text.wav")))
    rows.insert(6, Utterance("gone", "c", str(tmp_path / "audio" / "gone.wav"), start=0.5, end=1.0))
    return rows


def content(folder: Path) -> dict[str, bytes]:
    """The shards of the only store in a folder."""
    (store,) = (path for path in folder.iterdir() if path.is_dir())
    assert not list(store.glob(".*"))
    return {path.name: path.read_bytes() for path in store.iterdir()}


def settings_in(folder: Path, **options) -> StoreSettings:
    return StoreSettings(str(folder), SOURCE, **options)


@pytest.fixture
def expected(clips, tmp_path):
    """The store as one process of one thread makes it."""
    FeatureStore(tmp_path / "expected", SOURCE()).extract(clips)
    return content(tmp_path / "expected")


def test_units_one_by_one_make_what_extract_makes(clips, tmp_path, expected):
    units = plan_units(settings_in(tmp_path / "units"), clips)
    assert [len(unit.utterances) for unit in units] == [4, 4, 4]
    reports = [compute_unit(pickle.loads(pickle.dumps(unit))) for unit in units]
    assert content(tmp_path / "units") == expected
    assert [report.number for report in reports] == [0, 1, 2] and not any(report.present for report in reports)
    assert sum(report.computed for report in reports) == 10
    skipped = dict(itertools.chain(*(report.skipped for report in reports)))
    assert skipped.keys() == {"text", "gone"} and "gone.wav" in skipped["gone"]


@pytest.mark.slow
def test_two_processes_make_the_same_bytes(clips, tmp_path, expected):
    seen = []
    units = plan_units(settings_in(tmp_path / "two"), clips)
    # The processes have shards of another size than this one: the units that they get are what counts.
    reports = compute_units(units, jobs=2, on_progress=lambda *counts: seen.append(counts))
    assert content(tmp_path / "two") == expected
    assert [report.number for report in reports] == [0, 1, 2] and seen[-1] == (12, 12)
    again = compute_units(units, jobs=2)
    assert content(tmp_path / "two") == expected
    assert sum(report.present for report in again) == 10 and not any(report.computed for report in again)
    assert [report.skipped for report in again] == [report.skipped for report in reports]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 1, 2, 0)])
def test_units_in_any_order_and_again(clips, tmp_path, expected, order):
    units = plan_units(settings_in(tmp_path / "units"), clips[::-1])
    compute_units([units[number] for number in order])
    assert content(tmp_path / "units") == expected


def test_frames_are_of_units_of_their_own_size(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SHARD_FRAMES", 3)
    settings = settings_in(tmp_path / "units", frames=True, segment=0.1)
    units = plan_units(settings, clips)
    assert len(units) == 4
    compute_units(units)
    FeatureStore(tmp_path / "expected", SOURCE(), frames=True, segment=0.1).extract(clips)
    assert content(tmp_path / "units") == content(tmp_path / "expected")


def test_another_process_that_was_faster_is_seen(clips, tmp_path):
    settings = settings_in(tmp_path / "store")
    units = plan_units(settings, clips[:3] + clips[4:6])
    slow, fast = settings.open(), settings.open()
    slow.compute_shard(units[0].utterances)
    fast.compute_shard(units[1].utterances)
    added = slow.compute_shard(units[1].utterances)
    assert (added.computed, added.present, added.skipped) == (0, 1, ())


def test_a_store_that_was_removed_is_made_again(clips, tmp_path):
    import shutil

    units = plan_units(settings_in(tmp_path / "store"), clips[:3])
    assert compute_unit(units[0]).computed == 3
    shutil.rmtree(tmp_path / "store")
    assert compute_unit(units[0]).computed == 3 and content(tmp_path / "store")


def test_no_clip_and_only_bad_ones(clips, tmp_path):
    settings = settings_in(tmp_path / "store")
    assert plan_units(settings, []) == () and compute_units([], jobs=2) == []
    (report,) = compute_units(plan_units(settings, [clips[3]]), jobs=4)
    assert report.computed == report.present == 0 and len(report.skipped) == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_strict_raises_from_this_process_and_from_others(clips, tmp_path, jobs, monkeypatch):
    fork_pools(monkeypatch)
    gone = [replace(clip, end=clip.end or 0.2) for clip in clips if clip.id != "text"]
    units = plan_units(settings_in(tmp_path / "store"), gone, strict=True)
    with pytest.raises(AudioError, match=r"gone\.wav"):
        compute_units(units, jobs=jobs, strict=True)
    with pytest.raises(AudioError, match="text"):
        plan_units(settings_in(tmp_path / "store"), clips, strict=True)


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_encoder_that_nobody_knows_is_one_line(clips, tmp_path, jobs):
    units = plan_units(replace(settings_in(tmp_path / "store"), encoder=EncoderSource("emotion-cn")), clips)
    with pytest.raises(UserError, match="did you mean 'emotion-cnn'"):
        compute_units(units, jobs=jobs)


def test_a_killed_share_that_runs_again_makes_the_same_bytes(clips, tmp_path, expected):
    units = plan_units(settings_in(tmp_path / "store"), clips)

    def killed():
        save, count = features.FeatureStore._save, []

        def die(self, keys, tensors):
            if count:
                os.kill(os.getpid(), signal.SIGKILL)
            count.append(1)
            save(self, keys, tensors)

        features.FeatureStore._save = die
        compute_units(units)

    assert end_of(start_forked(killed)) == -signal.SIGKILL
    assert sum(name.endswith(".safetensors") for name in content(tmp_path / "store")) == 1
    reports = compute_units(units)
    assert content(tmp_path / "store") == expected
    assert sum(report.present for report in reports) == 4 and sum(report.computed for report in reports) == 6


def test_the_source_opens_with_its_options():
    assert EncoderSource("emotion-cnn", (("seed", "3"),))().options == load_encoder("emotion-cnn", seed=3).options


def test_processes_take_this_ones_engine(monkeypatch):
    from emobridge.encoders import fixed_engine

    monkeypatch.setenv("EMOBRIDGE_ENGINE", "torch")
    with fixed_engine():
        assert os.environ["EMOBRIDGE_ENGINE"] == "torch"
    assert os.environ["EMOBRIDGE_ENGINE"] == "torch"
    monkeypatch.setattr("emobridge.encoders._engines.fastest_engine", lambda: "onnx")
    monkeypatch.delenv("EMOBRIDGE_ENGINE")
    with fixed_engine() as engine:
        assert os.environ["EMOBRIDGE_ENGINE"] == engine == "onnx"
    with fixed_engine("torch") as engine:
        assert os.environ["EMOBRIDGE_ENGINE"] == engine == "torch"
    assert "EMOBRIDGE_ENGINE" not in os.environ
    monkeypatch.setenv("EMOBRIDGE_ENGINE", "onnx")
    with fixed_engine("torch") as engine:
        assert os.environ["EMOBRIDGE_ENGINE"] == engine == "onnx", "the user's choice wins"
