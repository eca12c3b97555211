"""Which layers of an encoder two corpora share: read, split, encode, compare, write."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emobridge.bundle import columns, select
from emobridge.cache import Cache
from emobridge.corpora.demo import is_synthetic
from emobridge.data.devices import placed
from emobridge.data.speech import ALL_BUT_ONE, UNLABELLED, Fold, Speech, folds_of
from emobridge.data.threads import one_thread
from emobridge.encoders import load_encoder
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError, count_noun
from emobridge.features.phone_means import PhoneMeans
from emobridge.features.similarity import (
    COMPARED_UNITS,
    GROUPS,
    LEVELS,
    SIMILARITY_MEASURES,
    UTTERANCE,
    LayerSimilarity,
    Totals,
    layer_sets,
    ranking,
    set_name,
    similarities,
)
from emobridge.features.store import FeatureStore
from emobridge.features.work import EncoderSource, fill_stores
from emobridge.files import cache_folder, whole_file, write_cells
from emobridge.methods.base import BASELINE
from emobridge.options import read_options
from emobridge.phones.base import PHONE_CLASSES, Alignment
from emobridge.phones.reading import read_alignments
from emobridge.progress import in_passes, progress, report_note
from emobridge.report.similarity import SimilarityRecord, levels_of, similarity_finding, similarity_page
from emobridge.report.write import write_page
from emobridge.settings import Adapt, Data, Similarity, Split, command_of, write_settings
from emobridge.study.prepare import resolve, start
from emobridge.study.reading import labels_of, read_speech
from emobridge.types import Utterance, person, short_repr

READ_TOGETHER = 4096  # utterances whose vectors are in memory at once
TRUE_EMOTIONS = "The target's emotions are its labels, which serve this analysis alone: no method may see them."
GUESSED_EMOTIONS = (
    f"The target's emotions are pseudo-labels: what {BASELINE}, trained on the source's training speakers, says of it."
)


@short_repr
@dataclass(frozen=True, slots=True)
class SimilarityStudy:
    """What a study found, and the lines that a terminal shows."""

    record: SimilarityRecord
    lines: tuple[str, ...]

    def layers(self, name: str, level: str = UTTERANCE) -> str:
        """A set of layers, such as "GL", as the option `layers` of layer-anchoring has it."""
        return self.record.sets[level][name]


@short_repr
@dataclass(frozen=True, slots=True)
class _Compared:
    """The training utterances of one side, with what is known of each."""

    utterances: tuple[Utterance, ...]
    emotion: np.ndarray  # (N,) int64, or UNLABELLED
    group: np.ndarray  # (N,) int64: of speakers, each of which is left out once

    def without(self, ids: set[str]) -> _Compared:
        rows = [row for row, utterance in enumerate(self.utterances) if utterance.id not in ids]
        return _Compared(tuple(self.utterances[row] for row in rows), self.emotion[rows], self.group[rows])


@one_thread()
def similarity(request: Similarity | None = None, *, strict: bool = False, **options: Any) -> SimilarityStudy:
    """Compare two corpora in every layer of an encoder, choose sets of layers, and write the folder `out`.

    request: a record, or its options by name: similarity(source="en.jsonl", target="de.jsonl", encoder="whisper-base").
    The folder then holds similarity.html, .md and .json, similarity.csv and layer-sets.json. Only training utterances
    are compared; held-out speakers of either side are not read. Files that cannot be read are left out and listed;
    with `strict` the first one raises.
    Errors: UserError for whatever is wrong with the request or the speech, and where no phone is in both corpora.
    """
    request = request or Similarity.of(**options)
    out = Path(request.out)
    out.mkdir(parents=True, exist_ok=True)
    record = similarity_record(request, strict=strict)
    write_settings(out / "settings.toml", request)
    facts = {"encoder": record.encoder, "source": record.source, "target": record.target, "rank by": record.rank_by}
    with whole_file(out / "layer-sets.json") as path:
        path.write_text(json.dumps({**facts, "sets": record.sets}, ensure_ascii=False, indent=1) + "\n", "utf-8")
    write_cells(out / "similarity.csv", list(record.rows), LayerSimilarity)
    page = write_page(out, "similarity", similarity_page(record), {"record": asdict(record)})
    table = [
        f"{level}: {', '.join(f'{name} {layers}' for name, layers in sets.items())}"
        for level, sets in record.sets.items()
    ]
    warnings = [f"warning: {line}" for line in record.warnings]
    return SimilarityStudy(record, (similarity_finding(record), *table, *warnings, f"report: {page}"))


def similarity_record(request: Similarity, *, strict: bool = False) -> SimilarityRecord:
    """The record of a request; nothing is written but features. Errors: as `similarity`."""
    data = Data(source=(request.source,), target=request.target, labels=request.labels)
    labels = labels_of(data)
    notes: list[str] = []
    speech, _ = read_speech(data, labels, on_note=notes.append)
    for note in notes:
        report_note(note)
    fold = folds_of(speech, _split(request), request.seed)[0]
    by_labels = _by_labels(request, speech, fold)
    emotion = speech.label.copy()
    if not by_labels:
        emotion[list(fold.target)] = _pseudo_labels(request, labels, speech, fold, strict)
    sides = tuple(_compared(speech, part, emotion) for part in (fold.source, fold.target))
    encoder = load_encoder(request.encoder, **read_options(request.encoder_options))
    skipped: dict[str, str] = {}
    with placed(encoder, request.device):
        rows = _rows(request, encoder, labels, sides, skipped, strict)
    by = {measure.replace(" ", "-").casefold(): measure for measure in SIMILARITY_MEASURES}[request.rank_by]
    rankings = {level: values for level in levels_of(rows) if (values := ranking(rows, level, by))}
    if not rankings:
        raise UserError(f"{request.target}: no training utterance has one of the emotions {', '.join(labels)}")
    sets = {
        level: {name: set_name(layers) for name, layers in layer_sets(values, request.seed).items()}
        for level, values in rankings.items()
    }
    names = ["+".join(dict.fromkeys(row.corpus for row in side.utterances)) for side in sides]
    return SimilarityRecord(
        source=names[0],
        target=names[1],
        encoder=Path(request.encoder).name,
        emotions=labels,
        rows=tuple(rows),
        rank_by=by,
        rankings=rankings,
        sets=sets,
        target_emotions=TRUE_EMOTIONS if by_labels else GUESSED_EMOTIONS,
        split=_split_sentence(request, speech, fold),
        warnings=_warnings(request, rows, sides, sets),
        skipped=tuple(f"{name}: {reason}" for name, reason in skipped.items()),
        command=command_of(request, "similarity"),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        synthetic=any(map(is_synthetic, names)),
    )


def _split(request: Similarity) -> Split:
    """A fifth of the speakers of each side is held out, or one of fewer than five."""
    return Split(seeds=1, folds=0 if request.predefined else ALL_BUT_ONE, predefined=request.predefined)


def _by_labels(request: Similarity, speech: Speech, fold: Fold) -> bool:
    """Whether the target's emotions are its labels. Errors: UserError where it was asked for, and has none."""
    labelled = bool((speech.label[list(fold.target)] != UNLABELLED).any())
    if request.target_emotions == "labels" and not labelled:
        raise UserError(f"{request.target}: has no labels: give --target-emotions pseudo-labels")
    return labelled and request.target_emotions != "pseudo-labels"


