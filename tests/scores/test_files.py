"""scores.json: written, read, and refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from emobridge.errors import UserError
from emobridge.scores.base import Condition
from emobridge.scores.classes import Evaluation
from emobridge.scores.files import read_scores, write_scores

CONDITION = Condition("r", "source-only", "whisper", "3", "speaker", "ravdess", "emodb", "0", "test", "target")


@pytest.fixture
def rows():
    data = Evaluation(("a", "b"), ("a", "b", "a"), (("a", "a", "b"),), ("x", "x", "y"))
    return data.scores(CONDITION)


def test_scores_survive_their_file(rows, tmp_path):
    path = tmp_path / "scores.json"
    write_scores(path, rows)
    for here, there in zip(
        read_scores(path), rows, strict=True
    ):  # NaN, of what has no interval, is not equal to itself
        np.testing.assert_equal(asdict(here), asdict(there))
    assert any(row["low"] is None for row in json.loads(path.read_text()))
    write_scores(path, [])
    assert read_scores(path) == ()


def test_what_is_no_list_of_scores_is_refused(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text(json.dumps([{"run": "r"}]))
    with pytest.raises(UserError, match="row 1 is no score"):
        read_scores(path)
    path.write_text("{}")
    with pytest.raises(UserError, match="a list of scores is expected"):
        read_scores(path)
    with pytest.raises(UserError, match="absent"):
        read_scores(tmp_path / "absent")


def test_what_is_not_defined_is_null(rows, tmp_path):
    path = tmp_path / "scores.json"
    write_scores(path, [replace(rows[0], value=float("nan"))])
    assert "null" in path.read_text()
    assert np.isnan(read_scores(path)[0].value)
