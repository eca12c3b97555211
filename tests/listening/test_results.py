"""Results of listening tests against simulated listeners whose confusions are known, and every size at 1."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_rel

from emobridge.errors import UserError
from emobridge.listening.marks import marks_of, mean_overlap
from emobridge.listening.models import model_files
from emobridge.listening.records import Listener, ListeningItem, Response
from emobridge.listening.responses import AnswerSet
from emobridge.listening.results import ResultsRequest, listening_results, results_record
from emobridge.listening.scoring import ScoringRules, cell_language, name_of_group, relation_of, scored_listeners
from emobridge.scores.files import read_scores

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
NAMES = {"de": "German", "zh": "Chinese"}
RIGHT = {("de", "de"): 11, ("de", "zh"): 9, ("zh", "zh"): 10, ("zh", "de"): 6}  # of 12, give or take one a listener


def write_items(folder: Path, per_emotion: int = 12, languages=("de", "zh")) -> Path:
    rows = [
        {"id": f"{language}-{emotion}-{number}", "path": f"{language}-{emotion}-{number}.wav", "corpus": language,
         "language": language, "emotion": emotion, "speaker": f"s{number % 3}", "start": 0, "end": 3.0}
        for language in languages for emotion in EMOTIONS for number in range(per_emotion)
    ]  # fmt: skip
    path = folder / "items.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_table(path: Path, rows: list[dict]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def simulated(native: str, number: int) -> list[dict]:
    """Answers of a listener: of each emotion's 12 items the first are right, all others taken for the next emotion."""
    rows = []
    for language in ("de", "zh"):
        right = RIGHT[native, language] + (number % 3 - 1)
        for index, emotion in enumerate(EMOTIONS):
            for item in range(12):
                answer = emotion if item < right else EMOTIONS[(index + 1) % 4]
                name = f"{native}{number}@mail.org"
                rows.append({"listener": name, "item": f"{language}-{emotion}-{item}.wav", "emotion": answer,
                             "native": native})  # fmt: skip
    return rows


@pytest.fixture
def answered(tmp_path):
    rows = [row for native in ("de", "zh") for number in range(6) for row in simulated(native, number)]
    return write_table(tmp_path / "answers.csv", rows), write_items(tmp_path)


def request_of(answered, tmp_path, **options):
    return ResultsRequest(study=str(answered[0]), items=str(answered[1]), out=str(tmp_path / "out"), **options)


def values_of(native: str, language: str) -> list[float]:
    return [(RIGHT[native, language] + (number % 3 - 1)) / 12 for number in range(6)]


def test_groups_of_simulated_listeners(answered, tmp_path):
    findings = results_record(request_of(answered, tmp_path)).listening
    cells = {cell.name: cell for cell in findings.cells}
    assert list(cells) == [
        "native German on German",
        "native Chinese on German",
        "native Chinese on Chinese",
        "native German on Chinese",
    ]
    assert [cell.setting for cell in cells.values()] == ["mono", "cross", "mono", "cross"]
    for (native, language), right in RIGHT.items():
        cell = cells[f"native {NAMES[native]} on {NAMES[language]}"]
        assert cell.values == pytest.approx(values_of(native, language))
        margin = 2.5706 * np.std(cell.values, ddof=1) / math.sqrt(6)  # t(0.975, 5)
        assert (cell.mean.value, cell.mean.low) == pytest.approx((right / 12, right / 12 - margin), abs=1e-4)
        assert cell.counts[0] == (6 * right, 72 - 6 * right, 0, 0)  # anger is taken for happiness alone
        assert cell.counts[3] == (72 - 6 * right, 0, 0, 6 * right)


def test_tests_between_and_within_groups(answered, tmp_path):
    tests = {
        (test.test, test.first, test.second): test
        for test in results_record(request_of(answered, tmp_path)).listening.tests
    }
    between = tests["Welch", "native German on German", "native Chinese on German"]
    expected = ttest_ind(values_of("de", "de"), values_of("zh", "de"), equal_var=False)
    assert (between.t, between.freedom, between.p) == pytest.approx((expected.statistic, expected.df, expected.pvalue))
    ends = expected.confidence_interval()
    assert (between.low, between.high) == pytest.approx((ends.low, ends.high))
    family = [test for test in tests.values() if test.is_in_family]
    assert between.corrected >= between.p and len(family) == 6
    # both languages of a listener go up and down together: the differences do not vary, and no test can judge them
    within = tests["paired", "native German on German", "native German on Chinese"]
    assert within.difference == pytest.approx(2 / 12) and math.isnan(within.p) and math.isnan(within.corrected)
    beside = tests["Welch", "native German on German", "native German on Chinese"]
    assert not beside.is_in_family and beside.p == pytest.approx(
        ttest_ind(values_of("de", "de"), values_of("de", "zh"), equal_var=False).pvalue
    )


