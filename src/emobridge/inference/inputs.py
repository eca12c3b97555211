"""What a recogniser is given in Python: paths, utterances and arrays, one or several, each as utterances."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import soundfile

from emobridge.data.audio import AudioError
from emobridge.errors import UserError
from emobridge.inference.sources import utterances_of
from emobridge.types import Prediction, Utterance

# One of them: a path (of a recording, a folder or a manifest), an utterance, or an array (T,) or (channels, T).
Item: TypeAlias = "str | os.PathLike[str] | Utterance | np.ndarray[Any, Any]"
AudioInput: TypeAlias = "Item | Iterable[Item]"
MOST_CHANNELS = 32  # an array with more rows is taken for (T, channels)
SUBTYPES = {"f4": "FLOAT", "f8": "FLOAT", "f2": "FLOAT", "i2": "PCM_16", "i4": "PCM_32"}  # of dtypes in a WAV file
LARGE = 1 << 31  # bytes: a WAV file counts up to twice as many


@dataclass(frozen=True, slots=True)
class AudioInputs:
    """Utterances, and the arrays among them, which lie in a folder of their own while they are answered."""

    utterances: list[Utterance]
    folder: str = ""

    def without_folder(self, text: object) -> str:
        """A message in which arrays have their names, and not those of their files."""
        return str(text).replace(f"{self.folder}{os.sep}", "").replace(".wav: ", ": ") if self.folder else str(text)

    def shown(self, prediction: Prediction) -> Prediction:
        """The prediction, without the path of a file that will be gone."""
        is_array = self.folder and prediction.path.startswith(f"{self.folder}{os.sep}")
        return replace(prediction, path="") if is_array else prediction


@contextlib.contextmanager
def open_inputs(audio: AudioInput, *, sample_rate: float | None = None, **options: Any) -> Iterator[AudioInputs]:
    """Paths, utterances and arrays as utterances, within the block.

    Arrays are written to a folder that the user alone can read, as they are, and go the way of files from there; the
    folder is removed with the block. sample_rate: of arrays, in Hz. options: those of `utterances_of`, for paths and
    arrays.
    Errors: UserError for what is none of them, an array of another shape or kind, and arrays without a rate.
    """
    items = items_of(audio)
    count = sum(map(is_array, items))
    if sample_rate is not None and not count:
        raise UserError("sample_rate: goes with arrays; files tell their own")
    if not count:
        yield AudioInputs([row for item in items for row in as_utterances(item, **options)])
        return
    rate = _whole_rate(sample_rate)
    with tempfile.TemporaryDirectory(prefix="emobridge-") as folder:
        utterances: list[Utterance] = []
        for number, item in enumerate(items):
            if not is_array(item):
                utterances += as_utterances(item, **options)
                continue
            name = f"array {number}" if len(items) > 1 else "array"
            path = Path(folder, f"{name}.wav")
            _write_array(path, item, rate, name)
            utterances += (replace(row, id=name) for row in as_utterances(path, **options))
        inputs = AudioInputs(utterances, folder)
        try:
            yield inputs
        except AudioError as error:
            raise AudioError(inputs.without_folder(error)) from error


def as_utterances(audio: AudioInput, **options: Any) -> Iterator[Utterance]:
    """Utterances as they are, and those that `utterances_of` makes of paths; options are its own.

    Errors: UserError for arrays, which have no rate of their own, and for anything else.
    """
    for item in items_of(audio):
        if isinstance(item, Utterance):
            yield item
        elif isinstance(item, (str, os.PathLike)):
            yield from utterances_of([os.fspath(item)], **options)
        elif is_array(item):
            raise UserError("an array has no rate of its own: recognizer.predict(array, sample_rate=16000)")
        else:
            hint = "; sound is given as a numpy array" if isinstance(item, (int, float, np.number)) else ""
            raise UserError(f"expected a path, an utterance or an array of samples, got {type(item).__name__}{hint}")


def items_of(audio: AudioInput) -> list[Any]:
    """What was given, one or several, as a list."""
    if isinstance(audio, (str, os.PathLike, Utterance, bytes, dict)) or is_array(audio):
        return [audio]
    return list(audio) if isinstance(audio, Iterable) else [audio]


def is_array(item: object) -> bool:
    """Whether it holds samples: an array of numpy or a tensor of torch, and not one of texts."""
    return hasattr(item, "detach") or (isinstance(item, np.ndarray) and item.dtype.kind not in "OUS")


def _whole_rate(sample_rate: float | None) -> int:
    if sample_rate is None:
        raise UserError("sample_rate: arrays do not tell theirs; give it in Hz, such as sample_rate=16000")
    is_number = isinstance(sample_rate, (int, float, np.number)) and not isinstance(sample_rate, bool)
    if not is_number or not 0 < sample_rate < 2**31 or sample_rate != int(sample_rate):
        raise UserError(f"sample_rate: expected a whole number of Hz, got {sample_rate!r}")
    return int(sample_rate)


def _write_array(path: Path, item: Any, rate: int, name: str) -> None:
    """Write samples as they are: floating ones (full scale is 1) as floats, integers as integers."""
    array = np.asarray(item.detach().cpu() if hasattr(item, "detach") else item)
    subtype = SUBTYPES.get(array.dtype.str[1:])
    if subtype is None:
        expected = "floats of full scale 1, or int16 or int32"
        raise UserError(f"{name}: expected samples as {expected}, got {array.dtype}")
    if array.ndim not in (1, 2) or not array.size:
        raise UserError(f"{name}: expected the shape (samples,) or (channels, samples), got {array.shape}")
    if array.ndim == 2 and (len(array) > MOST_CHANNELS or len(array) >= array.shape[1] > 1):
        hint = ": transpose it" if len(array) > array.shape[1] else ""
        raise UserError(f"{name}: expected (channels, samples), channels first, got {array.shape}{hint}")
    values = array.astype(np.float32) if subtype == "FLOAT" else array
    kind = "WAV" if values.nbytes < LARGE else "RF64"
    soundfile.write(path, values.T, rate, subtype=subtype, format=kind)
