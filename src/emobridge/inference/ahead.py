"""The parts that come next, encoded together where an accelerator does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from emobridge.bundle import Recognizer
from emobridge.bundle.sets import Set
from emobridge.data.audio import AudioError, read_utterance, utterance_pieces, utterance_seconds
from emobridge.data.devices import batch_seconds, by_halves, device_of, is_accelerator
from emobridge.inference.features import encode
from emobridge.inference.routing import Mode, sets_of
from emobridge.inference.segments import LONGEST_ROW, AnswerPart, parts_of
from emobridge.settings import Answering
from emobridge.types import Utterance

PartIndex = tuple[int, int]  # a unit and the index of its part


class EncodedParts:
    """The parts of units and what the encoder makes of them, in order.

    On a CPU a part is encoded when it is asked for. On an accelerator those behind it are encoded with it, as many as a
    batch holds; what cannot be read is left for its own turn.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        settings: Answering,
        units: Sequence[Utterance],
        modes: Sequence[Mode],
        is_finished: Callable[[int], bool],
    ) -> None:
        """is_finished: whether a unit, by its index, will not be asked for."""
        self.recognizer, self.settings, self.is_finished = recognizer, settings, is_finished
        self.units, self.modes = units, modes
        self._parts: dict[int, list[AnswerPart]] = {}
        self._encoded: dict[PartIndex, list[Tensor]] = {}
        self._last: tuple[Utterance, np.ndarray] | None = None  # what was read last, and its audio

    def parts(self, unit: int) -> list[AnswerPart]:
        """The parts of a unit. Errors: AudioError where it cannot be read."""
        for earlier in [number for number in self._parts if number < unit]:
            del self._parts[earlier]
        return self._parts_of(unit)

    def settle(self, unit: int, parts: list[AnswerPart]) -> None:
        """Take these for the parts of a unit."""
        self._parts[unit] = parts

    def encoded(self, part_index: PartIndex) -> list[Tensor]:
        """`inference.features.encode` of a part that has no reason, through each set of adapters that its unit needs.

        Errors: AudioError where it cannot be read.
        """
        if part_index not in self._encoded:
            self._encode_from(part_index)
        return self._encoded.pop(part_index)

    def _encode_from(self, part_index: PartIndex) -> None:
        part_indices, waves, sets = self._batch(part_index)
        recognizer = self.recognizer

        def run(rows: slice) -> list[Tensor]:
            return encode(recognizer, waves[rows], sets[rows])

        for features, _ in by_halves(run, waves, recognizer.encoder):
            for values in features:
                self._encoded.setdefault(part_indices.pop(0), []).append(values)

    def _batch(self, part_index: PartIndex) -> tuple[list[PartIndex], list[np.ndarray], list[Set]]:
        """The indices of parts that are encoded together, one for each set of adapters, their waves and the sets."""
        encoder = self.recognizer.encoder
        device = device_of(encoder)
        most = batch_seconds(encoder.layers, encoder.width, encoder.frame_rate, device)
        together = (
            self._parts_from(part_index)
            if is_accelerator(device)
            else [(part_index, self.parts(part_index[0])[part_index[1]])]
        )
        part_indices: list[PartIndex] = []
        waves: list[np.ndarray] = []
        sets: list[Set] = []
        longest = 0.0
        for later, part in together:
            needed = sets_of(self.recognizer, self.modes[later[0]])
            longest = max(longest, part.end - part.utterance.start)
            if part_indices and (len(part_indices) + len(needed)) * longest > most:
                break
            try:
                wave = self._read(part.utterance)
            except AudioError:
                if later == part_index:
                    raise
                continue
            part_indices += [later] * len(needed)
            waves += [wave] * len(needed)
            sets += needed
        return part_indices, waves, sets

    def _parts_from(self, part_index: PartIndex) -> Iterator[tuple[PartIndex, AnswerPart]]:
        """The parts from one on that are to be encoded, of its unit and of those behind it."""
        for unit in range(part_index[0], len(self.units)):
            if unit != part_index[0] and self.is_finished(unit):
                continue
            try:
                parts = self._parts_of(unit)
            except AudioError:
                continue
            for index, part in enumerate(parts):
                if not part.reason and (unit, index) >= part_index and (unit, index) not in self._encoded:
                    yield (unit, index), part

    def _parts_of(self, unit: int) -> list[AnswerPart]:
        if unit not in self._parts:
            self._parts[unit] = parts_of(replace(self.units[unit], speaker=None), self.settings, self._pieces)
        return self._parts[unit]

    def _pieces(self, utterance: Utterance) -> Iterable[np.ndarray]:
        """The audio of an utterance; of a short one it stays here, for it is probably encoded next."""
        if utterance_seconds(utterance) > LONGEST_ROW:
            return utterance_pieces(utterance)
        self._last = utterance, read_utterance(utterance)
        return [self._last[1]]

    def _read(self, utterance: Utterance) -> np.ndarray:
        """The audio of a part."""
        return self._last[1] if self._last and self._last[0] == utterance else read_utterance(utterance)
