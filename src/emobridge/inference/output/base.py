"""What the formats of predictions share: what a format is, the row of a prediction, and its recording."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from emobridge.data.audio import printable
from emobridge.errors import UserError
from emobridge.types import Prediction


@dataclass(frozen=True, slots=True)
class Origin:
    """What a file of predictions says of the recogniser, and where it is."""

    trained_on: str = ""  # "SYNTHETIC" or "CONSTRUCTED" or both; "" of a recogniser of real speech
    folder: str = ""  # of the file that is written, absolute; "" where it is printed
    seconds: float = 0.0  # of the one recording, where its path is no file to look at; 0 is what the file says


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its suffixes, and the texts that a file of it consists of."""

    suffixes: tuple[str, ...]  # in lower case; files of the first are written
    texts: Callable[[Iterable[Prediction], Origin], Iterator[str]]
    holds_one_recording: bool = False  # a file has the rows of one recording, sorted by their start
    also: tuple[str, ...] = ()  # suffixes that another format has by default, and this one may have


def row_of(prediction: Prediction, origin: Origin) -> dict[str, Any]:
    """A prediction as JSON has it: the same keys for each prediction of a recogniser; None is what is not known."""
    row: dict[str, Any] = {
        "id": prediction.id,
        "path": prediction.path or None,
        "channel": prediction.channel,
        "start": _rounded(prediction.start, 3),
        "end": _rounded(prediction.end, 3),
        "language": prediction.language,
    }
    if prediction.labels:
        shares = zip(prediction.labels, prediction.probabilities)
        row["label"] = prediction.label
        row["confidence"] = _rounded(prediction.confidence, 6)
        row["probabilities"] = {label: _rounded(share, 6) for label, share in shares} or None
    if prediction.attribute_names:
        pairs = zip(prediction.attribute_names, prediction.attributes or ())
        row["attributes"] = {name: _rounded(value, 4) for name, value in pairs} or None
    row["answered_by"] = prediction.answered_by or None
    row["statistics"] = prediction.statistics or None
    row["unfamiliarity"] = _rounded(prediction.unfamiliarity, 4)
    row["reason"] = prediction.reason or None
    return row | ({"trained_on": origin.trained_on} if origin.trained_on else {})


def flat_row(prediction: Prediction, origin: Origin) -> dict[str, Any]:
    """The row with a column for each probability, named p_LABEL, and for each attribute."""
    flat: dict[str, Any] = {}
    for key, value in row_of(prediction, origin).items():
        if key == "probabilities":
            flat |= {f"p_{label}": (value or {}).get(label) for label in prediction.labels}
        elif key == "attributes":
            flat |= {name: (value or {}).get(name) for name in prediction.attribute_names}
        else:
            flat[key] = value
    return flat


def by_recording(predictions: Iterable[Prediction]) -> dict[str, list[Prediction]]:
    """The predictions of each recording, by its path (or, without one, the id), sorted by start and channel."""
    recordings: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        recordings.setdefault(prediction.path or prediction.id, []).append(prediction)
    for rows in recordings.values():
        rows.sort(key=lambda row: (row.start, -1 if row.channel is None else row.channel))
    return recordings


class Names:
    """Short names of recordings: those of their files without the suffix, each once, however a system folds case."""

    def __init__(self, clean: Callable[[str], str] = str) -> None:
        """clean: makes a name one that the format can hold."""
        self._clean = clean
        self._by_path: dict[str, str] = {}
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}  # the number behind the last name of each stem

    def of(self, recording: str) -> str:
        """The name of the recording at a path; of a second file of that name, with -2 after it."""
        if recording not in self._by_path:
            stem = self._clean(os.path.splitext(os.path.basename(recording))[0]) or "recording"
            number = self._last.get(stem.casefold(), 1)  # all below are taken
            name = stem if number == 1 else f"{stem}-{number}"
            while name.casefold() in self._taken:
                number += 1
                name = f"{stem}-{number}"
            self._taken.add(name.casefold())
            self._last[stem.casefold()] = number
            self._by_path[recording] = name
        return self._by_path[recording]


def channel_name(prediction: Prediction) -> str:
    """ "channel 0" of a prediction for a single channel; "" of any other."""
    return "" if prediction.channel is None else f"channel {prediction.channel}"


def one_line(text: str) -> str:
    """A text without line ends and tabs, which would end a field; other control characters are escaped."""
    return printable(re.sub(r"\s+", " ", text))


def label_needed(prediction: Prediction, form: str) -> None:
    """Errors: UserError for the prediction of a recogniser of attributes alone, in a format that holds labels."""
    if not prediction.labels:
        names = ", ".join(prediction.attribute_names)
        raise UserError(f"format {form}: holds labels, and this recogniser tells {names}")


def caption_of(prediction: Prediction) -> str:
    """What was answered, for people: "anger 0.83", or "arousal 0.12 valence -0.40"; "" where nothing was."""
    if prediction.label is not None:
        return one_line(f"{prediction.label} {prediction.confidence:.2f}")
    if prediction.labels or prediction.attributes is None or prediction.reason:
        return ""
    pairs = zip(prediction.attribute_names, prediction.attributes)
    return one_line(" ".join(f"{name} {value:.2f}" for name, value in pairs))


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
