"""`emobridge listening`: the commands of a listening test."""

from __future__ import annotations

import pytest

from emobridge.listening.study import check_recordings, read_study


@pytest.fixture
def new(cli, recorded, tmp_path):
    """A function that runs `listening new` on two corpora of two emotions."""

    def run(*more, out="study"):
        return cli("listening", "new", recorded / "en.jsonl", recorded / "xx.jsonl", "--out", tmp_path / out, *more)

    return run


def test_a_study_of_two_manifests(new, tmp_path):
    ran = new("--per-emotion", "2", "--emotions", "anger,sadness", "--attention", "1", "--seed", "3", "--confidence")
    assert ran.code == 0, ran.err
    study = read_study(tmp_path / "study")
    check_recordings(tmp_path / "study", study)
    assert (study.seed, study.emotions, study.wants_confidence) == (3, ("anger", "sadness"), True)
    assert [sum(item.kind == kind for item in study.items) for kind in ("item", "practice", "attention")] == [8, 2, 1]
    assert "4 items of" in ran.out and "a session takes about" in ran.out
    assert f"next: emobridge listening serve {tmp_path / 'study'}" in ran.out
    again = new("--per-emotion", "2", "--emotions", "anger,sadness", "--attention", "1", "--seed", "3", "--confidence")
    assert again.code == 0


def test_a_recording_that_cannot_be_read_is_listed_or_stops(new, recorded, tmp_path):
    for path in sorted(recorded.glob("**/*.wav"))[::4]:
        path.write_bytes(b"no audio")
    ran = new("--per-emotion", "3", "--practice", "0", "--emotions", "anger,sadness")
    assert ran.code == 0, ran.err
    assert "skipped" in ran.err
    ran = new("--per-emotion", "3", "--practice", "0", "--emotions", "anger,sadness", "--strict", out="strict")
    assert ran.code == 2 and ran.err.count("\n") == 1
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--per-emotion", "1000"), "expected 1,000 utterances of each emotion, there are"),
        (("--level", "itme"), "unknown level 'itme': did you mean 'item'?"),
        (("--rules", "none.toml"), "none.toml: cannot be read"),
        (("--exclude", "none.jsonl"), "none.jsonl: cannot be read"),
        (("--interface", "en,xx"), "interface: unknown language of the pages 'xx'"),
        (("--seed", "x"), "seed"),
    ],
)
def test_a_mistake_is_one_line(new, tmp_path, options, message):
    ran = new(*options)
    assert ran.code == 2
    assert message in ran.err and "Traceback" not in ran.err
    assert not (tmp_path / "study").exists()


def test_the_folder_of_a_study_is_no_file(new, tmp_path):
    (tmp_path / "study").write_text("")
    assert "is a file; expected a folder" in new().err
    assert "is the name of a file" in new(out="study.json").err


def test_without_a_command_the_commands_are_shown(cli):
    assert "new" in cli("listening", "--help").out
