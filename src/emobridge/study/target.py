"""What the recogniser of a run answers on its target: by class, how surely, on which recordings, what to label next."""

from __future__ import annotations

import io
import math
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch

from emobridge.audit.findings import SILENT_KIND, SPEECHLESS, Audit
from emobridge.bundle import Recognizer
from emobridge.data.activity import speech_segments
from emobridge.data.attributes import unscaled
from emobridge.data.audio import AudioError, read_audio, utterance_seconds
from emobridge.data.speech import budget, everything
from emobridge.inference.features import stored_features
from emobridge.inference.routing import answers, modes_of, sets_of
from emobridge.progress import Progress, in_passes
from emobridge.report.target import AttributeAnswers, ClassAnswers, Clip, TargetFindings
from emobridge.scores.measures.base import Floats
from emobridge.settings import command_of
from emobridge.study.suggest import margins
from emobridge.study.train import Adapted
from emobridge.types import SAMPLE_RATE, Utterance, person

ENCODED = 1000  # recordings that are answered at most where the encoder was trained, and has to encode them anew
FRAMED = 64  # recordings whose frames are in memory at a time
LISTED = 3  # clips of a class that are listed as the surest, and as the least sure; at most
TO_LABEL = 5  # clips that are listed to be labelled next
LOOKED_AT = 8  # clips that are read for one that is listed, since some hold no speech
EXCERPT = 4.0  # s
SEARCHED = 60.0  # s of a recording, from its start, that an excerpt is taken from
MOST_BYTES = 1_500_000  # of all excerpts; in base64 they are a third longer
EXCERPT_FORMAT = ("MP3", "MPEG_LAYER_III") if "MP3" in soundfile.available_formats() else ("FLAC", "PCM_16")
NO_CLIPS = "excerpts were turned off (--no-clips)"


def findings_of(adapted: Adapted, audit: Audit | None, report: Progress) -> TargetFindings | None:
    """The findings on the target of a finished run; None where nothing of it can be read any more.

    audit: of the run's manifests; it has measured their hours and their speech. report: is called while recordings
    are encoded.
    """
    speech, recognizer, output = adapted.speech, adapted.recognizer, adapted.request.output
    target = [speech.utterances[row] for row in np.flatnonzero(speech.is_target)]
    spoken = _with_speech(target, adapted.request.data.target, audit)
    utterances, values = _answered(recognizer, _sample(recognizer, spoken), output.store or None, report)
    if not utterances:
        return None
    people = {person(utterance) for utterance in target}
    sound = next((s for s in audit.sounds if s.manifest == adapted.request.data.target), None) if audit else None
    findings = TargetFindings(
        corpora="+".join(sorted({utterance.corpus for utterance in target})),
        language=target[0].language,
        recordings=len(target),
        speakers=len(people - {None}) or None,
        hours=None if sound is None else sound.seconds / 3600,
        speech=None if sound is None else sound.speech,
        answered=len(utterances),
        without_speech=len(target) - len(spoken),
        labelled=_labels_seen(adapted),
        attributes=_attributes(recognizer, values[:, len(recognizer.labels) :]),
    )
    if not recognizer.labels:
        return findings
    p = values[:, : len(recognizer.labels)]
    clips = Listing(utterances, p, recognizer.labels, embed=output.clips)
    free = [row for row, utterance in enumerate(utterances) if utterance.emotion is None]
    asks = bool(free) and not recognizer.spec.frames  # as `suggest` does
    worth = [free[index] for index in np.argsort(margins(p[free]), kind="stable")] if asks else []
    return replace(
        findings,
        to_label=clips.first(worth, TO_LABEL),
        classes=tuple(_class(clips, p, index) for index in range(len(recognizer.labels))),
        confidence=_ranges(p.max(1)),
        suggest=_suggest_command(adapted) if asks else "",
        learn=_learn_command(adapted) if asks else "",
        left_out=clips.left_out,
        excerpt_seconds=EXCERPT if output.clips else 0.0,
    )


