"""Answers to recordings: a row for each part that is asked for, in order, and the notes that belong to them."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from emobridge.bundle import UNKNOWN, Recognizer
from emobridge.data.activity import resolve_detector
from emobridge.data.audio import AudioError, duration, printable, utterance_seconds
from emobridge.encoders import fixed_engine
from emobridge.errors import UserError, count_noun
from emobridge.inference.answering import AnswerRequest, Apart, Together
from emobridge.inference.features import Skip
from emobridge.inference.inputs import AudioInput, as_utterances
from emobridge.inference.journal import Journal, answered, unit_key
from emobridge.inference.online import Online
from emobridge.inference.processes import InProcesses, start_answering
from emobridge.inference.routing import Mode, by_domain, modes_of
from emobridge.inference.rows import answered_rows, chosen_labels
from emobridge.inference.segments import AnswerPart
from emobridge.inference.shared import BundleProcesses, apart
from emobridge.inference.sources import by_channel
from emobridge.progress import Progress
from emobridge.settings import Answering
from emobridge.types import Prediction, Utterance

FILES_NAMED = 3  # files in a note


def predict(
    recognizer: Recognizer | BundleProcesses,
    audio: AudioInput,
    settings: Answering | None = None,
    *,
    store: str | Path | None = None,
    journal: Journal | None = None,
    on_skip: Skip | None = None,
    on_note: Callable[[str], None] | None = None,
    on_progress: Progress | None = None,
) -> Iterator[Prediction]:
    """A Prediction for each part of each utterance that `settings` ask for, in order, at least one an utterance.

    audio: utterances, and paths for what `utterances_of` makes of them; arrays are for `Recognizer.predict`.
    A part without speech, too short, too long, or of which the encoder makes numbers that are not finite, has no label
    but a reason. What cannot be read goes to `on_skip`, or raises without one. Rows come as the audio is read, and none
    depends on another, but with `settings.adapt_online` on those before it. Where known speakers are standardised by
    all that is given of them (`settings.statistics`) all audio is read before the first row, and its features are kept
    in `store`, by default in the user's cache.
    journal: holds what an earlier run of the same request has answered; with `settings.adapt_online` it is not used,
    and an interrupted run begins anew. on_note: gets what the user should know.
    on_progress: gets seconds of audio.
    A recogniser with processes (`BundleProcesses`) gives the same rows. Errors: UserError for settings that the
    recogniser cannot serve, for several processes with `settings.adapt_online`, and where a process was killed;
    AudioError for a bad file without `on_skip`.
    """
    settings = settings or Answering()
    recognizer, processes = apart(recognizer)
    if processes is not None and settings.adapt_online:
        raise UserError("jobs: --adapt-online learns from one recording after the other: give --jobs 1, no --cluster")
    labels = chosen_labels(recognizer.labels, settings)
    units = [unit for utterance in as_utterances(audio) for unit in by_channel(utterance, settings)]
    modes = modes_of(recognizer, units, settings.untold or None)
    if on_note is not None and not settings.untold:
        note_languages(recognizer, units, modes, on_note)
    online = Online(recognizer) if settings.adapt_online else None
    request = AnswerRequest(recognizer, settings, labels, units, modes, in_seconds(units, on_progress), online)
    if journal is None or online is not None:  # an answer that was only read would not be learnt from
        journal = Journal(None, "")
    settled_by = [resolve_detector(settings.detector), unit_key(units) if request.is_together else ""]
    keys = [unit_key([unit], *settled_by) for unit in units]
    answering: Apart | Together | InProcesses = Apart(request, journal, settled_by)
    differing: dict[str, None] = {}

    def answer(row: int) -> list[Prediction]:
        predictions = answering.rows(row)
        if on_note is not None and units[row].channel is None and answering.differs(row):
            differing[units[row].path] = None
        return predictions

    with contextlib.ExitStack() as stack:
        if request.is_together:
            answering = Together(request, store, processes, is_strict=on_skip is None)
        elif processes is not None:
            stack.enter_context(fixed_engine())
            arguments = (processes.bundle, processes.encoder, processes.device, settings, labels)
            crew = processes.crew(sum(key not in journal for key in keys), start_answering, arguments)
            if crew is not None:
                answering = InProcesses(request, journal, settled_by, keys, stack.enter_context(crew))
        yield from answered(units, keys, answer, journal, on_skip)
    if differing and on_note is not None:
        on_note(mixed_note(list(differing)))


def predictions_from(recognizer: Recognizer, utterances: Sequence[Utterance], pooled: Tensor) -> list[Prediction]:
    """The last branch's predictions from features (N, V, S * D) of its layers, each by the domain of its corpus or
    language.
    """
    values = torch.empty(len(utterances), len(recognizer.labels) + len(recognizer.attributes))
    statistics = [""] * len(utterances)
    for domain, rows, speakers, texts in by_domain(recognizer, utterances):
        values[rows] = recognizer.answers(pooled[rows], domain, speakers, texts)
    parts = [AnswerPart(row, row.end or duration(row.path)) for row in utterances]
    languages = [recognizer.last.language] * len(parts)
    all_labels = range(len(recognizer.labels))
    return answered_rows(
        recognizer, all_labels, parts, values, answered_by=languages, statistics=statistics, abstain_below=0.0
    )


def note_languages(
    recognizer: Recognizer, units: Sequence[Utterance], modes: Sequence[Mode], on_note: Callable[[str], None]
) -> None:
    """Say once that the language of some recordings is none of the recogniser's, and who answers them."""
    last = recognizer.last.language
    foreign = Counter(unit.language for unit, mode in zip(units, modes) if mode == "target")
    if len(recognizer.branches) == 1:  # which answers alone, whatever is spoken
        del foreign[UNKNOWN]
    if not foreign or last == UNKNOWN:
        return
    names = ", ".join("not known" if name == UNKNOWN else name for name in sorted(foreign))
    on_note(
        f"{count_noun(foreign.total(), 'recording')} of {len(units):,} in a language that this bundle has no head for "
        f"({names}): the head of {last} answers; --language tells the language, --untold chooses who answers"
    )


def mixed_note(paths: Sequence[str]) -> str:
    """What the user should know of files whose channels differ and were mixed."""
    names = ", ".join(map(printable, paths[:FILES_NAMED]))
    more = f" and {len(paths) - FILES_NAMED:,} more" if len(paths) > FILES_NAMED else ""
    return (
        f"the channels of {count_noun(len(paths), 'file')} differ and were mixed into one ({names}{more}); "
        "--channels each answers each channel by itself"
    )


def in_seconds(units: Sequence[Utterance], on_progress: Progress | None) -> Callable[[int, float], None]:
    """A function of a unit and the share of it that is done, which reports seconds of all."""
    if on_progress is None:
        return lambda row, share: None
    before = [0.0]
    for unit in units:
        try:
            before.append(before[-1] + utterance_seconds(unit))
        except AudioError:
            before.append(before[-1])
    total = math.ceil(before[-1])

    def report(row: int, share: float) -> None:
        on_progress(min(total, round(before[row] + share * (before[row + 1] - before[row]))), total)

    return report
