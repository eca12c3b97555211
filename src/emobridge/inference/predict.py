"""Predictions for files, folders and manifests."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch import Tensor

from emobridge.bundle import Recognizer
from emobridge.corpora import audio_files
from emobridge.data.attributes import unscaled
from emobridge.data.audio import AudioError, duration, read_audio
from emobridge.data.manifest import read_manifest
from emobridge.errors import UserError, unknown
from emobridge.files import whole_file
from emobridge.inference.routing import Heard, Set, answers, by_domain, encoded, modes, sets_of
from emobridge.types import Prediction, Utterance

READ = 16  # utterances that are read before they are heard
PASS = 8  # clips of several languages that go through the encoder at once
LONGEST = 30.0  # s: a longer file is cut into windows, for feelings change within it
SPEAKERS = ("unknown", "file", "one")
FORMATS = ("jsonl", "csv")
Skip = Callable[[str, str], None]  # called with an id and the reason
FILES = "files"  # the corpus of utterances that come from plain files


def predict(
    recognizer: Recognizer,
    utterances: Iterable[Utterance],
    *,
    untold: str | None = None,
    on_skip: Skip | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[Prediction]:
    """A Prediction for each utterance, in order. What cannot be read goes to `on_skip`, or raises where there is none.

    untold: what answers where the language is not known (see `routing`); without it the last branch does, and of
    several languages one that is told and unknown is refused.
    With speaker normalisation a speaker's features are standardised by the utterances given here, so that all audio is
    read before the first prediction; without it, predictions come as the audio is read.
    """
    utterances = list(utterances)
    wanted = modes(recognizer, utterances, untold)
    by_speaker = any(branch.spec.normalise.startswith("speaker") for branch in recognizer.branches)
    together = by_speaker and any(one.speaker is not None for one in utterances)
    size = len(utterances) if together else READ
    for first in range(0, len(utterances), max(size, 1)):
        kept: list[int] = []
        heard: Heard = {}
        for start in range(first, min(first + size, len(utterances)), READ):
            waves: dict[int, np.ndarray] = {}
            for place in range(start, min(start + READ, first + size, len(utterances))):
                one = utterances[place]
                try:
                    waves[place] = read_audio(one.path, one.start, one.end)
                except AudioError as error:
                    if on_skip is None:
                        raise
                    on_skip(one.id, str(error))
                if on_progress:
                    on_progress(place + 1, len(utterances))
            _listen(recognizer, waves, {place: sets_of(recognizer, wanted[place]) for place in waves}, heard)
            kept += waves
        said, _ = answers(recognizer, utterances, {place: wanted[place] for place in kept}, heard)
        yield from _spoken(recognizer, [utterances[place] for place in kept], said)


def predictions(recognizer: Recognizer, utterances: Sequence[Utterance], pooled: Tensor) -> list[Prediction]:
    """The last branch's predictions from features (N, V, S * D) of its layers, each by the domain of its corpus or
    language.
    """
    said = torch.empty(len(utterances), len(recognizer.labels) + len(recognizer.attributes))
    for domain, rows, speakers, texts in by_domain(recognizer, utterances):
        said[rows] = recognizer.answers(pooled[rows], domain, speakers, texts)
    return _spoken(recognizer, utterances, said)


def utterances_of(
    paths: Iterable[str | Path],
    *,
    window: float = 10.0,
    speakers: str = "unknown",
    language: str | None = None,
    on_skip: Skip | None = None,
) -> Iterator[Utterance]:
    """The utterances of manifests (.jsonl), folders (all audio files below) and audio files.

    A file longer than 30 s is cut into windows of `window` seconds. speakers, for plain files: "unknown"; "file", each
    file is one speaker; "one", all are the same speaker. Errors: UserError; bad files in a folder go to `on_skip`.
    """
    if speakers not in SPEAKERS:
        raise unknown("choice of speakers", speakers, SPEAKERS)
    if not window > 0:
        raise UserError(f"window: expected seconds above 0, got {window}")
    for path in map(Path, paths):
        if path.suffix == ".jsonl":
            yield from read_manifest(path)
            continue
        files = list(audio_files(path)) if path.is_dir() else [path]
        if not files:
            raise UserError(f"{path}: holds no audio file")
        for file in files:
            person = {"unknown": None, "file": str(file), "one": "one"}[speakers]
            whole = Utterance(str(file), FILES, str(file), language=language or "und", speaker=person)
            try:
                yield from _windows(whole, duration(file), window)
            except AudioError as error:
                if on_skip is None:
                    raise
                on_skip(str(file), str(error))


def write_predictions(
    said: Iterable[Prediction],
    path: str | Path | None = None,
    *,
    form: str = "jsonl",
    synthetic: bool = False,
    constructed: bool = False,
) -> int:
    """Write predictions as JSON Lines or CSV to a file (whole or not at all) or, without one, to standard output.

    How many there were comes back. Each row of a recogniser made from synthetic speech, or constructed attributes, says
    so.
    Errors: UserError where there is none; a file that is there then stays as it was.
    """
    if form not in FORMATS:
        raise unknown("format of predictions", form, FORMATS)
    words = ["SYNTHETIC"] * synthetic + ["CONSTRUCTED"] * constructed
    note = {"trained_on": ", ".join(words)} if words else {}
    if path is None:
        return _write(said, sys.stdout, form, note)
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        return _write(said, file, form, note)


def _write(said: Iterable[Prediction], file: TextIO, form: str, note: dict[str, str]) -> int:
    count = 0
    table = csv.writer(file, lineterminator="\n")
    for count, one in enumerate(said, start=1):
        start, end = round(one.start, 3), round(one.end, 3)
        probabilities = {label: round(value, 6) for label, value in zip(one.labels, one.probabilities)}
        attributes = {name: round(value, 4) for name, value in zip(one.attribute_names, one.attributes or ())}
        best = {"label": one.label} if one.labels else {}
        if form == "jsonl":
            row: dict[str, Any] = {"id": one.id, "start": start, "end": end} | best
            row |= {"probabilities": probabilities} if one.labels else {}
            row |= {"attributes": attributes} if attributes else {}
            file.write(json.dumps(row | note, ensure_ascii=False) + "\n")
            continue
        cells = best | {f"p_{label}": value for label, value in probabilities.items()} | attributes | note
        if count == 1:
            table.writerow(["id", "start", "end", *cells])
        table.writerow([one.id, start, end, *cells.values()])
    if not count:
        raise UserError("no audio could be read: nothing predicted")
    file.flush()
    return count


def _listen(recognizer: Recognizer, waves: dict[int, np.ndarray], sets: dict[int, list[Set]], heard: Heard) -> None:
    """Add to `heard` what the encoder says of waves by their rows, each by its sets of adapters.

    A clip alone where one set hears all, for more at once are no faster on a CPU; clips of several sets share passes.
    """
    pairs = [(row, one) for row, some in sets.items() for one in some]
    size = 1 if len({one for _, one in pairs}) == 1 else PASS
    for first in range(0, len(pairs), size):
        some = pairs[first : first + size]
        features = encoded(recognizer, [waves[row] for row, _ in some], [one for _, one in some])
        for (row, one), value in zip(some, features):
            heard.setdefault(one, {})[row] = value


def _spoken(recognizer: Recognizer, utterances: Sequence[Utterance], said: Tensor) -> list[Prediction]:
    """Probabilities and attributes in about [-1, 1], (N, C + K), as records."""
    count, names = len(recognizer.labels), recognizer.attributes
    attributes = unscaled(said[:, count:].double().numpy(), recognizer.scale).tolist()
    return [
        Prediction(
            one.id,
            one.start,
            one.end or duration(one.path),
            recognizer.labels,
            tuple(p),
            tuple(regressed) if names else None,
            attribute_names=names,
        )
        for one, p, regressed in zip(utterances, said[:, :count].tolist(), attributes)
    ]


def _windows(whole: Utterance, seconds: float, window: float) -> Iterator[Utterance]:
    """The file as it is, or windows of it, the last one between half and one and a half times as long."""
    if seconds <= LONGEST:
        yield whole
        return
    count = max(1, round(seconds / window))
    for place in range(count):
        end = seconds if place == count - 1 else (place + 1) * window
        yield replace(whole, start=place * window, end=end)
