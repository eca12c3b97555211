"""What every format must keep to, run over all that the registry knows."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emobridge import registry
from emobridge.data.columns import NO_SPEAKER
from emobridge.data.labels import EMOTIONS
from emobridge.data.manifest import COLUMNS, SPLITS
from emobridge.errors import UserError
from emobridge.formats import export, import_, written_formats
from emobridge.types import Utterance

NAMES = registry.names("formats")
WRITTEN = written_formats()
SUFFIX = {
    "label-studio": ".json",
    "lhotse": ".jsonl",
    "nemo": ".jsonl",
    "nkululeko": ".csv",
    "plain-csv": ".csv",
    "speechbrain": ".json",
}
WRITE_OPTIONS = {"label-studio": {"document_root": "/"}}
ENDS_CHECKED = frozenset({"kaldi", "label-studio", "lhotse", "nemo"})  # against the recording
ENDS_WRITTEN = frozenset({"emobox", "label-studio", "lhotse", "nemo"})  # of stretches to the end of the recording
NEEDS = {"audformat": "audformat"}
UNKNOWN = {field.name: field.default for field in dataclasses.fields(Utterance)}

text = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=12).filter(
    lambda word: word == word.strip() != ""
)
plain = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)
number = st.floats(allow_nan=False, allow_infinity=False)
milliseconds = st.integers(0, 10**7).map(lambda count: count / 1000)


def needed(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])


own_column = plain.filter(lambda name: name not in COLUMNS)


@st.composite
def utterances(draw, name, clips):
    """Utterances as the format takes them: what a docstring says that it refuses is not among them."""
    strict = name in ("emobox", "s3prl")  # which want a label and a speaker without spaces
    word = plain if strict or name == "kaldi" else text
    emotion = st.sampled_from(EMOTIONS)
    within_clip = name in ENDS_CHECKED  # of one second
    time = milliseconds.map(lambda seconds: seconds % 0.4) if within_clip else milliseconds
    with_splits = draw(st.booleans()) or name == "s3prl"
    splits = st.sampled_from(("train", "test") if name == "s3prl" else SPLITS)
    if name not in ("emobox", "hf-audiofolder", "s3prl"):
        splits = st.none() | splits
    rows = []
    for path in draw(st.lists(st.sampled_from(clips), min_size=1, max_size=5, unique=name in ("s3prl", "audformat"))):
        start = 0.0 if name == "s3prl" else draw(st.just(0.0) | time)
        end = None if name == "s3prl" else draw((st.nothing() if name in ENDS_WRITTEN and start else st.none()) | time)
        rows.append(
            Utterance(
                id=draw(word),
                corpus=draw(word),
                path=path,
                start=start,
                end=None if end is None else start + 0.001 + end,
                language=draw(st.sampled_from(("und", "de", "en-GB", "zh-Hant", "fa"))),
                speaker=draw(st.none() | word),
                emotion=draw(emotion if strict else st.none() | emotion),
                arousal=draw(st.none() | number),
                valence=draw(st.none() | number),
                dominance=draw(st.none() | number),
                split=draw(splits) if with_splits else None,
                text=draw(st.none() | text),
                phones=draw(st.none() | plain.map("/{}.lab".format)),
                gender=draw(st.sampled_from((None, "female", "male", "other"))),
                naturalness=draw(st.sampled_from((None, "acted", "elicited", "natural"))),
                channel=draw(st.none() if name in ("s3prl", "lhotse") else st.none() | st.integers(0, 7)),
                age=draw(st.none() | st.floats(1, 99)),
                extra=draw(
                    st.dictionaries(own_column, text, max_size=2).map(lambda extra: tuple(sorted(extra.items())))
                ),
            )
        )
    rows = [
        dataclasses.replace(row, speaker=None) if (row.speaker or "").casefold() in NO_SPEAKER else row for row in rows
    ]
    if name == "kaldi":  # where it means that the speaker is not known
        rows = [dataclasses.replace(row, speaker=None) if row.speaker == row.id else row for row in rows]
    return [
        dataclasses.replace(row, start=round(row.start, 3), end=None if row.end is None else round(row.end, 3))
        for row in rows
    ]


def comparable(row, loses):
    """The fields that must come back, with the audio by what it is wherever it lies."""
    held = {field: getattr(row, field) for field in (*COLUMNS, "extra") if field not in loses}
    return held | {"path": os.path.realpath(row.path)}


@pytest.mark.parametrize("name", WRITTEN)
def test_nothing_is_lost_but_what_is_named(name, clips):
    needed(name)
    loses = registry.load("formats", name).LOSES

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.data())
    def check(data):
        rows = data.draw(utterances(name, clips))
        if len({row.id for row in rows}) < len(rows):
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"out{SUFFIX.get(name, '')}"
            done = export(name, path, rows, **WRITE_OPTIONS.get(name, {}))
            options = {"fold": 1} if name == "emobox" and rows[0].split else {}
            back = list(import_(name, path, **options))
            expected = [comparable(row, loses) for row in rows]
            restored = [comparable(row, loses) for row in back]
        assert done.count == len(rows)
        assert set(done.lost) == {
            field for field in loses if any(getattr(row, field) != UNKNOWN[field] for row in rows)
        }
        key = repr
        assert sorted(restored, key=key) == sorted(expected, key=key)

    check()


def test_the_known_ones_are_there():
    assert {"audformat", "emobox", "hf-audiofolder", "nkululeko", "plain-csv", "s3prl", "speechbrain"} <= set(WRITTEN)
    assert {"kaldi", "label-studio", "lhotse", "nemo"} <= set(WRITTEN)
    assert {"audacity", "elan", "funasr", "textgrid"} == set(NAMES) - set(WRITTEN)


@pytest.mark.parametrize("name", NAMES)
def test_a_format_keeps_its_protocol(name):
    module = registry.load("formats", name)
    assert module.__doc__.strip()
    functions = [(module.read, ["path"])]
    if name in WRITTEN:
        assert set(module.LOSES) <= {*COLUMNS, "extra"}
        functions.append((module.write, ["path", "utterances"]))
    for function, given_first in functions:
        parameters = list(inspect.signature(function).parameters.values())
        assert [parameter.name for parameter in parameters[: len(given_first)]] == given_first
        for option in parameters[len(given_first) :]:
            assert option.kind is option.KEYWORD_ONLY
            assert (option.default is option.empty) == (option.name in ("intake", "table"))
    assert "intake" in inspect.signature(module.read).parameters  # has labels, language, corpus, root


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_option_is_named_before_anything_is_touched(name, tmp_path):
    with pytest.raises(UserError, match="'languag': did you mean 'language'"):
        import_(name, "/nowhere", languag="de")
    with pytest.raises(UserError, match="'nonsense'" if name in WRITTEN else "is only read; formats that are written:"):
        export(name, tmp_path / "out", [Utterance("a", "c", "/a.wav")], nonsense=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_there_is_one_line_that_names_it(name, tmp_path):
    needed(name)
    with pytest.raises(UserError, match="absent") as error:
        list(import_(name, tmp_path / "absent"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", WRITTEN)
def test_nothing_is_written_of_what_a_manifest_would_refuse(name, tmp_path, clips):
    needed(name)
    good = Utterance("a", "c", clips[0], emotion="anger", split="train")
    for rows, message in (
        ([], "no utterances"),
        ([good, good], r":2: the id 'a' is already taken"),
        ([dataclasses.replace(good, emotion="hapiness")], "did you mean 'happiness'"),
        ([dataclasses.replace(good, start=2.0, end=1.0)], "'end' is 1 s"),
    ):
        with pytest.raises(UserError, match=message):
            export(name, tmp_path / f"out{SUFFIX.get(name, '')}", rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WRITTEN)
def test_raw_labels_are_understood_with_a_mapping(name, tmp_path, clips):
    needed(name)
    path = tmp_path / f"out{SUFFIX.get(name, '')}"
    row = Utterance("a", "c", clips[0], emotion="anger", split="train")
    export(name, path, [row], **WRITE_OPTIONS.get(name, {}))
    for mapping in ("anger=contempt", {"anger": "contempt"}):
        (row,) = import_(name, path, labels=mapping)
        assert row.emotion == "contempt"
    (row,) = import_(name, path, language="nl", corpus="mine")
    assert (row.emotion, row.language, row.corpus) == ("anger", "nl", "mine")
    with pytest.raises(UserError, match="unknown emotion label 'angr'"):
        list(import_(name, path, labels="W=angr"))


STRANGE = ([], ["x"], {}, {"x": 1}, [[[]]], True, -1, 10**400, 1e308, float("nan"), "", "x", None)


def places(content, path=()):
    """The path of every value in a JSON value."""
    yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def with_value(content, path, value):
    """A JSON value with another value at a path."""
    if not path:
        return value
    keys = content if isinstance(content, dict) else range(len(content))
    changed = {key: with_value(content[key], path[1:], value) if key == path[0] else content[key] for key in keys}
    return changed if isinstance(content, dict) else list(changed.values())


def json_files(name, path, clips):
    """The JSON files that a format writes, with their content; lines are a list."""
    rows = [Utterance(id_, "c", clips[0], emotion="anger", split="train", start=0.25, end=0.5) for id_ in "ab"]
    if name in ("s3prl", "hf-audiofolder", "emobox"):
        rows = [dataclasses.replace(row, start=0.0, end=None) for row in rows]
    export(name, path, rows, **WRITE_OPTIONS.get(name, {}))
    for file in sorted(path.rglob("*.json*")) if path.is_dir() else [path]:
        lines = file.suffix == ".jsonl"
        text = file.read_text()
        yield file, [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)


@pytest.mark.parametrize("name", ["emobox", "hf-audiofolder", "label-studio", "lhotse", "nemo", "s3prl", "speechbrain"])
def test_a_value_of_any_type_anywhere_is_read_or_named(name, tmp_path, clips):
    path = tmp_path / f"out{SUFFIX.get(name, '')}"
    for file, content in json_files(name, path, clips):
        text = file.read_text()
        for place in places(content):
            for value in STRANGE:
                changed = with_value(content, place, value)
                lines = changed if file.suffix == ".jsonl" and isinstance(changed, list) else [changed]
                file.write_text("".join(json.dumps(line) + "\n" for line in lines))
                with contextlib.suppress(UserError):
                    list(import_(name, path))
        file.write_text(text)


def test_unknown_formats_name_the_nearest():
    for front in (lambda: import_("emobx", "/x"), lambda: export("emobx", "/x", [])):
        with pytest.raises(UserError, match="unknown format 'emobx': did you mean 'emobox'"):
            front()
