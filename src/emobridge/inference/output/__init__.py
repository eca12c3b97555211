"""Predictions as files: one file a format, chosen by the suffix of the file that is written, or by its name.

from emobridge.inference.output import write_predictions
from emobridge.inference.predict import predict

write_predictions(predict(recognizer, utterances), "calls.csv")
write_predictions(predict(recognizer, utterances), "labels", form="textgrid")  # a file for each recording
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from emobridge.errors import UserError, unknown
from emobridge.files import whole_file
from emobridge.inference.output import audacity, jsonl, label_studio, rttm, srt, table, textgrid
from emobridge.inference.output.base import Format, Names, Origin, by_recording, flat_row
from emobridge.types import Prediction

if TYPE_CHECKING:
    import pandas

MODULES = (jsonl, table, textgrid, rttm, srt, audacity, label_studio)
FORMATS: dict[str, Format] = {name: form for module in MODULES for name, form in module.FORMATS.items()}
FORMATS_BY_SUFFIX = {suffix: name for name, form in FORMATS.items() for suffix in form.suffixes}
NOTHING_PREDICTED = "no audio could be read: nothing predicted"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where predictions go, and how they are written."""

    path: Path | None  # None is standard output
    form: str
    is_folder: bool = False  # a file for each recording goes into the folder `path`

    def check(self, recordings: int) -> None:
        """Errors: UserError where the format holds one recording a file, and there are several for one file."""
        if recordings > 1 and FORMATS[self.form].holds_one_recording and not self.is_folder:
            where = "" if self.path is None else f"{self.path}: "
            raise UserError(
                f"{where}a file of the format {self.form} holds one recording, and there are {recordings:,}: name a "
                f"folder, such as --format {self.form} --out labels"
            )


def choose_output(path: str | Path | None, form: str = "") -> Destination:
    """How predictions are written to `path`: in the format named `form`, or that of the suffix; printed, JSON Lines.

    A format that holds one recording a file is written to a folder where `path` has no suffix of a format.
    Errors: UserError for an unknown format or suffix, with the nearest one, and for a suffix of another format.
    """
    if form and form.lower() not in FORMATS:
        raise unknown("format of predictions", form, FORMATS)
    form, path = form.lower(), None if path is None else Path(path)
    if path is None or (path.exists() and not path.is_file() and not path.is_dir()):  # a device or a pipe
        return Destination(path, form or "jsonl")
    by_suffix = "" if path.is_dir() else _form_of(path)
    if not form and path.is_dir():
        forms = ", ".join(name for name, about in FORMATS.items() if about.holds_one_recording)
        raise UserError(f"--out: {path} is a directory; expected a file, or a --format that has many files: {forms}")
    if not form and not by_suffix:
        raise _unknown_suffix(path)
    if form and by_suffix not in ("", form) and path.suffix.lower() not in FORMATS[form].also:
        raise UserError(f"--out {path} is a name for the format {by_suffix}, and --format is {form}: leave one out")
    form = form or by_suffix
    is_folder = FORMATS[form].holds_one_recording and not by_suffix
    if path.is_dir() and not is_folder:
        raise UserError(f"--out: {path} is a directory; expected a file")
    if path.is_file() and is_folder:
        raise UserError(
            f"--out: {path} is a file; expected a folder, or a name that ends in {FORMATS[form].suffixes[0]}"
        )
    return Destination(path, form, is_folder)


def write_predictions(
    predictions: Iterable[Prediction],
    path: str | Path | None = None,
    *,
    form: str = "",
    synthetic: bool = False,
    constructed: bool = False,
) -> int:
    """Write predictions to a file (whole or not at all) or, without one, to standard output, row by row.

    form: the name of a format; by default that of the suffix of `path`, printed JSON Lines. See `choose_output`.
    Returns how many there were. synthetic, constructed: the file says that the recogniser was trained on synthetic
    speech, or on constructed attributes.
    Errors: UserError where there is no prediction; a file that is there then stays as it was.
    """
    destination = choose_output(path, form)
    counted = _Counted(predictions)
    folder = "" if destination.path is None else os.path.abspath(destination.path.parent)
    origin = Origin(_trained_on(synthetic, constructed), folder)
    if destination.is_folder:
        _write_folder(counted, destination, origin)
    elif destination.path is None:
        _write(counted, destination, origin, sys.stdout)
    else:
        with whole_file(destination.path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            _write(counted, destination, origin, file)
    return counted.count


def to_dataframe(
    predictions: Iterable[Prediction], *, synthetic: bool = False, constructed: bool = False
) -> pandas.DataFrame:
    """A row for each prediction, with the columns of the CSV file. synthetic, constructed: as of `write_predictions`.

    Errors: UserError where pandas is not installed.
    """
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise UserError("a table of predictions needs the package 'pandas': pip install pandas") from error
    origin = Origin(_trained_on(synthetic, constructed))
    return pandas.DataFrame([flat_row(prediction, origin) for prediction in predictions])


class _Counted:
    """Predictions on their way into a file."""

    def __init__(self, predictions: Iterable[Prediction]) -> None:
        self.count = 0
        self._predictions = predictions

    def __iter__(self) -> Iterator[Prediction]:
        for prediction in self._predictions:
            self.count += 1
            yield prediction
        if not self.count:
            raise UserError(NOTHING_PREDICTED)


def _write(predictions: Iterable[Prediction], destination: Destination, origin: Origin, file: TextIO) -> None:
    """Write one file; what is printed is passed on at once."""
    form = FORMATS[destination.form]
    if form.holds_one_recording:
        recordings = by_recording(predictions)
        destination.check(len(recordings))
        (predictions,) = recordings.values()
    for text in form.texts(predictions, origin):
        try:
            file.write(text)
        except UnicodeEncodeError as error:
            name = text[error.start : error.end]
            raise UserError(
                f"{destination.path or 'output'}: a name that is not {error.encoding} text: {name!a}"
            ) from error
        if destination.path is None:
            file.flush()
    file.flush()


def _write_folder(predictions: Iterable[Prediction], destination: Destination, origin: Origin) -> None:
    """Write a file for each recording, named after it."""
    assert destination.path is not None
    names = Names()
    recordings = by_recording(predictions)
    suffix = ".TextGrid" if destination.form == "textgrid" else FORMATS[destination.form].suffixes[0]
    for recording, rows in recordings.items():
        path = destination.path / (names.of(recording) + suffix)
        with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            _write(rows, Destination(path, destination.form), origin, file)


def _form_of(path: Path) -> str:
    """The format that the suffix of a file means; "" where it means none. The longest suffix counts."""
    name = path.name.lower()
    fitting = [suffix for suffix in FORMATS_BY_SUFFIX if name.endswith(suffix) and name != suffix]
    return FORMATS_BY_SUFFIX[max(fitting, key=len)] if fitting else ""


def _unknown_suffix(path: Path) -> UserError:
    if not path.suffix:
        return UserError(f"--out {path}: expected a name that ends in {', '.join(FORMATS_BY_SUFFIX)}, or --format")
    return UserError(f"--out {path}: {unknown('suffix', path.suffix, FORMATS_BY_SUFFIX)}")


def _trained_on(synthetic: bool, constructed: bool) -> str:
    return ", ".join(["SYNTHETIC"] * synthetic + ["CONSTRUCTED"] * constructed)