def _pseudo_labels(
    request: Similarity, labels: tuple[str, ...], speech: Speech, fold: Fold, strict: bool
) -> np.ndarray:
    """(N,) classes of the fold's target rows, as the baseline of `adapt`, trained on the fold's source, names them.

    UNLABELLED where a file cannot be read.
    """
    baseline = Adapt.of(
        source=[request.source],
        target=request.target,
        labels=list(labels),
        encoder=request.encoder,
        encoder_options=list(request.encoder_options),
        method=BASELINE,
        seeds=1,
        folds=_split(request).folds,
        predefined=request.predefined,
        store=request.store,
        jobs=request.jobs,
        device=request.device,
    )
    started = start(resolve(baseline), lambda speech: None, cache=Cache(None), strict=strict)
    row_of = {utterance.id: row for row, utterance in enumerate(started.prepared.speech.utterances)}
    source, target = (
        [row_of[name] for name in (speech.utterances[row].id for row in part) if name in row_of]
        for part in (fold.source, fold.target)
    )
    # The target's training utterances are answered, and nothing of the held-out ones.
    answered = Fold(tuple(source), (), tuple(target), tuple(target))
    fit = started.runner.fit(started.decision.cases[0], request.seed, answered)
    chosen = dict(zip(target, fit.probabilities.argmax(1).tolist()))
    rows = [row_of.get(speech.utterances[row].id, -1) for row in fold.target]
    return np.array([chosen.get(row, UNLABELLED) for row in rows], dtype=np.int64)


def _compared(speech: Speech, rows: Sequence[int], emotion: np.ndarray) -> _Compared:
    utterances = tuple(speech.utterances[row] for row in rows)
    people = [person(utterance) or f"\0{utterance.id}" for utterance in utterances]
    number = {name: index for index, name in enumerate(dict.fromkeys(people))}
    group = np.array([number[name] % GROUPS for name in people], dtype=np.int64)
    return _Compared(utterances, emotion[list(rows)], group)


