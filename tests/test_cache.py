"""Finished work: what is damaged is done again, and what another version left is never mixed with it."""

from __future__ import annotations

import functools
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as quick
from hypothesis import strategies as st
from toys import case_of, folds_of

from emobridge.cache import FORMAT, MARK, Cache, key_of
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.data.speech import Speech
from emobridge.errors import UserError
from emobridge.files import read_tensors
from emobridge.settings import Adapt, Budget, Split
from emobridge.study.grid import run_grid
from emobridge.study.run import Runner, run
from emobridge.study.train import train
from emobridge.training import loop, stages
from emobridge.training.stages import FitContext, Fitted, run_stages

plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def damages(path: Path, count: int) -> Iterator[str]:
    """Damage a file in about `count` ways, one after the other; it is whole again after each."""
    whole = path.read_bytes()
    draw = random.Random(0)
    size = len(whole)
    places = sorted({0, 7, 8, 9, size // 2, size - 1, *(draw.randrange(size) for _ in range(count))})
    for index in places:
        bit = 1 << draw.randrange(8)
        path.write_bytes(whole[:index] + bytes([whole[index] ^ bit]) + whole[index + 1 :])
        yield f"bit {bit} of byte {index} of {size}"
    for length in sorted({0, 1, 8, size // 2, size - 1}):
        path.write_bytes(whole[:length])
        yield f"cut to {length} of {size} bytes"
    path.write_bytes(whole + b"more")
    yield "longer"
    path.write_bytes(whole)


def weights(fitted: Fitted) -> dict[str, torch.Tensor]:
    tensors = {f"head.{name}": tensor for name, tensor in fitted.head.state_dict().items()}
    if fitted.encoder is not None:
        tensors |= {f"encoder.{name}": tensor for name, tensor in fitted.encoder.state_dict().items()}
    return tensors


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# ------------------------------------------------------------------ items


@given(plain_values, plain_values)
def test_a_key_is_of_the_values_and_of_their_types(first, second):
    assert key_of(first) == key_of(first) and len(key_of(first)) == 24
    assert (key_of(first) == key_of(second)) == (
        json.dumps(first, sort_keys=True, default=bytes.hex) == json.dumps(second, sort_keys=True, default=bytes.hex)
    )
    assert key_of(first, second) != key_of([first, second]), "two values are not one list"


def test_a_key_is_the_same_in_every_process_and_of_plain_values_alone():
    code = "from emobridge.cache import key_of; print(key_of({'b': 1, 'a': [2.5, None]}, 'x', b'y'))"
    outputs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    }
    assert outputs == {key_of({"a": [2.5, None], "b": 1}, "x", b"y")}
    with pytest.raises(TypeError, match="Path is not a plain value"):
        key_of(Path("a"))


def test_items_there_and_back(tmp_path):
    cache = Cache(tmp_path / "work")
    assert cache.read("a") is None and not (tmp_path / "work").exists(), "reading makes no folder"
    cache.write("a", {"x": np.arange(3)}, {"note": "n"})
    tensors, facts = Cache(tmp_path / "work").read("a")
    assert tensors["x"].tolist() == [0, 1, 2] and facts == {"note": "n"}
    assert (tmp_path / "work" / MARK).read_text() == FORMAT + "\n"
    assert cache.read("b") is None


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = Cache(None)
    cache.write("a", {"x": np.arange(3)}, {})
    cache.mark()
    assert cache.read("a") is None and cache.path("a") is None and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["source-only-seed0-fold0.safetensors", "one.checkpoint", "notes.txt"])
def test_the_work_of_an_earlier_version_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(UserError, match="holds work of an earlier version of emobridge") as caught:
        Cache(tmp_path)
    assert (
        "\n" not in str(caught.value)
        and str(tmp_path) in str(caught.value)
        and "give another --out" in str(caught.value)
    )
    assert [path.name for path in tmp_path.iterdir()] == [name], "and left alone"


@pytest.mark.parametrize("mark", [b"3\n", b"", b"\xff\xfe", b"2\n2\n"])
def test_work_of_another_format_is_refused(tmp_path, mark):
    (tmp_path / MARK).write_bytes(mark)
    with pytest.raises(UserError, match=r"holds work in format .*, and this emobridge writes 2") as caught:
        Cache(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_empty_or_was_killed_before_its_mark_is_nobodys(tmp_path):
    Cache(tmp_path)
    (tmp_path / f".{MARK}.abc.part").write_bytes(b"")  # a process that was killed as it wrote the mark
    cache = Cache(tmp_path)
    cache.write("a", {"x": np.arange(3)}, {})
    assert Cache(tmp_path).read("a")


def test_an_old_run_folder_is_refused_by_the_commands(recorded, cli):
    (recorded / "run" / "work").mkdir(parents=True)
    (recorded / "run" / "work" / "0a1b-source-only-seed0-fold0.safetensors").write_bytes(b"old")
    manifests = ("--source", recorded / "en.jsonl", "--target", recorded / "xx.jsonl", "--out", recorded / "run")
    for command in ("adapt", "budget"):
        done = cli(command, *manifests)
        assert done.code == 2 and len(done.complaints) == 1, done.err
        assert "work: holds work of an earlier version" in done.complaints[0]


# ------------------------------------------------------------------ fits, stages and training states


@pytest.fixture
def speech(toy_speech) -> Speech:
    return toy_speech(each=2, extra=1)


def test_another_users_work_is_left_alone(open_folder, other_user):
    folder = open_folder / "work"
    Cache(folder).write("k", {"a": np.zeros(2)}, {})
    assert other_user(lambda: Cache(folder).read("k")[0]["a"].tolist()) == [0.0, 0.0]
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    for place, mode in ((folder / "k.safetensors", 0o600), (folder / "format", 0o600), (folder, 0o700)):
        before = place.stat().st_mode & 0o777
        os.chmod(place, mode)
        said = other_user(lambda: Cache(folder).read("k"))
        assert said.startswith(str(place)) and "cannot be read (Permission denied); it belongs to " in said
        os.chmod(place, before)
    assert "cannot be written" in other_user(lambda: Cache(folder).write("l", {"a": np.zeros(2)}, {}))
    assert {path: path.read_bytes() for path in folder.iterdir()} == whole


@pytest.mark.parametrize("count", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_a_damaged_fit_is_trained_again(speech, tmp_path, count):
    case = case_of(method="pseudo-labels", method_options=("interval=1",), epochs=2)

    def answers() -> list[list[list[float]]]:
        runner = Runner(speech, Split(seeds=1, folds=2), Cache(tmp_path))
        return [part.probabilities.tolist() for system in run(runner, [case]) for part in system.predicted]

    whole = answers()
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) == 2
    for path in files:
        before = read_tensors(path)[1]
        for damage in damages(path, count):
            assert answers() == whole, damage
            assert read_tensors(path)[1] == before, f"{damage}: is written anew"


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("patience", [0, 2])
def test_a_damaged_training_state_begins_anew(speech, tmp_path, monkeypatch, patience):
    """From the start, which ends with the same weights, or from where it was, if it is whole."""
    monkeypatch.setattr(stages, "Plan", functools.partial(loop.Plan, checkpoint_every=0.0))
    case = case_of(method="pseudo-labels", method_options=("interval=1",), epochs=3, patience=patience)
    (fold, *_) = folds_of(speech, folds=2, patience=patience)
    whole = weights(run_stages(case, speech, fold, 0))
    original, epochs, stop = loop._epoch, [], True

    def counted(*arguments):
        if stop and len(epochs) == 2:
            raise Interrupted
        epochs.append(arguments[3])
        return original(*arguments)

    monkeypatch.setattr(loop, "_epoch", counted)
    workplace = FitContext(path=tmp_path / "fit")
    with pytest.raises(Interrupted):
        run_stages(case, speech, fold, 0, workplace)
    stop = False
    (path,) = tmp_path.iterdir()
    for damage in damages(path, 40):
        content = path.read_bytes()
        del epochs[:]
        assert same(weights(run_stages(case, speech, fold, 0, workplace)), whole), damage
        assert epochs == [0, 1, 2], damage
        assert not path.exists()
        path.write_bytes(content)
    del epochs[:]
    assert same(weights(run_stages(case, speech, fold, 0, workplace)), whole) and epochs == [2]


def test_a_damaged_stage_is_trained_again(recorded, tmp_path, source):
    """Whatever file of a grid's folder is damaged: stages, fits."""
    for manifest in recorded.glob("*.jsonl"):  # half of it, since an encoder is trained
        write_manifest(manifest, [row for row in list(read_manifest(manifest)) if row.id.endswith("-0")])

    def answers() -> list[list[list[float]]]:
        grid = run_grid(
            Budget.of(
                source=(str(recorded / "en.jsonl"),), target=str(recorded / "xx.jsonl"), labels=("anger", "sadness"),
                encoder=str(source("whisper")), layer="2", normalisations=("none",), methods=("fine-tuned",),
                budgets=("0",), seeds=1, folds=2, epochs=1, batch_size=8, crop=0.2, out=str(tmp_path / "grid"),
                store=str(tmp_path / "store"),
            )
        )  # fmt: skip
        return [part.probabilities.tolist() for system in grid.answers for part in system.predicted]

    whole = answers()
    work = tmp_path / "grid" / "work"
    shared = sorted((work / "stages").glob("*.safetensors"))
    assert len(shared) == 2, "a stage a fold"
    for damage in damages(shared[0], 1):
        for path in work.glob("*.safetensors"):
            path.unlink()  # else the fit is read, and the stage is not looked at
        assert answers() == whole, damage


def test_damage_of_any_file_of_a_run_changes_no_answer(recorded, tmp_path):
    """D2, through the door that users take."""
    request = Adapt.of(
        source=(str(recorded / "en.jsonl"),), target=str(recorded / "xx.jsonl"), labels=("anger", "sadness"),
        method="dann", seeds=1, folds=2, epochs=2, out=str(tmp_path / "run"), store=str(tmp_path / "store"),
    )  # fmt: skip

    def answers() -> list:
        adapted = train(request)
        predicted = [part.probabilities.tolist() for system in adapted.answers for part in system.predicted]
        return [predicted, adapted.decision.varieties]

    whole = answers()
    files = sorted((tmp_path / "run" / "work").glob("*.safetensors"))
    assert len(files) == 4, "two folds of two systems"
    draw = random.Random(1)
    for path in files:
        content = path.read_bytes()
        index = draw.randrange(len(content))
        path.write_bytes(content[:index] + bytes([content[index] ^ 4]) + content[index + 1 :])
    assert answers() == whole
    for path in files:
        path.write_bytes(path.read_bytes()[: draw.randrange(len(content))])
    assert answers() == whole


@quick(max_examples=20, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_no_item(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("work")
    cache = Cache(folder)
    cache.mark()
    cache.path("a").write_bytes(content)
    assert cache.read("a") is None


def test_an_item_of_another_key_is_told_by_its_name_alone(tmp_path):
    """A key is a hash of all that the item depends on: other cases have other names."""
    cases = [case_of(epochs=epochs) for epochs in (1, 2)]
    assert cases[0].key != cases[1].key
    assert replace(cases[0], training=cases[1].training).key == cases[1].key