class Listing:
    """Lists of recordings with their answers and excerpts; those without speech are passed over.

    p: (N, C) probabilities of N utterances. embed: whether clips get an excerpt, as long as all fit into MOST_BYTES.
    """

    def __init__(self, utterances: Sequence[Utterance], p: Floats, labels: Sequence[str], *, embed: bool) -> None:
        self.utterances, self.p, self.labels, self.embed = utterances, p, labels, embed
        self.left_out = "" if embed else NO_CLIPS
        self._bytes = 0
        self._clips: dict[int, Clip] = {}

    def first(self, rows: Sequence[int], count: int) -> tuple[Clip, ...]:
        """The first `count` of some rows that hold speech. Of many rows without any not all are read."""
        clips: list[Clip] = []
        for row in rows[: count * LOOKED_AT]:
            if len(clips) < count and (clip := self._clip(row)) is not None:
                clips.append(clip)
        return tuple(clips)

    def _clip(self, row: int) -> Clip | None:
        """A recording with its answer; None where it cannot be read any more, and where it holds no speech."""
        if row in self._clips:
            return self._clips[row]
        utterance, best = self.utterances[row], int(self.p[row].argmax())
        try:
            seconds = utterance_seconds(utterance)
            end = utterance.start + min(seconds, SEARCHED)
            wave = read_audio(utterance.path, utterance.start, end, utterance.channel)
        except AudioError:
            return None
        if not speech_segments([wave], detector="energy"):
            return None
        confidence, excerpt = float(self.p[row, best]), self._fitting(wave)
        self._clips[row] = Clip(
            utterance.id, utterance.speaker or "", self.labels[best], confidence, seconds, excerpt=excerpt
        )
        return self._clips[row]

    def _fitting(self, wave: np.ndarray) -> bytes | None:
        if not self.embed:
            return None
        excerpt = encoded(loudest(wave, EXCERPT))
        if self._bytes + len(excerpt) > MOST_BYTES:
            self.left_out = f"excerpts of some clips were left out: all of them hold {MOST_BYTES / 1e6:g} MB at most"
            return None
        self._bytes += len(excerpt)
        return excerpt


def loudest(wave: np.ndarray, seconds: float) -> np.ndarray:
    """The stretch of `wave` (T,) at 16 kHz of that length with the most energy; a shorter wave as it is."""
    length = round(seconds * SAMPLE_RATE)
    if len(wave) <= length:
        return wave
    total = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    first = int((total[length:] - total[:-length]).argmax())
    return wave[first : first + length]


def encoded(wave: np.ndarray) -> bytes:
    """A wave (T,) at 16 kHz as a file that browsers play: MP3, some 4 kB a second; FLAC where libsndfile has no MP3."""
    file, (container, subtype) = io.BytesIO(), EXCERPT_FORMAT
    peak = max(1.0, float(np.abs(wave).max()))
    soundfile.write(file, wave / peak, SAMPLE_RATE, format=container, subtype=subtype)
    return file.getvalue()


def _class(clips: Listing, p: Floats, index: int) -> ClassAnswers:
    """The answers of one class, and clips of it: none stands both among the surest and the least sure."""
    confidence = p.max(1)
    rows = np.flatnonzero(p.argmax(1) == index)
    order = rows[np.argsort(-confidence[rows], kind="stable")].tolist()
    half = min(LISTED, math.ceil(len(order) / 2))
    surest = clips.first(order, half)
    shown = {clip.id for clip in surest}
    remaining = [row for row in order[::-1] if clips.utterances[row].id not in shown]
    mean = float(confidence[rows].mean()) if len(rows) else math.nan
    return ClassAnswers(
        clips.labels[index], len(rows), mean, surest, clips.first(remaining, min(LISTED, len(remaining)))
    )


def _ranges(confidence: Floats) -> tuple[tuple[float, int], ...]:
    """How many of (N,) confidences lie in each tenth, from the lowest that holds one up to 1."""
    tenth = np.minimum((10 * confidence).astype(int), 9)
    return tuple((index / 10, int((tenth == index).sum())) for index in range(int(tenth.min()), 10))


