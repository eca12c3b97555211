"""The method chosen without target labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError
from emobridge.report.choice import choice_section
from emobridge.scores.validators.base import View, judge
from emobridge.settings import CHOICES, Settings
from emobridge.study import auto as choosing
from emobridge.study.adapt import adapt
from emobridge.study.auto import Candidate, best, methods_of
from emobridge.study.record import record_of


@pytest.fixture
def settings(recorded, tmp_path):
    def make(**changes) -> Settings:
        plain = {"source": (str(recorded / "en.jsonl"),), "target": str(recorded / "xx.jsonl"), "method": "auto"}
        plain |= {"labels": ("anger", "sadness"), "out": str(tmp_path / "run"), "store": str(tmp_path / "store")}
        plain |= {"seeds": 2, "folds": 2, "epochs": 3, "batch_size": 16, "candidates": ("pseudo-labels", "dann")}
        return Settings(**{**plain, **changes})

    return make


def candidate(method: str, **values) -> Candidate:
    return Candidate(
        Settings(source=("a",), target="b", labels=("x", "y"), method=method), (), (), tuple(values.items())
    )


def test_the_settings_name_every_validator():
    names = judge(View((np.full((3, 2), 0.5),)))
    assert CHOICES["validator"] == tuple(sorted(names))


def test_the_best_is_the_highest_the_first_of_equals_and_never_unknown():
    one, two, three = candidate("a", snd=float("nan")), candidate("b", snd=0.1), candidate("c", snd=0.1)
    assert best([one, two, three], "snd").method == "b"
    assert best([one, candidate("d", snd=float("nan"))], "snd").method == "a"


def test_which_methods_are_run(settings):
    assert methods_of(settings()) == ("source-only", "pseudo-labels", "dann")
    assert methods_of(settings(method="dann")) == ("dann",)
    with pytest.raises(UserError, match=r"method auto: has no options; give threshold=0\.9 to a method by its name"):
        methods_of(settings(method_options=("threshold=0.9",)))
    with pytest.raises(UserError, match="candidates: expected at least one method"):
        methods_of(settings(candidates=()))
    with pytest.raises(UserError, match="validator agreement: compares seeds; give --seeds 2"):
        methods_of(settings(validator="agreement", seeds=1))
    with pytest.raises(UserError, match="did you mean 'dann'"):
        adapt(settings(candidates=("dan",)))


@pytest.mark.parametrize("validator", ["agreement", "consensus", "source"])
def test_all_run_and_one_is_picked_by_the_validator(settings, validator):
    one = adapt(settings(validator=validator))
    assert [each.method for each in one.candidates] == ["source-only", "pseudo-labels", "dann"]
    assert [each.settings.head for each in one.candidates] == ["single", "single", "linear"]
    chosen = best(one.candidates, validator)
    assert one.settings.method == one.recognizer.spec.method == chosen.method
    assert {each.method for each in one.predicted} == {"source-only", chosen.method}
    record = record_of(one, None, "emobridge adapt")
    assert [row.method for row in record.candidates if row.chosen] == [chosen.method]
    assert all(row.ua is not None for row in record.candidates) and record.validator == validator


def test_the_choice_does_not_look_at_target_labels(settings, recorded, tmp_path):
    before = adapt(settings())
    rows = list(read_manifest(recorded / "xx.jsonl"))
    other = {"anger": "sadness", "sadness": "anger"}
    write_manifest(recorded / "xx.jsonl", [replace(row, emotion=other.get(row.emotion)) for row in rows])
    after = adapt(settings(out=str(tmp_path / "other")))
    assert [one.judged for one in after.candidates] == [one.judged for one in before.candidates]
    assert after.settings.method == before.settings.method


def test_a_target_without_any_label_has_its_choice_too(settings, recorded, tmp_path):
    rows = list(read_manifest(recorded / "xx.jsonl"))
    write_manifest(recorded / "xx.jsonl", [replace(row, emotion=None) for row in rows])
    one = adapt(settings(candidates=("pseudo-labels",)))
    assert len(one.candidates) == 2 and all(np.isfinite(dict(each.judged)["infomax"]) for each in one.candidates)
    section = choice_section(record_of(one, None, ""))
    assert len(section.blocks) == 1 and "UA" not in section.blocks[0].columns[-1]


def test_finished_candidates_are_read(settings, monkeypatch):
    fit, fits = choosing.Runner._fit, []

    def noted(self, method, title, seed, fold):
        fits.append(title)
        return fit(self, method, title, seed, fold)

    monkeypatch.setattr(choosing.Runner, "_fit", noted)
    first = adapt(settings(guard=False))
    assert len(fits) == 3 * 2 * 2 + 1, "three methods, two seeds, two folds, and the recogniser"
    del fits[:]
    again = adapt(settings(guard=False))
    assert fits == ["final"] and [one.judged for one in again.candidates] == [one.judged for one in first.candidates]
