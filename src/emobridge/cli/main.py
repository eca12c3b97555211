"""The command line: it parses, calls and prints. What a command needs is imported when the command runs."""

from __future__ import annotations

import atexit
import functools
import gc
import itertools
import shlex
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

import emobridge
from emobridge.cli import adapt as cli_adapt
from emobridge.cli import align as cli_align
from emobridge.cli import corpora as cli_corpora
from emobridge.cli import diarize as cli_diarize
from emobridge.cli import extract as cli_extract
from emobridge.cli import join as cli_join
from emobridge.cli import listening as cli_listening
from emobridge.cli import live as cli_live
from emobridge.cli import probe as cli_probe
from emobridge.cli import push as cli_push
from emobridge.cli import recipe as cli_recipe
from emobridge.cli import serve as cli_serve
from emobridge.cli import similarity as cli_similarity
from emobridge.cli import suggest as cli_suggest
from emobridge.cli import to_onnx as cli_to_onnx
from emobridge.cli import train_diarizer as cli_train_diarizer
from emobridge.cli.options import command_from, split_words
from emobridge.cli.requests import EvaluateRequest, PredictRequest, check_folder, shared_recognizer
from emobridge.cli.stopping import as_interrupts, keep_work, stopped_message
from emobridge.data.threads import limit_threads
from emobridge.errors import UserError, count_noun
from emobridge.progress import report_skipped
from emobridge.settings import REDACT_HELP

