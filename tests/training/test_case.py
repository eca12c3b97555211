"""A case's key: changed by all that a fit depends on, and by nothing else.

The tables here name every field of `Case` and of `Training`: a new field fails the tests until it stands in one.
"""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import case_of

from emobridge.encoders import load_encoder
from emobridge.methods.source_only import SourceOnly
from emobridge.options import Plugin
from emobridge.settings import Training
from emobridge.training.case import Case

NO_PART = {"encoder"}  # of the key: the path or name that leads to weights, which count by their digest
# Other values of every field that a fit depends on.
OTHER = {
    "labels": (("anger", "fear"), ("sadness", "anger"), ("anger", "sadness", "fear"), ()),
    "attributes": (("arousal",), ("valence", "arousal"), ("arousal", "valence")),
    "attribute_range": ("1..7", "1..5"),
    "encoder_options": (("seed=1",), ("seed=2",), ("engine=onnx-int8",)),
    "digest": ("a", "b"),
    "layer": ("1", "0+1", "1+0"),
    "prosody": (True,),
    "statistics": (("std",), ("mean", "std"), ("std", "mean")),
    "normalise": ("none", "corpus", "speaker+text"),
    "by_corpus": (("en",), ("xx",), ("en", "xx")),
    "without_texts": (("en",), ("xx",), ("en", "xx")),
    "align": ("none",),
    "method": (Plugin("dann"), Plugin("dann", {"strength": 0.5}), Plugin("source-only", {"rebalance": False})),
    "head": (Plugin("linear"), Plugin("single", {"input_dropout": 0.5}), Plugin("linear", {"hidden": 8})),
    "train": ("head", "adapters", "end-to-end", "stages"),
    "blocks": ("0", "0+1"),
    "adapters": ("lora", "bottleneck", "lora+gating"),
    "adapter_options": (("r=2",), ("r=4",)),
    "target_labels": ("4", "all"),
    "source": ("a1", "b2"),
}
OTHER_TRAINING = {
    "epochs": (1, 99),
    "batch_size": (1, 99),
    "learning_rate": (1e-4, 1e-2),
    "decay": (0.9, 1.0),
    "weight_decay": (1e-5, 1e-4),
    "patience": (1, 5),
    "validate": ("both",),
    "validate_by": ("ua",),
    "class_weights": (False,),
    "trace": (True,),
    "crop": (1.0, 3.0),
    "encoder_rate": (1e-5, 1e-4),
    "accumulate": (2, 3),
    "checkpointing": (True,),
    "precision": ("fp32", "bf16"),
}


def trained(**changes) -> Case:
    return replace(case_of(), training=Training(**{"patience": 3, **changes}))


def test_every_field_is_classified():
    assert set(OTHER) | NO_PART | {"training"} == {item.name for item in fields(Case)}
    assert set(OTHER_TRAINING) == {item.name for item in fields(Training)}
    for name, values in OTHER.items():
        assert getattr(case_of(), name) not in values and len(set(values)) == len(values)
    for name, values in OTHER_TRAINING.items():
        assert getattr(trained().training, name) not in values


@pytest.mark.parametrize("name", OTHER)
def test_each_value_of_a_field_is_another_fit(name):
    keys = [case_of().key, *(replace(case_of(), **{name: value}).key for value in OTHER[name])]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", OTHER_TRAINING)
def test_each_value_of_training_is_another_fit(name):
    keys = [trained().key, *(trained(**{name: value}).key for value in OTHER_TRAINING[name])]
    assert len(set(keys)) == len(keys)


CHANGES = st.dictionaries(st.sampled_from(sorted(OTHER)), st.integers(0, 9), max_size=3)


@given(CHANGES, CHANGES)
def test_two_cases_share_a_key_only_where_they_are_the_same(first, second):
    cases = [
        replace(case_of(), **{name: OTHER[name][index % len(OTHER[name])] for name, index in changes.items()})
        for changes in (first, second)
    ]
    assert (cases[0].key == cases[1].key) == (cases[0] == cases[1])


def test_the_key_without_prosody_is_that_of_versions_without_it():
    assert "prosody" not in case_of().facts() and replace(case_of(), prosody=True).facts()["prosody"] is True


@pytest.mark.parametrize("name", sorted(NO_PART))
def test_a_name_is_no_part_of_the_key(name):
    assert replace(case_of(), **{name: "another"}).key == case_of().key


def test_the_spelling_of_the_encoders_path_is_no_part_of_it(tiny_encoder, tmp_path, monkeypatch):
    """Relative, absolute, with a slash behind it, by a link, or a copy elsewhere: the weights are the same."""
    link = tmp_path / "link"
    link.symlink_to(tiny_encoder)
    monkeypatch.chdir(tiny_encoder.parent)
    spellings = [
        str(tiny_encoder), f"{tiny_encoder}{os.sep}", tiny_encoder.name, f".{os.sep}{tiny_encoder.name}", str(link),
        os.path.join(str(tiny_encoder), "..", tiny_encoder.name),
    ]  # fmt: skip
    keys = {case_of(encoder=path, digest=load_encoder(path).digest).key for path in spellings}
    assert len(keys) == 1
    other = Path(tmp_path / "other")
    other.mkdir()
    for path in tiny_encoder.iterdir():
        content = path.read_bytes()
        flipped = content[:-1] + bytes([content[-1] ^ 1])
        (other / path.name).write_bytes(flipped if path.suffix == ".safetensors" else content)
    assert case_of(encoder=str(other), digest=load_encoder(str(other)).digest).key not in keys, "of other weights"


def test_options_count_by_their_values_and_not_by_their_spelling():
    spellings = [
        Plugin("dann"),
        Plugin.parse("dann", ["strength=0.3"]),
        Plugin.parse("dann", ["strength=0.30"]),
        Plugin("dann", {"strength": 0.3}),
        Plugin("emobridge.methods.dann:Dann"),
    ]
    keys = {replace(case_of(), method=plugin).key for plugin in spellings}
    assert len(keys) == 1
    assert replace(case_of(), method=Plugin("dann", {"strength": 0.31})).key not in keys


SHORT = """from emobridge.methods.base import Method
class Mine(Method):
    needs = frozenset({"source_labels"})
    def loss(self, step):
        return {"cross-entropy": step.cross_entropy() * FACTOR}
"""


def test_a_plug_in_of_ones_own_counts_by_its_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(SHORT.replace("FACTOR", "1.0"))
    keys = {replace(case_of(), method=Plugin(name)).key for name in ("./mine.py", str(tmp_path / "mine.py"), "mine.py")}
    assert len(keys) == 1
    (tmp_path / "mine.py").write_text(SHORT.replace("FACTOR", "2.0"))
    assert replace(case_of(), method=Plugin("./mine.py")).key not in keys


def test_an_object_counts_by_its_attributes():
    keys = [replace(case_of(), method=Plugin(SourceOnly(rebalance=value))).key for value in (True, True, False)]
    assert keys[0] == keys[1] != keys[2]


def test_the_key_is_short_and_names_a_file():
    assert case_of().key.isalnum() and len(case_of().key) == 24
