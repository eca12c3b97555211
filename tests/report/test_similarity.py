"""The page of `similarity`: its similarity_finding, its maps, and what it shows where there is little."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import pytest

from emobridge.features.similarity import COMPARED_UNITS, LayerSimilarity, layer_sets, ranking, set_name
from emobridge.report.blocks import Figure, table_of
from emobridge.report.plots import shades
from emobridge.report.similarity import SimilarityRecord, similarity_finding, similarity_page
from emobridge.report.write import html, markdown

EMOTIONS = ("anger", "happiness", "neutral", "sadness")


def record(layers=6, units=COMPARED_UNITS, **facts):
    rows = []
    for layer in range(1, layers + 1):
        for unit in units:
            for emotion in EMOTIONS:
                value = 0.5 + layer / 50 if unit != "ə" else math.nan
                count = 0 if unit == "ə" else 9
                rows.append(
                    LayerSimilarity(
                        layer, unit, emotion, value, value - 0.1, value + 0.1, value, 0, 1, value / 2, count, 9
                    )
                )
    levels = [
        level
        for level, unit in (("utterance", "utterance"), ("vowel", "a"), ("consonant", "consonant"))
        if unit in units
    ]
    rankings = {level: ranking(rows, level) for level in levels}
    sets = {level: {n: set_name(s) for n, s in layer_sets(values).items()} for level, values in rankings.items()}
    values = {"rank_by": "cosine of means", "target_emotions": "From labels.", "split": "Seed 0."}
    values |= {"source": "ravdess", "target": "emodb", "encoder": "whisper-base"}
    return SimilarityRecord(emotions=EMOTIONS, rows=tuple(rows), sets=sets, rankings=rankings, **values | facts)


def test_the_finding_names_the_layers():
    assert similarity_finding(record()).startswith(
        "In whole utterances layers 4, 5 and 6 are the most similar (cosine of means 0.620 in layer 6), layers 1, 2 "
        "and 3 the least (down to 0.520); inside vowels layers 4, 5 and 6"
    )
    assert similarity_finding(record(layers=1)).startswith(
        "In whole utterances layer 1 is the most similar (cosine of means 0.520"
    )


def test_maps_are_layers_by_emotions_and_layers_by_phones():
    page = similarity_page(record())
    by_title = {section.title: section for section in page.sections}
    maps = [block for block in by_title["Inside phones"].blocks if isinstance(block, Figure)]
    common = [unit for unit in COMPARED_UNITS[1:] if unit != "ə"]
    assert len(maps) == 4 and maps[0].table.columns == ("layer", *common), "no column of a phone that nobody has"
    whole = by_title["Whole utterances"].blocks
    assert [table_of(block).columns for block in whole[:3]] == [("layer", *EMOTIONS)] * 3
    assert "layers=4+5+6" in by_title["Layer sets"].code


def test_without_phones_there_is_no_section_of_them():
    page = similarity_page(record(units=("utterance",)))
    assert "Inside phones" not in [section.title for section in page.sections]
    assert "| utterance | 4+5+6 | 6 | 1+2+3 |" in markdown(page)


def test_made_up_speech_is_stamped():
    page = similarity_page(record(synthetic=True))
    assert page.lead.startswith("SYNTHETIC speech. ")
    assert all(table_of(block).caption.startswith("SYNTHETIC") for part in page.sections for block in part.blocks)


@pytest.mark.usefixtures("drawn")
def test_a_map_of_nothing_is_no_drawing():
    assert shades(["1"], ["a"], [[math.nan]], title="t", of_rows="layer") == ""
    drawn = shades(["1"], ["a", "b"], [[0.5, math.nan]], title="t", of_rows="layer")
    assert "0.50" in drawn and "nan" not in drawn


@pytest.mark.usefixtures("drawn")
def test_the_page_fits_in_a_browser(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    measured = importlib.import_module("pages")
    chromium = measured.browser()
    if chromium is None:
        pytest.skip("no Chromium")
    for fit in measured.fits({"similarity": html(similarity_page(record(layers=12)))}, chromium):
        assert fit.taken <= fit.width and not fit.out, fit
        assert not fit.cut or fit.width < 1280, fit
