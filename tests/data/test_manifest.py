import json
import math
import os
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emobridge.data.labels import EMOTIONS
from emobridge.data.manifest import COLUMNS, SPLITS, read_manifest, write_manifest
from emobridge.errors import UserError
from emobridge.types import Utterance

signs = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="\ufffe\uffff")
word = st.text(signs, min_size=1, max_size=12)
lines = st.text(signs | st.sampled_from("\n\t\r\u2028"), min_size=1, max_size=12)
finite = st.floats(allow_nan=False, allow_infinity=False)
name = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)
own_column = name.filter(lambda text: text not in COLUMNS)


@st.composite
def utterances(draw):
    start = draw(st.floats(0, 1e6))
    return Utterance(
        id=draw(word),
        corpus=draw(word),
        path="/" + "/".join(draw(st.lists(name, min_size=1, max_size=3))),
        start=start,
        end=draw(st.none() | st.floats(start, 1e9, exclude_min=True)),
        language=draw(st.sampled_from(("und", "de", "zh-Hant-TW", "gsw", "x-mine"))),
        speaker=draw(st.none() | word),
        emotion=draw(st.none() | st.sampled_from(EMOTIONS)),
        arousal=draw(st.none() | finite),
        valence=draw(st.none() | finite),
        dominance=draw(st.none() | finite),
        split=draw(st.none() | st.sampled_from(SPLITS)),
        text=draw(st.none() | lines),
        phones=draw(st.none() | name.map("/{}.lab".format)),
        gender=draw(st.none() | word),
        naturalness=draw(st.none() | word),
        channel=draw(st.none() | st.integers(0, 63)),
        age=draw(st.none() | st.floats(0, 130, exclude_min=True)),
        extra=draw(st.dictionaries(own_column, word, max_size=3).map(lambda extra: tuple(sorted(extra.items())))),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(utterances(), min_size=1, max_size=5, unique_by=lambda u: u.id))
