"""The training of a frame model: steps of labelled recordings, and a head that the common loop trains on them.

The encoder stays frozen. Every recording goes through it once; of its steps those with speech and a known label are
learnt from, for in a pause no emotion is heard. Classes have the same weight. Speakers are held out to validate:
they tell how well it does, the temperature of its confidence and, of a head trained by gradients, the best epoch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emobridge.corpora.demo import is_synthetic
from emobridge.data.activity import FRAME_RATE
from emobridge.data.audio import AudioError
from emobridge.data.splits import by_ratio
from emobridge.diarization.frame_model import Diarizer, DiarizerSpec, make_head, standardised
from emobridge.diarization.made import Composition, Drawn, compose, draw_compositions, mark_recordings, read_marked
from emobridge.diarization.steps import LabelledRecording, LabelledSteps, labelled_steps, thinned, timeline_of
from emobridge.encoders.base import Encoder, seeded
from emobridge.errors import UserError, count_noun
from emobridge.heads.base import ClosedFormHead
from emobridge.methods.base import Labelled, Task
from emobridge.methods.source_only import SourceOnly
from emobridge.scores.base import Estimate
from emobridge.scores.calibration import fit_temperature
from emobridge.scores.timelines import TimelineEvaluation
from emobridge.settings import Composing, FrameTraining
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Plan, fit
from emobridge.types import Utterance, person, short_repr

MOST_LEARNT = 60_000  # that are learnt from: neighbours are much alike, and more would fill the memory
MOST_HELD_OUT = 400  # recordings of held-out speakers that validate


@short_repr
@dataclass(frozen=True, slots=True, eq=False)
class FrameFit:
    """A trained diarizer, and what it was trained and validated on."""

    diarizer: Diarizer
    recordings: tuple[LabelledRecording, ...]  # that were learnt from
    steps: int  # of them
    validation: tuple[LabelledSteps, ...]  # recordings of held-out speakers; () where nobody is held out
    accuracy: float | None  # UA of their steps with speech
    error: Estimate | None  # EDER of them
    skipped: tuple[tuple[str, str], ...]  # recordings, and why they could not be read
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DiarizerSource:
    """What a diarizer is trained on."""

    utterances: tuple[Utterance, ...]  # with a label each, of which recordings are made
    marked: tuple[Utterance, ...] = ()  # emotional stretches of files that are neutral elsewhere


def fit_diarizer(
    source: DiarizerSource,
    encoder: Encoder,
    spec: DiarizerSpec,
    *,
    composing: Composing,
    training: FrameTraining,
    strict: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> FrameFit:
    """Train a diarizer.

    spec: what it shall be; temperature, corpora, languages and synthetic are filled in here. strict: whether the first
    file that cannot be read raises. Errors: UserError where no recording can be made or read, or none has a label.
    """
    rows = [row for row in source.utterances if row.emotion in spec.labels]
    draws = [
        draw_compositions(rows, composing, seed=training.seed, number=number)
        for number in range(composing.draws if rows else 0)
    ]
    recordings = [recording for draw in draws for recording in draw.compositions]
    people, notes = held_out_speakers([*rows, *source.marked], training)
    train, validation = _divided([*recordings, *mark_recordings(source.marked)], people, training.seed)
    reader = _Reader(encoder, spec, composing, strict, {})
    total = len(train) + len(validation)
    most, rng = max(1, MOST_LEARNT // max(len(train), 1)), np.random.default_rng(training.seed)
    learnt = [thinned(steps, most, rng) for steps in reader.read(train, lambda done: on_progress(done, total))]
    if not learnt:
        reason = next(iter(reader.skipped.values()), "all speakers are held out")
        raise UserError(f"no recording could be read to learn from: {reason}")
    apart = list(reader.read(validation, lambda done: on_progress(len(train) + done, total)))
    spec = _about(spec, [row for recording in train for row in recording.rows])
    diarizer = _fit_head(encoder, spec, learnt, apart, training)
    accuracy, temperature = validated(diarizer, apart)
    diarizer = dataclasses.replace(diarizer, spec=dataclasses.replace(spec, temperature=temperature))
    return FrameFit(
        diarizer,
        tuple(steps.recording for steps in learnt),
        sum(len(steps.label) for steps in learnt),
        tuple(apart),
        accuracy,
        diarization_error(diarizer, apart),
        tuple(reader.skipped.items()),
        (*notes, *_notes_on(draws)),
    )


def held_out_speakers(rows: Sequence[Utterance], training: FrameTraining) -> tuple[frozenset[str], list[str]]:
    """The speakers, as `types.person` has them, who validate, and a note where nobody can."""
    if not training.validation:
        return frozenset(), []
    known = [row for row in rows if row.speaker is not None]
    people = {person(row) for row in known}
    if len(people) < 2:
        return frozenset(), [f"{count_noun(len(people), 'known speaker')}: nobody is held out to validate"]
    _, apart = by_ratio(known, (1 - training.validation, training.validation), seed=training.seed)
    return frozenset(filter(None, (person(known[index]) for index in apart))), []


def _divided(
    recordings: Sequence[LabelledRecording], people: frozenset[str], seed: int
) -> tuple[list[LabelledRecording], list[LabelledRecording]]:
    """Recordings to learn from, and some of those of held-out speakers: MOST_HELD_OUT at most, drawn by chance."""
    apart = [recording for recording in recordings if person(recording.first) in people]
    chosen = np.random.default_rng(seed).permutation(len(apart))[:MOST_HELD_OUT]
    train = [recording for recording in recordings if person(recording.first) not in people]
    return train, [apart[index] for index in sorted(chosen.tolist())]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads recordings and makes steps of them."""

    encoder: Encoder
    spec: DiarizerSpec
    composing: Composing
    strict: bool
    skipped: dict[str, str]  # reason by recording, of those that could not be read

    def read(self, recordings: Sequence[LabelledRecording], on_done: Callable[[int], None]) -> Iterator[LabelledSteps]:
        for done, recording in enumerate(recordings, 1):
            try:
                sound = (
                    compose(recording, self.composing) if isinstance(recording, Composition) else read_marked(recording)
                )
            except AudioError as error:
                if self.strict:
                    raise
                self.skipped[recording.id] = str(error)
            else:
                yield labelled_steps(recording, sound, self.encoder, self.spec)
            on_done(done)


