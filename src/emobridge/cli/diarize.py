"""The command that tells which emotion is heard when; `cli.main` registers it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import emobridge
from emobridge.cli.options import command_from
from emobridge.cli.requests import AUDIO_HELP, FORMAT_HELP, LANGUAGE_HELP, MOVED, OUT_HELP, check_file, check_separate
from emobridge.cli.stopping import keep_work
from emobridge.errors import UserError, count_noun
from emobridge.files import check_suffix
from emobridge.scores.diarization import NEUTRAL_AS
from emobridge.settings import DEVICE_HELP, REDACT_HELP, Diarizing, check_part, option
from emobridge.types import Prediction, Utterance, person_labels

if TYPE_CHECKING:
    from emobridge.diarization.references import References


# Options that no answer depends on, so that an interrupted command goes on with others.
BESIDE_ANSWERS = ("format", "out", "page", "page_audio", "redact", "reference", "collar", "neutral", "tier", "scores")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiarizeRequest:
    """Options of `diarize`."""

    model: str = option(
        help="Folder of a trained diarizer, of SpeechBrain's emotion diarization, or the bundle of a recogniser; or a "
        "model of the hub, user/name.",
        argument=True,
    )
    audio: tuple[str, ...] = option(help=AUDIO_HELP, argument=True, repeat=True)
    format: str = option("", help=FORMAT_HELP)
    out: str = option("", help=OUT_HELP)
    page: str = option(
        "", help="File for a page (.html) that shows each recording and plays it from any point: waveform, spectrogram "
        "and emotions over time.", metavar="FILE",
    )  # fmt: skip
    page_audio: bool = option(
        True, help="The page can play the recordings: those of up to 5 minutes are in it, copies of longer ones lie "
        "beside it. Voices are personal data: --no-page-audio leaves them out.",
    )  # fmt: skip
    redact: bool = option(False, help=REDACT_HELP)
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
    neutral: str = option(
        "absence", help="What neutral is to the scores: the absence of emotion, as in the paper, or a class as others.",
        choices=NEUTRAL_AS,
    )  # fmt: skip
    tier: str = option(
        "", help="Tiers of a reference of TextGrids or ELAN that hold the emotions. By default those with emo in their "
        "names.",
    )  # fmt: skip
    scores: str = option("", help="File for the scores against the reference, such as scores.json, or a table (.csv).")
    diarizing: Diarizing = field(default_factory=Diarizing)

    def __post_init__(self) -> None:
        check_part(self)
        if self.page:
            check_file("--page", self.page)
            check_suffix("--page", self.page, ".html")
        if self.scores:
            check_file("--scores", self.scores)
            check_suffix("--scores", self.scores, ".json", ".csv")
        written = {f"--{name}": getattr(self, name) for name in ("out", "page", "scores")}
        check_separate(written, (*self.audio, self.reference))
        for name, default in (("collar", 0.0), ("neutral", NEUTRAL_AS[0]), ("tier", ""), ("scores", "")):
            if getattr(self, name) != default and not self.reference:
                raise UserError(f"--{name}: needs --reference, which the timeline is scored against")


def run_diarize(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Tell which emotion is heard when, in recordings of any length, and in each channel."""
    from emobridge.bundle.hub import bundle_folder
    from emobridge.cache import key_of
    from emobridge.diarization.files import load_frame_model
    from emobridge.diarization.references import read_reference
    from emobridge.diarization.timeline import diarize
    from emobridge.diarization.windowed import WindowedRecognizer
    from emobridge.inference.journal import Journal
    from emobridge.inference.output import choose_output, write_predictions
    from emobridge.inference.sources import utterances_of
    from emobridge.progress import progress, report_note, report_skipped
    from emobridge.report.redact import redacted_predictions

    skipped: list[tuple[str, str]] = []
    destination = choose_output(request.out or None, request.format)
    references = read_reference(request.reference, tier=request.tier or None) if request.reference else None
    folder = bundle_folder(request.model)  # of a model of the hub its local copy
    model = load_frame_model(folder, encoder=request.encoder or None, device=request.device)
    if request.language and isinstance(model, WindowedRecognizer):
        model.recognizer.branch_of(request.language)
    options = {"language": request.language or None, "channels": request.diarizing.channels}
    utterances = list(utterances_of(map(Path, request.audio), on_note=report_note, **options))
    files = len({utterance.path for utterance in utterances})
    destination.check(files)
    if references is not None:
        _check_matches(references, utterances, request.diarizing)  # before hours of work
    facts = {key: value for key, value in asdict(request).items() if key not in BESIDE_ANSWERS}
    key = key_of(emobridge.__version__, facts, _versions(folder))
    try:
        with (
            Journal.for_output(destination.path, key, report_note) as journal,
            progress(f"seconds of {count_noun(files, 'file')}") as report,
        ):
            if journal.path is not None:
                keep_work()
            rows = diarize(
                model,
                utterances,
                request.diarizing,
                journal=journal,
                on_skip=None if strict else lambda name, reason: skipped.append((name, reason)),
                on_note=report_note,
                on_progress=report,
            )
            shown: list[Prediction] = []
            rows = _collected(rows, shown) if request.page or references is not None else rows
            rows = redacted_predictions(rows) if request.redact else rows
            count = write_predictions(rows, destination.path, form=request.format, synthetic=model.synthetic)
            journal.remove()
        if request.page:
            _write_page(request, shown, model.synthetic)
    finally:
        report_skipped(skipped)
    if destination.path is not None:
        print(f"{destination.path}: {count_noun(count, 'segment')}")
    if references is not None:
        _score(request, model, shown, references, utterances)


