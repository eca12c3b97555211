"""The model card that lies in a bundle: what was trained on what, how well it does, and what it is not for."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePath

from emobridge.corpora import licence_of
from emobridge.report.blocks import count, score_text, stamp_of
from emobridge.report.card_head import card_head, index_results, indexed_scores
from emobridge.report.data import LIMITS, what_was_seen
from emobridge.report.groups import largest_gap_line
from emobridge.report.record import StudyRecord
from emobridge.report.systems import ScoredSystem, scored_systems
from emobridge.report.verdict import headline_measure, verdict, warnings_of
from emobridge.report.write import escaped
from emobridge.scores.measures.base import leading_measure, measure_of

USE = (
    "Research on emotional speech and its transfer between languages, and tools whose users know that they are being "
    "measured and can see and correct the result. The recogniser names how an utterance sounds to annotators, with "
    "its labels and no others."
)
ABSOLUTE = re.compile(r"(?<![^\s'\"=(`,:])(?:~|[A-Za-z]:)?[/\\](?:[^\s'\"`,():/\\]+[/\\])+[^\s'\"`,():/\\]*")


def model_card(record: StudyRecord) -> str:
    """Markdown with a YAML head as model hubs read it. Corpora whose licence is not known are named as such."""
    method = record.bundle_method or record.method
    normalisation = sorted({row.normalisation for row in record.scores if row.method == method})
    parts = [
        card_head((row.language for row in record.corpora), record.name, index_results(indexed_scores(record))),
        f"# {escaped(record.name)}",
        f"**{escaped(verdict(record))}**",
        *(f"> **Warning.** {escaped(warning)}" for warning in warnings_of(record)),
        "## What it is",
        _list(_facts(record, normalisation)),
        "## What it was trained on",
        _list([_corpus(record, side) for side in ("source", "target")]),
        "The method was trained and normalised with:" if what_was_seen(record, method) else "",
        _list(what_was_seen(record, method)),
        "## How well it does",
        _scores(record),
        escaped(record.held_out),
        escaped(largest_gap_line(record, method)),
        "## Intended use",
        USE,
        "## Limits and responsible use",
        *LIMITS,
        "## Licences of the corpora",
        "Weights trained on a corpus may fall under its terms.",
        _list([f"{name}: {licence_of(name)}" for name in dict.fromkeys(row.corpus for row in record.corpora)]),
        "## How it was made",
        "\n".join(f"    {line}" for line in record.command.splitlines()),
        _list([f"{name} {version}" for name, version in record.versions]),
    ]
    return portable("\n\n".join(part for part in parts if part)) + "\n"


def portable(text: str) -> str:
    """A text without the folders of this machine: of an absolute path its last part stays.

    >>> portable("emobridge adapt --source '/home/a b/en.jsonl' --encoder ../models/ws --option x=/data/en")
    'emobridge adapt --source en.jsonl --encoder ../models/ws --option x=en'
    """
    with_spaces = re.sub(r"'([/~][^']*)'", lambda match: shlex.quote(PurePath(match[1]).name), text)
    return ABSOLUTE.sub(lambda match: PurePath(match[0].replace("\\", "/")).name, with_spaces)


def _facts(record: StudyRecord, normalisation: list[str]) -> list[str]:
    method = record.bundle_method or record.method
    encoders = sorted({f"{row.encoder}, layer {row.layer}" for row in record.scores if row.method == method})
    facts = [f"Method: {method}{f' ({record.bundle_reason})' if record.bundle_reason else ''}"]
    facts += [f"Labels, in this order: {', '.join(record.labels)}"] if record.labels else []
    facts += [f"Attributes, in this order: {', '.join(record.attributes)}"] if record.attributes else []
    facts += [f"Encoder: {', '.join(encoders)}"] if encoders else []
    facts += [f"Normalisation: {', '.join(normalisation)}"] if normalisation else []
    facts += [f"{line[0].upper()}{line[1:]}" for line in record.temperatures]
    return [*facts, f"Made: {record.created}"]


def _corpus(record: StudyRecord, side: str) -> str:
    rows = [
        f"{row.corpus} ({row.language}, {count(row.utterances, 'utterance')}, "
        f"{'speakers unknown' if row.speakers is None else count(row.speakers, 'speaker')})"
        for row in record.corpora
        if row.side == side
    ]
    return f"{side.capitalize()}: {'; '.join(rows) or 'none'}"


def _scores(record: StudyRecord) -> str:
    measure = headline_measure(record)
    systems = [system for system in scored_systems(record) if system.mean(measure)]
    lead = leading_measure("attributes")
    names = [f"{lead.name} {name}" for name in record.attributes]
    columns = [measure, *(name for name in names if name != measure)]
    stamp = stamp_of(record.synthetic, record.constructed)
    unit = measure_of(measure).unit and f", {measure_of(measure).unit}"
    if unit and names:
        unit += f"; {lead.name} is in [{lead.range[0]:g}, {lead.range[1]:g}]"
    caption = (
        f"*{stamp}Mean over seeds with 95 % interval over {record.intervals_over} (jackknife, Student's t){unit}.*"
    )
    head = f"| system | scored on | {' | '.join(map(escaped, columns))} | n | seeds |"
    rule = "|" + " --- |" * (len(columns) + 4)
    return "\n".join([caption, "", head, rule, *(_row(system, columns) for system in systems)])


def _row(system: ScoredSystem, measures: list[str]) -> str:
    row = system.mean(measures[0])
    assert row is not None
    cells = ["" if (score := system.mean(measure)) is None else score_text(score) for measure in measures]
    values = " | ".join(cells)
    return f"| {escaped(system.name)} | {system.side} | {values} | {row.n} | {len(system.seeds(measures[0]))} |"


def _list(items: list[str] | tuple[str, ...]) -> str:
    return "\n".join(f"- {escaped(item)}" for item in items)
