"""Answers to recordings from several processes, each of which has the recogniser: the rows of one, in the same order.

A recording is the unit of work. One of many parts is only cut in a process, and its parts are then answered by several.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from emobridge.bundle import Recognizer
from emobridge.data.audio import channels_agree
from emobridge.features.parallel import Crew
from emobridge.inference.answering import AnswerRequest, Apart
from emobridge.inference.journal import Journal, unit_key
from emobridge.inference.routing import modes_of
from emobridge.inference.segments import AnswerPart
from emobridge.settings import Answering
from emobridge.types import Prediction, Utterance

MANY_PARTS = 32  # of a recording: with more, they are shared out
PARTS_AT_ONCE = 8
LOOK_AHEAD = 16  # recordings for each process that wait or are finished before their turn


@dataclass(frozen=True, slots=True)
class UnitAnswers:
    """What a process makes of a recording."""

    rows: tuple[Prediction, ...]
    parts: tuple[AnswerPart, ...]  # in place of rows, where there are many
    differs: bool  # whether its channels do, and were mixed


class InProcesses:
    """As `Apart`, with the work done by the processes of a crew that `start_answering` prepared."""

    def __init__(
        self, request: AnswerRequest, journal: Journal, settled_by: Sequence[str], keys: Sequence[str], crew: Crew
    ) -> None:
        """settled_by: what answers depend on beside the request and the audio. keys: of the units in the journal."""
        self.request, self.journal, self.settled_by, self.crew = request, journal, settled_by, crew
        self._waiting = iter([unit for unit, key in enumerate(keys) if key not in journal])
        self._futures: dict[int, Any] = {}
        self._differing: set[int] = set()

    def rows(self, unit: int) -> list[Prediction]:
        """The rows of a unit, by its index; units come in their order. Errors: AudioError where it cannot be read."""
        ahead = LOOK_AHEAD * self.crew.jobs - len(self._futures)
        for number in itertools.islice(self._waiting, max(0, ahead)):
            self._submit(number)
        if unit not in self._futures:  # its line in the journal is damaged
            self._submit(unit)
        answers: UnitAnswers = self.crew.result(self._futures.pop(unit))
        if answers.differs:
            self._differing.add(unit)
        rows = list(self._rows_of(unit, answers.parts)) if answers.parts else list(answers.rows)
        self.request.report(unit, 1.0)
        return rows

    def differs(self, unit: int) -> bool:
        """Whether the channels of an answered unit differ, and were mixed."""
        return unit in self._differing

    def _submit(self, unit: int) -> None:
        utterance = replace(self.request.units[unit], speaker=None)
        self._futures[unit] = self.crew.submit(_answer_unit, utterance)

    def _rows_of(self, unit: int, parts: Sequence[AnswerPart]) -> Iterator[Prediction]:
        """The rows of many parts, each from the journal where it is there, and written to it."""
        keys = [unit_key([part.utterance], *self.settled_by, "part") for part in parts]
        missing = [index for index, key in enumerate(keys) if self.journal.read(key) is None]
        groups = [missing[first : first + PARTS_AT_ONCE] for first in range(0, len(missing), PARTS_AT_ONCE)]
        futures = [self.crew.submit(_answer_parts, [parts[index] for index in group]) for group in groups]
        fresh: dict[int, Prediction] = {}
        for done, (group, future) in enumerate(zip(groups, futures), 1):
            for index, row in zip(group, self.crew.result(future)):
                fresh[index] = row
                self.journal.add(keys[index], [row])
            self.request.report(unit, done / len(groups))
        for index, key in enumerate(keys):
            yield fresh[index] if index in fresh else (self.journal.read(key) or ())[0]


_request: AnswerRequest  # of a process that works for another


def start_answering(bundle: str, encoder: str | None, device: str, settings: Answering, labels: Sequence[int]) -> None:
    """Prepare a process: it reads the bundle."""
    global _request
    recognizer = Recognizer.load(bundle, encoder=encoder, device=device)
    _request = AnswerRequest(recognizer, settings, labels, [], [], _ignore)


def _ignore(unit: int, share: float) -> None:
    """No progress: the other process reports it."""


def _answering(utterance: Utterance) -> Apart:
    """Who answers is decided anew: a branch that was sent would be none of this process's recogniser."""
    modes = modes_of(_request.recognizer, [utterance], _request.settings.untold or None)
    return Apart(replace(_request, units=[utterance], modes=modes), Journal(None, ""), ())


def _answer_unit(utterance: Utterance) -> UnitAnswers:
    apart = _answering(utterance)
    parts = apart.parts(0)
    differs = utterance.channel is None and not channels_agree(utterance)
    if len(parts) > MANY_PARTS:
        return UnitAnswers((), tuple(parts), differs)
    return UnitAnswers(tuple(apart.row(part, (0, index)) for index, part in enumerate(parts)), (), differs)


def _answer_parts(parts: list[AnswerPart]) -> list[Prediction]:
    apart = _answering(parts[0].utterance)
    apart.encoded_parts.settle(0, parts)
    return [apart.row(part, (0, index)) for index, part in enumerate(parts)]
