"""Attributes in a recogniser: each language has its own regressor, and older bundles have none."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from emobridge.bundle import Recognizer
from emobridge.errors import UserError
from emobridge.inference.features import encode

BOTH = {"attributes": ("arousal", "valence"), "attribute_range": "1..7"}
WAVES = [np.random.default_rng(0).standard_normal(size).astype(np.float32) for size in (4000, 2500)]


def says(one: Recognizer, language: str) -> torch.Tensor:
    """(2, C + K) of two clips by the branch of a language."""
    branch = one.branch_of(language)
    pooled = torch.stack(encode(one, WAVES, [branch.adapters] * len(WAVES)))
    return branch.answers(pooled, branch.domains[-1], None)


def test_attributes_stand_behind_probabilities(made):
    one = made("de", 1, **BOTH)
    pooled = torch.stack(encode(one, WAVES, [one.branches[0].adapters] * 2))
    said = one.answers(pooled, one.domains[-1], None)
    assert said.shape == (2, 5)
    assert torch.equal(said[:, :3], one.probabilities(pooled, one.domains[-1], None))
    x = one.normalised(pooled, one.domains[-1], None)
    torch.testing.assert_close(said[:, 3:], one.branches[0].regressor(x).detach())


@pytest.mark.parametrize("labels", [("anger", "sadness", "neutral"), ()])
def test_each_language_regresses_as_alone_before_and_after_saving(made, tmp_path, labels):
    de, it = made("de", 1, labels=labels, **BOTH), made("it", 2, labels=labels, **BOTH)
    wanted = {"de": says(de, "de"), "it": says(it, "it")}
    assert wanted["de"].shape == (2, len(labels) + 2)
    assert (wanted["de"] - wanted["it"])[:, len(labels) :].abs().max() > 1e-3
    joined = de.join(it)
    for one in (joined, Recognizer.load(joined.save(tmp_path, "card"))):
        assert one.attributes == BOTH["attributes"] and str(one.scale) == "1..7" and one.labels == labels
        for language, expected in wanted.items():
            torch.testing.assert_close(says(one, language), expected, atol=1e-5, rtol=0)


def test_who_tells_other_attributes_cannot_join(made):
    with pytest.raises(UserError, match=r"it\+en cannot join de\+en.*attributes"):
        made("de", 1, **BOTH).join(made("it", 2))


def test_languages_on_several_scales_tell_attributes_on_one(made):
    joined = made("de", 1, **BOTH).join(made("it", 2, **BOTH | {"attribute_range": "1..5"}))
    assert [str(branch.scale) for branch in joined.branches] == ["1..7", "1..5"] and str(joined.scale) == "-1..1"


def test_constructed_attributes_are_known_by_their_corpora(made):
    domains = (("emodb-constructed", "de"), ("calls", "it"))
    assert made("it", **BOTH, domains=domains).constructed
    assert not made("it", domains=domains).constructed and not made("it", **BOTH).constructed


def test_a_bundle_that_knows_no_attributes_is_read(made, tmp_path):
    made("de", 1).save(tmp_path, "card")
    about = json.loads((tmp_path / "bundle.json").read_text())
    del about["attributes"], about["attribute_range"], about["sha256"]
    (tmp_path / "bundle.json").write_text(json.dumps(about))
    one = Recognizer.load(tmp_path)
    assert one.attributes == () and one.branches[0].regressor is None
