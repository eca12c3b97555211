"""The store of answers: nothing is lost, nothing is there twice, and what is deleted is gone."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest
from listening_studies import tiny_study

from emobridge.errors import UserError
from emobridge.listening import changes
from emobridge.listening.records import Listener, Response
from emobridge.listening.steps import draw_steps
from emobridge.listening.store import Store
from emobridge.listening.writer import NotWrittenError, Writer


@pytest.fixture
def study():
    return tiny_study()


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "answers.sqlite") as opened:
        yield opened


@pytest.fixture
def listener(store, study):
    return store.add_listener("secret", "de", lambda number: draw_steps(study, number))


def answer_all(store, secret="secret", until=None):
    """Answer the steps of a listener to the end, or to the step with this name."""
    while (standing := store.find(secret)).listener.state == "active" and standing.step.name != until:
        listener, step = standing.listener.id, standing.step
        if step.kind == "questions":
            facts = {"native": "de", "group": "de", "answers": {"headphones": "yes", "languages": ("en:C1",)}}
            assert store.answer(Listener(listener, **facts), standing.reached)
        elif step.item:
            response = Response(listener, step.item, "anger", (0.1, 0.25), 0.5, 2, 1.5, step.number)
            assert store.record(standing.reached, response)
        else:
            assert store.advance(listener, standing.reached)
    return standing


def test_a_listener_comes_through_the_whole_study(store, listener, study):
    assert store.plan(listener.id) == draw_steps(study, 1)
    standing = answer_all(store)
    answers = {"headphones": "yes", "languages": ("en:C1",)}
    assert standing.listener == Listener(listener.id, "de", "de", "de", answers, "finished")
    assert standing.step.name == "end"
    responses = store.responses()
    assert [row.item for row in responses] == [step.item for step in draw_steps(study, 1) if step.item]
    assert responses[4] == Response(listener.id, responses[4].item, "anger", (0.1, 0.25), 0.5, 2, 1.5, 0)
    assert store.answered() == {listener.id: 17}
    assert store.listeners() == [standing.listener]
    assert store.planned_items() == {item.id for item in study.items}


def test_a_step_is_answered_once_and_in_order(store, listener):
    standing = answer_all(store, until="item-0")
    response = Response(listener.id, standing.step.item, "anger")
    ahead = Response(listener.id, store.plan(listener.id)[standing.reached + 1].item, "anger")
    assert not store.record(standing.reached + 1, ahead)
    assert store.record(standing.reached, response)
    before = store.responses()
    again = Response(listener.id, standing.step.item, "sadness")
    assert not store.record(standing.reached, again)
    assert not store.advance(listener.id, standing.reached)
    assert store.responses() == before


def test_of_two_answers_at_once_the_first_counts(store, listener):
    standing = answer_all(store, until="item-0")
    answers = [Response(listener.id, standing.step.item, emotion) for emotion in ("anger", "sadness", "anger")]
    futures = [store.submit(changes.record_response(standing.reached, response)) for response in answers]
    assert [future.result() for future in futures] == [True, False, False]
    assert [row.emotion for row in store.responses() if row.item == standing.step.item] == ["anger"]


def test_an_item_of_another_step_is_refused_and_nothing_written(store, listener):
    standing = answer_all(store, until="item-0")
    wrong = store.plan(listener.id)[standing.reached + 1].item
    with pytest.raises(ValueError, match=wrong):
        store.record(standing.reached, Response(listener.id, wrong, "anger"))
    assert store.find("secret") == standing
    assert len(store.responses()) == 4


def test_who_is_screened_out_goes_no_further(store, listener):
    assert store.answer(Listener(listener.id, state="screened out"), 0)
    standing = store.find("secret")
    assert standing.listener.state == "screened out"
    assert not store.advance(listener.id, standing.reached)


def test_a_forged_secret_finds_nobody(store, listener):
    assert store.find("secret").listener.id == listener.id
    for forged in ("", "Secret", "' OR 1=1 --", "\udcff", listener.id):
        assert store.find(forged) is None


def everything(folder):
    return b"".join(path.read_bytes() for path in folder.glob("answers.sqlite*"))


@pytest.mark.parametrize("way", ["delete", "withdraw"])
def test_what_is_deleted_is_gone_from_all_files(store, study, way, tmp_path):
    for secret in ("secret", "other"):
        store.add_listener(secret, "en", lambda number: draw_steps(study, number))
    answer_all(store)
    listener = store.find("secret").listener
    answer_all(store, "other")
    store.submit(
        lambda c: c.execute("UPDATE responses SET emotion = 'marked' WHERE listener = ?", (listener.id,))
    ).result()
    assert b"marked" in everything(tmp_path) and listener.id.encode() in everything(tmp_path)
    others = [row for row in store.responses() if row.listener != listener.id]
    assert getattr(store, way)(listener.id)
    assert b"marked" not in everything(tmp_path)
    assert store.responses() == others and len(others) == 21
    if way == "delete":
        assert listener.id.encode() not in everything(tmp_path)
        assert store.find("secret") is None
        assert not store.delete(listener.id) and not store.withdraw(listener.id)
        third = store.add_listener("third", "en", lambda number: draw_steps(study, number))
        assert store.plan(third.id) == draw_steps(study, 3), "a number is not drawn again"
    else:
        assert store.find("secret").listener == Listener(listener.id, state="withdrawn")
        assert store.plan(listener.id) == ()


def test_a_full_disk_refuses_whole_answers_and_the_next_try_works(tmp_path, study):
    class Small(Store):
        pages = 60

        def _connect(self):
            connection = super()._connect()
            connection.execute(f"PRAGMA max_page_count = {self.pages}")
            return connection

    with Small(tmp_path / "answers.sqlite") as store:
        secrets = [f"s{number}" for number in range(500)]
        with pytest.raises(NotWrittenError, match=r"answers\.sqlite: .*full"):
            [store.add_listener(secret, "en", lambda number: draw_steps(study, number)) for secret in secrets]
        added = len(store.listeners())
        assert 0 < added < 500
        assert all(len(store.plan(row.id)) == 25 for row in store.listeners())
        Small.pages = 600
        store.add_listener("more", "en", lambda number: draw_steps(study, number))
        assert len(store.listeners()) == added + 1


def test_changes_at_once_share_commits_and_none_is_lost(tmp_path):
    commits = []

    def connect():
        connection = sqlite3.connect(tmp_path / "n.sqlite", isolation_level=None, check_same_thread=False)
        connection.execute("CREATE TABLE IF NOT EXISTS n (v INTEGER UNIQUE)")
        connection.set_trace_callback(lambda line: commits.append(line) if line == "COMMIT" else None)
        return connection

    def insert(value):
        return writer.submit(lambda connection: connection.execute("INSERT INTO n VALUES (?)", (value,)).rowcount)

    writer = Writer(connect, tmp_path)
    gate = threading.Event()
    first = writer.submit(lambda connection: gate.wait(10))
    futures = [
        writer.submit(lambda c, v=value: c.execute("INSERT INTO n VALUES (?)", (v,)).rowcount) for value in range(50)
    ]
    gate.set()
    assert first.result() and [future.result() for future in futures] == [1] * 50
    assert len(commits) <= 2
    gate.clear()
    writer.submit(lambda connection: gate.wait(10))
    futures = [insert(value) for value in (50, 3, 51)]
    gate.set()
    assert [type(future.exception()) for future in futures] == [type(None), NotWrittenError, type(None)]
    writer.close()
    with pytest.raises(NotWrittenError, match="closed"):
        writer.submit(lambda connection: None)
    rows = sqlite3.connect(tmp_path / "n.sqlite").execute("SELECT v FROM n ORDER BY v").fetchall()
    assert rows == [(value,) for value in range(52)]


def test_what_was_acknowledged_survives_a_kill(tmp_path, study):
    code = f"""
