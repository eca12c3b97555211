"""Each kind of study has a headline and a list of sections; the page spells UA out and ends with a glossary."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emobridge.report.blocks import Figure
from emobridge.report.glossary import spelt_out
from emobridge.report.page import HEADLINES, SECTIONS, page_of
from emobridge.report.record import STUDY_KINDS
from emobridge.report.write import PAGE_NAMES

FULL = "UA (unweighted accuracy: the mean of the recalls of the labels"


def texts(page):
    """The texts of a page in the order in which they are read."""
    yield page.lead
    yield from page.warnings
    for section in page.sections:
        yield from section.paragraphs
        yield from section.items
        for block in section.blocks:
            yield (block.table if isinstance(block, Figure) else block).caption


def test_every_kind_has_a_headline_sections_and_a_file():
    assert set(STUDY_KINDS) == set(HEADLINES) == set(SECTIONS) == set(PAGE_NAMES)


def test_ua_is_spelt_out_where_a_page_first_names_it(record):
    for study in (record, replace(record, scores=(), differences=())):
        named = [text for text in texts(spelt_out(page_of(study))) if "UA" in text]
        assert FULL in named[0]
        assert not any(FULL in text for text in named[1:])


def test_the_glossary_ends_the_page_and_knows_the_measures_of_the_page(record):
    items = page_of(record).sections[-1].items
    terms = [item.split(":")[0] for item in items]
    assert terms[:4] == ["UA", "WA", "F1 macro", "F1 weighted"]
    assert {"encoder", "head", "confidence", "bundle", "baseline", "floor", "95 % interval", "fold"} < set(terms)
    ccc = tuple(replace(row, measure="CCC arousal") for row in record.scores[:1])
    attributes = replace(record, scores=ccc, labels=(), attributes=("arousal",), differences=(), confusions=())
    terms = [item.split(":")[0] for item in page_of(attributes).sections[-1].items]
    assert terms[0] == "CCC" and not {"UA", "WA"} & set(terms)


@pytest.mark.parametrize(("synthetic", "constructed"), [(False, False), (True, False), (False, True), (True, True)])
def test_what_is_made_up_is_said_before_anything_else(record, synthetic, constructed):
    page = page_of(replace(record, synthetic=synthetic, constructed=constructed))
    assert page.lead.startswith("SYNTHETIC speech. ") == synthetic
    assert ("CONSTRUCTED attributes. " in page.lead) == constructed


def test_the_subtitle_names_systems_seeds_and_date(record):
    assert page_of(record).subtitle == "source-only, pseudo-labels; 3 seeds; 2025-01-31T12:00:00+00:00"
