"""Attributes of what is heard: on the target's scale in predictions, and as CCC in scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emobridge.bundle import Recognizer
from emobridge.data.manifest import read_manifest
from emobridge.errors import UserError
from emobridge.inference.evaluate import evaluate
from emobridge.inference.predict import predict
from emobridge.inference.routing import learn_router
from emobridge.scores.measures.ccc import Ccc
from emobridge.settings import Answering

BOTH = {"attributes": ("arousal", "valence"), "attribute_range": "1..7"}


@pytest.fixture
def rows(recorded):
    """Eight utterances of "de" and eight of "it"; arousal of all, valence of every other one is known, on 1..7."""
    found = [*read_manifest(recorded / "en.jsonl"), *read_manifest(recorded / "xx.jsonl")][::2]
    spoken = {"en": "de", "xx": "it"}
    return [
        replace(
            one,
            corpus="of " + spoken[one.corpus],
            language=spoken[one.corpus],
            arousal=1 + place % 7,
            valence=None if place % 2 else 7 - place / 3,
        )
        for place, one in enumerate(found)
    ]


def test_predictions_are_on_the_targets_scale(made, rows):
    one = made("it", 1, **BOTH)
    spec = replace(one.spec, attribute_range="")
    same = Recognizer(spec, one.encoder, one.domains, one.head, regressor=one.branches[0].regressor)
    for said, plain in zip(predict(one, rows[8:]), predict(same, rows[8:])):
        assert said.attribute_names == ("arousal", "valence") and said.probabilities == plain.probabilities
        assert said.attributes == pytest.approx([4 + 3 * value for value in plain.attributes], abs=1e-5)
    assert next(predict(made("it", 1), rows)).attributes is None


def test_each_language_is_answered_by_its_own_regressor(made, rows):
    one, two = made("de", 1, **BOTH), made("it", 2, **BOTH)
    alone = [each.attributes for each in (*predict(one, rows[:8]), *predict(two, rows[8:]))]
    together = [each.attributes for each in predict(one.join(two), rows)]
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_where_all_answer_the_surest_ones_attributes_count(made, rows):
    one, two = made("de", 1, **BOTH), made("it", 2, **BOTH)
    each = [list(predict(single, rows)) for single in (one, two)]
    for said, own in zip(
        predict(
            one.join(two), [replace(r, language="und", corpus="und") for r in rows], Answering.of(untold="confident")
        ),
        zip(*each),
    ):
        entropy = [-sum(p * np.log(p) for p in each.probabilities) for each in own]
        assert said.attributes == pytest.approx(own[int(np.argmin(entropy))].attributes, abs=1e-4)


@pytest.mark.parametrize("labels", [("anger", "sadness", "neutral"), ()])
def test_scores_are_those_of_the_predictions(made, rows, tmp_path, labels):
    one = made("it", 1, labels=labels, **BOTH)
    scores = {row.measure: row for row in evaluate(one, rows, store=tmp_path) if row.seed == "all"}
    said = list(predict(one, rows))
    for column, name in enumerate(BOTH["attributes"]):
        known = [place for place, row in enumerate(rows) if getattr(row, name) is not None]
        truth = [getattr(rows[place], name) for place in known]
        expected = Ccc()(truth, [said[place].attributes[column] for place in known])
        assert scores[f"CCC {name}"].value == pytest.approx(expected, abs=1e-6)
        assert scores[f"CCC {name}"].n == len(known) and scores[f"CCC {name}"].labels == "arousal,valence"
    assert ("UA" in scores) == bool(labels)


def test_what_cannot_be_scored_is_one_line(made, rows, tmp_path):
    one = made("it", 1, labels=(), **BOTH)
    with pytest.raises(UserError, match=r"arousal is 8; expected a value in 1\.\.7"):
        evaluate(one, [replace(rows[0], arousal=8), *rows[1:]], store=tmp_path)
    with pytest.raises(UserError, match=r"expected a value in 1\.\.5"):
        evaluate(one, rows, attribute_range="1..5", store=tmp_path)
    bare = [replace(row, arousal=None, valence=None) for row in rows]
    with pytest.raises(UserError, match="nothing to score: no readable utterance is labelled arousal, valence"):
        evaluate(one, bare, store=tmp_path)


def test_attributes_alone_cannot_tell_who_is_surest(made, rows):
    both = made("de", 1, labels=(), **BOTH).join(made("it", 2, labels=(), **BOTH))
    for mode in ("confident", "routed"):
        with pytest.raises(UserError, match=f"mode '{mode}': goes by how sure of an emotion"):
            list(predict(both, rows, Answering.of(untold=mode)))
    with pytest.raises(UserError, match="a router goes by how sure of an emotion"):
        learn_router(both, rows)
