import numpy as np
import pytest
import soundfile

from emobridge.errors import UserError
from emobridge.formats import import_

LONG = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "emotion@anna"
        xmin = 0
        xmax = 4
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 2
            text = "anger"
        intervals [3]:
            xmin = 2
            xmax = 4
            text = "sad 1 2"
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 4
        points: size = 1
        points [1]:
            number = 1.5
            mark = "say ""hi"""
    item [3]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 4
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 4
            text = "hello"
'''
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
4
<exists>
1
"IntervalTier"
"feeling"
0
4
2
0
1.5
"anger"
1.5
4
""
"""


@pytest.fixture
def grid(tmp_path):
    soundfile.write(tmp_path / "call.wav", np.zeros(32_000), 8000)
    return tmp_path / "call.TextGrid"


def test_the_long_form(grid):
    grid.write_text(LONG)
    reading = import_("textgrid", grid, labels={"sad 1 2": "sadness"})
    assert [(row.id, row.start, row.end, row.emotion, row.speaker) for row in reading] == [
        ("call@0.5", 0.5, 2.0, "anger", "anna"),
        ("call@2", 2.0, 4.0, "sadness", "anna"),
    ]
    assert reading.intake.notes == [
        f"tier 'clicks', not read: 1 (the first: {grid})",
        f"tier 'words', not read: 1 (the first: {grid})",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_the_short_form_in_its_encodings(grid, encoding):
    text = SHORT.replace("anger", "Ärger").replace("\n", "\r\n")
    content = text.encode(encoding)
    grid.write_bytes(b"\xff\xfe" + content if encoding == "utf-16-le" else content)
    (row,) = import_("textgrid", grid)
    assert (row.start, row.end, row.emotion) == (0.0, 1.5, "anger")


def test_a_tier_or_a_file_may_be_the_speaker(grid):
    grid.write_text(SHORT)
    for speaker, name in (("tier", "feeling"), ("file", "call"), (None, None)):
        (row,) = import_("textgrid", grid, **({"speaker": speaker} if speaker else {}))
        assert row.speaker == name
    with pytest.raises(UserError, match="did you mean 'tier'"):
        list(import_("textgrid", grid, speaker="teir"))


def test_the_tier_is_named_where_it_is_not_clear(grid):
    grid.write_text(LONG.replace("emotion@anna", "mood"))
    with pytest.raises(UserError, match=r"tier=\.\.\. \(one of mood, clicks, words\)"):
        list(import_("textgrid", grid))
    with pytest.raises(UserError, match="'moods': did you mean 'mood'"):
        list(import_("textgrid", grid, tier="moods"))
    with pytest.raises(UserError, match="'clicks' is one of points"):
        list(import_("textgrid", grid, tier="clicks"))
    rows = list(import_("textgrid", grid, tier="mood", others="drop"))
    assert [row.emotion for row in rows] == ["anger"]


def test_a_folder_has_a_recording_for_each(grid):
    grid.write_text(SHORT)
    inner = grid.parent / "b" / "x.textgrid"
    inner.parent.mkdir()
    inner.write_text(SHORT)
    soundfile.write(inner.with_suffix(".WAV"), np.zeros(32_000), 8000)
    rows = list(import_("textgrid", grid.parent))
    assert [(row.id, row.path) for row in rows] == [
        ("b/x@0", str(inner.with_suffix(".WAV"))),
        ("call@0", str(grid.with_suffix(".wav"))),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"ooTextFile"', '"ooTextFil"', "no TextGrid; expected"),
        ("\n1.5\n4\n", "\n1.5\n", "'\"\"' where a number is expected"),
        ('"anger"', "anger", "'1.5' where a text in quotation marks is expected"),
        ('4\n""\n', "", "ends too early; expected a number"),
        ('"IntervalTier"', '"Sound"', "a tier of the class 'Sound'"),
        ("0\n1.5", "0\n9", r"feeling 1: 'end' is 9 s, after the end of"),
        ("0\n1.5", "2\n1.5", r"feeling 1: 'end' is 1\.5 s; expected more"),
        ("0\n4\n2\n0", "0\n4\n999999999\n0", "ends too early"),
    ],
)
def test_mistakes_are_named(grid, old, new, message):
    assert old in SHORT
    grid.write_text(SHORT.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as error:
        list(import_("textgrid", grid))
    assert str(grid) in str(error.value)


def test_a_binary_one_is_refused(grid):
    grid.write_bytes(b"ooBinaryFile\x08TextGrid\x00\x00\xff\xff")
    with pytest.raises(UserError, match="Save as text file"):
        list(import_("textgrid", grid))
