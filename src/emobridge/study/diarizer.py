"""From a request to a trained diarizer in a folder: read, put together, train, validate, write."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emobridge.bundle.places import lasting_place
from emobridge.corpora import utterances_at
from emobridge.data.devices import placed
from emobridge.data.labels import EMOTIONS
from emobridge.data.threads import one_thread
from emobridge.diarization.files import save_diarizer
from emobridge.diarization.frame_model import (
    Diarizer,
    DiarizerSpec,
    check_frames,
    check_layers,
    features_of_steps,
    make_head,
    resolve_layer,
)
from emobridge.diarization.training import DiarizerSource, FrameFit, fit_diarizer
from emobridge.encoders import load_encoder
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.options import read_options
from emobridge.progress import progress, report_note
from emobridge.scores.diarization import NEUTRAL
from emobridge.settings import TrainDiarizer, command_of, write_settings
from emobridge.study.diarizer_card import diarizer_card, trained_on, validation_lines
from emobridge.study.reading import spell_emotions
from emobridge.types import Utterance, short_repr


@short_repr
@dataclass(frozen=True, slots=True)
class DiarizerStudy:
    """A trained diarizer, and how it came about."""

    request: TrainDiarizer
    fit: FrameFit
    lines: tuple[str, ...]  # a summary for the terminal

    @property
    def diarizer(self) -> Diarizer:
        """What `emobridge diarize` runs."""
        return self.fit.diarizer


@one_thread()
def train_diarizer(request: TrainDiarizer | None = None, *, strict: bool = False, **options: Any) -> DiarizerStudy:
    """Train a diarizer, which tells emotions over time, and write it to the folder `out`.

    request: a record, or its options by name: train_diarizer(source=["en.jsonl"], encoder="whisper-base", out="d").
    Files that cannot be read are left out and listed; with `strict` the first one raises. Errors: UserError for
    whatever is wrong with the request or the speech.
    """
    request = request or TrainDiarizer.of(**options)
    out = Path(request.out)
    rows = {path: list(utterances_at(path, report_note)) for path in request.source}
    marked = {path: list(utterances_at(path, report_note)) for path in request.segments}
    labels = _labels(request, rows, marked)
    encoder = load_encoder(request.encoder, **read_options(request.encoder_options))
    spec = _spec(request, encoder, labels)
    out.mkdir(parents=True, exist_ok=True)  # before the work, which would have nowhere to go
    source = DiarizerSource(
        tuple(row for path in rows.values() for row in path), tuple(row for path in marked.values() for row in path)
    )
    with placed(encoder, request.device), progress("recordings") as report:
        fit = fit_diarizer(
            source,
            encoder,
            spec,
            composing=request.composing,
            training=request.training,
            strict=strict,
            on_progress=report,
        )
    for note in fit.notes:
        report_note(note)
    card = diarizer_card(fit, command_of(request, "train-diarizer"))
    fit = dataclasses.replace(fit, diarizer=dataclasses.replace(fit.diarizer, card=card))
    write_settings(out / "settings.toml", request)
    save_diarizer(out, fit.diarizer)
    held_out = [f"held out: {line}" for line in validation_lines(fit)]
    lines = [f"trained on: {line}" for line in trained_on(fit)] + held_out + [f"diarizer: {out}"]
    return DiarizerStudy(request, fit, tuple(lines))


def _labels(
    request: TrainDiarizer, rows: dict[str, list[Utterance]], marked: dict[str, list[Utterance]]
) -> tuple[str, ...]:
    """The emotions to tell apart; by default those that all sources have. Files with marked stretches have neutral.

    Errors: UserError for too few, for an unknown one, and where neutral is not among them.
    """
    present = {path: {row.emotion for row in utterances} - {None} for path, utterances in rows.items()}
    present |= {path: {row.emotion for row in utterances} - {None} | {NEUTRAL} for path, utterances in marked.items()}
    if request.labels is not None:
        labels = spell_emotions(request.labels)
        for label in labels:
            if not any(label in emotions for emotions in present.values()):
                have = ", ".join(emotion for emotion in EMOTIONS if any(emotion in part for part in present.values()))
                raise UserError(f"the source has no utterance of {label!r}; it has {have or 'no labels at all'}")
    else:
        labels = tuple(emotion for emotion in EMOTIONS if all(emotion in part for part in present.values()))
    if NEUTRAL not in labels:
        why = "it is not among --labels" if request.labels is not None else f"{', '.join(present)} have none in common"
        raise UserError(f"labels: a diarizer tells emotions from neutral speech, and {why}")
    if len(labels) < 2:
        raise UserError(f"labels: {', '.join(present)}: expected an emotion beside neutral that every source has")
    return labels


def _spec(request: TrainDiarizer, encoder: Encoder, labels: tuple[str, ...]) -> DiarizerSpec:
    """What the diarizer shall be. Errors: UserError for an encoder or a layer that does not do."""
    spec = DiarizerSpec(
        labels=labels,
        encoder=lasting_place(request.encoder),
        encoder_options=request.encoder_options,
        digest=encoder.digest,
        layer=resolve_layer(request.layer, encoder),
        frame_rate=request.frame_rate,
        radii=request.radii,
        window=request.window,
        head=request.training.head,
        head_options=request.training.head_options,
    )
    check_frames(encoder, spec)
    check_layers(encoder, spec)
    make_head(spec, features_of_steps(spec, encoder))  # a mistake in it shows before the work
    return spec
