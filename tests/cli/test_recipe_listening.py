"""`emobridge recipe run` of a recipe of listening tests: draw, wait for people, lay the published numbers beside."""

from __future__ import annotations

import csv
import json
from importlib import resources
from types import SimpleNamespace

import pytest

from emobridge.listening.dialect import DIALECT_EMOTIONS
from emobridge.listening.records import Listener, Response
from emobridge.listening.steps import draw_steps
from emobridge.listening.store import Store
from emobridge.listening.study import read_study
from emobridge.recipes.listening_report import measured_scores
from emobridge.recipes.listening_run import prepare_tests
from emobridge.recipes.recipe import read_recipe
from emobridge.recipes.replication import find_corpora
from emobridge.recipes.toy import fabricate, narrow_settings
from emobridge.recipes.toy_listeners import write_answers

HUMANS = "han2024-humans"


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """The toy corpora of the recipe, as a file for --corpora, and a recipe of few items."""
    folder = tmp_path_factory.mktemp("toys")
    _, paths, _ = fabricate(narrow_settings(read_recipe(HUMANS)), folder)
    file = folder / "corpora.toml"
    file.write_text("".join(f"{name} = {json.dumps(str(path))}\n" for name, path in paths.items()))
    text = resources.files("emobridge.recipes").joinpath(f"{HUMANS}.toml").read_text(encoding="utf-8")
    for old in ("per_emotion = 12", "per_emotion = 8"):
        assert old in text
        text = text.replace(old, "per_emotion = 4")
    recipe = folder / f"{HUMANS}.toml"
    recipe.write_text(text, encoding="utf-8")
    return SimpleNamespace(corpora=file, recipe=recipe, paths=paths)


@pytest.fixture
def run(cli, toys, tmp_path):
    """A function that runs the recipe of few items on the toy corpora."""

    def run(*more):
        return cli("recipe", "run", toys.recipe, "--corpora", toys.corpora, "--out", tmp_path / "out", *more)

    return run


def rows(path):
    with path.open(encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def test_a_toy_run_shows_all_of_it(cli, tmp_path):
    ran = cli("recipe", "run", HUMANS, "--toy", "--out", tmp_path / "toy")
    assert ran.code == 0, ran.err
    assert "NO NUMBER IS A RESULT" in ran.out and "simulated listeners" in ran.out
    published = rows(tmp_path / "toy/published.csv")
    assert len(published) == 16
    assert {row["table"] for row in published.values()} == {"Table II", "Table IV"}
    page = (tmp_path / "toy/recipe.md").read_text(encoding="utf-8")
    assert page.count("[published: listeners") == 6 or page.count("published: listeners") == 6
    assert "SYNTHETIC run." in page and "negation counts as anger" in page
    rows_of_dialect = [line for line in page.splitlines() if line.startswith(("| neutral | list", "| left out | list"))]
    assert len(rows_of_dialect) == 4 and "67.5" in rows_of_dialect[0] and all("tjd" in line for line in rows_of_dialect)
    assert (tmp_path / "toy/utterances/results/results.html").exists()
    assert (tmp_path / "toy/segments/results/results.html").exists()


def test_without_answers_it_draws_and_says_what_people_must_do(run, tmp_path, toys):
    ran = run()
    assert ran.code == 0, ran.err
    assert f"next: emobridge listening serve {tmp_path / 'out/utterances'}" in ran.out
    assert "people must listen" in ran.out
    assert not (tmp_path / "out/recipe.html").exists()
    before = (tmp_path / "out/utterances/study.json").read_bytes()
    assert run().code == 0 and (tmp_path / "out/utterances/study.json").read_bytes() == before, "drawn once"


def test_answers_to_one_test_are_scored_and_the_other_waits(run, tmp_path, toys):
    assert run().code == 0
    recipe = read_recipe(toys.recipe)
    corpora = find_corpora(recipe, toys.paths, tmp_path / "manifests")
    (part, _), _ = prepare_tests(recipe, corpora, tmp_path / "out")
    table = write_answers(tmp_path / "answers.csv", part.study, ("zh", "de"))
    ran = run("--answers", f"utterances={table}")
    assert ran.code == 0, ran.err
    published = rows(tmp_path / "out/published.csv")
    assert len(published) == 8
    row = published["han2024/listeners/de/de"]
    assert (row["target"], row["printed"]) == ("pavoque", "91.7")
    scores = json.loads((tmp_path / "out/utterances/results/scores.json").read_text())
    ua = next(
        s["value"] for s in scores if (s["method"], s["target"], s["measure"]) == ("listeners, native de", "de", "UA")
    )
    assert float(row["measured"]) == pytest.approx(ua, abs=1e-6)
    ran = run("--answers", f"utterances={tmp_path / 'out/segments'}")
    assert ran.code == 2 and "holds other items than" in ran.err
    page = (tmp_path / "out/recipe.md").read_text(encoding="utf-8")
    assert "study segments: nobody has answered yet" in page


def listen(folder, native):
    """Answer the study of a folder as its server stores it: a listener who is always right."""
    study = read_study(folder)
    truth = {item.id: DIALECT_EMOTIONS.get(item.emotion, item.emotion) for item in study.items}
    with Store(folder / "answers.sqlite") as store:
        store.add_listener(native, "en", lambda number: draw_steps(study, number))
        while (standing := store.find(native)).listener.state == "active":
            listener, step = standing.listener.id, standing.step
            if step.kind == "questions":
                facts = {"native": native, "group": native, "answers": {"native": native, "english": "C1"}}
                store.answer(Listener(listener, **facts), standing.reached)
            elif step.item:
                store.record(standing.reached, Response(listener, step.item, truth[step.item], position=step.number))
            else:
                store.advance(listener, standing.reached)


def test_what_the_server_stored_is_scored_by_the_same_command(run, tmp_path):
    assert run().code == 0
    for native in ("zh", "de"):
        listen(tmp_path / "out/utterances", native)
    ran = run()
    assert ran.code == 0, ran.err
    published = rows(tmp_path / "out/published.csv")
    assert len(published) == 8
    assert {row["measured"] for row in published.values()} == {"1.000000"}, "they were always right"
    assert {row["verdict"] for row in published.values()} == {"no interval"}, "one listener of a group"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--answers", "words=x.csv"), "--answers: unknown study 'words' (one of segments, utterances)"),
        (("--answers", "utterances"), "--answers 'utterances': expected STUDY=FOLDER"),
        (("--answers", "utterances=none.csv"), "--answers: none.csv: no such folder or table"),
        (("--epochs", "3"), "--epochs: does nothing with a recipe of listening tests"),
        (("--items", "esd=a.txt"), "--items: does nothing with a recipe of listening tests"),
        (("--only", "corpora=esd"), "--only: does nothing with a recipe of listening tests"),
    ],
)
def test_a_mistake_is_one_line(run, options, message):
    ran = run(*options)
    assert (ran.code == 2 and ran.err.strip().splitlines()[-1] == f"emobridge: {message}") or message in ran.err


