"""The command line: it parses, calls and prints. What a command needs is imported when the command runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from emobridge import cli_budget, cli_corpora, cli_probe, cli_recipe, cli_suggest
from emobridge.errors import UserError
from emobridge.progress import report_skipped

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Labelled emotional speech in one language in, an emotion recogniser for another language out.",
)
Words = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE")]
UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # of click, which newer typers bring along under a new name
STOPPED = 130  # the exit code of a command that Ctrl-C ended


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2; `--debug` shows where it arose."""
    debug = "--debug" in sys.argv
    words = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        stopped = app(words or ["--help"], prog_name="emobridge", standalone_mode=False) == STOPPED
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
        stopped = True
    if stopped:
        print("emobridge: stopped; the same command goes on from here", file=sys.stderr)
        raise SystemExit(STOPPED)


def _fail(message: str, where: str = "emobridge") -> NoReturn:
    print(f"{where}: {message}", file=sys.stderr)
    raise SystemExit(2)


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback where something fails.")] = False,
) -> None:
    pass


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the corpora go.")],
    languages: Annotated[str, typer.Option(help="Which languages, by comma.")] = "en,de",
    speakers: Annotated[int, typer.Option(help="Speakers a language.")] = 8,
    emotions: Annotated[str, typer.Option(help="Which emotions, by comma.")] = "anger,happiness,neutral,sadness",
    seed: int = 0,
) -> None:
    """Make SYNTHETIC emotional speech in several languages, one manifest each."""
    from emobridge.corpora.demo import make
    from emobridge.progress import progress

    with progress("speaking") as report:
        made = make(
            folder,
            _list(languages),
            speakers=speakers,
            emotions=_list(emotions),
            seed=seed,
            on_progress=report,
        )
    for path in made:
        print(f"{path} (SYNTHETIC)")


app.command()(cli_corpora.corpora)
app.command()(cli_corpora.download)
app.command()(cli_corpora.scan)
app.command("import")(cli_corpora.import_)
app.command()(cli_corpora.export)


@app.command()
def audit(
    manifests: Annotated[list[Path], typer.Argument(help="One or more manifests.")],
    out: Annotated[Path, typer.Option(help="Folder for audit.html, .md and .json.")] = Path("audit"),
) -> None:
    """Look for what would make scores meaningless: duplicates, shared speakers, classes told by loudness ..."""
    from emobridge.data.audit import lines
    from emobridge.report.audit import write_audit

    found, synthetic = _audit([str(path) for path in manifests])
    print("\n".join(lines(found)))
    print(f"report: {write_audit(out, found, synthetic=synthetic)}")


