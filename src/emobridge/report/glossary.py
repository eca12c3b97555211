"""What the words of a page mean, and the measures spelt out where a page first names them."""

from __future__ import annotations

import re
from dataclasses import replace

from emobridge.report.blocks import Page, Section, Table, with_table
from emobridge.report.record import StudyRecord
from emobridge.scores.measures.base import measure_of

MEANINGS = {  # of measures, after their long names
    "UA": "the mean of the recalls of the labels",
    "WA": "the share of utterances that are right",
    "F1 macro": "the mean over the labels of F1, which is high where both recall and precision are",
    "F1 weighted": "the same, each label weighted by its number of utterances",
    "CCC": "1 where prediction and rating are the same, 0 where they have nothing in common",
}
INTERVAL = (
    "where the score of other speakers, and of other seeds where there are several, would lie; a jackknife (the score "
    "without each speaker in turn) with Student's t, which holds with few speakers too, though not with one"
)
VARIETY = (
    "how much of the emotions' variation lies inside speakers, or inside texts: about 1 where all show the same "
    "emotions, 0 where each shows one; from labels, or estimated from what a model of the source says of the speech"
)
TERMS = (
    ("encoder", "the part that makes numbers (features) of sound; it has layers, from sounds to words, from 0"),
    ("head", "the small part on top of the encoder that tells the emotions from its features"),
    ("normalisation", "what is taken out of the features before the head: each corpus's or speaker's mean and spread"),
    ("confidence", "the probability that the recogniser gives its own answer"),
    ("ECE", "expected calibration error: how far confidence lies, on average, from the share of right answers"),
    ("bundle", "the folder of a finished recogniser: its weights, its settings and its model card"),
    ("manifest", "a file with one row a recording: its path, corpus, language, speaker and label"),
    ("baseline", "the system without adaptation, source-only, that every method is compared with"),
    ("floor", "what is reached without recognising emotion, from the loudness and length of the recordings"),
    ("95 % interval", INTERVAL),
    ("fold", "one part of the speakers, scored by a system that was trained on the others"),
    (
        "guard",
        "the check for corpora whose speakers, or texts, show few emotions each; it turns their normalisation off",
    ),
    ("variety", VARIETY),
)


PROBE_TERMS = (
    *(pair for pair in TERMS if pair[0] in ("encoder", "head", "normalisation", "95 % interval", "fold")),
    ("variety", VARIETY),
    ("probe", "a head on one layer of an encoder that stays as it is: its score tells what the layer holds"),
    ("multilayer", "a head that weighs the layers of all transformer blocks, and learns the weights"),
    ("random weights", "the same encoder before any training: what an encoder scores above it, it has learnt"),
    ("floor", "what is reached without recognising emotion: by chance, from loudness and length, with random weights"),
)


def glossary_section(record: StudyRecord) -> Section:
    """The measures of the record, then the terms that a newcomer to emobridge meets."""
    measures = dict.fromkeys(measure_of(row.measure).name for row in record.scores)
    if not record.scores and record.audit is not None:
        measures = {"UA": None}
    lines = [f"{name}: {meaning_of(name)}." for name in MEANINGS if name in measures]
    return Section("Glossary", items=(*lines, *(f"{term}: {meaning}." for term, meaning in TERMS)))


def probe_glossary() -> Section:
    """The same for a layer-wise study, whose terms are others."""
    lines = [f"{name}: {meaning_of(name)}." for name in ("UA", "F1 macro")]
    return Section("Glossary", items=(*lines, *(f"{term}: {meaning}." for term, meaning in PROBE_TERMS)))


def meaning_of(measure: str) -> str:
    """A measure in words.

    >>> meaning_of("UA")
    'unweighted accuracy: the mean of the recalls of the labels'
    """
    plugin = measure_of(measure)
    return ": ".join(text for text in (plugin.long_name, MEANINGS.get(plugin.name, "")) if text)


def spelt_out(page: Page) -> Page:
    """The page with UA in full where its text first names it, unless that sentence has it in full already."""
    spell = _Speller("UA")
    lead, warnings = spell(page.lead), tuple(map(spell, page.warnings))
    sections = tuple(
        replace(
            section,
            paragraphs=tuple(map(spell, section.paragraphs)),
            items=tuple(map(spell, section.items)),
            blocks=tuple(with_table(block, spell.table) for block in section.blocks),
        )
        for section in page.sections
    )
    return replace(page, lead=lead, warnings=warnings, sections=sections)


class _Speller:
    """Spells a measure out in the first text that names it, and leaves later texts as they are."""

    def __init__(self, measure: str) -> None:
        self.pattern, self.full, self.done = re.compile(rf"\b{measure}\b"), f"{measure} ({meaning_of(measure)})", False
        self.long_name = measure_of(measure).long_name

    def __call__(self, text: str) -> str:
        if self.done or not self.pattern.search(text):
            return text
        self.done = True
        return text if self.long_name in text else self.pattern.sub(self.full, text, count=1)

    def table(self, table: Table) -> Table:
        """The caption, then the cells."""
        caption = self(table.caption)
        return replace(table, caption=caption, rows=tuple(tuple(map(self, row)) for row in table.rows))
