"""The commands of layer-wise studies; `cli` puts them beside the others."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from emobridge.errors import UserError

Words = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE")]


def probe(
    corpus: Annotated[
        list[str] | None, typer.Option(help="Manifest of a labelled corpus; several may be given.")
    ] = None,
    encoder: Annotated[
        list[str] | None, typer.Option(help="Preset, folder, hub id, or NAME=FOLDER; several may be given.")
    ] = None,
    encoder_option: Words = None,
    engine: Annotated[
        str | None, typer.Option(help="torch (default) or onnx-int8: faster, and not the same numbers.")
    ] = None,
    layers: Annotated[str | None, typer.Option(help="all (default), last, or some by comma.")] = None,
    heads: Annotated[
        str | None, typer.Option(help="By comma: attentive, or of the default: single, linear, nonlinear, multilayer.")
    ] = None,
    head_option: Words = None,
    normalise: Annotated[str | None, typer.Option(help="By comma: none (default), corpus, speaker.")] = None,
    labels: Annotated[str | None, typer.Option(help="Emotions, by comma; default: those of each corpus.")] = None,
    settings_by_language: Annotated[
        str | None, typer.Option("--settings", help="By comma: mono, trans (both by default), cross, other.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="folds (default) or 80/10/10.")] = None,
    folds: Annotated[int | None, typer.Option(help="By speaker (default 5).")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many (default 3).")] = None,
    sample: Annotated[int | None, typer.Option(help="Utterances an emotion, drawn once (default all).")] = None,
    share_speakers: Annotated[bool | None, typer.Option(help="Split by utterance: scores then mean little.")] = None,
    epochs: Annotated[int | None, typer.Option(help="(default 30)")] = None,
    batch_size: Annotated[int | None, typer.Option(help="(default 32)")] = None,
    learning_rates: Annotated[
        str | None, typer.Option(help="By comma (default 0.0005); of several: with --patience.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop a probe after so many epochs without a lower validation loss (default never)."),
    ] = None,
    segment: Annotated[
        float | None, typer.Option(help="Seconds of frames averaged before nonlinear heads; 0 (default): every frame.")
    ] = None,
    frames: Annotated[
        str | None, typer.Option(help="auto (default), stored, or streamed: encoded anew each epoch.")
    ] = None,
    disk: Annotated[float | None, typer.Option(help="GB of frames that auto may store (default 20).")] = None,
    scratch: Annotated[
        list[str] | None,
        typer.Option(help="ast, emotion-cnn, byol-s: trained end to end from random weights; several may be given."),
    ] = None,
    scratch_option: Words = None,
    crop: Annotated[float | None, typer.Option(help="Seconds of a clip that --scratch trains on at a time.")] = None,
    floors: Annotated[
        bool | None, typer.Option(help="Random weights, log-mel, loudness and length (default), or not.")
    ] = None,
    store: Annotated[str | None, typer.Option(help="Folder of the feature store.")] = None,
    settings: Annotated[
        Path | None, typer.Option("--settings-file", help="TOML file; options here override it.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes that train (default 1).")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for scores, plots and report (default probe).")] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would run: cells, hours of audio, disk, time.")] = False,
    strict: Annotated[bool, typer.Option(help="Stop at the first file that cannot be read.")] = False,
) -> None:
    """Probe every layer of frozen encoders on labelled corpora: which encoder, layer and head for which language."""
    given = dict(locals())
    from emobridge.probe.settings import ProbeSettings
    from emobridge.settings import from_mapping, read_mapping

    values: dict[str, Any] = read_mapping(settings) if settings else {}
    names = {"corpus": "corpora", "encoder": "encoders", "settings_by_language": "settings"}
    names |= {"encoder_option": "encoder_options", "head_option": "head_options"}
    names |= {"scratch_option": "scratch_options"}
    for key in ("settings", "dry_run", "strict"):
        given.pop(key)
    if given["engine"]:
        given["encoder_option"] = [*(given["encoder_option"] or ()), f"engine={given['engine']}"]
    given.pop("engine")
    for key, value in given.items():
        if value is not None:
            values[names.get(key, key)] = _listed(key, value)
    asked = from_mapping(values, str(settings or "probe"), ProbeSettings)
    if dry_run:
        from emobridge.probe.estimate import estimate

        print("\n".join(estimate(asked)))
        return
    from emobridge.probe.report import run_and_report

    print(run_and_report(asked, shlex.join(["emobridge", *sys.argv[1:]]), strict=strict))


def _listed(key: str, value: Any) -> Any:
    """The list in a word such as "none,speaker", where the setting is one."""
    if key not in ("layers", "heads", "normalise", "labels", "settings_by_language", "learning_rates"):
        return value
    words = [word.strip() for word in value.split(",") if word.strip()]
    if key != "learning_rates":
        return words
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise UserError(f"learning_rates: expected numbers by comma, got {value!r}") from error
