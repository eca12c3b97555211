"""Figures that a recipe draws from its scores."""

from __future__ import annotations

import re

import pytest

from emobridge.errors import UserError
from emobridge.recipes.figures import DrawnFigure, figure_section, read_figures
from emobridge.recipes.recipe import read_recipe
from emobridge.recipes.report import SummaryRow

LABELS = ("0", "25", "100", "all")


def row(encoder="hubert-base", method="pseudo-labels", labels="0", target="emovo", study="hubert", measure="WA"):
    value = 0.5 + 0.1 * LABELS.index(labels)
    return SummaryRow(
        study=study, source="ravdess", target=target, encoder=encoder, method=method, target_labels=labels,
        normalisation="none", seeds=1, labels="anger,sadness", measure=measure,
        target_value=value, target_low=value - 0.1, target_high=value + 0.1, target_n=10, target_published="",
        source_value=0.7, source_low=0.6, source_high=0.8, source_n=10, source_published="",
    )  # fmt: skip


@pytest.mark.usefixtures("drawn")
def test_a_panel_a_target_and_encoder_and_a_line_a_method():
    rows = [row(labels=labels, target=target) for labels in reversed(LABELS) for target in ("emovo", "emodb")]
    rows += [row(method="soft-pseudo-labels"), row(measure="UA"), row(study="others"), row(method="dann")]
    drawn = DrawnFigure("Figure 3", ("hubert",), ("pseudo-labels", "soft-pseudo-labels"), measure="WA")
    section = figure_section([drawn], rows)
    (block,) = section.blocks
    assert block.file == "figure-3" and "labelled target utterances" in block.svg
    assert [line[:3] for line in block.table.rows] == [
        *(("emodb, hubert-base", "pseudo-labels", labels) for labels in LABELS),
        *(("emovo, hubert-base", "pseudo-labels", labels) for labels in LABELS),
        ("emovo, hubert-base", "soft-pseudo-labels", "0"),
    ]
    assert block.table.rows[0][3:] == ("50.0 (40.0 to 60.0)", "70.0 (60.0 to 80.0)")
    assert "Dashed" in section.paragraphs[0]


def test_encoders_side_by_side():
    rows = [row(encoder=encoder, labels=labels) for encoder in ("hubert-base", "byol-s-1024") for labels in LABELS]
    (block,) = figure_section([DrawnFigure("Figure 7", ("hubert",), (), ("target",), "WA")], rows).blocks
    assert {line[:2] for line in block.table.rows} == {
        ("emovo", "hubert-base, pseudo-labels"), ("emovo", "byol-s-1024, pseudo-labels"),
    }  # fmt: skip


def test_nothing_is_drawn_of_nothing_and_one_point_is_a_table():
    drawn = DrawnFigure("Figure 3", ("hubert",), measure="WA")
    assert figure_section([drawn], []) is None and figure_section([], [row()]) is None
    (block,) = figure_section([drawn], [row()]).blocks
    assert block.rows[0][2] == "0", "a single number of labels has no curve"


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"studies": ["huber"]}, "Figure 3: unknown study 'huber': did you mean 'hubert'"),
        ({"panels": ["method"]}, "Figure 3: unknown panel 'method'"),
        ({"measure": "UR"}, "Figure 3: unknown measure 'UR'"),
        ({"studies": []}, "the key 'studies' is missing"),
        ({"studies": "hubert"}, "studies: expected a list of words"),
        ({"stuides": []}, "unknown key 'stuides'"),
        ({"name": 3}, "name: expected a text"),
    ],
)
def test_bad_figures(changes, match):
    table = {"name": "Figure 3", "studies": ["hubert"], **changes}
    with pytest.raises(UserError, match=re.escape(match)):
        read_figures("x.toml", [table], ["hubert"], ["UA", "WA"])
    with pytest.raises(UserError, match=re.escape("expected [[figures]]")):
        read_figures("x.toml", {}, ["hubert"], ["UA"])


@pytest.mark.parametrize("name", ["agarla2024", "agarla2024-frozen"])
def test_each_figure_of_a_recipe_is_an_output_of_its_name(name):
    recipe = read_recipe(name)
    files = {output.name: output.files for output in recipe.outputs}
    assert recipe.figures and all(files[drawn.name] == f"figures/{drawn.file}.svg" for drawn in recipe.figures)
