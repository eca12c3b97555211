"""What a service calls its models."""

from __future__ import annotations

import pytest

from emobridge.errors import UserError
from emobridge.serve.sources import ModelSource, model_sources


def test_names_are_those_of_folders_or_given(tmp_path):
    words = ["runs/german/bundle", "calls/diarizer", "it=runs/italian/bundle", "user/wav2vec2-emotions", "My run!/"]
    names = [source.name for source in model_sources(words)]
    assert names == ["german", "calls", "it", "wav2vec2-emotions", "My-run"]
    assert model_sources(["a=b=c"], "weights") == (ModelSource("a", "b=c", "weights"),)


def test_a_folder_with_an_equals_sign_in_its_name(tmp_path):
    folder = tmp_path / "rate 0=1"
    folder.mkdir()
    (source,) = model_sources([str(folder)])
    assert (source.name, source.folder) == ("rate-0-1", str(folder))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no model: give the folder"),
        (["a=x", "a=y"], "x: another model is called 'a' too: give it as NAME=FOLDER"),
        (["../x/y/bundle", "other/y"], "another model is called 'y' too"),
        (["a b=x"], "the name 'a b': expected letters, digits"),
        (["a="], "a=: names no folder; expected NAME=FOLDER"),
        (["/"], "/: gives the model no name; give it as NAME=/"),
    ],
)
def test_a_mistake_is_one_line(words, message):
    with pytest.raises(UserError) as error:
        model_sources(words)
    assert message in str(error.value)