def test_a_paired_test_is_of_the_same_listeners(answered, tmp_path):
    rows = list(csv.DictReader(answered[0].open(encoding="utf-8")))
    for row in rows:  # a listener who is better in the foreign language
        if row["listener"].startswith("de0") and row["item"].startswith("zh"):
            row["emotion"] = row["item"].split("-")[1]
    write_table(answered[0], rows)
    tests = results_record(request_of(answered, tmp_path)).listening.tests
    within = next(test for test in tests if (test.test, test.first) == ("paired", "native German on German"))
    x, y = values_of("de", "de"), [1.0, *values_of("de", "zh")[1:]]
    expected = ttest_rel(x, y)
    assert (within.t, within.freedom, within.p) == pytest.approx((expected.statistic, 5, expected.pvalue))
    d = np.array(x) - np.array(y)
    assert within.effect.value == pytest.approx(d.mean() / d.std(ddof=1)) and within.counts == (6, 6)


def test_the_folder_and_the_terminal(answered, tmp_path):
    results = listening_results(request_of(answered, tmp_path))
    out = tmp_path / "out"
    first = results.lines[0]
    assert first.startswith(
        "Natives recognise the emotions of German better than those who do not know it: 91.7 against 50.0 %"
    )
    assert results.lines[-1] == f"report: {out / 'results.html'}"
    rows = read_scores(out / "scores.json")
    ua = {(row.method, row.target): row for row in rows if row.measure == "UA"}
    assert ua["listeners, native de", "de"].value == pytest.approx(11 / 12)
    assert ua["listeners, native de", "de"].setting == "mono" and ua["listeners, native zh", "de"].setting == "cross"
    assert ua["listeners, native de, L01", "de"].value == pytest.approx(10 / 12)
    assert {"WA", "F1 macro", "recall anger", "Fleiss' kappa", "Krippendorff's alpha"} <= {row.measure for row in rows}
    for name in ("results.html", "results.md", "results.json", "scores.json"):
        assert "mail.org" not in (out / name).read_text(encoding="utf-8")
    page = (out / "results.md").read_text(encoding="utf-8")
    assert "native German (natives) on German" in page and "Guessing reaches 25.0 %; 12 listeners scored." in page
    tables = list((out / "tables").glob("results-*"))
    assert {path.suffix for path in tables} == {".csv", ".tex"}
    settings = (out / "settings.toml").read_text(encoding="utf-8")
    assert "answers.csv" in settings


def test_a_difference_that_chance_could_make_is_no_finding(answered, tmp_path):
    rows = list(csv.DictReader(answered[0].open(encoding="utf-8")))
    natives = {f"{native}{number}@mail.org": ("de", "zh")[number % 2] for native in ("de", "zh") for number in range(6)}
    write_table(answered[0], [row | {"native": natives[row["listener"]]} for row in rows])
    first = listening_results(request_of(answered, tmp_path)).lines[0]
    assert (
        first.startswith("Natives are not shown to recognise the emotions of ") and "after Holm's correction)" in first
    )


def predictions(path: Path, right: int, language: str, column: str = "label") -> Path:
    rows = []
    for index, emotion in enumerate(EMOTIONS):
        for item in range(12):
            answer = emotion if item < right else EMOTIONS[(index + 1) % 4]
            rows.append({"id": f"{language}-{emotion}-{item}", "path": "x.wav", column: answer})
    return write_table(path, rows)


