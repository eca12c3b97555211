"""The method chosen without target labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toys import case_of

from emobridge import registry
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError
from emobridge.report.choice import choice_section
from emobridge.scores.validators.base import View, judge
from emobridge.settings import Adapt
from emobridge.study.auto import Candidate, best
from emobridge.study.cases import choices_of_request
from emobridge.study.record import record_of
from emobridge.study.run import Answers, Runner
from emobridge.study.train import train


@pytest.fixture
def settings(recorded, tmp_path):
    def make(**changes) -> Adapt:
        plain = {"source": (str(recorded / "en.jsonl"),), "target": str(recorded / "xx.jsonl"), "method": "auto"}
        plain |= {"labels": ("anger", "sadness"), "out": str(tmp_path / "run"), "store": str(tmp_path / "store")}
        plain |= {"seeds": 2, "folds": 2, "epochs": 3, "batch_size": 16}
        values = {**plain, **changes}
        return Adapt.of(
            **({"candidates": ("pseudo-labels", "dann")} | values if values["method"] == "auto" else values)
        )

    return make


def candidate(method: str, **values) -> Candidate:
    return Candidate(Answers(case_of(method=method), (), ()), tuple(values.items()))


def methods_of(request: Adapt) -> tuple[str, ...]:
    return tuple(choice.method for choice in choices_of_request(request))


def test_every_validator_judges():
    assert set(judge(View((np.full((3, 2), 0.5),)))) == set(registry.names("validators"))


def test_the_best_is_the_highest_the_first_of_equals_and_never_unknown():
    one, two, three = (
        candidate("source-only", snd=float("nan")),
        candidate("dann", snd=0.1),
        candidate("nnpm", snd=0.1),
    )
    assert best([one, two, three], "snd").method == "dann"
    assert best([one, candidate("fluda", snd=float("nan"))], "snd").method == "source-only"


def test_which_methods_are_run(settings):
    assert methods_of(settings()) == ("source-only", "pseudo-labels", "dann")
    assert methods_of(settings(candidates=("dann", "source-only"))) == ("source-only", "dann"), "the baseline once"
    assert methods_of(settings(method="dann")) == ("source-only", "dann")
    with pytest.raises(UserError, match=r"method auto: has no options; give threshold=0\.9 to a method by its name"):
        methods_of(settings(method_options=("threshold=0.9",)))
    with pytest.raises(UserError, match="candidates: expected at least one method"):
        methods_of(settings(candidates=()))
    with pytest.raises(UserError, match="validator agreement: compares seeds; give --seeds 2"):
        methods_of(settings(validator="agreement", seeds=1))
    with pytest.raises(UserError, match="did you mean 'dann'"):
        train(settings(candidates=("dan",)))
    with pytest.raises(UserError, match="unknown validator 'agrement': did you mean 'agreement'"):
        train(settings(validator="agrement"))


@pytest.mark.parametrize("validator", ["agreement", "consensus", "source"])
def test_all_run_and_one_is_picked_by_the_validator(settings, validator):
    one = train(settings(validator=validator))
    assert [each.method for each in one.candidates] == ["source-only", "pseudo-labels", "dann"]
    assert [each.answers.case.head.name for each in one.candidates] == ["discriminant", "single", "linear"]
    chosen = best(one.candidates, validator)
    assert one.chosen == chosen.answers.case and one.recognizer.spec.method == chosen.method
    assert [answers.case for answers in one.answers] == [each.answers.case for each in one.candidates]
    record = record_of(one, None, "emobridge adapt")
    assert [row.method for row in record.candidates if row.chosen] == [chosen.method]
    assert all(row.ua is not None for row in record.candidates) and record.validator == validator


def test_the_choice_does_not_look_at_target_labels(settings, recorded, tmp_path):
    before = train(settings())
    rows = list(read_manifest(recorded / "xx.jsonl"))
    other = {"anger": "sadness", "sadness": "anger"}
    write_manifest(recorded / "xx.jsonl", [replace(row, emotion=other.get(row.emotion)) for row in rows])
    after = train(settings(out=str(tmp_path / "other")))
    assert [each.judged for each in after.candidates] == [each.judged for each in before.candidates]
    assert after.chosen == before.chosen


def test_a_target_without_any_label_has_its_choice_too(settings, recorded):
    rows = list(read_manifest(recorded / "xx.jsonl"))
    write_manifest(recorded / "xx.jsonl", [replace(row, emotion=None) for row in rows])
    one = train(settings(candidates=("pseudo-labels",)))
    assert len(one.candidates) == 2 and all(np.isfinite(dict(each.judged)["infomax"]) for each in one.candidates)
    section = choice_section(record_of(one, None, ""))
    assert len(section.blocks) == 1 and "UA" not in section.blocks[0].columns[-1]


def test_finished_candidates_are_read(settings, monkeypatch):
    fit, fits = Runner.train, []

    def noted(self, case, seed, fold, key):
        fits.append((case.method.name, fold.target_test))
        return fit(self, case, seed, fold, key)

    monkeypatch.setattr(Runner, "train", noted)
    first = train(settings(guard=False))
    assert len(fits) == 3 * 2 * 2 + 1, "three methods, two seeds, two folds, and the recogniser"
    del fits[:]
    again = train(settings(guard=False))
    assert fits == [(again.chosen.method.name, ())], "only the recogniser, which is not written down"
    assert [each.judged for each in again.candidates] == [each.judged for each in first.candidates]
    del fits[:]
    train(settings(guard=False, candidates=("dann", "pseudo-labels", "nnpm")))
    assert len(fits) == 2 * 2 + 1, "a candidate more costs its own fits"
