"""Validators as plug-ins."""

from __future__ import annotations

import math

import pytest

from emobridge import registry
from emobridge.scores.validators.base import Validator, View, judge, validators


def test_all_of_them_judge_a_system(sure, unsure):
    verdicts = judge(View((sure, sure), ((sure, unsure),), 0.8))
    assert tuple(verdicts) == registry.names("validators")
    assert tuple(verdicts) == ("agreement", "bnm", "consensus", "infomax", "snd", "source", "sureness")
    assert verdicts["source"] == 0.8 and verdicts["agreement"] == 1
    assert verdicts["infomax"] == pytest.approx(math.log(2))


@pytest.mark.parametrize("name", registry.names("validators"))
def test_a_validator_is_named_as_its_file(name):
    validator = registry.load("validators", name)
    assert validator.name == name and validator.__doc__ and validator.least_seeds >= 1


def test_one_of_ones_own(monkeypatch, sure):
    class Largest(Validator):
        """The mean of the largest probabilities."""

        name = "largest"

        def judge(self, view: View) -> float:
            return float(view.probabilities[0].max(1).mean())

    names, load = registry.names, registry.load
    monkeypatch.setattr(registry, "names", lambda kind: (*names(kind), "largest"))
    monkeypatch.setattr(registry, "load", lambda kind, name: Largest if name == "largest" else load(kind, name))
    assert judge(View((sure,)))["largest"] == 1
    assert validators()[-1].name == "largest"


def test_a_formula_is_needed(sure):
    with pytest.raises(NotImplementedError, match="validator hollow has no formula"):
        type("Hollow", (Validator,), {"name": "hollow"})().judge(View((sure,)))
