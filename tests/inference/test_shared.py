"""Work that is shared out gives what one process gives: rows, scores, lists, and the bytes of the feature store."""

from __future__ import annotations

import contextlib
import pickle
from dataclasses import replace

import pytest

from emobridge.bundle import Recognizer
from emobridge.data.audio import AudioError
from emobridge.data.manifest import read_manifest
from emobridge.errors import UserError
from emobridge.features import store
from emobridge.inference.evaluate import evaluate
from emobridge.inference.features import stored_features
from emobridge.inference.predict import predict
from emobridge.inference.routing import modes_of, sets_of
from emobridge.inference.shared import BundleEncoder, BundleProcesses, set_of_key
from emobridge.settings import Answering
from emobridge.study.suggest import suggest


class Elsewhere:
    """A stand-in for workers on other machines: what goes there and comes back is pickled."""

    jobs, device = 2, "auto"

    def __init__(self) -> None:
        self.folders, self.works = [], []

    def sharing(self, *folders):
        self.folders += folders
        return self

    @contextlib.contextmanager
    def crew(self, start, arguments):
        start(*sent(arguments))
        yield self

    def submit(self, work, *items):
        self.works.append(work.__name__)
        try:
            return sent(work(*sent(items)))
        except AudioError as error:
            return error

    def result(self, future):
        if isinstance(future, AudioError):
            raise future
        return future

    def run(self, work, items, on_progress):
        with self.crew(work.start, work.arguments):
            results = [self.result(self.submit(work.function, item)) for item in items]
        if on_progress is not None:
            on_progress(len(items), len(items))
        return results


def sent(value):
    return pickle.loads(pickle.dumps(value))


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def rows(recorded, monkeypatch):
    """16 utterances, two shards of the store, and a file that is no audio."""
    monkeypatch.setattr(store, "SHARD", 9)
    rows = list(read_manifest(recorded / "xx.jsonl"))
    (recorded / "text.wav").write_text("no audio")
    return [*rows[:5], replace(rows[0], id="text", path=str(recorded / "text.wav")), *rows[5:]]


@pytest.fixture
def shared(finished):
    """The same recogniser with workers elsewhere."""
    return BundleProcesses.open(finished / "bundle", workers=Elsewhere())


@pytest.mark.parametrize("statistics", ["these", "stored"])
def test_predictions_are_those_of_one_process(shared, rows, tmp_path, statistics):
    settings, skipped = Answering(statistics=statistics), []
    expected, found = (
        list(predict(who, rows, settings, store=tmp_path / place, on_skip=lambda *pair: skipped.append(pair)))
        for who, place in ((shared.recognizer, "alone"), (shared, "spread"))
    )
    assert found == expected and len(found) == 16
    assert skipped[0] == skipped[1] and skipped[0][0] == "text"
    together = statistics == "these"  # speakers are standardised by all their clips: features come first
    assert set(shared.workers.works) == {"_work" if together else "_answer_unit"}
    if together:
        assert contents(tmp_path / "spread") == contents(tmp_path / "alone")


def test_a_score_and_a_list_are_those_of_one_process(shared, rows, tmp_path):
    skipped = []
    scores, again = (
        evaluate(who, rows, store=tmp_path / place, on_skip=lambda *pair: skipped.append(pair))
        for who, place in ((shared.recognizer, "alone"), (shared, "spread"))
    )
    assert again == scores and skipped[0] == skipped[1]
    assert shared.workers.works == ["_work"] * 2 and shared.workers.folders == [tmp_path / "spread"]
    assert contents(tmp_path / "spread") == contents(tmp_path / "alone")
    free = [replace(row, emotion=None, corpus="new") for row in rows if row.id != "text"]
    options = {"by": "margin", "count": 7}
    listed = suggest(shared.recognizer, free, store=tmp_path / "alone", **options)
    assert suggest(shared, free, store=tmp_path / "third", **options) == listed
    assert shared.workers.works == ["_work"] * 4


@pytest.fixture
def several(made, tmp_path):
    """A recogniser of two languages on one encoder, each with adapters of its own, and its workers."""
    made("de", 1).join(made("it", 2)).save(tmp_path / "bundle", "card")
    return BundleProcesses.open(tmp_path / "bundle", workers=Elsewhere())


