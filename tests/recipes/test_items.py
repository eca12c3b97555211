"""What a recipe keeps apart for listeners and models."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError
from emobridge.recipes.items import draw_items
from emobridge.recipes.recipe import read_recipe
from emobridge.types import Utterance

EMOTIONS = ("anger", "happiness", "neutral", "sadness")


@pytest.fixture
def manifest(tmp_path):
    """A function to write one with so many utterances an emotion, of four speakers, and one of another emotion."""

    def write(each):
        rows = [
            Utterance(f"{emotion}-{n}", "esd", "a.wav", speaker=str(n % 4), emotion=emotion)
            for emotion in EMOTIONS
            for n in range(each)
        ]
        path = tmp_path / "esd.jsonl"
        write_manifest(path, [*rows, replace(rows[0], id="fear", emotion="fear")])
        return path

    return write


def test_as_many_of_each_emotion_and_speaker_are_drawn_and_the_same_each_time(manifest, tmp_path):
    recipe = read_recipe("han2024-adaptation")
    path = draw_items(recipe, "esd", manifest(60), tmp_path / "one")
    rows = list(read_manifest(path))
    assert Counter((row.emotion, row.speaker) for row in rows) == {(e, str(s)): 3 for e in EMOTIONS for s in range(4)}
    assert path.read_bytes() == draw_items(recipe, "esd", manifest(60), tmp_path / "two").read_bytes()
    small = list(read_manifest(draw_items(recipe, "esd", manifest(8), tmp_path / "small")))
    assert len(small) == 2 * 4, "a fourth of what there is, at most"
    assert draw_items(recipe, "esd", manifest(3), tmp_path / "tiny") is None
    assert draw_items(replace(recipe, items=0), "esd", manifest(60), tmp_path / "none") is None


def test_items_that_are_given_are_taken(manifest, tmp_path):
    recipe, path = read_recipe("han2024-adaptation"), manifest(60)
    listed = tmp_path / "ids.txt"
    listed.write_text("anger-3\n\nsadness-1\nanger-3\n")
    written = draw_items(recipe, "esd", path, tmp_path / "one", listed)
    assert [row.id for row in read_manifest(written)] == ["anger-3", "sadness-1"]
    again = draw_items(replace(recipe, items=0), "esd", path, tmp_path / "two", written)
    assert again.read_bytes() == written.read_bytes(), "a manifest too"
    for text, message in (("fear\n", "'fear' is no utterance of esd that is anger"), ("x\n", "'x' is no utterance")):
        listed.write_text(text)
        with pytest.raises(UserError, match=message):
            draw_items(recipe, "esd", path, tmp_path / "one", listed)
    with pytest.raises(UserError, match=r"none\.txt: cannot be read"):
        draw_items(recipe, "esd", path, tmp_path / "one", tmp_path / "none.txt")