def test_fold_models_are_summed_and_stand_beside_their_listeners(answered, tmp_path):
    options = [f"mono:w2v2-de={predictions(tmp_path / f'{fold}.csv', 6 + fold, 'de')}" for fold in range(5)]
    results = listening_results(request_of(answered, tmp_path, model=tuple(options)))
    (model,) = results.findings.models
    assert (model.folds, model.n, model.missing, model.language) == (5, 48, 0, "de")
    assert model.counts[0] == (40, 20, 0, 0)  # 6 + 7 + 8 + 9 + 10 of five times twelve
    assert model.ua == pytest.approx(40 / 60) and model.low < model.ua < model.high
    assert (
        "w2v2-de reaches 66.7 % on German, 25.0 points below the mean of native German (natives)." in results.lines[0]
    )
    rows = [row for row in read_scores(tmp_path / "out" / "scores.json") if row.method == "w2v2-de"]
    assert {row.seed for row in rows} == {"0", "1", "2", "3", "4", "all"} and {row.setting for row in rows} == {"mono"}


def test_the_counts_that_a_budget_left(answered, tmp_path):
    rows = [
        {"method": "lora", "target_labels": "all", "normalisation": "none", "side": side, "true": true,
         "predicted": predicted, "count": 45 if true == predicted else 5}
        for side in ("source", "target") for true in EMOTIONS for predicted in EMOTIONS
    ]  # fmt: skip
    path = write_table(tmp_path / "items.csv", rows)
    with pytest.raises(UserError, match="do not tell their language: mono@LANGUAGE:w2v2"):
        results_record(request_of(answered, tmp_path, model=(f"mono:w2v2={path}",)))
    record = results_record(request_of(answered, tmp_path, model=(f"mono@de:w2v2={path}",)))
    (model,) = record.listening.models
    assert model.ua == pytest.approx(0.75) and math.isnan(model.low) and model.folds == 5
    assert any(row.method == "w2v2" and row.measure == "F1 macro" for row in record.scores)
    assert not any("other items" in line for line in record.warnings)
    other = tmp_path / "other-seed.csv"
    other.write_bytes(path.read_bytes())
    twice = (f"mono@de:w2v2={path}", f"mono@de:w2v2={other}")
    (model,) = results_record(request_of(answered, tmp_path, model=twice)).listening.models
    assert model.counts[0] == (90, 10, 10, 10) and model.folds == 10
    mixed = (f"mono@de:w2v2={path}", f"mono@de:w2v2={predictions(tmp_path / 'p.csv', 6, 'de')}")
    with pytest.raises(UserError, match="holds counts and another file predictions"):
        results_record(request_of(answered, tmp_path, model=mixed))
    write_table(path, [row | {"count": 11} for row in rows])
    record = results_record(request_of(answered, tmp_path, model=(f"mono@de:w2v2={path}",)))
    assert any("are of other items than listeners heard" in line for line in record.warnings)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("mono@fr:w2v2=x.csv", r"model w2v2: no items of fr \(there are de, zh\)"),
        ("w2v2", "expected NAME=FILE"),
        ("mona:w2v2=x.csv", "did you mean 'mono'"),
        ("mono@xx9:w2v2=x.csv", "language 'xx9'"),
        ("mono:w2v2=nowhere.csv", "nowhere.csv: cannot be read"),
    ],
)
def test_a_bad_model_is_one_line(answered, tmp_path, option, message):
    with pytest.raises(UserError, match=message):
        results_record(request_of(answered, tmp_path, model=(option,)))


def test_a_fold_model_that_is_there_twice_is_one_line():
    with pytest.raises(UserError, match=r"'mono:w=1\.csv': is there twice"):
        model_files(["mono:w=1.csv", "mono:w=2.csv", "mono:w=1.csv"])


def test_predictions_that_answer_no_item_or_one_twice(answered, tmp_path):
    path = write_table(tmp_path / "p.csv", [{"id": "de-anger-99", "label": "anger"}])
    with pytest.raises(
        UserError, match=r"answers none of the 96 items; it has 'de-anger-99', items are such as 'de-anger-\d"
    ):
        results_record(request_of(answered, tmp_path, model=(f"m={path}",)))
    write_table(path, [{"id": "de-anger-1", "label": "anger"}] * 2)
    with pytest.raises(UserError, match=r"p\.csv:3: 'de-anger-1' is answered twice"):
        results_record(request_of(answered, tmp_path, model=(f"m={path}",)))


def test_a_model_that_lacks_items_says_so(answered, tmp_path):
    rows = [{"id": f"de-{emotion}-0", "label": emotion if emotion != "neutral" else ""} for emotion in EMOTIONS]
    path = write_table(tmp_path / "p.csv", rows)
    record = results_record(request_of(answered, tmp_path, model=(f"m={path}",)))
    assert (record.listening.models[0].n, record.listening.models[0].missing) == (3, 45)
    assert any("m answers 3 of 48 items of de" in line for line in record.warnings)
    assert any("1 item without a label" in line for line in record.warnings)