import sys
from emobridge.listening.store import Store
from emobridge.listening.steps import ListeningStep
store = Store({str(tmp_path / "answers.sqlite")!r})
plan = [ListeningStep("check"), ListeningStep("end")]
for number in range(10000):
    print(store.add_listener(f"s{{number}}", "en", lambda number: plan).id, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    acknowledged = [process.stdout.readline().strip() for _ in range(20)]
    os.kill(process.pid, signal.SIGKILL)
    acknowledged += process.stdout.read().split("\n")[:-1]
    process.wait()
    with Store(tmp_path / "answers.sqlite") as store:
        stored = [row.id for row in store.listeners()]
        assert stored[: len(acknowledged)] == acknowledged
        assert len(stored) <= len(acknowledged) + 1
        store.add_listener("more", "en", lambda number: draw_steps(study, number))


def test_another_process_reads_meanwhile(store, listener, tmp_path):
    answer_all(store)
    with Store(tmp_path / "answers.sqlite") as reader:
        assert reader.listeners() == store.listeners() and len(reader.responses()) == 21
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._readers.connection.execute("DELETE FROM responses")


def test_a_file_that_is_not_there_has_no_answers(tmp_path):
    with Store(tmp_path / "answers.sqlite") as store:
        assert (store.listeners(), store.responses(), store.find("x")) == ([], [], None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("write", [False, True])
def test_a_file_that_is_something_else_is_refused(tmp_path, write):
    text, other, newer = (tmp_path / name for name in ("text.sqlite", "other.sqlite", "newer.sqlite"))
    text.write_text("not a database " * 100)
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE t (a)")
    connection.close()
    with Store(newer) as store:
        store.prepare()
        store.submit(lambda c: c.execute("PRAGMA user_version = 9")).result()
    for path, words in ((text, "not a file of answers"), (other, "another program"), (newer, "version 9")):
        before = path.read_bytes()
        with Store(path) as store, pytest.raises(UserError, match=f"{path.name}: .*{words}"):
            store.prepare() if write else store.listeners()
        assert path.read_bytes() == before
