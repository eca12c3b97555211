"""Which system the bundle holds: never one that scored target speakers show to be worse than the other."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from emobridge.bundle import Recognizer
from emobridge.errors import UserError
from emobridge.scores.harm import HarmSign
from emobridge.settings import Adapt, Budget
from emobridge.study.adapt import adapt
from emobridge.study.cases import check_useful
from emobridge.study.choice import choose_system
from emobridge.study.train import train

FLIPS = """
from emobridge.methods.base import Method, weighted_cross_entropy


class Flips(Method):
    needs = frozenset({"source_labels", "target_audio"})
    head = "single"

    def loss(self, step):
        logits = step.model.classify(step.represent())
        return {"cross-entropy": weighted_cross_entropy(logits, 1 - step.label, step.weight)}
"""


@pytest.fixture
def request_of(recorded, tmp_path):
    """A function to make a request of a second or less, by a method that adaptation makes worse."""
    (tmp_path / "flips.py").write_text(FLIPS)

    def make(**changes) -> Adapt:
        plain = {
            "source": (str(recorded / "en.jsonl"),),
            "target": str(recorded / "xx.jsonl"),
            "labels": ("anger", "sadness"),
            "out": str(tmp_path / "run"),
            "store": str(tmp_path / "store"),
            "method": str(tmp_path / "flips.py"),
        }
        plain |= {"seeds": 1, "folds": 2, "epochs": 30, "batch_size": 16, "learning_rate": 0.02, "guard": False}
        return Adapt.of(**{**plain, **changes})

    return make


def unlabelled(recorded) -> None:
    path = recorded / "xx.jsonl"
    rows = [{**json.loads(line), "emotion": None} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def scores(adapted, side: str = "target") -> dict[str, float]:
    """Share of right answers on a side, by method."""
    speech = adapted.speech
    return {
        answers.method: float((part.probabilities.argmax(1) == speech.label[part.rows]).mean())
        for answers in adapted.answers
        for part in answers.predicted
        if part.side == side
    }


def test_a_method_that_makes_it_worse_is_not_handed_over(request_of, tmp_path):
    request = request_of()
    adapted = adapt(request)
    right = scores(adapted)
    assert right["source-only"] > 0.9 and right[request.system.method] < 0.1
    assert adapted.chosen == adapted.answers[0].case and adapted.system == adapted.answers[-1].case
    loaded = Recognizer.load(tmp_path / "run" / "bundle")
    for recognizer in (loaded, adapted.recognizer):
        assert recognizer.spec.method == "source-only"
        assert f"{request.system.method} is worse on the target" in recognizer.spec.reason
        assert "the target's labels made this choice" in recognizer.spec.reason
    first = adapted.lines[1]  # after the sign of harm
    assert (
        first.startswith("NO BETTER THAN CHANCE: ")
        and "adaptation made it WORSE. The bundle holds source-only" in first
    )
    record = json.loads((tmp_path / "run" / "report.json").read_text())["record"]
    assert record["bundle_method"] == "source-only" and record["method"] == request.system.method
    for name in ("report.md", "report.html", "bundle/README.md"):
        text = (tmp_path / "run" / name).read_text()
        assert "The bundle holds source-only" in text and "optimistic" in text, name
    card = (tmp_path / "run" / "bundle" / "README.md").read_text()
    assert "- Method: source-only (" in card


@pytest.mark.parametrize(("rule", "index"), [("adapted", -1), ("baseline", 0)])
def test_what_is_asked_for_is_handed_over(request_of, rule, index):
    adapted = train(request_of(bundle=rule))
    assert adapted.chosen == adapted.answers[index].case
    assert adapted.recognizer.spec.reason == f"as --bundle {rule} asks"
    assert adapted.recognizer.spec.method == adapted.answers[index].method


def test_a_rule_trains_one_recogniser_and_no_fold_again(request_of, monkeypatch):
    from emobridge.study.run import Runner

    fits, original = [], Runner.train

    def counted(self, case, seed, fold, key):
        if case.normalise != "corpus":  # which is the guard's own fit of the source
            fits.append((case.method.name, bool(fold.source_test)))
        return original(self, case, seed, fold, key)

    monkeypatch.setattr(Runner, "train", counted)
    train(request_of())
    assert [fit for fit in fits if not fit[1]] == [("source-only", False)], "the worse one is not trained on everything"
    del fits[:]
    other = train(request_of(bundle="adapted"))
    assert fits == [(other.system.method.name, False)]


def test_a_system_that_is_better_or_no_worse_is_handed_over(request_of):
    adapted = train(request_of(method="pseudo-labels", method_options=("interval=10",)))
    baseline, system = adapted.answers[0], adapted.answers[-1]
    assert adapted.chosen == system.case and "not shown to be worse" in adapted.recognizer.spec.reason
    wrong = tuple(replace(part, probabilities=part.probabilities[:, ::-1]) for part in baseline.predicted)
    better = choose_system("auto", adapted.speech, replace(baseline, predicted=wrong), system)
    assert better.case == system.case and better.reason.startswith("it is better than source-only on the target")
    worse = choose_system("auto", adapted.speech, baseline, replace(system, predicted=wrong))
    assert worse.case == baseline.case


@pytest.mark.parametrize("names", [("arousal",), ("arousal", "valence")])
def test_of_attributes_alone_the_mean_ccc_decides(request_of, names):
    adapted = train(request_of())
    truth = np.random.default_rng(0).uniform(-1, 1, (len(adapted.speech.utterances), len(names)))
    speech = replace(adapted.speech, attributes=truth)

    def regressing(answers, sign):
        case = replace(answers.case, labels=(), attributes=names)
        predicted = [replace(part, attributes=sign * truth[part.rows]) for part in answers.predicted]
        return replace(answers, case=case, predicted=tuple(predicted))

    baseline, system = adapted.answers
    worse = choose_system("auto", speech, regressing(baseline, 1), regressing(system, -1))
    assert worse.case.method.name == "source-only" and "is worse on the target" in worse.reason
    better = choose_system("auto", speech, regressing(baseline, -1), regressing(system, 1))
    assert better.case.method == system.case.method and "it is better than source-only" in better.reason


def test_a_single_scored_speaker_shows_nothing(request_of):
    adapted = train(request_of())
    speech = adapted.speech
    one = replace(speech, utterances=tuple(replace(row, speaker="a") for row in speech.utterances))
    choice = choose_system("auto", one, adapted.answers[0], adapted.answers[-1])
    assert choice.case == adapted.system and "not shown to be worse" in choice.reason


def test_where_no_label_can_tell_a_sign_of_harm_hands_over_the_baseline(request_of, recorded, tmp_path):
    """16 utterances are too few to adapt to, and the other way round is asked for by name."""
    unlabelled(recorded)
    adapted = adapt(request_of())
    reason = adapted.recognizer.spec.reason
    assert adapted.chosen == adapted.answers[0].case and adapted.system == adapted.answers[-1].case
    assert "flips.py may be worse: it has only 16 unlabelled utterances to go by (below 100)" in reason
    assert adapted.lines[0].startswith("ADAPTATION MAY HARM: it has only 16 unlabelled utterances")
    for name in ("report.md", "bundle/README.md"):
        assert "ADAPTATION MAY HARM" in (tmp_path / "run" / name).read_text()
    other = train(request_of(bundle="adapted"))
    assert other.chosen == other.system and other.harm.reasons


def test_a_sign_is_outdone_by_labels(request_of):
    """Where scored speakers show no harm, what could be foretold without them does not count."""
    adapted = train(request_of(method="pseudo-labels", method_options=("interval=10",)))
    sign = HarmSign(utterances=3, reasons=("it has only 3 utterances",))
    speech, (baseline, system) = adapted.speech, adapted.answers
    assert choose_system("auto", speech, baseline, system, sign).case == system.case
    unscored = [replace(answers, predicted=()) for answers in (baseline, system)]
    assert choose_system("auto", speech, *unscored, sign).case == baseline.case
    assert choose_system("adapted", speech, *unscored, sign).case == system.case
    steady = choose_system("auto", speech, *unscored, replace(sign, reasons=()))
    assert steady.case == system.case and "could not be checked" in steady.reason


def test_a_rule_is_refused_where_there_is_nothing_to_choose(request_of):
    with pytest.raises(UserError, match="--bundle: does nothing here, since there is no adapted system"):
        check_useful(request_of(method="source-only", bundle="adapted"))
    with pytest.raises(UserError, match="--bundle: does nothing here"):
        check_useful(Budget.of(source=("a",), target="b", bundle="adapted"))
    with pytest.raises(UserError, match=r"bundle.*'adaptd'.*did you mean 'adapted'"):
        request_of(bundle="adaptd")
