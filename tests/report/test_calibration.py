"""The section on confidence in the three formats, and what the model card says of the temperature."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from emobridge.report.calibration import FOREIGN, NOT_CALIBRATED, UNSCORED, calibration_section
from emobridge.report.model_card import model_card
from emobridge.report.page import page_of
from emobridge.report.record import SystemRow
from emobridge.report.write import markdown, write_study

TITLE = "How far to trust a confidence"


@pytest.mark.usefixtures("drawn")
def test_the_numbers_are_in_all_three_formats(record, tmp_path):
    page = write_study(tmp_path, record).read_text(encoding="utf-8")
    text, values = (
        (tmp_path / "report.md").read_text(encoding="utf-8"),
        json.loads((tmp_path / "report.json").read_text()),
    )
    assert "| pseudo-labels | target | 960 | 53.0 | 76.0 | 56.0 | 23.0 | 3.0 | 1.80 |" in text
    assert "| pseudo-labels | target | 53.0 | 60.0 | 70.0 | 80.0 |" in text
    assert "| pseudo-labels | source | after | 76.0 | 66.0 | 560 |" in text
    assert f"<h2>{TITLE}</h2>" in page and ">pseudo-labels, target</text>" in page
    assert "fitted on held-out speakers of the source." in text
    row = values["record"]["calibrations"][0]
    assert (row["temperature"], row["before"]["error"]) == (1.8, 0.76 - 0.53)
    assert row["before"]["curve"][1] == {"confidence": 0.96, "accuracy": 0.66, "n": 560}


def test_it_says_what_a_confidence_on_the_target_is_worth(record):
    assert FOREIGN in calibration_section(record).paragraphs
    labelled = tuple(
        replace(row, fitted_on="held-out answers to 25 labelled utterances of the target")
        for row in record.calibrations
    )
    assert FOREIGN not in calibration_section(replace(record, calibrations=labelled)).paragraphs
    source = tuple(row for row in record.calibrations if row.side == "source")
    unscored = calibration_section(replace(record, calibrations=source)).paragraphs
    assert UNSCORED in unscored and FOREIGN not in unscored
    assert NOT_CALIBRATED not in unscored
    assert NOT_CALIBRATED in calibration_section(replace(record, attributes=("arousal",))).paragraphs


def test_without_a_system_that_tells_emotions_it_is_left_out(record):
    assert calibration_section(replace(record, calibrations=())) is None
    assert TITLE not in markdown(page_of(replace(record, calibrations=())))


def test_what_a_single_speaker_leaves_open_is_undefined(record):
    bare = tuple(replace(row, after=None) for row in record.calibrations)
    section = calibration_section(replace(record, calibrations=bare))
    assert section.blocks[0].rows[0] == (
        "source-only", "target", "960", "53.0", "76.0", "undefined", "23.0", "undefined", "1.80"
    )  # fmt: skip
    assert section.blocks[1].rows[0][2:] == ("53.0", "60.0", "70.0", "80.0")
    assert not any("after" in row for row in section.blocks[2].table.rows)


@pytest.mark.usefixtures("drawn")
def test_of_many_systems_a_few_are_drawn_and_all_are_listed(record):
    amounts = ("0", "25", "all")
    rows = tuple(
        replace(row, method=f"{row.method}{number}", target_labels=amount)
        for number in range(4) for row in record.calibrations[:2] for amount in amounts
    )  # fmt: skip
    systems = tuple(SystemRow(method=row.method, target_labels=row.target_labels) for row in rows)
    section = calibration_section(replace(record, method="", calibrations=rows, systems=systems))
    assert len(section.blocks[0].rows) == 24 and section.blocks[0].rows[1][0] == "source-only0, 25 target labels"
    svg = section.blocks[2].svg
    assert svg.count("no target labels, target</text>") == 3 and "25 target labels" not in svg


def test_a_made_up_run_says_so_over_each_table(synthetic):
    (section,) = [section for section in page_of(synthetic).sections if section.title == TITLE]
    captions = [section.blocks[0].caption, section.blocks[1].caption, section.blocks[2].table.caption]
    assert all(caption.startswith("SYNTHETIC run. ") for caption in captions)


def test_the_model_card_names_the_temperatures_and_what_gave_them(record):
    line = "emperature of answers to the target: 1.80, fitted on held-out speakers of the source"
    card, page = (
        show(replace(record, temperatures=(f"t{line}",))) for show in (model_card, lambda x: markdown(page_of(x)))
    )
    assert f"- T{line}\n" in card and f"- The bundle's t{line}.\n" in page
    assert "emperature" not in model_card(record)
