"""Predictions for files, folders and manifests."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import torch
from torch import Tensor

from emobridge.bundle import Recognizer
from emobridge.bundle.sets import Set
from emobridge.corpora import audio_files, scan
from emobridge.data.attributes import unscaled
from emobridge.data.audio import AudioError, duration, printable, read_utterance, utterance_seconds
from emobridge.data.manifest import read_manifest
from emobridge.data.tables import TABLE_SUFFIXES
from emobridge.errors import UserError, unknown
from emobridge.features.finite import check_finite
from emobridge.files import escape_cell, whole_file
from emobridge.inference.features import FeaturesBySet, Skip, encode
from emobridge.inference.routing import answers, by_domain, modes_of, sets_of
from emobridge.languages import language_tag
from emobridge.progress import Progress
from emobridge.types import Prediction, Utterance

if TYPE_CHECKING:
    from emobridge.inference.inputs import AudioInput

READ = 16  # utterances that are read before they are encoded
PASS = 8  # clips of several languages that go through the encoder at once
LONGEST = 30.0  # s: a longer utterance is cut into windows, for feelings change within it
SPEAKERS_OF_FILES = ("unknown", "file", "one")
FORMATS = ("jsonl", "csv")
FILES = "files"  # the corpus of utterances that come from plain files


def predict(
    recognizer: Recognizer,
    audio: AudioInput,
    *,
    untold: str | None = None,
    window: float = 10.0,
    on_skip: Skip | None = None,
    on_progress: Progress | None = None,
) -> Iterator[Prediction]:
    """A Prediction for each utterance, in order. Those that cannot be read go to `on_skip`, or raise without one.

    audio: utterances; paths stand for what `utterances_of` makes of them. Arrays are for `Recognizer.predict`.
    window: seconds of the windows into which an utterance longer than 30 s is cut; each is answered by itself, under
    the utterance's id, with a start and an end of its own.
    untold: what answers where the language is not known (see `routing`). Without it the last branch does, and a
    recogniser of several languages refuses a language that it does not know.
    With speaker normalisation a speaker's features are standardised by all utterances given here, so that all audio is
    read before the first prediction; without it, predictions come as the audio is read.
    """
    from emobridge.inference.inputs import as_utterances  # it makes utterances of paths by `utterances_of`, below

    if not window > 0:
        raise UserError(f"window: expected seconds above 0, got {window}")
    utterances = [part for utterance in as_utterances(audio) for part in _windows(utterance, window, on_skip)]
    modes = modes_of(recognizer, utterances, untold)
    by_speaker = any(branch.spec.normalise.startswith("speaker") for branch in recognizer.branches)
    together = by_speaker and any(utterance.speaker is not None for utterance in utterances)
    size = len(utterances) if together else READ
    for first in range(0, len(utterances), max(size, 1)):
        read: list[int] = []
        features: FeaturesBySet = {}
        for start in range(first, min(first + size, len(utterances)), READ):
            rows = range(start, min(start + READ, first + size, len(utterances)))
            waves = _read_waves(utterances, rows, on_skip, on_progress)
            sets = {row: sets_of(recognizer, modes[row]) for row in waves}
            not_finite = _encode_rows(recognizer, utterances, waves, sets, features)
            for row, error in not_finite.items():
                _skip(utterances[row], error, on_skip)
            read += [row for row in waves if row not in not_finite]
        values, _ = answers(recognizer, utterances, {row: modes[row] for row in read}, features)
        yield from _predictions(recognizer, [utterances[row] for row in read], values)


def predictions_from(recognizer: Recognizer, utterances: Sequence[Utterance], pooled: Tensor) -> list[Prediction]:
    """The last branch's predictions from features (N, V, S * D) of its layers, each by the domain of its corpus or
    language.
    """
    values = torch.empty(len(utterances), len(recognizer.labels) + len(recognizer.attributes))
    for domain, rows, speakers, texts in by_domain(recognizer, utterances):
        values[rows] = recognizer.answers(pooled[rows], domain, speakers, texts)
    return _predictions(recognizer, utterances, values)


def utterances_of(
    paths: Iterable[str | Path],
    *,
    speakers: str = "unknown",
    language: str | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Iterator[Utterance]:
    """The utterances of manifests (.jsonl), tables (.csv, .tsv ...), folders (all audio files below) and audio files.

    speakers, for plain files: "unknown"; "file", each file is one speaker; "one", all are the same speaker. language:
    of plain files, its tag or name. on_note: gets the lines that say how a table was read.
    Errors: UserError; audio files are not opened.
    """
    if speakers not in SPEAKERS_OF_FILES:
        raise unknown("choice of speakers", speakers, SPEAKERS_OF_FILES)
    spoken = language_tag(language) if language else "und"
    for path in map(Path, paths):
        if path.suffix.lower() == ".jsonl":
            yield from read_manifest(path)
            continue
        if path.suffix.lower() in TABLE_SUFFIXES and path.is_file():
            yield from _table_rows(path, spoken, on_note)
            continue
        files = list(audio_files(path)) if path.is_dir() else [path]
        if not files:
            raise UserError(f"{path}: holds no audio file")
        for file in files:
            speaker = {"unknown": None, "file": str(file), "one": "one"}[speakers]
            yield Utterance(str(file), FILES, str(file), language=spoken, speaker=speaker)


def _table_rows(path: Path, language: str, on_note: Callable[[str], None] | None) -> Iterator[Utterance]:
    """The utterances of a table without their labels, which need not be known here; `language` where none is told."""
    reading = scan("table", path, others="unlabelled")
    for utterance in reading:
        is_known = utterance.language != "und"
        yield replace(utterance, emotion=None, language=utterance.language if is_known else language)
    if on_note is not None:
        for line in reading.lines():
            on_note(f"{path}: {line}")


def write_predictions(
    predictions: Iterable[Prediction],
    path: str | Path | None = None,
    *,
    form: str = "jsonl",
    synthetic: bool = False,
    constructed: bool = False,
) -> int:
    """Write predictions as JSON Lines or CSV to a file (whole or not at all) or, without one, to standard output.

    Returns how many there were. synthetic, constructed: each row says that the recogniser was trained on synthetic
    speech, or on constructed attributes.
    Errors: UserError where there is no prediction; a file that is there then stays as it was.
    """
    if form not in FORMATS:
        raise unknown("format of predictions", form, FORMATS)
    kinds = ["SYNTHETIC"] * synthetic + ["CONSTRUCTED"] * constructed
    note = {"trained_on": ", ".join(kinds)} if kinds else {}
    if path is None:
        return _write(predictions, sys.stdout, form, note)
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        return _write(predictions, file, form, note)


def _write(predictions: Iterable[Prediction], file: TextIO, form: str, note: Mapping[str, str]) -> int:
    count = 0
    table = csv.writer(file, lineterminator="\n")
    for count, prediction in enumerate(predictions, start=1):
        start, end = round(prediction.start, 3), round(prediction.end, 3)
        probabilities = {label: round(p, 6) for label, p in zip(prediction.labels, prediction.probabilities)}
        values = zip(prediction.attribute_names, prediction.attributes or ())
        attributes = {name: round(value, 4) for name, value in values}
        best = {"label": prediction.label} if prediction.labels else {}
        if form == "jsonl":
            row: dict[str, Any] = {"id": prediction.id, "start": start, "end": end} | best
            row |= {"probabilities": probabilities} if prediction.labels else {}
            row |= {"attributes": attributes} if attributes else {}
            file.write(json.dumps({**row, **note}, ensure_ascii=False) + "\n")
            continue
        cells = {**best, **{f"p_{label}": p for label, p in probabilities.items()}, **attributes, **note}
        if count == 1:
            table.writerow(["id", "start", "end", *cells])
        table.writerow([escape_cell(prediction.id), start, end, *map(escape_cell, cells.values())])
    if not count:
        raise UserError("no audio could be read: nothing predicted")
    file.flush()
    return count


def _read_waves(
    utterances: Sequence[Utterance], rows: Iterable[int], on_skip: Skip | None, on_progress: Progress | None
) -> dict[int, np.ndarray]:
    """The waves of some rows; those that cannot be read go to `on_skip`, or raise AudioError without one."""
    waves = {}
    for row in rows:
        utterance = utterances[row]
        try:
            waves[row] = read_utterance(utterance)
        except AudioError as error:
            _skip(utterance, error, on_skip)
        if on_progress:
            on_progress(row + 1, len(utterances))
    return waves


def _skip(utterance: Utterance, error: AudioError, on_skip: Skip | None) -> None:
    """Pass on what cannot be answered and why, or raise the error."""
    if on_skip is None:
        raise error
    on_skip(printable(utterance.id), str(error))


def _encode_rows(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    waves: Mapping[int, np.ndarray],
    sets: Mapping[int, list[Set]],
    features: FeaturesBySet,
) -> dict[int, AudioError]:
    """Add to `features` those of waves by their rows, each by its sets of adapters; the rows that have none, and why.

    Clips go alone where one set serves all, for more at once are no faster on a CPU; clips of several sets share
    passes.
    """
    errors: dict[int, AudioError] = {}
    pairs = [(row, adapters) for row, row_sets in sets.items() for adapters in row_sets]
    size = 1 if len({adapters for _, adapters in pairs}) == 1 else PASS
    for first in range(0, len(pairs), size):
        batch = pairs[first : first + size]
        encoded = encode(recognizer, [waves[row] for row, _ in batch], [adapters for _, adapters in batch])
        for (row, adapters), value in zip(batch, encoded):
            try:
                check_finite(value, utterances[row], recognizer.encoder.name)
                features.setdefault(adapters, {})[row] = value
            except AudioError as error:
                errors[row] = error
    return errors


def _predictions(recognizer: Recognizer, utterances: Sequence[Utterance], values: Tensor) -> list[Prediction]:
    """Probabilities and attributes in about [-1, 1], (N, C + K), as records."""
    count, names = len(recognizer.labels), recognizer.attributes
    attributes = unscaled(values[:, count:].double().numpy(), recognizer.scale).tolist()
    return [
        Prediction(
            utterance.id,
            utterance.start,
            utterance.end or duration(utterance.path),
            recognizer.labels,
            tuple(probabilities),
            tuple(row) if names else None,
            attribute_names=names,
        )
        for utterance, probabilities, row in zip(utterances, values[:, :count].tolist(), attributes)
    ]


def _windows(utterance: Utterance, window: float, on_skip: Skip | None) -> Iterator[Utterance]:
    """The utterance as it is, or windows of it, the last one between half and one and a half times as long."""
    try:
        seconds = utterance_seconds(utterance)
    except AudioError as error:
        _skip(utterance, error, on_skip)
        return
    if seconds <= LONGEST:
        yield utterance
        return
    count = max(1, round(seconds / window))
    for index in range(count):
        start = utterance.start + index * window
        end = utterance.start + seconds if index == count - 1 else start + window
        yield replace(utterance, start=start, end=end)
