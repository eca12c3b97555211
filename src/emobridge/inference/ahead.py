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

PartPlace = tuple[int, int]  # a unit and the index of its part


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
        self._encoded: dict[PartPlace, list[Tensor]] = {}
        self._last: tuple[Utterance, np.ndarray] | None = None  # what was read last, and its audio

    def parts(self, unit: int) -> list[AnswerPart]:
        """The parts of a unit. Errors: AudioError where it cannot be read."""
        for earlier in [number for number in self._parts if number < unit]:
            del self._parts[earlier]
        return self._parts_of(unit)

    def settle(self, unit: int, parts: list[AnswerPart]) -> None:
        """Take these for the parts of a unit."""
        self._parts[unit] = parts

    def encoded(self, place: PartPlace) -> list[Tensor]:
        """`inference.features.encode` of a part that has no reason, through each set of adapters that its unit needs.

        Errors: AudioError where it cannot be read.
        """
        if place not in self._encoded:
            self._encode_from(place)
        return self._encoded.pop(place)

    def _encode_from(self, place: PartPlace) -> None:
        places, waves, sets = self._batch(place)
        recognizer = self.recognizer

        def run(rows: slice) -> list[Tensor]:
            return encode(recognizer, waves[rows], sets[rows])

        for features, _ in by_halves(run, waves, recognizer.encoder):
            for values in features:
                self._encoded.setdefault(places.pop(0), []).append(values)

    def _batch(self, place: PartPlace) -> tuple[list[PartPlace], list[np.ndarray], list[Set]]:
        """The places that are encoded together, one for each set of adapters, their waves and the sets."""
        encoder = self.recognizer.encoder
        device = device_of(encoder)
        most = batch_seconds(encoder.layers, encoder.width, encoder.frame_rate, device)
        together = self._places_from(place) if is_accelerator(device) else [(place, self.parts(place[0])[place[1]])]
        places: list[PartPlace] = []
        waves: list[np.ndarray] = []
        sets: list[Set] = []
        longest = 0.0
        for later, part in together:
            needed = sets_of(self.recognizer, self.modes[later[0]])
            longest = max(longest, part.end - part.utterance.start)
            if places and (len(places) + len(needed)) * longest > most:
                break
            try:
                wave = self._read(part.utterance)
            except AudioError:
                if later == place:
                    raise
                continue
            places += [later] * len(needed)
            waves += [wave] * len(needed)
            sets += needed
        return places, waves, sets

    def _places_from(self, place: PartPlace) -> Iterator[tuple[PartPlace, AnswerPart]]:
        """The parts from one on that are to be encoded, of its unit and of those behind it."""
        for unit in range(place[0], len(self.units)):
            if unit != place[0] and self.is_finished(unit):
                continue
            try:
                parts = self._parts_of(unit)
            except AudioError:
                continue
            for index, part in enumerate(parts):
                if not part.reason and (unit, index) >= place and (unit, index) not in self._encoded:
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
