"""The model card of a diarizer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from emobridge.corpora import licence_of
from emobridge.diarization.training import FrameFit
from emobridge.errors import count_noun
from emobridge.report.blocks import bounds, percent, stamp_of
from emobridge.report.card_head import IndexedScore, card_head, index_results
from emobridge.report.data import LIMITS
from emobridge.report.model_card import USE, portable
from emobridge.report.write import escaped
from emobridge.types import person


def diarizer_card(fit: FrameFit, command: str) -> str:
    """Markdown with a YAML head: what was trained on what, and how well it does on held-out speakers.

    command: that makes the diarizer.
    """
    spec = fit.diarizer.spec
    stamp = stamp_of(spec.synthetic)
    title = f"Which emotion when: {', '.join(spec.labels)}"
    facts = [
        f"Labels, in this order: {', '.join(spec.labels)}",
        f"Encoder: {Path(spec.encoder).name}, layer {spec.layer}; not trained, not in the folder",
        f"Head: {' '.join((spec.head, *spec.head_options))}, {spec.frame_rate:g} answers a second, each on means over "
        f"{' and '.join(f'{radius:g}' for radius in spec.radii)} s on either side",
        f"Window: {spec.window:g} s of sound, heard at once",
        f"Temperature of the confidence: {spec.temperature:.2f}",
    ]
    parts = [
        card_head(spec.languages, title, index_results(_indexed(fit))),
        f"# {escaped(title)}",
        *([f"**{stamp.strip()}**"] if stamp else []),
        "## What it is",
        _lines(facts),
        "## What it was trained on",
        _lines(trained_on(fit)),
        "## How well it does",
        _lines(validation_lines(fit)),
        "## Intended use",
        USE,
        "## Limits and responsible use",
        *LIMITS,
        "## Licences of the corpora",
        "Weights trained on a corpus may fall under its terms.",
        _lines([f"{name}: {licence_of(name)}" for name in dict.fromkeys((*spec.corpora, *spec.target))]),
        "## How it was made",
        f"    {command}",
    ]
    return portable("\n\n".join(parts)) + "\n"


def trained_on(fit: FrameFit) -> list[str]:
    """A line for the recordings, and one for each corpus with its speakers."""
    spec = fit.diarizer.spec
    lines = [
        f"{count_noun(len(fit.recordings), 'recording')} with known boundaries, "
        f"{count_noun(fit.steps, 'step')} of {1 / spec.frame_rate:.2g} s with speech"
    ]
    counts = Counter(recording.first.corpus for recording in fit.recordings)
    for corpus in spec.corpora:
        people = {person(recording.first) for recording in fit.recordings if recording.first.corpus == corpus}
        speakers = "speakers unknown" if people == {None} else count_noun(len(people - {None}), "speaker")
        lines.append(f"{corpus}: {count_noun(counts[corpus], 'recording')}, {speakers}")
    if spec.target:
        lines.append(f"standardised by the moments of {', '.join(spec.target)}, without labels")
    return lines


def validation_lines(fit: FrameFit) -> list[str]:
    """What was measured on held-out speakers, and that nothing was where nobody is held out."""
    if fit.accuracy is None:
        return ["Not measured: nobody is held out."]
    stamp = stamp_of(fit.diarizer.synthetic)
    people, error = {person(steps.recording.first) for steps in fit.validation}, fit.error
    eder = "" if error is None else f", EDER {percent(error.value)} % ({bounds(error.measure, error.low, error.high)})"
    return [
        f"{stamp}{count_noun(len(fit.validation), 'recording')} of {count_noun(len(people), 'held-out speaker')}, of "
        f"the same corpora: UA of steps with speech {percent(fit.accuracy)} %{eder}"
    ]


def _indexed(fit: FrameFit) -> list[IndexedScore]:
    """The error on held-out speakers of the corpora that it was trained on, where it was measured."""
    error = fit.error
    if error is None:
        return []
    return [IndexedScore("EDER", "+".join(fit.diarizer.spec.corpora), error.value, error.low, error.high)]


def _lines(items: list[str]) -> str:
    return "\n".join(f"- {escaped(item)}" for item in items)
