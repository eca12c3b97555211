"""The answers of a recogniser to all that it was given, as a sequence that prints as one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from emobridge.bundle import Recognizer
from emobridge.errors import UserError
from emobridge.inference.inputs import AudioInput, open_inputs
from emobridge.inference.output import to_dataframe
from emobridge.inference.predict import predict
from emobridge.progress import report_note
from emobridge.settings import Answering
from emobridge.types import Prediction

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True, repr=False)
class Predictions(Sequence[Prediction]):
    """Predictions in order, and what could not be read.

    >>> answers = [Prediction(name, 0.0, 1.0, ("anger", "sadness"), (0.9, 0.1)) for name in "ab"]
    >>> Predictions((*answers, Prediction("c", 0.0, 1.0, ("anger", "sadness"), (), reason="no speech")))
    <Predictions: 3 (2 anger, 1 no speech)>
    """

    predictions: tuple[Prediction, ...]
    skipped: tuple[tuple[str, str], ...] = ()  # ids, and why they could not be read

    @classmethod
    def of(
        cls,
        recognizer: Recognizer,
        audio: AudioInput,
        *,
        sample_rate: float | None = None,
        language: str | None = None,
        speakers: str = "unknown",
        strict: bool = False,
        store: str | Path | None = None,
        **options: Any,
    ) -> Predictions:
        """The answers to all of `audio`, as `Recognizer.predict` gives them. Errors: UserError, as there."""
        settings = Answering.of(**options)
        if language is not None and not settings.untold:
            recognizer.branch_of(language)
        of_paths = {"language": language, "speakers": speakers, "channels": settings.channels, "on_note": report_note}
        skipped: list[tuple[str, str]] = []
        with open_inputs(audio, sample_rate=sample_rate, **of_paths) as inputs:

            def on_skip(name: str, reason: str) -> None:
                skipped.append((name, inputs.without_folder(reason)))

            answers = predict(
                recognizer,
                inputs.utterances,
                settings,
                store=store,
                on_skip=None if strict else on_skip,
                on_note=lambda note: report_note(inputs.without_folder(note)),
            )
            predictions = tuple(map(inputs.shown, answers))
        if skipped and not predictions:
            name, reason = skipped[0]
            more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
            raise UserError(f"{reason if name in reason else f'{name}: {reason}'}{more}: nothing predicted")
        return cls(predictions, tuple(skipped))

    def __len__(self) -> int:
        return len(self.predictions)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Predictions: ...
    def __getitem__(self, index: int | slice) -> Prediction | Predictions:
        return Predictions(self.predictions[index]) if isinstance(index, slice) else self.predictions[index]

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.predictions)

    def __repr__(self) -> str:
        counts = Counter(answer.label or answer.reason or "attributes" for answer in self.predictions)
        parts = [f"{count} {name}" for name, count in counts.most_common(6)]
        parts += ["..."] if len(counts) > 6 else []
        labels = f" ({', '.join(parts)})" if parts else ""
        skipped = f"; {len(self.skipped)} skipped" if self.skipped else ""
        return f"<Predictions: {len(self):,}{labels}{skipped}>"

    def to_dataframe(self) -> pandas.DataFrame:
        """A row for each prediction; see `inference.to_dataframe`."""
        return to_dataframe(self)