def _rows(
    request: Similarity,
    encoder: Encoder,
    labels: tuple[str, ...],
    sides: Sequence[_Compared],
    skipped: dict[str, str],
    strict: bool,
) -> list[LayerSimilarity]:
    """The similarities of all layers, units and emotions. Errors: UserError where no phone is common to both sides."""
    alignments = _common_alignments(request, sides)  # before anything long: a mistake in them shows here
    folder = Path(request.store or cache_folder())
    store = FeatureStore(folder, encoder)
    utterances = [utterance for side in sides for utterance in side.utterances]
    with progress(f"features of {encoder.name}") as bar:
        (report,) = in_passes(bar, [len(utterances)])
        source = EncoderSource(request.encoder, tuple(read_options(request.encoder_options).items()))
        fill_stores(store, source, utterances, jobs=request.jobs, strict=strict, on_progress=report)
        skipped |= dict(store.extract(utterances, layer="0", on_progress=report, strict=strict).skipped)
    sides = [side.without(set(skipped)) for side in sides]
    phones: list[PhoneMeans | None] = [None] * len(sides)
    units = COMPARED_UNITS if alignments else (UTTERANCE,)
    if alignments:
        with progress("phones") as bar:
            passes = in_passes(bar, [len(side.utterances) for side in sides])
            for index, (side, report) in enumerate(zip(sides, passes)):
                means = phones[index] = PhoneMeans(encoder, side.utterances, alignments, folder)
                means.fill(on_skip=None if strict else skipped.__setitem__, on_progress=report)
    rows: list[LayerSimilarity] = []
    with progress("layers") as report:
        for done, layer in enumerate(encoder.block_layers, 1):
            totals = [_totals(store, side, means, layer, len(labels), units) for side, means in zip(sides, phones)]
            rows += similarities(layer, labels, units, *totals)
            report(done, len(encoder.block_layers))
    return rows


def _common_alignments(request: Similarity, sides: Sequence[_Compared]) -> Mapping[str, Alignment]:
    """The alignments of both sides, from the folder or the manifests; {} where they have no class of phones in common.

    Errors: UserError where there is a folder, and no common class in it.
    """
    utterances = [utterance for side in sides for utterance in side.utterances]
    if not request.alignments and not any(utterance.phones for utterance in utterances):
        return {}
    alignments = read_alignments(utterances, request.alignments or None)
    present = [
        {
            name
            for utterance in side.utterances
            for name in PHONE_CLASSES
            if utterance.id in alignments and alignments[utterance.id].of_class(name)
        }
        for side in sides
    ]
    if present[0] & present[1]:
        return alignments
    names = [", ".join(name for name in PHONE_CLASSES if name in part) or "none" for part in present]
    reason = f"no phone is in both corpora: {request.source} has {names[0]}, {request.target} has {names[1]}"
    if request.alignments:
        raise UserError(f"{request.alignments}: {reason}")
    report_note(f"{reason}; whole utterances alone are compared")
    return {}


def _totals(
    store: FeatureStore, side: _Compared, phones: PhoneMeans | None, layer: int, emotions: int, units: Sequence[str]
) -> Totals:
    """The sums of one side and layer, a block of utterances after the other."""
    totals = Totals(emotions, len(units), GROUPS, store.encoder.width)
    for rows in _blocks(len(side.utterances)):
        vectors = _utterance_means(store, [side.utterances[row] for row in rows], layer)[:, None]
        if phones is not None:
            vectors = np.concatenate([vectors, phones.read(rows, [layer])[:, :, 0].numpy()], axis=1)
        totals.add(vectors, side.emotion[rows], side.group[rows])
    return totals


def _utterance_means(store: FeatureStore, utterances: Sequence[Utterance], layer: int) -> np.ndarray:
    """(n, D): the mean frame of each utterance, or of an encoder without it the first of its statistics."""
    encoder = store.encoder
    statistic = "mean" if "mean" in encoder.statistics else encoder.statistics[0]
    pooled = torch.from_numpy(store.extract(utterances, layer=(str(layer),)).values)
    means: np.ndarray = select(pooled, columns(encoder, (statistic,)))[:, 0].numpy()
    return means


def _blocks(count: int) -> Iterator[range]:
    for first in range(0, count, READ_TOGETHER):
        yield range(first, min(first + READ_TOGETHER, count))


def _split_sentence(request: Similarity, speech: Speech, fold: Fold) -> str:
    """Who was compared, and who was left out of it."""
    people = [
        len({person(speech.utterances[row]) for row in part} - {None})
        for part in (fold.source, fold.source_test, fold.target, fold.target_test)
    ]
    how = "the split of the manifests" if request.predefined else f"a split by speaker of seed {request.seed}"
    return (
        f"Training utterances of {how} alone: {count_noun(people[0], 'speaker')} of the source and "
        f"{count_noun(people[2], 'speaker')} of the target; {people[1]} and {people[3]} were held out."
    )


def _warnings(
    request: Similarity,
    rows: Sequence[LayerSimilarity],
    sides: Sequence[_Compared],
    sets: Mapping[str, Mapping[str, str]],
) -> tuple[str, ...]:
    warnings = []
    for side, name in zip(sides, ("source", "target")):
        if len(set(side.group.tolist())) < 2:
            warnings.append(f"The {name} has a single training speaker: there are no intervals over speakers.")
    missing = sorted({row.emotion for row in rows if row.unit == UTTERANCE and not (row.source and row.target)})
    if missing:
        warnings.append(f"Not in both corpora, and left out of the ranking: {', '.join(missing)}.")
    absent = [level for level in LEVELS if level not in sets]
    if len(levels_of(rows)) > 1 and absent:
        warnings.append(f"No layer sets by {' or '.join(absent)}: no such phone is in both corpora.")
    random = min(sum(name.startswith("RL") for name in chosen) for chosen in sets.values())
    if random < 3:
        warnings.append(f"So few layers have {random} random sets that are none of the others, not three.")
    return tuple(warnings)
