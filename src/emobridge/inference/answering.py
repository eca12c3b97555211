"""Answers to the units of one request: each by itself, or together where speakers are standardised by what is given.

A unit is an utterance with one channel, or the mean of all. `Apart` encodes and answers part by part, so that on a CPU
a row is the same to the last bit whatever stands beside it, and memory does not grow. `Together` needs the features of
all parts before the first answer; it takes them from a feature store, where an interrupted run left them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from emobridge.bundle import Recognizer
from emobridge.data.audio import AudioError, channels_agree
from emobridge.features import finite
from emobridge.inference.ahead import EncodedParts, PartIndex
from emobridge.inference.features import FeaturesBySet, stored_features
from emobridge.inference.journal import Journal, unit_key
from emobridge.inference.online import Online
from emobridge.inference.routing import Mode, answers, inputs_of_branches, sets_of, unfamiliarity
from emobridge.inference.rows import answered_rows, branch_words, unanswered
from emobridge.inference.segments import NOT_FINITE, AnswerPart, parts_of
from emobridge.inference.shared import BundleProcesses
from emobridge.inference.statistics import statistics_words
from emobridge.settings import Answering
from emobridge.types import Prediction, Utterance


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """What is to be answered, by whom and how."""

    recognizer: Recognizer
    settings: Answering
    labels: Sequence[int]  # indices of those that may be answered
    units: Sequence[Utterance]
    modes: Sequence[Mode]  # who answers each unit
    report: Callable[[int, float], None]  # gets a unit's index and the share of it that is done
    online: Online | None = None  # adapts the answers to those before them

    @property
    def is_together(self) -> bool:
        """Whether an answer depends on the other units."""
        branches = self.recognizer.branches
        by_speaker = any(row.spec.normalise.startswith("speaker") and not row.spec.frames for row in branches)
        knows = any(unit.speaker is not None for unit in self.units)
        return self.settings.statistics == "these" and by_speaker and knows

    def answered(
        self, parts: Sequence[AnswerPart], modes: Mapping[int, Mode], features: FeaturesBySet
    ) -> list[Prediction]:
        """The rows of the parts that have a mode, by their features."""
        utterances = [part.utterance for part in parts]
        values, answered_by = answers(self.recognizer, utterances, modes, features)
        distances = unfamiliarity(self.recognizer, utterances, modes, features, answered_by)
        words = branch_words(self.recognizer, list(modes.values()), answered_by)
        if self.online is not None:
            inputs = inputs_of_branches(self.recognizer, utterances, modes, features, answered_by)
            learnt = self.online.follow(values, inputs, answered_by, distances)
            words = [f"{word} (online: {count})" if count else word for word, count in zip(words, learnt)]
        rows = answered_rows(
            self.recognizer,
            self.labels,
            [parts[row] for row in modes],
            values,
            answered_by=words,
            statistics=statistics_words(self.recognizer, utterances, modes, answered_by),
            abstain_below=self.settings.abstain_below,
        )
        return [replace(row, unfamiliarity=distance) for row, distance in zip(rows, distances)]

    def unanswered(self, part: AnswerPart, reason: str) -> Prediction:
        """The row of a part without an answer."""
        return unanswered(self.recognizer, self.labels, part, reason)


class Apart:
    """Answers that depend on nothing but their own audio; speakers do not matter.

    Of a long recording each part is written to the journal as it comes, and the rest is answered by the next run.
    """

    def __init__(self, request: AnswerRequest, journal: Journal, settled_by: Sequence[str]) -> None:
        """settled_by: what the answers depend on beside the request and the audio."""
        self.request, self.journal, self.settled_by = request, journal, settled_by
        self.encoded_parts = EncodedParts(
            request.recognizer,
            request.settings,
            request.units,
            request.modes,
            lambda unit: unit_key([request.units[unit]], *settled_by) in journal,
        )

    def rows(self, unit: int) -> list[Prediction]:
        """The rows of a unit, by its index. Errors: AudioError where it cannot be read."""
        request = self.request
        parts = self.parts(unit)
        rows = []
        for index, part in enumerate(parts):
            part_index = (unit, index)
            rows.append(self.row(part, part_index) if len(parts) == 1 else self._finished_row(part, part_index))
            request.report(unit, (index + 1) / len(parts))
        return rows

    def parts(self, unit: int) -> list[AnswerPart]:
        """The parts of a unit that are answered. Errors: AudioError where it cannot be read."""
        return self.encoded_parts.parts(unit)

    def differs(self, unit: int) -> bool:
        """Whether the channels of a unit differ, and were mixed. Errors: AudioError where it cannot be read."""
        return not channels_agree(self.request.units[unit])

    def _finished_row(self, part: AnswerPart, part_index: PartIndex) -> Prediction:
        """The row of one part of several, from the journal where it is there."""
        key = unit_key([part.utterance], *self.settled_by, "part")
        (row,) = self.journal.read(key) or (self.row(part, part_index),)
        if key not in self.journal:
            self.journal.add(key, [row])
        return row

    def row(self, part: AnswerPart, part_index: PartIndex) -> Prediction:
        """The answer to a part by its index."""
        request, mode = self.request, self.request.modes[part_index[0]]
        if part.reason:
            return request.unanswered(part, part.reason)
        sets = sets_of(request.recognizer, mode)
        encoded = self.encoded_parts.encoded(part_index)
        if not all(bool(values.isfinite().all()) for values in encoded):
            return request.unanswered(part, NOT_FINITE)
        features = {adapters: {0: values} for adapters, values in zip(sets, encoded)}
        return request.answered([part], {0: mode}, features)[0]


class Together:
    """Answers whose features are standardised by all that is given of their speaker."""

    def __init__(
        self,
        request: AnswerRequest,
        store: str | Path | None,
        processes: BundleProcesses | None = None,
        *,
        is_strict: bool,
    ) -> None:
        """store: the folder of the features, by default the user's cache. processes: those that compute features.

        is_strict: the first bad file raises.
        """
        self.request, self.store, self.processes, self.is_strict = request, store, processes, is_strict
        self._errors: dict[int, AudioError] = {}  # by unit

    def rows(self, unit: int) -> list[Prediction]:
        """The rows of a unit, by its index; at the first call all audio is read. Errors: AudioError, as `Apart`."""
        rows = self._rows_by_unit
        if unit in self._errors:
            raise self._errors[unit]
        return rows[unit]

    def differs(self, unit: int) -> bool:
        """As `Apart` has it."""
        return not channels_agree(self.request.units[unit])

    @cached_property
    def _rows_by_unit(self) -> dict[int, list[Prediction]]:
        request = self.request
        parts = self._parts()
        part_indices = [(unit, index) for unit in parts for index, part in enumerate(parts[unit]) if not part.reason]
        chosen = [parts[unit][index] for unit, index in part_indices]
        features, reasons = self._features(chosen, [request.modes[unit] for unit, _ in part_indices])
        for row, reason in reasons.items():
            if not reason.endswith(finite.NO_FINITE_NUMBERS):
                self._errors[part_indices[row][0]] = AudioError(reason)
        modes = {row: request.modes[unit] for row, (unit, _) in enumerate(part_indices) if row not in reasons}
        answered = request.answered(chosen, modes, features)
        by_index = dict(zip((part_indices[row] for row in modes), answered))
        return {
            unit: [
                by_index.get((unit, index)) or request.unanswered(part, part.reason or NOT_FINITE)
                for index, part in enumerate(parts[unit])
            ]
            for unit in parts
        }

    def _parts(self) -> dict[int, list[AnswerPart]]:
        """The parts of each unit that can be read."""
        parts = {}
        for unit, utterance in enumerate(self.request.units):
            try:
                parts[unit] = parts_of(utterance, self.request.settings)
            except AudioError as error:
                if self.is_strict:
                    raise
                self._errors[unit] = error
        return parts

    def _features(self, parts: Sequence[AnswerPart], modes: Sequence[Mode]) -> tuple[FeaturesBySet, dict[int, str]]:
        """Features by set of adapters and index of the part, and the reasons for parts that have none."""
        request = self.request
        last, reasons = len(request.units) - 1, dict[str, str]()
        features, _ = stored_features(
            request.recognizer,
            [replace(part.utterance, id=str(row)) for row, part in enumerate(parts)],
            [sets_of(request.recognizer, mode) for mode in modes],
            self.store,
            None if self.is_strict else reasons.__setitem__,
            lambda done, total: request.report(round(last * done / total), 1.0),
            self.processes,
        )
        return features, {int(row): reason for row, reason in reasons.items()}