def _check_matches(references: References, utterances: Sequence[Utterance], settings: Diarizing) -> None:
    """Errors: UserError where the references fit nothing of what is to be answered; see `References.find`."""
    from emobridge.inference.sources import by_channel

    units = [unit for utterance in utterances for unit in by_channel(utterance, settings.answering)]
    is_mixed = settings.channels == "mix"  # otherwise what has no channel could not be read
    recordings = [(unit.path, unit.channel) for unit in units if is_mixed or unit.channel is not None]
    references.find(recordings or [(unit.path, None) for unit in units])


def _score(
    request: Any, model: Any, answers: Sequence[Prediction], references: References, utterances: Sequence[Utterance]
) -> None:
    """Print the scores beside the reference, after rows that are printed to the other stream, and write them."""
    from emobridge.diarization.scoring import score_timelines, timeline_condition
    from emobridge.report.redact import redacted_scores
    from emobridge.scores.files import write_scores

    speakers = {row.id: name for row, name in zip(utterances, person_labels(utterances))}
    scored = score_timelines(answers, references, collar=request.collar, neutral_as=request.neutral, speakers=speakers)
    stream = sys.stdout if request.out else sys.stderr
    for line in scored.lines():
        print(line, file=stream)
    if request.scores:
        reference = "reference" if request.redact else request.reference
        scores = scored.scores(timeline_condition(model, request.model, reference))
        write_scores(request.scores, redacted_scores(scores, utterances) if request.redact else scores)
        print(f"scores: {request.scores}", file=stream)


def _collected(rows: Iterable[Prediction], shown: list[Prediction]) -> Iterator[Prediction]:
    """The same rows; they are added to `shown` too."""
    for row in rows:
        shown.append(row)
        yield row


def _write_page(request: Any, rows: list[Prediction], synthetic: bool) -> None:
    """Write the page of --page, and say where it is, on standard error where rows are printed."""
    from emobridge.diarization.call import call_records
    from emobridge.progress import report_note, report_skipped
    from emobridge.report.redact import recording_names
    from emobridge.report.timeline import write_timeline_page

    skipped: list[tuple[str, str]] = []
    records = call_records(
        rows,
        request.page,
        synthetic=synthetic,
        with_audio=request.page_audio and not request.redact,
        titles=recording_names(rows) if request.redact else None,
        on_skip=lambda name, reason: skipped.append((name, reason)),
        on_note=report_note,
    )
    source = "" if request.redact else Path(request.model).name
    report_note(f"page: {write_timeline_page(request.page, records, source=source)}")
    report_skipped(skipped)


def _versions(folder: Path) -> list[Any]:
    """What changes when a file of a model does."""
    from emobridge.files import file_version

    return [file_version(path) for path in sorted(folder.rglob("*")) if path.is_file()]


diarization_command = command_from(DiarizeRequest, "diarize", run_diarize)