app = typer.Typer(
    pretty_exceptions_enable=False,
    help="Labelled emotional speech in one language in, an emotion recogniser for another language out. "
    "A manifest is a file with one row for each recording; a bundle is the folder of a finished recogniser. "
    "`emobridge demo demo` makes speech to try everything on.",
)
UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # of click, which newer typers bring along under a new name
# That are made before garbage is looked for. What libraries make when they are imported stays, and to look through it
# each 700 objects, as Python does, is a twelfth of the time that a command takes to start.
LIVE_OBJECTS = 50_000
STOPPED = 130  # the exit code of a command that Ctrl-C ended; that of another signal is 128 and its number
# Panels of the help, in this order.
SPEECH, TRAINING, USING, STUDIES = "Speech", "Train a recogniser", "Use a recogniser", "Studies"
LONG_NAMES = {
    "UA": "unweighted accuracy: mean recall over the labels",
    "WA": "weighted accuracy: share of all utterances that are right",
    "F1": "harmonic mean of precision and recall",
    "CCC": "concordance correlation coefficient, from -1 to 1",
}


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2; `--debug` shows where it arose."""
    gc.set_threshold(LIVE_OBJECTS)
    atexit.register(gc.freeze)  # else Python looks through all objects at its end, for a quarter of a second
    limit_threads()
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    with as_interrupts() as received:
        stopped = _run(arguments, debug)
    if stopped:
        print(f"emobridge: {stopped_message()}", file=sys.stderr)
        raise SystemExit(128 + received[0] if received else STOPPED)


def _run(arguments: list[str], debug: bool) -> bool:
    """Run a command; whether something stopped it before its end."""
    try:
        return bool(_commands()(arguments or ["--help"], prog_name="emobridge", standalone_mode=False) == STOPPED)
    except UsageError as error:
        if debug:
            raise
        where = getattr(getattr(error, "ctx", None), "command_path", "emobridge").replace(" ", ": ")
        _fail(" ".join(error.format_message().split()), where)  # type: ignore[attr-defined]
    except UserError as error:
        if debug:
            raise
        _fail(str(error))
    except OSError as error:
        if debug or (error.filename is None and error.errno is None):
            raise
        _fail(f"{error.filename or 'output'}: {error.strerror}")
    except (KeyboardInterrupt, typer.Abort):
        return True


@functools.cache
def _commands() -> Any:
    """The parser of all commands. Cached: to make it reads the signature of each of them."""
    return typer.main.get_command(app)


def _fail(message: str, where: str = "emobridge") -> NoReturn:
    print(f"{where}: {message}", file=sys.stderr)
    raise SystemExit(2)


def _print_version(is_given: bool) -> None:
    if is_given:
        print(f"emobridge {emobridge.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback if something fails.")] = False,
) -> None:
    pass


@app.command(rich_help_panel=SPEECH)
def demo(
    folder: Annotated[Path, typer.Argument(help="Folder for the corpora.")],
    languages: Annotated[str, typer.Option(help="Languages, separated by commas.")] = "en,de",
    speakers: Annotated[int, typer.Option(help="Speakers of each language.")] = 8,
    emotions: Annotated[str, typer.Option(help="Emotions, separated by commas.")] = "anger,happiness,neutral,sadness",
    seed: Annotated[int, typer.Option(help="Seed of the voices.")] = 0,
    recordings: Annotated[
        str, typer.Option(help="Language of further speakers: a folder of recordings without labels, and a call.")
    ] = "",
) -> None:
    """Make SYNTHETIC emotional speech in several languages, with a manifest for each."""
    from emobridge.corpora.demo import make_corpora, make_recordings
    from emobridge.progress import progress

    keep_work()
    with progress("speaking") as report:
        manifests = make_corpora(
            folder,
            split_words(languages),
            speakers=speakers,
            emotions=split_words(emotions),
            seed=seed,
            on_progress=report,
        )
    if recordings:
        manifests += make_recordings(folder, recordings, speakers=speakers, emotions=split_words(emotions), seed=seed)
    for path in manifests:
        print(f"{path} (SYNTHETIC)")


app.command(rich_help_panel=SPEECH)(cli_corpora.corpora)
app.command(rich_help_panel=SPEECH)(cli_corpora.download)
app.command(rich_help_panel=SPEECH)(cli_corpora.scan)
app.command("import", rich_help_panel=SPEECH)(cli_corpora.import_)
app.command(rich_help_panel=SPEECH)(cli_corpora.export)
app.command(rich_help_panel=SPEECH)(cli_corpora.constructed)
app.command(rich_help_panel=SPEECH)(cli_align.align)


@app.command(rich_help_panel=SPEECH)
def audit(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests, or folders of recordings.")],
    out: Annotated[Path, typer.Option(help="Folder for audit.html, .md and .json.")] = Path("audit"),
    redact: Annotated[bool, typer.Option("--redact", help=REDACT_HELP)] = False,
) -> None:
    """Find what would make scores meaningless: duplicates, shared speakers, emotions that loudness gives away ..."""
    from emobridge.audit.findings import audit as find
    from emobridge.audit.findings import lines
    from emobridge.corpora import utterances_at
    from emobridge.corpora.demo import is_synthetic
    from emobridge.progress import progress, report_note
    from emobridge.report.audit import record_of_audit
    from emobridge.report.redact import Pseudonyms
    from emobridge.report.write import write_study

    check_folder("--out", out)
    rows = {str(path): list(utterances_at(path, report_note)) for path in manifests}
    names = Pseudonyms.of([row for part in rows.values() for row in part], manifests=list(rows)) if redact else None
    if names is not None:
        rows = {path: list(map(names.utterance, part)) for path, part in rows.items()}
    with progress("audit") as report:
        findings = find(rows, on_progress=report)
    synthetic = any(is_synthetic(row.corpus) for utterances in rows.values() for row in utterances)
    print("\n".join(lines(findings)))
    command = shlex.join(["emobridge", "audit", *map(str, manifests), "--out", str(out)])
    record = record_of_audit(findings, command=command, synthetic=synthetic)
    record = record if names is None else names.clean(record)
    print(f"report: {write_study(out, record)}")


app.command(rich_help_panel=TRAINING)(cli_extract.extraction)
app.command(rich_help_panel=TRAINING)(cli_adapt.adapt)
app.command(rich_help_panel=TRAINING)(cli_adapt.budget)
app.command(rich_help_panel=TRAINING)(cli_suggest.suggest)
app.command(rich_help_panel=TRAINING)(cli_train_diarizer.diarizer_training)


def run_predict(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Predict the emotions of recordings: files, folders or manifests."""
    from emobridge.bundle import bundle_digest
    from emobridge.cache import key_of
    from emobridge.inference.journal import Journal
    from emobridge.inference.output import choose_output, write_predictions
    from emobridge.inference.predict import predict
    from emobridge.inference.sources import utterances_of
    from emobridge.progress import progress, report_note

    skipped: list[tuple[str, str]] = []
    on_skip = None if strict else lambda name, reason: skipped.append((name, reason))
    destination = choose_output(request.out or None, request.format)
    shared = shared_recognizer(request)
    recognizer = shared.recognizer
    settings, language, out = request.answering, request.language or None, destination.path
    if language is not None and not settings.untold:
        recognizer.branch_of(language)
    options = {"speakers": request.speakers, "language": language, "channels": settings.channels}
    utterances = list(utterances_of(map(Path, request.audio), on_note=report_note, **options))
    files = len({utterance.path for utterance in utterances})
    destination.check(files)
    unimportant = ("format", "out", "store", "jobs", "cluster", "redact")
    facts = {key: value for key, value in asdict(request).items() if key not in unimportant}
    label = f"seconds of {count_noun(files, 'file')}"
    key = key_of(emobridge.__version__, bundle_digest(shared.bundle), facts)
    try:
        with Journal.for_output(out, key, report_note) as journal, progress(label) as report:
            if journal.path is not None:
                keep_work()
            predictions = predict(
                shared,
                utterances,
                settings,
                store=request.store or None,
                journal=journal,
                on_skip=on_skip,
                on_note=report_note,
                on_progress=report,
            )
            if request.redact:
                from emobridge.report.redact import redacted_predictions

                predictions = redacted_predictions(predictions)
            kinds = {"synthetic": recognizer.synthetic, "constructed": recognizer.constructed}
            count = write_predictions(predictions, out, form=request.format, **kinds)
            journal.remove()
    finally:
        report_skipped(skipped)
    if out is not None:
        print(f"{out}: {count} predictions")