def test_round_trip(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.jsonl"
        assert write_manifest(path, iter(rows)) == len(rows)
        assert list(read_manifest(path)) == rows
        assert all(None not in json.loads(line).values() for line in path.read_text(encoding="utf-8").split("\n")[:-1])


def test_paths_inside_the_folder_are_relative_and_move_with_it(tmp_path):
    here = tmp_path / "here"
    inside, outside = here / "audio" / "a.wav", tmp_path / "elsewhere" / "b.wav"
    rows = [Utterance("a", "c", str(inside), phones=str(here / "a.lab")), Utterance("b", "c", str(outside))]
    write_manifest(tmp_path / "else" / "m.jsonl", rows)  # "elsewhere" is not inside "else"
    assert list(read_manifest(tmp_path / "else" / "m.jsonl")) == rows
    assert str(outside) in (tmp_path / "else" / "m.jsonl").read_text()
    write_manifest(here / "m.jsonl", rows)
    written = [json.loads(line) for line in (here / "m.jsonl").read_text().splitlines()]
    assert [row["path"] for row in written] == ["audio/a.wav", str(outside)]
    assert written[0]["phones"] == "a.lab"
    here.rename(tmp_path / "there")
    read = list(read_manifest(tmp_path / "there" / "m.jsonl"))
    assert [row.path for row in read] == [str(tmp_path / "there" / "audio" / "a.wav"), str(outside)]


def test_paths_relative_to_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_manifest("out/m.jsonl", [Utterance("a", "c", "out/a.wav"), Utterance("b", "c", "b.wav")])
    assert [row.path for row in read_manifest("out/m.jsonl")] == [str(tmp_path / "out/a.wav"), str(tmp_path / "b.wav")]


def test_synonyms_blank_lines_byte_order_mark_and_empty_values_are_accepted(tmp_path):
    path = tmp_path / "m.jsonl"
    row = {"id": "a", "path": "a.wav", "corpus": "c", "emotion": "joy", "speaker": "", "end": None, "start": 1}
    path.write_text("\ufeff\n" + json.dumps(row) + "\n\n", encoding="utf-8")
    (read,) = read_manifest(path)
    assert (read.emotion, read.speaker, read.end, read.start, read.language) == ("happiness", None, None, 1.0, "und")


def test_a_language_is_read_and_written_in_its_usual_spelling(tmp_path):
    path = tmp_path / "m.jsonl"
    spellings = ("zh_TW", "ZHO", "cmn", "deu-at", "und", "")
    lines = [json.dumps({"id": tag or "-", "path": "a", "corpus": "c", "language": tag}) for tag in spellings]
    path.write_text("\n".join(lines))
    assert [row.language for row in read_manifest(path)] == ["zh-TW", "zh", "cmn", "de-AT", "und", "und"]
    write_manifest(path, [Utterance(tag, "c", "a", language=tag) for tag in spellings[:-1]])
    assert [row.language for row in read_manifest(path)] == ["zh-TW", "zh", "cmn", "de-AT", "und"]


GOOD = '{"id": "a", "path": "a.wav", "corpus": "c"}'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "expected a JSON object"),
        ("[" * 100_000, "not valid JSON"),
        ('{"id": "b", "corpus": "c"}', "required column 'path' is missing"),
        ('{"id": "", "path": "p", "corpus": "c"}', "required column 'id' is empty"),
        (
            '{"id": "b", "path": "p", "corpus": "c", "emotoin": "joy"}',
            "unknown column 'emotoin': did you mean 'emotion'",
        ),
        (GOOD, "the id 'a' is already taken"),
        (
            '{"id": "b", "path": "p", "corpus": "c", "language": "itallian"}',
            "language 'itallian': did you mean 'it' (Italian)? expected a BCP 47 tag",
        ),
        (
            '{"id": "b", "path": "p", "corpus": "c", "emotion": "hapiness"}',
            "unknown emotion label 'hapiness': did you mean 'happiness'",
        ),
        ('{"id": "b", "path": "p", "corpus": "c", "split": "dev"}', "unknown split 'dev'"),
        ('{"id": "b", "path": "p", "corpus": "c", "start": -1}', "'start' is -1 s"),
        (
            '{"id": "b", "path": "p", "corpus": "c", "start": 2, "end": 1}',
            "'end' is 1 s; expected more than 'start', 2 s",
        ),
        ('{"id": "b", "path": "p", "corpus": "c", "start": 2, "end": 2}', "'end' is 2 s"),
        ('{"id": "b", "path": "p", "corpus": "c", "end": "3"}', "'end' is \"3\"; expected a number"),
        ('{"id": "b", "path": "p", "corpus": "c", "channel": 0.5}', "'channel' is 0.5; expected a whole number from 0"),
        ('{"id": "b", "path": "p", "corpus": "c", "channel": -1}', "'channel' is -1; expected a whole number from 0"),
        ('{"id": "b", "path": "p", "corpus": "c", "channel": "left"}', "'channel' is \"left\"; expected a number"),
        ('{"id": "b", "path": "p", "corpus": "c", "end": true}', "'end' is true; expected a number"),
        ('{"id": "b", "path": "p", "corpus": "c", "speaker": 7}', "'speaker' is 7; expected text"),
        ('{"id": "b\\ud800", "path": "p", "corpus": "c"}', "'id' is 'b\\ud800' and holds the character U+D800"),
        ('{"id": "b", "path": "p\\udcff", "corpus": "c"}', "'path' is 'p\\udcff' and holds the character U+DCFF"),
        ('{"id": "b", "path": "p", "corpus": "c\\u0000"}', "'corpus' is 'c\\x00' and holds the character U+0000"),
        ('{"id": "b", "path": "p", "corpus": "c", "speaker": "\\u001b[31m"}', "holds the character U+001B"),
        ('{"id": "b", "path": "p", "corpus": "c", "text": "a\\u0007"}', "'text' is 'a\\x07' and holds"),
        ('{"id": "b\\nc", "path": "p", "corpus": "c"}', "'id' is 'b\\nc' and holds a line break"),
        ('{"id": "b", "path": "p", "corpus": "c", "gender": "\\u2028"}', "holds the character U+2028"),
        ('{"id": "b", "path": "p", "corpus": "c", "arousal": NaN}', "'arousal' is nan; expected a finite number"),
        ('{"id": "b", "path": "p", "corpus": "c", "valence": 1e999}', "'valence' is inf"),
        ('{"id": "b", "path": "p", "corpus": "c", "valence": 1' + "0" * 400 + "}", "'valence' is inf"),
    ],
)
def test_a_bad_row_is_named(tmp_path, line, message):
    path = tmp_path / "m.jsonl"
    path.write_text(f"{GOOD}\n\n{line}\n")
    with pytest.raises(UserError) as error:
        list(read_manifest(path))
    assert str(error.value).startswith(f"{path}:3: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_empty_and_binary_files(tmp_path):
    with pytest.raises(UserError, match=r"absent\.jsonl: cannot be read"):
        list(read_manifest(tmp_path / "absent.jsonl"))
    with pytest.raises(UserError, match="cannot be read"):
        list(read_manifest(tmp_path))
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(UserError, match=r"empty\.jsonl: an empty manifest"):
        list(read_manifest(tmp_path / "empty.jsonl"))
    (tmp_path / "latin.jsonl").write_bytes('{"id": "ü"}'.encode("latin-1"))
    with pytest.raises(UserError, match=r"latin\.jsonl:1: not UTF-8"):
        list(read_manifest(tmp_path / "latin.jsonl"))


def test_a_table_is_no_manifest_and_the_command_that_makes_one_is_told(tmp_path):
    path = tmp_path / "my calls.CSV"
    path.write_text("path,emotion\na.wav,joy\n")
    with pytest.raises(
        UserError, match=r"make one of it: emobridge scan table '.*my calls\.CSV' -o '.*my calls\.jsonl'"
    ):
        list(read_manifest(path))


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [Utterance("a", "c", "p"), Utterance("a", "c", "q")],
        [Utterance("a", "c", "p", emotion="angri")],
        [Utterance("a", "c", "p", arousal=math.nan)],
        [Utterance("a", "c", os.fsdecode(b"/\xff.wav"))],
    ],
)
def test_what_cannot_be_read_back_is_not_written(tmp_path, rows):
    path = tmp_path / "m.jsonl"
    path.write_text(GOOD)
    with pytest.raises(UserError):
        write_manifest(path, rows)
    assert path.read_text() == GOOD
    assert list(tmp_path.iterdir()) == [path]