def _attributes(recognizer: Recognizer, values: Floats) -> tuple[AttributeAnswers, ...]:
    """(N, K) attributes in about [-1, 1] as percentiles on the recogniser's scale."""
    if not recognizer.attributes:
        return ()
    percentiles = np.percentile(unscaled(values, recognizer.scale), (10, 50, 90), axis=0)
    return tuple(AttributeAnswers(name, *column) for name, column in zip(recognizer.attributes, percentiles.T.tolist()))


def _with_speech(utterances: Sequence[Utterance], manifest: str, audit: Audit | None) -> list[Utterance]:
    """The utterances without those in which the audit found no speech; all where nothing would be left.

    An answer to silence or noise means nothing, and would count as one of a class.
    """
    without = {
        name
        for finding in (audit.findings if audit else ())
        if finding.kind in (SILENT_KIND, SPEECHLESS) and finding.message.startswith(f"{manifest}: ")
        for name in finding.ids
    }
    return [utterance for utterance in utterances if utterance.id not in without] or list(utterances)


def _sample(recognizer: Recognizer, utterances: Sequence[Utterance]) -> list[Utterance]:
    """All utterances; of a trained encoder, which keeps no features of them, ENCODED at most, drawn at random."""
    if not recognizer.spec.trained_parts or len(utterances) <= ENCODED:
        return list(utterances)
    rows = np.random.default_rng(0).permutation(len(utterances))[:ENCODED]
    return [utterances[row] for row in sorted(rows.tolist())]


def _answered(
    recognizer: Recognizer, utterances: Sequence[Utterance], store: str | Path | None, report: Progress
) -> tuple[list[Utterance], Floats]:
    """The utterances that can be read and the answers to them (N, C + K), as `predict` gives them to whole clips."""
    size = FRAMED if recognizer.spec.frames else max(len(utterances), 1)
    read: list[Utterance] = []
    parts = [torch.empty(0, len(recognizer.labels) + len(recognizer.attributes))]
    chunks = [utterances[first : first + size] for first in range(0, len(utterances), size)]
    for part, report_part in zip(chunks, in_passes(report, list(map(len, chunks)))):
        modes = modes_of(recognizer, part, "target")  # a language that no branch knows is no error here
        sets = [sets_of(recognizer, mode) for mode in modes]
        features, rows = stored_features(recognizer, part, sets, store, lambda name, reason: None, report_part)
        if rows:
            parts.append(answers(recognizer, part, {row: modes[row] for row in rows}, features)[0])
            read += [part[row] for row in rows]
    return read, torch.cat(parts).double().numpy()


def _labels_seen(adapted: Adapted) -> int:
    """The target labels that the final recogniser was trained on."""
    case, speech = adapted.chosen, adapted.speech
    if case.target_labels == "0":
        return 0
    fold = everything(speech, adapted.request.split, 0, case.validation)
    return len(budget(speech, fold, case.target_labels, 0))


def _suggest_command(adapted: Adapted) -> str:
    """The command that lists what to label next; a list that was filled in before comes first in the new one."""
    data, output = adapted.request.data, adapted.request.output
    words = ["emobridge", "suggest", str(Path(output.out) / "bundle"), "--on", data.target, "--out", _list(adapted)]
    words += ["--labelled", data.labelled] if data.labelled else []
    words += ["--store", output.store] if output.store else []
    return shlex.join(words)


def _learn_command(adapted: Adapted) -> str:
    """The command that trains with the filled list, beside this run."""
    request = adapted.request
    data, out = replace(request.data, labelled=_list(adapted), target_labels="0"), f"{request.output.out}-labelled"
    return command_of(replace(request, data=data, output=replace(request.output, out=out)), "adapt")


def _list(adapted: Adapted) -> str:
    return str(Path(adapted.request.output.out) / "to-label.csv")
