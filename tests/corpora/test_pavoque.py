import pytest

from emobridge.corpora import describe, pavoque, scan
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError

ENTRY = """\
- prompt: {prompt}
  text: Der Wind wehte um das Haus.
  style: {style}
  start: {start}
  end: {end}
  segments:
    - lab: _
      end: 0.105
    - lab: n
      end: 0.2
"""


def write(root, style, *entries, suffix=".flac"):
    text = "".join(ENTRY.format(prompt=prompt, style=style, start=start, end=end) for prompt, start, end in entries)
    (root / f"pavoque-{style}.yaml").write_text(text)
    (root / f"pavoque-{style}{suffix}").touch()


@pytest.fixture
def root(tmp_path):
    tmp_path = tmp_path / "above" / "pavoque-data"
    tmp_path.mkdir(parents=True)
    write(tmp_path, "angry", ("spike0001", 0, 2.5), ("m0001", 3.25, 5))
    write(tmp_path, "poker", ("m0001", 0.5, 4.0), suffix=".wav")
    write(tmp_path, "happy", ("poppy0001", 1.0, 2.0))
    (tmp_path / "pavoque-happy.flac").unlink()
    write(tmp_path, "outtakes", ("m0002", 1.0, 2.0))
    return tmp_path


def test_a_fabricated_tree(root):
    rows = list(scan("pavoque", root))
    assert [(row.id, row.emotion, row.start, row.end) for row in rows] == [
        ("spike0001-angry", "anger", 0.0, 2.5),
        ("m0001-angry", "anger", 3.25, 5.0),
        ("m0001-poker", "other", 0.5, 4.0),
    ]
    assert [row.path for row in rows] == [str(root / "pavoque-angry.flac")] * 2 + [str(root / "pavoque-poker.wav")]
    assert {(row.corpus, row.language, row.speaker) for row in rows} == {("pavoque", "de", "stefan")}
    assert {(row.gender, row.naturalness) for row in rows} == {("male", "acted")}
    assert rows[0].text == "Der Wind wehte um das Haus."
    write_manifest(root / "m.jsonl", rows)
    assert list(read_manifest(root / "m.jsonl")) == rows
    assert rows == list(scan("pavoque", root.parent)), "the folder above does too"


def test_that_there_is_one_speaker_is_said_where_it_is_read():
    assert "nothing speaker-independent" in describe("pavoque").licence
    assert "NOTHING SPEAKER-INDEPENDENT" in pavoque.__doc__


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- prompt: a\n  style: angri\n  start: 0\n  end: 1\n", r"utterance 1: unknown style 'angri': .* 'angry'"),
        (ENTRY.format(prompt="a", style="angry", start=0, end=1) + "- prompt: b\n", r"utterance 2: no 'style'"),
        ("- style: angry\n  file: ./a.wav\n", r"utterance 1: no 'prompt'"),
        ("- prompt: a\n  style: angry\n  start: zero\n  end: 1\n", r"'start' is 'zero'; expected seconds"),
        ("- prompt: a\n  style: angry\n  start: 2\n  end: 1\n", r"goes from 2 to 1 s"),
        (f"- prompt: a\n  style: angry\n  start: 1{'0' * 400}\n  end: 1\n", r"'start' is too large a number"),
        ("- prompt: 2001-13-45\n", r"not valid YAML"),
        ("prompt: a\n", r"expected a list of utterances, not dict"),
        ("- [a\n", r"not valid YAML"),
        ("- !!python/object/apply:os.getcwd []\n", r"not valid YAML"),
    ],
)
def test_mistakes_name_the_file_and_the_utterance(tmp_path, text, message):
    (tmp_path / "pavoque-angry.yaml").write_text(text)
    (tmp_path / "pavoque-angry.flac").touch()
    with pytest.raises(UserError, match=message) as caught:
        list(scan("pavoque", tmp_path))
    assert str(caught.value).startswith(f"{tmp_path / 'pavoque-angry.yaml'}: ")
    assert "\n" not in str(caught.value)


def test_an_utterance_twice(tmp_path):
    write(tmp_path, "sad", ("obadiah0001", 0, 1), ("obadiah0001", 2, 3))
    with pytest.raises(UserError, match="'obadiah0001-sad' is there twice"):
        list(scan("pavoque", tmp_path))


def test_without_recordings_it_is_told_where_to_get_them(tmp_path):
    write(tmp_path, "sad", ("obadiah0001", 0, 1))
    (tmp_path / "pavoque-sad.flac").unlink()
    with pytest.raises(UserError, match=r"no file like pavoque-happy\.yaml.*release v0\.2"):
        list(scan("pavoque", tmp_path))
