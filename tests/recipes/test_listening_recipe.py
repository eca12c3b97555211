"""Recipes of listening tests: what is read, what is drawn, and what stands beside whose answers."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
from listening_studies import tiny_study

from emobridge.data.manifest import read_manifest
from emobridge.errors import UserError
from emobridge.listening.questions import QUESTIONS, screened_out
from emobridge.listening.records import Rule
from emobridge.listening.settings import NewStudy
from emobridge.listening.study import check_recordings, read_study
from emobridge.recipes.accounting import scores_by_number
from emobridge.recipes.items import draw_items
from emobridge.recipes.listening_report import measured_scores
from emobridge.recipes.listening_run import prepare_tests, request_lines
from emobridge.recipes.recipe import read_recipe
from emobridge.recipes.replication import Available, find_corpora
from emobridge.recipes.rows import CONFUSION
from emobridge.recipes.toy import fabricate, narrow_settings
from emobridge.recipes.toy_listeners import write_answers
from emobridge.scores.paired import mean_of
from emobridge.settings import options_of_record

TINY = """
paper = "Han et al. 2025"
citation = "Han et al. (2025)."
tables = ["Table II"]
measure = "UA"
[corpora.esd]
[corpora.pavoque]
[listening]
listeners = ["zh", "de"]
[[study]]
name = "words"
corpora = ["esd", "pavoque"]
emotions = ["anger", "sadness"]
per_emotion = 2
[[study.rows]]
table = "Table II"
method = "listeners, native zh"
printed = "listeners, native zh"
[[rules]]
question = "native"
operator = "in"
value = ["zh", "de"]
[ours]
seed = "0"
"""


def refuse(name, reason):
    raise AssertionError(f"{name}: {reason}")


@pytest.fixture
def written(tmp_path):
    """A function that writes the recipe above, with other text in a place, and returns its path."""

    def write(old="", new=""):
        assert old in TINY
        path = tmp_path / "tiny.toml"
        path.write_text(TINY.replace(old, new, 1), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def humans():
    return read_recipe("han2024-humans")


@pytest.fixture(scope="module")
def fabricated(humans, tmp_path_factory):
    """The toy recipe, its corpora, and the folder of a run whose studies are written."""
    folder = tmp_path_factory.mktemp("humans")
    recipe, paths, encoders = fabricate(narrow_settings(humans), folder / "toy")
    assert not encoders
    corpora = find_corpora(recipe, paths, folder / "manifests")
    prepared, missing = prepare_tests(recipe, corpora, folder / "run", on_skip=refuse)
    assert not missing
    return recipe, corpora, prepared, folder / "run"


def test_the_published_tests(humans):
    utterances, segments = humans.listening
    assert (utterances.request.count, segments.request.count) == (12, 8)
    assert len(utterances.request.emotions) * utterances.request.count == 48
    assert segments.request.emotions == ("anger", "happiness", "sadness") and segments.request.segments
    assert utterances.request.dialect == ("tjd",) and not utterances.request.segments
    assert utterances.scored == ("listeners, native zh", "listeners, native de")
    stated = {key for test in humans.listening for key in options_of_record(NewStudy) if key not in test.unstated}
    assert set(options_of_record(NewStudy)) == stated, "no default of the product enters unnamed"


def test_who_may_take_part(humans):
    rules = humans.rules.rules
    study = tiny_study(rules=rules, questions=QUESTIONS)
    german = {"native": "de", "languages": ("fr:B1",), "english": "ielts-6.5", "age": "25-34", "headphones": "yes"}
    cases = (({}, None), ({"languages": ("zh:A1",)}, "languages"), ({"english": "B2"}, "english"),
             ({"native": "it"}, "native"), ({"age": "0-17"}, "age"),
             ({"native": "zh", "languages": ("de:A1",)}, "languages"),
             ({"native": "zh", "languages": ("en:C1",), "english": "C1"}, None))  # fmt: skip
    for changes, broken in cases:
        rule = screened_out(study, {**german, **changes})
        assert (rule and rule.question) == broken, changes


def test_each_published_number_of_listeners_has_its_cell(humans):
    cells = scores_by_number(humans)
    kinds = Counter(cell.measure for key in cells for cell in cells[key])
    assert kinds == {"UA": 8, CONFUSION: 6, "EDER": 2, "EDER anger": 2, "EDER happiness": 2, "EDER sadness": 2}
    (cell,) = cells["han2024/listeners/de/zh-x-tianjin"]
    assert (cell.study, cell.system, cell.source, cell.target) == ("utterances", "listeners, native de", "", "tjd")
    (cell,) = cells["han2024/diarization/sad/listeners-native-zh"]
    assert (cell.study, cell.target, cell.measure) == ("segments", "zed", "EDER sadness")


def test_a_recipe_of_ones_own(written):
    recipe = read_recipe(written())
    assert [test.name for test in recipe.listening] == ["words"] and not recipe.studies and not recipe.adapts
    assert recipe.rules.rules == (Rule("native", "in", ("zh", "de")),)
    assert len(scores_by_number(recipe)) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('listeners = ["zh", "de"]\n', "", "study words: listeners: expected a list of words, got None"),
        ('["zh", "de"]\n[[study]]', '["zh", "zzzz"]\n[[study]]', "study words: language 'zzzz'"),
        ('["zh", "de"]\n[[study]]', '["zh", "zh"]\n[[study]]', "listeners: zh, zh names one twice"),
        ('corpora = ["esd", "pavoque"]', 'corpora = ["esdd"]', "study words: unknown corpus 'esdd'"),
        ("per_emotion = 2", "per_emotions = 2", "unknown key 'per_emotions': did you mean 'per_emotion'"),
        ("per_emotion = 2", "per_emotion = -2", "study words: per_emotion: expected 0 or more"),
        ("per_emotion = 2", 'out = "x"', "study words: out: is no setting of a recipe's listening test"),
        ("per_emotion = 2", 'dialect = ["tjd"]', "study words: dialect: unknown corpus 'tjd'"),
        (
            'name = "words"',
            'name = "a word"',
            "expected a name of its own in small letters, such as 'words', got 'a word'",
        ),
        ('method = "listeners, native zh"', 'method = "listeners, native it"', "unknown method 'listeners, native it'"),
        ('operator = "in"', 'operator = "among"', "rule 1 about 'native': unknown operator 'among'"),
        ('measure = "UA"\n', 'measure = "UA"\nitems = 3\n', "items: expected a number, with [adapt], got 3"),
        ("[listening]", "[adapt]\n[listening]", "expected one of [probe], [adapt] and [listening], got adapt and"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_named(written, old, new, message):
    path = written(old, new)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read_recipe(path)
    assert str(caught.value).startswith(str(path))


def test_rules_go_with_listeners_alone(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TINY.replace("[listening]", "[probe]"))
    with pytest.raises(UserError, match=r"rules: goes with \[listening\]"):
        read_recipe(path)


def test_studies_are_written_with_their_items(fabricated):
    recipe, _, (utterances, segments), out = fabricated
    study = read_study(out / "utterances")
    check_recordings(out / "utterances", study)
    counts = Counter((item.language, item.emotion) for item in study.items if item.kind == "item")
    four = ("anger", "happiness", "neutral", "sadness")
    expected = {(language, emotion): 4 for language in ("zh", "de", "en") for emotion in four}
    expected |= {("zh-x-tianjin", word): 4 for word in ("negation", "expectation", "question")}
    assert counts == expected
    assert study.rules == recipe.rules.rules and study.interface == ("en", "de", "zh")
    marked = read_study(out / "segments")
    assert marked.wants_segment and all(item.segment for item in marked.items if item.kind == "item")
    assert utterances.languages == {"esd": "zh", "pavoque": "de", "iemocap": "en", "tjd": "zh-x-tianjin"}
    assert segments.languages == {"zed": "en"}
    whole, stretches = (list(read_manifest(out / f"items/zed-{name}.jsonl")) for name in ("items", "reference"))
    assert {row.id for row in whole} == {item.utterance for item in marked.items if item.kind == "item"}
    assert all((row.start, row.end) == (0, None) for row in whole) and all(row.end for row in stretches)
    assert [row.path for row in whole] == [row.path for row in stretches]
    lines = "\n".join(request_lines([utterances, segments]))
    assert "Nobody has answered yet, and no number stands beside" in lines
    assert f"next: emobridge listening serve {out / 'utterances'}" in lines


def test_listeners_hear_what_the_adapted_models_label(fabricated):
    _, corpora, _, out = fabricated
    adaptation = replace(read_recipe("han2024-adaptation"), items=2)
    for name in ("esd", "pavoque"):
        manifest = dict(corpora.paths)[name]
        apart = {row.id for row in read_manifest(draw_items(adaptation, name, manifest, out / "apart"))}
        heard = {row.id for row in read_manifest(out / "items" / f"{name}-items.jsonl")}
        assert apart <= heard and len(apart) == 8


def test_a_test_goes_on_without_a_corpus_and_not_without_all(fabricated, tmp_path):
    recipe, corpora, _, _ = fabricated
    paths = tuple(pair for pair in corpora.paths if pair[0] in ("esd", "pavoque"))
    few = Available(paths, (("tjd", "corpus tjd: not here"),))
    prepared, missing = prepare_tests(recipe, few, tmp_path, on_skip=refuse)
    assert [part.test.name for part in prepared] == ["utterances"]
    assert {item.language for item in prepared[0].study.items if item.kind == "item"} == {"zh", "de"}
    assert missing == [
        "corpus tjd: not here",
        "study utterances: without iemocap, tjd, whose published numbers have no score",
        "study segments: none of its corpora is here",
    ]
    large = replace(
        recipe, listening=tuple(replace(t, request=replace(t.request, per_emotion=999)) for t in recipe.listening)
    )
    prepared, missing = prepare_tests(large, corpora, tmp_path / "large", on_skip=refuse)
    assert not prepared and "expected 999 utterances of each emotion" in missing[0]
    with pytest.raises(UserError, match="expected 999 utterances of each emotion"):
        prepare_tests(large, corpora, tmp_path / "strict")


def test_simulated_listeners_answer_every_item(fabricated, tmp_path):
    _, _, (utterances, segments), _ = fabricated
    text = write_answers(tmp_path / "a.csv", segments.study, ("zh", "de")).read_text()
    items = [item for item in segments.study.items if item.kind == "item"]
    assert len(text.splitlines()) == 1 + 6 * len(items)
    assert text == write_answers(tmp_path / "b.csv", segments.study, ("zh", "de")).read_text()
    assert "negation" not in write_answers(tmp_path / "c.csv", utterances.study, ("zh",)).read_text()


def test_of_a_group_that_is_mixed_the_larger_part_stands_beside():
    """Of six Chinese listeners one knows no English: the five stand beside the published number, in any order."""
    cells = [
        SimpleNamespace(language="en", who="listeners, native zh", setting=setting, values=values, mean=mean_of(values),
                        labels=("anger", "sadness"), items=4, marks=None)
        for setting, values in (("trans", [0.5, 0.6, 0.7, 0.6, 0.6]), ("cross", [0.25]))
    ]  # fmt: skip
    part = SimpleNamespace(test=SimpleNamespace(name="utterances"), languages={"iemocap": "en"},
                           study=SimpleNamespace(wants_segment=False))  # fmt: skip
    for order in (cells, cells[::-1]):
        (score,) = measured_scores(part, SimpleNamespace(cells=order)).values()
        assert score.value == pytest.approx(0.6) and score.setting == "trans"