@pytest.mark.parametrize("untold", ["averaged", "confident"])
def test_each_set_of_adapters_has_its_own_features(several, rows, tmp_path, untold):
    clips = [replace(row, corpus="x", language="und") for row in rows if row.id != "text"]
    recognizer = several.recognizer
    modes = modes_of(recognizer, clips, untold)
    sets = [sets_of(recognizer, mode) for mode in modes]
    alone, _ = stored_features(recognizer, clips, sets, tmp_path / "alone")
    seen = []
    report = lambda *counts: seen.append(counts)  # noqa: E731
    spread, _ = stored_features(recognizer, clips, sets, tmp_path / "spread", None, report, several)
    assert contents(tmp_path / "spread") == contents(tmp_path / "alone")
    count = 1 if untold == "averaged" else 2
    assert seen == sorted(seen) and {total for _, total in seen} == {16 * count} and seen[-1][0] == 16 * count
    assert len(list((tmp_path / "spread").iterdir())) == count and several.workers.works == ["_work"] * 2 * count
    for adapters, features in alone.items():
        assert all(bool((features[row] == spread[adapters][row]).all()) for row in features)


def test_an_encoder_is_opened_through_the_set_that_was_meant(several, tmp_path):
    recognizer = several.recognizer
    sets = [None, *(branch.adapters for branch in recognizer.branches), recognizer.average]
    keys = [None if adapters is None else adapters.key for adapters in sets]
    assert len(set(keys)) == 4 and [set_of_key(recognizer, key) for key in keys] == sets
    digests = [BundleEncoder(several.bundle, None, key)().digest for key in keys]
    assert digests == [recognizer.base, *(adapters.digest for adapters in sets[1:])] and len(set(digests)) == 4


def test_heads_of_frames_too(made, rows, tmp_path):
    made("de", adapters="", frames=True).save(tmp_path / "bundle", "card")
    shared = BundleProcesses.open(tmp_path / "bundle", workers=Elsewhere())
    clips, sets = rows[:7], [[None]] * 7
    reasons, seen = [], []
    alone, good = stored_features(shared.recognizer, clips, sets, None, lambda *pair: reasons.append(pair))
    spread, read = stored_features(
        shared.recognizer, clips, sets, None, lambda *pair: reasons.append(pair), lambda *n: seen.append(n), shared
    )
    assert read == good == [0, 1, 2, 3, 4, 6] and reasons[0] == reasons[1] and seen[-1] == (7, 7)
    assert all(bool((alone[None][row] == spread[None][row]).all()) for row in good)
    assert shared.workers.works == ["_frames"] * 7
    with pytest.raises(AudioError, match=r"text\.wav"):
        stored_features(shared.recognizer, clips, sets, None, processes=shared)


def test_a_single_shard_goes_to_others_too_and_to_the_device_that_was_named(finished, rows, tmp_path):
    units, workers = [], Elsewhere()
    workers.device = "cpu"
    workers.submit = lambda work, unit: units.append(unit) or work(unit)
    shared = BundleProcesses.open(finished / "bundle", workers=workers, device="cuda")  # of theirs, not of this machine
    evaluate(shared, rows[:5], store=tmp_path)
    assert [unit.settings.device for unit in units] == ["cpu"] and len(units[0].utterances) == 5


def test_one_that_learns_on_the_way_takes_one_process(shared, rows):
    with pytest.raises(UserError, match="give --jobs 1, no --cluster"):
        list(predict(shared, rows, Answering(adapt_online=True)))


def test_without_others_this_process_works(finished, rows, tmp_path):
    alone = BundleProcesses.open(finished / "bundle")
    assert not alone.are_many and alone.crew(5, print, ()) is None
    assert evaluate(alone, rows[:5], store=tmp_path) == evaluate(Recognizer.load(finished / "bundle"), rows[:5])


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate", "suggest", "predict"])
def test_the_commands_share_their_work_among_processes(cli, finished, recorded, rows, tmp_path, command):
    from emobridge.data.manifest import write_manifest

    write_manifest(recorded / "many.jsonl", rows if command != "suggest" else [replace(r, emotion=None) for r in rows])
    manifest = (recorded / "many.jsonl",) if command == "predict" else ("--on", recorded / "many.jsonl")
    suffix = {"evaluate": "json", "suggest": "csv", "predict": "jsonl"}[command]
    for jobs in (1, 2):
        out = ("--out", tmp_path / f"{jobs}.{suffix}", "--store", tmp_path / f"store {jobs}")
        ran = cli(command, finished / "bundle", *manifest, *out, "--jobs", jobs)
        assert ran.code == 0, ran.err
    assert (tmp_path / f"1.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()