def test_memory_stays_flat(tmp_path):
    rows = 6000
    path = tmp_path / "m.jsonl"
    text = "word " * 160  # ~0.9 kB a row, some 5 MB were they all held
    write_manifest(path, (Utterance(str(row), "c", "/a.wav", text=text) for row in range(rows)))
    tracemalloc.start()
    count = sum(1 for _ in read_manifest(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == rows
    assert peak < 1.2e6  # the ids alone, 200 bytes a row at most


def test_values_that_repeat_are_in_memory_once(tmp_path):
    rows = [Utterance(str(n), "emodb", f"/{n}.wav", language="de", speaker="03", emotion="anger") for n in range(2)]
    write_manifest(tmp_path / "m.jsonl", rows)
    first, second = read_manifest(tmp_path / "m.jsonl")
    for column in ("corpus", "language", "speaker", "emotion"):
        assert getattr(first, column) is getattr(second, column)


def test_further_columns_that_repeat_are_in_memory_once(tmp_path):
    rows = [Utterance(str(n), "c", f"/{n}.wav", age=31, extra=(("mic", "a"), ("site", "Berlin"))) for n in range(2)]
    write_manifest(tmp_path / "m.jsonl", rows)
    assert json.loads((tmp_path / "m.jsonl").read_text().splitlines()[0])["extra.site"] == "Berlin"
    first, second = read_manifest(tmp_path / "m.jsonl")
    assert first.extra == rows[0].extra and first.extra is second.extra


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"age": 0}, "'age' is 0; expected years, above 0 and up to 130"),
        ({"age": "31"}, "'age' is \"31\"; expected a number"),
        ({"site": "x"}, "unknown column 'site'.*a column of your own begins with 'extra.'"),
        ({"extra.": "x"}, "unknown column 'extra.'"),
        ({"extra.gender": "f"}, "'gender' is a field of every manifest: write it without 'extra.'"),
        ({"extra.site": 3}, "'extra.site' is 3; expected text in quotes"),
        ({"extra.site": "a\nb"}, "holds a line break"),
    ],
)
def test_ages_and_further_columns_that_are_refused(tmp_path, values, message):
    row = {"id": "a", "path": "a.wav", "corpus": "c"} | values
    (tmp_path / "m.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(UserError, match=message):
        list(read_manifest(tmp_path / "m.jsonl"))