@app.command()
def adapt(
    source: Annotated[list[str] | None, typer.Option(help="Manifest of labelled speech; several may be given.")] = None,
    target: Annotated[str | None, typer.Option(help="Manifest of speech in the new language.")] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Folder, hub id, or logmel (default), which needs no weights.")
    ] = None,
    encoder_option: Words = None,
    engine: Annotated[
        str | None, typer.Option(help="torch (default) or onnx-int8: faster, and not the same numbers.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            help="3; 2+3+4; middle (default): that and its neighbours; auto: the best on held-out source speakers."
        ),
    ] = None,
    statistic: Annotated[
        list[str] | None, typer.Option(help="Of what is pooled: mean (default), std; may be given twice.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="soft-pseudo-labels (default), any other, or auto: chosen without target labels."),
    ] = None,
    method_option: Words = None,
    candidates: Annotated[str | None, typer.Option(help="Methods that auto chooses from, by comma.")] = None,
    validator: Annotated[
        str | None,
        typer.Option(help="That auto chooses by: consensus (default), source, agreement, bnm, infomax, snd, sureness."),
    ] = None,
    head: Annotated[str | None, typer.Option(help="single, linear or nonlinear; default: the method's own.")] = None,
    head_option: Words = None,
    labels: Annotated[str | None, typer.Option(help="Emotions, by comma; default: those of all sources.")] = None,
    target_labels: Annotated[
        str | None, typer.Option(help="Labelled target utterances it may see (default 0), or all.")
    ] = None,
    labelled: Annotated[
        str | None, typer.Option(help="A filled list of `emobridge suggest`: the target labels it may see.")
    ] = None,
    normalise: Annotated[str | None, typer.Option(help="none, corpus, speaker (default) or speaker+text.")] = None,
    by_corpus: Annotated[
        list[str] | None, typer.Option(help="A corpus whose speakers show one emotion each: not normalised by speaker.")
    ] = None,
    guard: Annotated[bool | None, typer.Option(help="Find such corpora (default), or not.")] = None,
    align: Annotated[
        str | None, typer.Option(help="none, or coral (default): recoloured copies of the source.")
    ] = None,
    train: Annotated[str | None, typer.Option(help="frozen (default) or end-to-end.")] = None,
    pool: Annotated[str | None, typer.Option(help="closed (default), or open: keep other emotions as audio.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many (default 3).")] = None,
    folds: Annotated[int | None, typer.Option(help="By speaker (default 5); 0 holds one fifth out, once.")] = None,
    transductive: Annotated[
        bool | None, typer.Option(help="Adapt to the scored speakers' unlabelled audio too.")
    ] = None,
    share_speakers: Annotated[bool | None, typer.Option(help="Split by utterance: scores then mean little.")] = None,
    epochs: Annotated[int | None, typer.Option(help="(default 100)")] = None,
    batch_size: Annotated[int | None, typer.Option(help="(default 100)")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="(default 0.001)")] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after so many epochs without a better validation (default never)."),
    ] = None,
    validate: Annotated[
        str | None, typer.Option(help="By held-out speakers of the source (default), or of both sides.")
    ] = None,
    validate_by: Annotated[str | None, typer.Option(help="loss (default) or ua.")] = None,
    class_weights: Annotated[
        bool | None, typer.Option(help="Classes and corpora weigh the same (default), or not.")
    ] = None,
    store: Annotated[str | None, typer.Option(help="Folder of the feature store.")] = None,
    settings: Annotated[Path | None, typer.Option(help="TOML file; options here override it.")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for report, scores and bundle (default run).")] = None,
    strict: Annotated[bool, typer.Option(help="Stop at the first file that cannot be read.")] = False,
) -> None:
    """Train on labelled speech, adapt to the new language, score both, and write report and bundle."""
    given = dict(locals())
    given.pop("strict")
    from emobridge.report.summary import run_and_report

    skipped: list[tuple[str, str]] = []
    command = shlex.join(["emobridge", *sys.argv[1:]])
    text = run_and_report(_settings(given, "adapt"), command, skipped, strict=strict)
    report_skipped(skipped)
    print(text)


def _settings(given: dict[str, Any], command: str) -> Any:
    """Settings from the options of `adapt`, over those of a file."""
    from emobridge.data.labels import EMOTIONS
    from emobridge.settings import from_mapping, read_mapping

    given = dict(given)
    settings, labels, candidates = (given.pop(key, None) for key in ("settings", "labels", "candidates"))
    values: dict[str, Any] = read_mapping(settings) if settings else {}
    if chosen := given.pop("engine"):
        given["encoder_option"] = [*(given["encoder_option"] or ()), f"engine={chosen}"]
    given |= {"encoder_options": given.pop("encoder_option"), "method_options": given.pop("method_option")}
    given |= {"head_options": given.pop("head_option"), "statistics": given.pop("statistic")}
    values |= {key: value for key, value in given.items() if value is not None}
    for key, words in (("labels", labels), ("candidates", candidates)):
        if words is not None:
            values[key] = _list(words)
    for key in ("source", "target"):
        if key not in values:
            raise UserError(f"{command}: expected --{key} MANIFEST, or {key!r} in the file of --settings")
    where = str(settings or command)
    if "labels" not in values:  # all else is checked before the manifests tell them
        values["labels"] = _common_labels(from_mapping(values | {"labels": EMOTIONS}, where).source)
    return from_mapping(values, where)


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    on: Annotated[Path, typer.Option(help="Manifest with labels.")],
    out: Annotated[Path, typer.Option(help="Where the scores go.", dir_okay=False)] = Path("scores.json"),
    encoder: Annotated[str | None, typer.Option(help="Where the encoder is now, if it has moved.")] = None,
    store: Annotated[str | None, typer.Option(help="Folder of the feature store.")] = None,
    strict: Annotated[bool, typer.Option(help="Stop at the first file that cannot be read.")] = False,
) -> None:
    """Score a bundle on a manifest with labels."""
    from emobridge.bundle import Recognizer
    from emobridge.data.manifest import read_manifest
    from emobridge.inference import evaluate as score
    from emobridge.metrics import write_scores
    from emobridge.progress import progress

    skipped: list[tuple[str, str]] = []
    with progress("features") as report:
        scores = score(
            Recognizer.load(bundle, encoder=encoder),
            list(read_manifest(on)),
            run=bundle.resolve().parent.name,
            store=store,
            on_skip=None if strict else lambda name, reason: skipped.append((name, reason)),
            on_progress=report,
        )
    write_scores(out, scores)
    for row in scores:
        if row.seed == "all" and not row.measure.startswith("recall speaker"):
            print(f"{row.measure:20} {100 * row.value:5.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}] n={row.n}")
    report_skipped(skipped)
    print(f"scores: {out}")


