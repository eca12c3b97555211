"""The page of a study: a headline and a list of sections for each kind. Each is a function of the record alone."""

from __future__ import annotations

from collections.abc import Callable

from emobridge.report import (
    attributes,
    audit,
    budget,
    calibration,
    contests,
    data,
    fits,
    groups,
    harm,
    listener_tables,
    listening,
    scores,
    target_section,
)  # fmt: skip
from emobridge.report.blocks import CONSTRUCTED, Page, Section, count, stamp_of, stamped
from emobridge.report.glossary import glossary_section
from emobridge.report.published import published_section
from emobridge.report.record import StudyRecord
from emobridge.report.space import space_section, test_space_section
from emobridge.report.systems import scored_methods
from emobridge.report.verdict import verdict, warnings_of

SectionOf = Callable[[StudyRecord], Section | None]  # None leaves the section out

HEADLINES: dict[str, Callable[[StudyRecord], str]] = {
    "adapt": verdict,
    "budget": budget.headline,
    "audit": audit.headline,
    "listening": listening.headline,
}

SECTIONS: dict[str, tuple[SectionOf, ...]] = {
    "adapt": (
        target_section.unscored_section,
        target_section.next_section,
        scores.score_section,
        harm.harm_section,
        attributes.attribute_section,
        scores.recall_section,
        scores.confusion_section,
        scores.speaker_section,
        groups.group_section,
        calibration.calibration_section,
        target_section.scored_section,
        published_section,
        data.data_section,
        data.audit_section,
        space_section,
        test_space_section,
        fits.layer_section,
        fits.curve_section,
        fits.change_section,
        fits.cost_section,
        data.limit_section,
        data.how_section,
        glossary_section,
    ),
    "budget": (
        data.missing_section,
        budget.curve_section,
        budget.difference_section,
        contests.contest_section,
        budget.measure_section,
        groups.group_section,
        fits.accuracy_section,
        test_space_section,
        calibration.calibration_section,
        fits.change_section,
        fits.cost_section,
        published_section,
        data.choice_of_ours_section,
        data.data_section,
        fits.layer_section,
        data.skipped_section,
        data.limit_section,
        data.how_section,
        glossary_section,
    ),
    "audit": (
        audit.finding_section,
        audit.manifest_section,
        audit.confound_section,
        data.how_section,
        glossary_section,
    ),
    "listening": (
        listening.scale_section,
        listener_tables.test_section,
        listener_tables.confusion_section,
        listener_tables.class_section,
        listener_tables.agreement_section,
        listener_tables.mark_section,
        listener_tables.listener_section,
        listener_tables.rule_section,
        listening.published_listeners,
        data.choice_of_ours_section,
        data.limit_section,
        data.how_section,
        listening.term_section,
    ),
}


def page_of(record: StudyRecord) -> Page:
    """The page of a record, with every caption stamped where its speech or its attributes are made up."""
    stamp = stamp_of(record.synthetic, record.constructed)
    sections = [section for make in SECTIONS[record.kind] if (section := make(record)) is not None]
    return Page(
        record.name,
        _subtitle(record),
        headline(record),
        warnings_of(record),
        stamped(sections, stamp) if stamp else tuple(sections),
    )


def headline(record: StudyRecord) -> str:
    """The paragraph at the top of the page; it begins with what is made up."""
    return made_up(record) + HEADLINES[record.kind](record)


def made_up(record: StudyRecord) -> str:
    """What of the speech or its attributes is made up, with a space behind it; "" where nothing is."""
    return ("SYNTHETIC speech. " if record.synthetic else "") + (CONSTRUCTED if record.constructed else "")


def _subtitle(record: StudyRecord) -> str:
    """The systems, the number of seeds and the date; of a listening test its listeners and items."""
    if record.listening is not None:
        return "; ".join((*listening.size_of_test(record), record.created))
    parts = [", ".join(scored_methods(record))]
    seeds = {row.seed for row in record.scores} - {"all"}
    parts.append(count(len(seeds), "seed") if seeds else "")
    if record.audit is not None and not record.scores:
        parts.append(count(sum(sound.utterances for sound in record.audit.sounds), "utterance"))
    return "; ".join(part for part in (*parts, record.created) if part)