def test_answers_are_of_listening_tests_alone(cli, toys):
    ran = cli("recipe", "run", "han2024-layers", "--corpora", toys.corpora, "--answers", "a=b")
    assert ran.code == 2 and "--answers: does nothing with recipe han2024-layers" in ran.err
    ran = cli("recipe", "run", HUMANS, "--toy", "--answers", "a=b")
    assert ran.code == 2 and "--answers: does nothing with --toy" in ran.err


def test_nothing_can_run_without_a_corpus(cli, tmp_path):
    (tmp_path / "data").mkdir()
    ran = cli("recipe", "run", HUMANS, "--data", tmp_path / "data", "--out", tmp_path / "out")
    assert ran.code == 2 and "recipe han2024-humans: nothing can run: corpus esd:" in ran.err
    assert not (tmp_path / "out" / "utterances").exists()


def test_a_dry_run_writes_nothing(run, tmp_path):
    ran = run("--dry-run")
    assert ran.code == 0 and "answers need people" in ran.out
    assert not (tmp_path / "out").exists()


def test_show_names_listeners_rules_and_items(cli):
    ran = cli("recipe", "show", HUMANS)
    assert ran.code == 0, ran.err
    assert "languages excludes zh, of native de" in ran.out and "english at least 6.5" in ran.out
    assert "per_emotion = 12" in ran.out and "question: of the dialect" in ran.out
    assert "| han2024-humans | Table II | 8 | 8 | 0 | - |" in ran.out


def test_scores_of_marks_are_by_emotion(toys, tmp_path):
    """A perfect listener has no error: every published EDER stands beside 0."""
    from emobridge.listening.results import listening_results
    from emobridge.listening.settings import ResultsRequest

    recipe = read_recipe(toys.recipe)
    corpora = find_corpora(recipe, toys.paths, tmp_path / "manifests")
    _, part = prepare_tests(recipe, corpora, tmp_path / "out")[0]
    table = tmp_path / "perfect.csv"
    lines = ["listener,item,emotion,start,end,native"]
    for item in part.study.items:
        if item.kind == "item":
            lines += [f"{who},{item.id},{item.emotion},{item.segment[0]},{item.segment[1]},{who[:2]}"
                      for who in ("zh1", "zh2", "de1", "de2")]  # fmt: skip
    table.write_text("\n".join(lines))
    findings = listening_results(
        ResultsRequest(study=str(table), items=str(part.folder), out=str(tmp_path / "r"))
    ).findings
    scores = measured_scores(part, findings)
    assert len(scores) == 8
    assert all(score.value == pytest.approx(0, abs=1e-9) for score in scores.values())