def items_of(emotions=EMOTIONS, language="de") -> tuple[ListeningItem, ...]:
    return tuple(ListeningItem(emotion[:3], f"{emotion}.wav", 3.0, emotion, language=language) for emotion in emotions)


def test_listeners_are_left_out_with_a_reason_and_may_be_included():
    items = (*items_of(), ListeningItem("check", "c.wav", 1.0, "anger", kind="attention"))
    states = {"a": "finished", "b": "active", "c": "screened out", "d": "finished", "e": "withdrawn", "f": "finished"}
    listeners = tuple(Listener(name, native="de", state=state) for name, state in states.items())
    responses = [Response(name, item.id, item.emotion) for name in "abcd" for item in items[:4]]
    responses += [Response("d", "check", "sadness"), Response("a", "check", "anger")]
    answers = AnswerSet(name="t", emotions=EMOTIONS, items=items, listeners=listeners, responses=tuple(responses))
    scored = scored_listeners(answers, items[:4], ScoringRules())
    assert [row.row.excluded for row in scored] == [
        "", "unfinished", "screened out", "failed attention checks", "withdrawn", "no answer to an item",
    ]  # fmt: skip
    lenient = ScoringRules(include=("unfinished", "screened", "failed"))
    assert [row.row.excluded for row in scored_listeners(answers, items[:4], lenient)][:4] == ["", "", "", ""]
    assert not scored_listeners(answers, items[:4], ScoringRules(most_failed=1))[3].row.excluded


def test_ua_is_over_the_emotions_of_the_items_and_needs_all_of_them():
    items = items_of()
    responses = tuple(Response("a", item.id, "anger") for item in items[:3])
    answers = AnswerSet(name="t", emotions=EMOTIONS, items=items, listeners=(Listener("a"),), responses=responses)
    assert math.isnan(dict(scored_listeners(answers, items, ScoringRules())[0].row.values)["de"])
    assert dict(scored_listeners(answers, items[:3], ScoringRules())[0].row.values)["de"] == pytest.approx(1 / 3)


def test_relations_to_a_language():
    listener = Listener("a", native="de-AT", group="de-AT", answers={"languages": ("it:B2",), "english": "C1"})
    heard = ("de", "it-IT", "en", "zh", "und")
    assert [relation_of(listener, language) for language in heard] == ["mono", "trans", "trans", "cross", ""]
    assert relation_of(listener, "zh", ("zh",)) == "trans" and relation_of(Listener("b"), "de") == ""
    assert relation_of(Listener("c", native="zh", answers={"english": "none"}), "en") == "cross"
    assert relation_of(Listener("c", native="zh"), "zh-x-tianjin") == "mono"
    assert (
        relation_of(Listener("c", native="und"), "de") == ""
        and name_of_group(Listener("c", native="und", group="und")) == "listeners"
    )
    assert name_of_group(listener) == "listeners, native de"
    assert name_of_group(Listener("d", native="de", group="musicians")) == "listeners, musicians"
    assert name_of_group(Listener("e")) == "listeners"
    assert [cell_language(tag) for tag in ("de-AT", "zh", "zh-x-tianjin")] == ["de", "zh", "zh-x-tianjin"]


@pytest.mark.parametrize(("rule", "expected"), [("neutral", (1 + 1 + 0.5) / 3), ("left-out", 1.0)])
def test_the_rule_of_questions_is_named_and_can_be_changed(tmp_path, rule, expected):
    truth = {"q1": "question", "q2": "question", "n1": "negation", "e1": "expectation"}
    answers = {"q1": "neutral", "q2": "sadness", "n1": "angry", "e1": "happy"}
    rows = [
        {"listener": "a", "item": name, "emotion": answers[name], "truth": word, "language": "zh-x-tianjin",
         "native": "zh"} for name, word in truth.items()
    ]  # fmt: skip
    table = write_table(tmp_path / "a.csv", rows)
    results = listening_results(study=str(table), out=str(tmp_path / "out"), question_rule=rule)
    (cell,) = results.findings.cells
    assert cell.values == pytest.approx((expected,)) and cell.language == "zh-x-tianjin"
    page = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "negation counts as anger, expectation as happiness" in page
    assert ("the answer neutral counts as right" if rule == "neutral" else "are left out of all scores") in page


