"""Predictions for files, folders and manifests."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import torch
from torch import Tensor

from emobridge.bundle import Recognizer
from emobridge.corpora import audio_files
from emobridge.data.audio import AudioError, duration, read_audio
from emobridge.data.batching import pad
from emobridge.data.manifest import read_manifest
from emobridge.errors import UserError, unknown
from emobridge.files import whole_file
from emobridge.inputs import person
from emobridge.normalisation import Domain
from emobridge.pooling import pool
from emobridge.settings import layers_of
from emobridge.types import Prediction, Utterance

LONGEST = 30.0  # s: a longer file is cut into windows, for feelings change within it
SPEAKERS = ("unknown", "file", "one")
FORMATS = ("jsonl", "csv")
Skip = Callable[[str, str], None]  # called with an id and the reason
FILES = "files"  # the corpus of utterances that come from plain files


def predict(
    recognizer: Recognizer,
    utterances: Iterable[Utterance],
    *,
    on_skip: Skip | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[Prediction]:
    """A Prediction for each utterance, in order. What cannot be read goes to `on_skip`, or raises where there is none.

    With speaker normalisation a speaker's features are standardised by the utterances given here, so that all audio is
    read before the first prediction; without it, predictions come as the audio is read.
    """
    utterances = list(utterances)
    together = recognizer.spec.normalise.startswith("speaker") and any(one.speaker is not None for one in utterances)
    size = len(utterances) if together else 16
    for first in range(0, len(utterances), max(size, 1)):
        kept: list[Utterance] = []
        pooled: list[Tensor] = []
        for place, one in enumerate(utterances[first : first + size], start=first):
            try:
                pooled.append(_pooled(recognizer, one))
                kept.append(one)
            except AudioError as error:
                if on_skip is None:
                    raise
                on_skip(one.id, str(error))
            if on_progress:
                on_progress(place + 1, len(utterances))
        if kept:
            yield from predictions(recognizer, kept, torch.stack(pooled))


def predictions(recognizer: Recognizer, utterances: Sequence[Utterance], pooled: Tensor) -> list[Prediction]:
    """Predictions from features (N, V, S * D) of its layers, each by the domain of its corpus or language."""
    said = torch.empty(len(utterances), len(recognizer.labels))
    for domain, rows, speakers, texts in by_domain(recognizer, utterances):
        said[rows] = recognizer.probabilities(pooled[rows], domain, speakers, texts)
    return [
        Prediction(one.id, one.start, one.end or duration(one.path), recognizer.labels, tuple(row))
        for one, row in zip(utterances, said.tolist())
    ]


def by_domain(
    recognizer: Recognizer, utterances: Sequence[Utterance]
) -> Iterator[tuple[Domain, list[int], list[str | None], list[str | None]]]:
    """Each domain that utterances belong to, their rows, who speaks in them and what."""
    domains = [recognizer.domain(one.corpus, one.language) for one in utterances]
    for domain in {id(one): one for one in domains}.values():
        rows = [row for row, one in enumerate(domains) if one is domain]
        some = [utterances[row] for row in rows]
        yield domain, rows, [person(one) for one in some], [one.text for one in some]


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
    said: Iterable[Prediction], path: str | Path | None = None, *, form: str = "jsonl", synthetic: bool = False
) -> int:
    """Write predictions as JSON Lines or CSV to a file (whole or not at all) or, without one, to standard output.

    How many there were comes back. Each row of a recogniser made from synthetic speech says so.
    Errors: UserError where there is none; a file that is there then stays as it was.
    """
    if form not in FORMATS:
        raise unknown("format of predictions", form, FORMATS)
    if path is None:
        return _write(said, sys.stdout, form, synthetic)
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        return _write(said, file, form, synthetic)


def _write(said: Iterable[Prediction], file: TextIO, form: str, synthetic: bool) -> int:
    count = 0
    table = csv.writer(file, lineterminator="\n")
    note = {"trained_on": "SYNTHETIC"} if synthetic else {}
    for count, one in enumerate(said, start=1):
        start, end = round(one.start, 3), round(one.end, 3)
        probabilities = {label: round(value, 6) for label, value in zip(one.labels, one.probabilities)}
        if form == "jsonl":
            row = {"id": one.id, "start": start, "end": end, "label": one.label, "probabilities": probabilities} | note
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            continue
        if count == 1:
            table.writerow(["id", "start", "end", "label", *(f"p_{label}" for label in one.labels), *note])
        table.writerow([one.id, start, end, one.label, *probabilities.values(), *note.values()])
    if not count:
        raise UserError("no audio could be read: nothing predicted")
    file.flush()
    return count


def _pooled(recognizer: Recognizer, utterance: Utterance) -> Tensor:
    """(V, S * D) features of the recogniser's layers."""
    wave, mask = pad([read_audio(utterance.path, utterance.start, utterance.end)])
    with torch.inference_mode():
        pooled = pool(recognizer.encoder(wave, mask), recognizer.encoder.statistics)
        return pooled[list(map(int, layers_of(recognizer.spec.layer))), 0]


def _windows(whole: Utterance, seconds: float, window: float) -> Iterator[Utterance]:
    """The file as it is, or windows of it, the last one between half and one and a half times as long."""
    if seconds <= LONGEST:
        yield whole
        return
    count = max(1, round(seconds / window))
    for place in range(count):
        end = seconds if place == count - 1 else (place + 1) * window
        yield replace(whole, start=place * window, end=end)