def _about(spec: DiarizerSpec, rows: Sequence[Utterance]) -> DiarizerSpec:
    """The spec with what is known of the speech that is learnt from."""
    corpora = tuple(sorted({row.corpus for row in rows}))
    languages = tuple(sorted({row.language for row in rows}))
    return dataclasses.replace(
        spec, corpora=corpora, languages=languages, synthetic=any(is_synthetic(corpus) for corpus in corpora)
    )


def _fit_head(
    encoder: Encoder,
    spec: DiarizerSpec,
    train: Sequence[LabelledSteps],
    validation: Sequence[LabelledSteps],
    training: FrameTraining,
) -> Diarizer:
    """Train the head. Errors: UserError for a label that is heard in no step."""
    known = np.unique(np.concatenate([steps.label for steps in train] or [np.empty(0, dtype=np.int64)]))
    for number, label in enumerate(spec.labels):
        if number not in known:
            raise UserError(f"labels: {label!r} is heard in no speech of the recordings that are learnt from")
    features = torch.cat([steps.features for steps in train])
    mean, deviation = features.mean(0), features.std(0, correction=0)
    with seeded(training.seed):
        head = make_head(spec, features.shape[1])
    task, apart = _task(train, validation, spec, mean, deviation)
    plan = Plan(training.epochs, training.batch_size, training.learning_rate, patience=training.patience)
    if isinstance(head, ClosedFormHead):
        plan, apart = Plan(1), None
    fit(task, SourceOnly(), head, plan, seed=training.seed, validation=apart if training.patience else None)
    return Diarizer(spec, encoder, head.eval(), mean, deviation)


def _task(
    train: Sequence[LabelledSteps],
    validation: Sequence[LabelledSteps],
    spec: DiarizerSpec,
    mean: Tensor,
    deviation: Tensor,
) -> tuple[Task, tuple[Frozen, Labelled] | None]:
    """Steps as the loop takes utterances: those that are learnt from, and those that validate, if any."""
    corpora = sorted({steps.recording.first.corpus for steps in train})

    def rows_of(side: Sequence[LabelledSteps]) -> tuple[Frozen, Labelled]:
        x = standardised(torch.cat([steps.features[steps.learnt] for steps in side]), mean, deviation)
        label = torch.from_numpy(np.concatenate([steps.label[steps.learnt] for steps in side]))
        counts = [int(steps.learnt.sum()) for steps in side]
        numbers = [corpora.index(steps.recording.first.corpus) if side is train else 0 for steps in side]
        corpus = torch.tensor(numbers).repeat_interleave(torch.tensor(counts))
        return Frozen(x), Labelled(torch.arange(len(x)), label, corpus)

    inputs, labelled = rows_of(train)
    task = Task(inputs, len(spec.labels), labelled, None, None)
    has_validation = any(steps.learnt.any() for steps in validation)
    return task, rows_of(validation) if has_validation else None


def validated(diarizer: Diarizer, validation: Sequence[LabelledSteps]) -> tuple[float | None, float]:
    """The UA of steps with speech of held-out speakers, over the labels that they have, and the temperature.

    None and 1 where nobody is held out. The temperature makes the labels of these steps likeliest, as they come.
    """
    steps = [part for part in validation if part.learnt.any()]
    if not steps:
        return None, 1.0
    p = np.concatenate([diarizer.answers(part.features[torch.from_numpy(part.learnt)]) for part in steps])
    truth = np.concatenate([part.label[part.learnt] for part in steps])
    recalls = [float((p[truth == label].argmax(1) == label).mean()) for label in np.unique(truth)]
    return float(np.mean(recalls)), min(fit_temperature(p, truth), FRAME_RATE)


def diarization_error(diarizer: Diarizer, validation: Sequence[LabelledSteps]) -> Estimate | None:
    """EDER of recordings of which every label is known, with its interval over speakers; None without any."""
    known = [steps for steps in validation if {part.emotion for part in steps.segments} <= set(diarizer.labels)]
    if not known:
        return None
    evaluation = TimelineEvaluation(
        tuple(steps.segments for steps in known),
        (tuple(timeline_of(diarizer, steps) for steps in known),),
        tuple(steps.segments[-1].end for steps in known),
        tuple(person(steps.recording.first) for steps in known),
    )
    return evaluation.estimates(details=False)[0]


def _notes_on(draws: Sequence[Drawn]) -> list[str]:
    """What a user should know of how recordings were drawn."""
    notes = []
    if draws and draws[0].lone:
        names = ", ".join(name.replace("\0", " ") for name in draws[0].lone[:5])
        notes.append(
            f"{count_noun(len(draws[0].lone), 'speaker')} without neutral speech ({names}): their utterances stand "
            "alone in a recording, or are left out where the order 'emotional' is not among the orders"
        )
    if draws and draws[0].nameless:
        notes.append(
            f"{count_noun(draws[0].nameless, 'utterance')} of unknown speakers: each stands alone in a recording"
        )
    return notes
