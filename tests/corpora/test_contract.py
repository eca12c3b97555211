"""What every corpus must keep to, run over all that the registry knows."""

import inspect
import subprocess
import sys

import pytest

from emobridge import corpora, registry
from emobridge.data.intake import SHARED
from emobridge.data.labels import EMOTIONS
from emobridge.errors import UserError

NAMES = registry.names("corpora")


def test_the_known_ones_are_there():
    assert {"emodb", "emovo", "ravdess", "table"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_told_of_a_corpus(name):
    module = registry.load("corpora", name)
    row = corpora.describe(name)
    assert row.name == name
    assert row.languages and all(language == language.strip() != "" for language in row.languages)
    assert set(module.LABELS.values()) <= set(EMOTIONS)
    assert len(row.emotions) >= 2
    assert list(row.emotions) == sorted(row.emotions, key=EMOTIONS.index)
    assert row.attributes is None or row.attributes.low < row.attributes.high
    assert corpora.attribute_range(name) == row.attributes
    for text in (row.licence, row.citation, row.obtain, module.__doc__):
        assert text.strip()
    first, *options = inspect.signature(module.scan).parameters.values()
    assert first.name == "root"
    assert all(option.default is not option.empty or option.name in SHARED for option in options)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_option_is_named_before_anything_is_read(name):
    with pytest.raises(UserError, match="colums"):
        corpora.scan(name, "/nowhere", colums="path=file")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "demo"])
def test_a_missing_root_is_one_line(name, tmp_path):
    with pytest.raises(UserError, match="absent: no such") as error:
        list(corpora.scan(name, tmp_path / "absent"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("demo", "folder", "table")])
def test_a_root_without_the_corpus_tells_layout_and_source(name, tmp_path):
    (tmp_path / "song.wav").touch()
    with pytest.raises(UserError) as error:
        list(corpora.scan(name, tmp_path))
    assert "no file like" in str(error.value)
    assert corpora.describe(name).obtain in str(error.value)


def test_unknown_corpus_and_option():
    with pytest.raises(UserError, match="did you mean 'ravdess'"):
        corpora.scan("radvess", "/nowhere")
    with pytest.raises(UserError, match=r"unknown option of the corpus 'table' 'colums': did you mean 'columns'"):
        corpora.scan("table", "/nowhere", colums="path=file")


def test_a_folder_has_films_and_m4a_and_a_corpus_only_what_corpora_are_distributed_in(tmp_path):
    names = ["a.m4a", "b.MP4", "c.webm", "d.aac", "e.amr", "f.wav", "g.wma", "h.txt", "i.jpg"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in corpora.audio_files(tmp_path)] == names[:7]
    assert [path.name for path in corpora.corpus_files(tmp_path)] == ["f.wav"]


def test_a_folder_of_another_user_is_not_left_out_without_a_word(open_folder, other_user):
    (open_folder / "session 1").mkdir()
    (open_folder / "session 1" / "a.wav").write_text("")
    assert other_user(lambda: [path.name for path in corpora.audio_files(open_folder)]) == ["a.wav"]
    (open_folder / "session 1").chmod(0o700)
    said = other_user(lambda: list(corpora.audio_files(open_folder)))
    assert said.startswith(f"{open_folder / 'session 1'}: cannot be read (Permission denied); it belongs to ")


def test_audio_files_are_sorted_visible_and_without_circles(tmp_path):
    for name in ("b/2.FLAC", "b/1.wav", "a/._1.wav", "a/1.txt", "a/3.ogg", ".hidden/4.wav"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "b" / "circle").symlink_to(tmp_path)
    paths = [path.relative_to(tmp_path).as_posix() for path in corpora.audio_files(tmp_path)]
    assert paths == ["a/3.ogg", "b/1.wav", "b/2.FLAC"]


def test_corpora_are_light():
    code = "import sys; from emobridge import corpora; corpora.describe('ravdess'); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_a_corpus_in_a_manifest_is_never_loaded_as_code(tmp_path, monkeypatch):
    """The registry loads "module" and "./file.py"; a corpus's name in a manifest may come from anybody."""
    (tmp_path / "corpus.py").write_text("raise SystemExit('this ran')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("./corpus.py", "corpus.py", "corpus", "corpus:Mine", str(tmp_path / "corpus.py"), "", "_download"):
        assert corpora.plugin_of(name) is None and corpora.attribute_range(name) is None
        assert corpora.licence_of(name).startswith("not known to emobridge")
    assert corpora.licence_of("demo-de") == corpora.describe("demo").licence
    assert corpora.licence_of("ravdess-constructed") == corpora.licence_of("ravdess") == "CC BY-NC-SA 4.0"
