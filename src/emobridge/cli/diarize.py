"""The command that tells which emotion is heard when; `cli.main` registers it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import emobridge
from emobridge.cli.options import command_from
from emobridge.cli.requests import AUDIO_HELP, FORMAT_HELP, LANGUAGE_HELP, MOVED, OUT_HELP
from emobridge.cli.stopping import keep_work
from emobridge.errors import UserError, count_noun
from emobridge.settings import DEVICE_HELP, Diarizing, check_part, option
from emobridge.types import Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class DiarizeRequest:
    """Options of `diarize`."""

    model: str = option(
        help="Folder of a trained diarizer, of SpeechBrain's emotion diarization, or the bundle of a recogniser.",
        argument=True,
    )
    audio: tuple[str, ...] = option(help=AUDIO_HELP, argument=True, repeat=True)
    format: str = option("", help=FORMAT_HELP)
    out: str = option("", help=OUT_HELP)
    language: str = option("", help=LANGUAGE_HELP)
    encoder: str = option("", help=MOVED)
    device: str = option("auto", help=DEVICE_HELP)
    reference: str = option(
        "", help="What people marked: RTTM, TextGrids, ZED.json, a table with start and end ... The timeline is scored "
        "against it (EDER, see docs/diarization.md).",
    )  # fmt: skip
    collar: float = option(
        0.0, help="Seconds on either side of each change of the reference that are not scored.", least=0
    )
    scores: str = option("", help="File for the scores against the reference, such as scores.json, or a table (.csv).")
    diarizing: Diarizing = field(default_factory=Diarizing)

    def __post_init__(self) -> None:
        check_part(self)
        for name in ("collar", "scores"):
            if getattr(self, name) and not self.reference:
                raise UserError(f"--{name}: needs --reference, which the timeline is scored against")


def run_diarize(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Tell which emotion is heard when, in recordings of any length, and in each channel."""
    from emobridge.cache import key_of
    from emobridge.diarization.files import load_frame_model
    from emobridge.diarization.references import read_reference
    from emobridge.diarization.timeline import diarize as timelines
    from emobridge.inference import Journal, choose_output, utterances_of, write_predictions
    from emobridge.inference.sources import by_channel
    from emobridge.progress import progress, report_note, report_skipped

    skipped: list[tuple[str, str]] = []
    destination = choose_output(request.out or None, request.format)
    references = read_reference(request.reference) if request.reference else None
    model = load_frame_model(request.model, encoder=request.encoder or None, device=request.device)
    options = {"language": request.language or None, "channels": request.diarizing.channels}
    utterances = list(utterances_of(map(Path, request.audio), on_note=report_note, **options))
    files = len({utterance.path for utterance in utterances})
    destination.check(files)
    answers: list[Prediction] = []  # that are to be scored
    if references is not None:
        units = [unit for utterance in utterances for unit in by_channel(utterance, request.diarizing.answering)]
        is_mixed = request.diarizing.channels == "mix"  # otherwise what has no channel could not be read
        recordings = [(unit.path, unit.channel) for unit in units if is_mixed or unit.channel is not None]
        references.find(recordings or [(unit.path, None) for unit in units])  # before hours of work
    unused = ("format", "out", "reference", "collar", "scores")  # by the answers
    facts = {key: value for key, value in asdict(request).items() if key not in unused}
    key = key_of(emobridge.__version__, facts, _versions(Path(request.model)))
    try:
        with (
            Journal.for_output(destination.path, key, report_note) as journal,
            progress(f"seconds of {count_noun(files, 'file')}") as report,
        ):
            if journal.path is not None:
                keep_work()
            rows = timelines(
                model,
                utterances,
                request.diarizing,
                journal=journal,
                on_skip=None if strict else lambda name, reason: skipped.append((name, reason)),
                on_note=report_note,
                on_progress=report,
            )
            rows = rows if references is None else _noted(rows, answers)
            count = write_predictions(rows, destination.path, form=request.format, synthetic=model.synthetic)
            journal.remove()
    finally:
        report_skipped(skipped)
    if destination.path is not None:
        print(f"{destination.path}: {count_noun(count, 'segment')}")
    if references is not None:
        _score(request, model, answers, references, {unit.path: unit.speaker for unit in utterances})


def _noted(rows: Iterable[Prediction], answers: list[Prediction]) -> Iterator[Prediction]:
    """The rows, which `answers` get too."""
    for row in rows:
        answers.append(row)
        yield row


def _score(
    request: Any, model: Any, answers: Sequence[Prediction], references: Any, speakers: Mapping[str, str | None]
) -> None:
    """Print the scores beside the reference, after rows that are printed to the other stream, and write them."""
    from emobridge.diarization.scoring import score_timelines, timeline_condition
    from emobridge.scores.files import write_scores

    scored = score_timelines(answers, references, collar=request.collar, speakers=speakers)
    stream = sys.stdout if request.out else sys.stderr
    for line in scored.lines():
        print(line, file=stream)
    if request.scores:
        write_scores(request.scores, scored.scores(timeline_condition(model, request.model, request.reference)))
        print(f"scores: {request.scores}", file=stream)


def _versions(folder: Path) -> list[Any]:
    """What changes when a file of a model does. A model of the hub tells its version by its name."""
    from emobridge.files import file_version

    return [file_version(path) for path in sorted(folder.rglob("*")) if path.is_file()]


diarize = command_from(DiarizeRequest, "diarize", run_diarize)