@app.command()
def predict(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    audio: Annotated[list[Path], typer.Argument(help="Audio files, folders of them, or manifests (.jsonl).")],
    form: Annotated[str, typer.Option("--format", help="jsonl or csv.")] = "jsonl",
    out: Annotated[Path | None, typer.Option(help="A file; default: standard output.", dir_okay=False)] = None,
    window: Annotated[float, typer.Option(help="Seconds; files over 30 s are cut into such windows.")] = 10.0,
    speakers: Annotated[
        str, typer.Option(help="Of plain files: unknown, file (one each), one (one in all).")
    ] = "unknown",
    language: Annotated[str | None, typer.Option(help="Of plain files; default: the target's.")] = None,
    encoder: Annotated[str | None, typer.Option(help="Where the encoder is now, if it has moved.")] = None,
    strict: Annotated[bool, typer.Option(help="Stop at the first file that cannot be read.")] = False,
) -> None:
    """Say what emotions are heard in files, folders and manifests."""
    from emobridge.bundle import Recognizer
    from emobridge.inference import predict as said
    from emobridge.inference import utterances_of, write_predictions
    from emobridge.progress import progress

    skipped: list[tuple[str, str]] = []

    def skip(name: str, reason: str) -> None:
        skipped.append((name, reason))

    on_skip = None if strict else skip
    recognizer = Recognizer.load(bundle, encoder=encoder)
    utterances = list(utterances_of(audio, window=window, speakers=speakers, language=language, on_skip=on_skip))
    try:
        with progress("listening") as report:
            found = said(recognizer, utterances, on_skip=on_skip, on_progress=report)
            count = write_predictions(found, out, form=form, synthetic=recognizer.spec.synthetic)
    finally:
        report_skipped(skipped)
    if out is not None:
        print(f"{out}: {count} predictions")


app.command()(cli_probe.probe)
app.command()(cli_suggest.suggest)
app.add_typer(cli_recipe.app, name="recipe")


def _audit(manifests: list[str]) -> tuple[Any, bool]:
    from emobridge.corpora.demo import is_synthetic
    from emobridge.data.audit import audit as look
    from emobridge.data.manifest import read_manifest
    from emobridge.progress import progress

    rows = {name: list(read_manifest(name)) for name in manifests}
    with progress("audit") as report:
        found = look(rows, on_progress=report)
    return found, any(is_synthetic(one.corpus) for some in rows.values() for one in some)


def _common_labels(manifests: tuple[str, ...]) -> list[str]:
    from emobridge.data.labels import EMOTIONS
    from emobridge.data.manifest import read_manifest

    found = [{one.emotion for one in read_manifest(path)} for path in manifests]
    return [emotion for emotion in EMOTIONS if all(emotion in some for some in found)]


def _list(words: str) -> list[str]:
    return [word.strip() for word in words.split(",") if word.strip()]


app.command()(cli_budget.command(adapt, _settings))


if __name__ == "__main__":
    main()