def test_no_two_cells_have_the_same_name(tmp_path):
    """Of one group some know the language as a second one, others do not: names tell them apart everywhere."""
    rows = [
        {"listener": f"{group}{native}{number}", "item": f"x-{emotion}", "emotion": emotion if number else "anger",
         "truth": emotion, "language": "de", "native": native, "languages": "de:B1" if number % 2 else "",
         "group": group}
        for group in ("", "musicians") for native in ("de", "it") for number in range(4)
        for emotion in ("anger", "sadness")
    ]  # fmt: skip
    results = listening_results(study=str(write_table(tmp_path / "a.csv", rows)), out=str(tmp_path / "out"))
    names = [cell.name for cell in results.findings.cells]
    assert sorted(names) == [
        "musicians (natives) on German", "musicians (non-natives) on German", "musicians (second language) on German",
        "native German on German", "native Italian (second language) on German", "native Italian on German",
    ]  # fmt: skip
    assert all(test.first != test.second for test in results.findings.tests)
    page = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "| de | native Italian (second language) | anger |" in page


def test_one_listener_one_item_one_emotion(tmp_path):
    table = write_table(tmp_path / "a.csv", [{"listener": "a", "item": "x", "emotion": "anger", "truth": "anger"}])
    results = listening_results(study=str(table), out=str(tmp_path / "out"))
    (cell,) = results.findings.cells
    assert cell.values == (1.0,) and math.isnan(cell.mean.low) and cell.counts == ((1,),) and not results.findings.tests
    assert any("a single listener" in line for line in results.lines)
    assert (tmp_path / "out" / "results.html").is_file()


def test_one_group_of_listeners_who_heard_one_language(answered, tmp_path):
    rows = [row for row in csv.DictReader(answered[0].open(encoding="utf-8")) if row["item"].startswith("de")]
    write_table(answered[0], [{key: row[key] for key in ("listener", "item", "emotion")} for row in rows])
    results = listening_results(request_of(answered, tmp_path))
    (cell,) = results.findings.cells
    assert (cell.who, cell.setting, len(cell.values)) == ("listeners", "", 12) and not results.findings.tests
    assert results.lines[0].startswith("Of the emotions of German, listeners recognise 70.8 %")


def test_a_manifest_of_a_whole_corpus_tells_the_truth_of_some_of_it(answered, tmp_path):
    """Its other rows and emotions are no items: a listener need not have heard them to have a UA."""
    rows = [row for row in csv.DictReader(answered[0].open(encoding="utf-8")) if row["item"].startswith("de-a")]
    write_table(answered[0], rows)
    results = listening_results(request_of(answered, tmp_path))
    assert [cell.values for cell in results.findings.cells] == [
        tuple((RIGHT[native, "de"] + (number % 3 - 1)) / 12 for number in range(6)) for native in ("de", "zh")
    ]
    page = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "somebody answered: 84 of its rows are none" in page


def test_no_listener_counts(tmp_path):
    rows = [{"listener": "a", "item": "x", "emotion": "anger", "truth": "anger", "state": "active"}]
    table = write_table(tmp_path / "a.csv", rows)
    with pytest.raises(UserError, match=r"no listener counts \(unfinished 1\); --include takes unfinished"):
        results_record(ResultsRequest(study=str(table)))
    assert results_record(ResultsRequest(study=str(table), include=("unfinished",))).listening.cells


def test_an_unknown_word_for_include_is_one_line():
    with pytest.raises(UserError, match="did you mean 'unfinished'"):
        ResultsRequest(study="x", include=("unfinishd",))


def answered_study(folder: Path):
    """A study in a folder with two listeners: a native who is right and marks well, and somebody who stops early."""
    from listening_studies import tiny_study, write_tiny_study

    from emobridge.listening.steps import draw_steps
    from emobridge.listening.store import Store

    plain = tiny_study(languages=("de",))
    items = tuple(replace(item, segment=(0.1, 0.3)) if item.kind == "item" else item for item in plain.items)
    study = write_tiny_study(folder, replace(plain, items=items))
    by_id = {item.id: item for item in study.items}
    with Store(folder / "answers.sqlite") as store:
        for secret, stops in (("one", False), ("two", True)):
            store.add_listener(secret, "en", lambda number: draw_steps(study, number))
            while (standing := store.find(secret)).listener.state == "active":
                listener, step = standing.listener.id, standing.step
                if step.kind == "questions":
                    facts = {"native": "de", "group": "de", "answers": {"english": "C1"}}
                    store.answer(Listener(listener, **facts), standing.reached)
                elif step.item:
                    emotion = by_id[step.item].emotion
                    marked = Response(listener, step.item, emotion, (0.1, 0.25), None, 1, 1.0, step.number)
                    store.record(standing.reached, marked)
                    if stops and by_id[step.item].kind == "item":
                        break
                else:
                    store.advance(listener, standing.reached)
    return study