def run_evaluate(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Score a bundle on a manifest with labels."""
    from emobridge.corpora import utterances_at
    from emobridge.inference.evaluate import UNSEEN_SPLIT, evaluated
    from emobridge.progress import progress, report_note
    from emobridge.report.blocks import bracketed
    from emobridge.report.redact import redacted_scores
    from emobridge.scores.files import write_scores
    from emobridge.scores.measures.base import detail_of

    skipped: list[tuple[str, str]] = []
    shared = shared_recognizer(request)
    if not shared.recognizer.spec.frames:  # frames are not stored
        keep_work()
    utterances = list(utterances_at(request.on, report_note))
    with progress("features") as report:
        evaluation = evaluated(
            shared,
            utterances,
            untold=request.untold or None,
            attribute_range=request.attribute_range,
            groups=request.by_group,
            store=request.store or None,
            on_skip=None if strict else lambda name, reason: skipped.append((name, reason)),
            on_progress=report,
        )
    scores = evaluation.scores(Path(request.bundle).resolve().parent.name)
    if request.redact:
        scores = redacted_scores(scores, utterances)
    write_scores(request.out, scores)
    shown = [row for row in scores if row.seed == "all" and detail_of(row.measure) in ("", "class", "gap")]
    first = evaluation.first_warnings
    for warning in first:
        print(f"warning: {warning}")
    print(_legend(row.measure for row in shown))
    for split, rows in itertools.groupby(shown, key=lambda row: row.split):
        if split == UNSEEN_SPLIT:
            print("of new speakers alone:")
        for row in rows:
            print(f"{row.measure:20} {bracketed(row)} n={row.n}")
    for warning in evaluation.warnings[len(first) :]:
        print(f"warning: {warning}")
    report_skipped(skipped)
    print(f"scores: {request.out}")


app.command(rich_help_panel=USING)(command_from(PredictRequest, "predict", run_predict))
app.command(rich_help_panel=USING)(cli_diarize.diarization_command)
app.command(rich_help_panel=USING)(command_from(EvaluateRequest, "evaluate", run_evaluate))
app.command(rich_help_panel=USING)(cli_live.live)
app.command(rich_help_panel=USING)(cli_serve.serve)
app.command(rich_help_panel=USING)(cli_join.join)
app.command("to-onnx", rich_help_panel=USING)(cli_to_onnx.to_onnx)
app.command(rich_help_panel=USING)(cli_push.push)
app.command(rich_help_panel=STUDIES)(cli_probe.probe)
app.command(rich_help_panel=STUDIES)(cli_similarity.similarity_command)
app.add_typer(cli_listening.app, name="listening", rich_help_panel=STUDIES)
app.add_typer(cli_recipe.app, name="recipe", rich_help_panel=STUDIES)


def _legend(measures: Iterable[str]) -> str:
    """What the abbreviations among some measures stand for."""
    abbreviations = dict.fromkeys(measure.split()[0] for measure in measures)
    names = [f"{short} ({LONG_NAMES[short]})" for short in abbreviations if short in LONG_NAMES]
    return f"{', '.join(names)}; with 95 % intervals"


if __name__ == "__main__":
    main()