def test_a_study_folder_with_stretches_of_truth(tmp_path):
    answered_study(tmp_path / "study")
    results = listening_results(study=str(tmp_path / "study"), out=str(tmp_path / "out"))
    assert results.findings.excluded == {"unfinished": 1}
    (cell,) = results.findings.cells
    assert (cell.name, cell.setting, cell.values) == ("native German on German", "mono", (1.0,))
    marks = cell.marks
    # 0.05 of 0.5 s is missed in each item but the neutral ones
    assert marks.eder.value == pytest.approx(0.1) and marks.pooled == pytest.approx(0.1)
    assert dict(marks.parts) == pytest.approx({"missed": 0.1, "false alarm": 0, "overlap": 0, "confusion": 0})
    assert [emotion for emotion, _ in marks.by_emotion] == ["anger", "happiness", "sadness"]
    assert {"EDER", "EDER pooled", "EDER anger"} <= {row.measure for row in results.record.scores}
    assert "EDER by emotion" in (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    both = listening_results(study=str(tmp_path / "study"), out=str(tmp_path / "out"), include=("unfinished",))
    assert len(both.findings.cells[0].listeners) == 1
    assert any("--include says so" in rule for rule in both.findings.rules)


def test_an_answer_that_the_study_does_not_offer_is_left_out_and_named(tmp_path):
    answered_study(tmp_path / "study")
    with contextlib.closing(sqlite3.connect(tmp_path / "study" / "answers.sqlite")) as file, file:
        file.execute("UPDATE responses SET emotion = 'rage' WHERE rowid = 5")
    results = listening_results(study=str(tmp_path / "study"), out=str(tmp_path / "out"))
    assert results.findings.notes == ("answers that the study does not offer: 1 ('rage')",)


def test_a_study_that_nobody_answered(tmp_path):
    from listening_studies import write_tiny_study

    write_tiny_study(tmp_path)
    with pytest.raises(UserError, match="nobody has answered yet; `emobridge listening serve"):
        results_record(ResultsRequest(study=str(tmp_path)))


def test_the_items_of_a_study_are_the_truth_of_a_table(tmp_path):
    from listening_studies import write_tiny_study

    study = write_tiny_study(tmp_path / "study")
    rows = [{"listener": "a", "item": f"audio/{item.audio}", "emotion": "anger"} for item in study.items]
    table = write_table(tmp_path / "a.csv", rows)
    record = results_record(ResultsRequest(study=str(table), items=str(tmp_path / "study"), most_failed=1))
    assert [cell.values for cell in record.listening.cells] == [(0.25,), (0.25,)]


def test_marks_without_stretches_of_truth():
    items = items_of(("anger", "sadness"))
    answers = [{"ang": Response("a", "ang", "anger", (0.0, 2.0)), "sad": Response("a", "sad", "sadness")}]
    assert math.isnan(marks_of(answers, items).overlap.value) and marks_of(answers, items).unmarked == 1
    answers.append({"ang": Response("b", "ang", "neutral", (1.0, 3.0)), "sad": Response("b", "sad", "neutral")})
    marks = marks_of(answers, items)
    assert marks.overlap.value == pytest.approx(1 / 3) and marks.marked == 2 and marks.unmarked == 1
    assert math.isnan(marks.eder.value) and marks.parts == () and marks.by_emotion == ()
    assert marks_of([{"sad": Response("a", "sad", "sadness")}], items) is None


def test_overlap_of_three_by_hand():
    assert mean_overlap([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)]) == pytest.approx((1 / 3 + 0 + 0) / 3)
    assert mean_overlap([(0.0, 2.0)] * 3) == 1 and math.isnan(mean_overlap([(0.0, 1.0)]))
