"""The command that adapts, and what it shares with that of label budgets: options that become settings."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from emobridge.errors import UserError
from emobridge.progress import report_skipped

# Options of a kind of training, and a method that trains so.
OF_A_KIND = {
    "blocks": ("end-to-end", "fine-tuned"),
    "encoder_rate": ("end-to-end", "fine-tuned"),
    "adapters": ("adapters", "lora"),
    "adapter_option": ("adapters", "lora"),
}
Words = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE")]


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
        typer.Option(help="That auto chooses by: agreement (default), source, consensus, bnm, infomax, snd, sureness."),
    ] = None,
    head: Annotated[str | None, typer.Option(help="single, linear or nonlinear; default: the method's own.")] = None,
    head_option: Words = None,
    labels: Annotated[
        str | None, typer.Option(help="Emotions, by comma, or none; default: those of all sources.")
    ] = None,
    attributes: Annotated[
        str | None, typer.Option(help="Of arousal, valence, dominance, by comma: regressed beside the emotions.")
    ] = None,
    attribute_range: Annotated[
        str | None, typer.Option(help="Their scale, such as 1..7, in corpora that declare none.")
    ] = None,
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
    train: Annotated[
        str | None,
        typer.Option(help="frozen (default), head (on frames), adapters or end-to-end; not for methods in stages."),
    ] = None,
    blocks: Annotated[
        str | None, typer.Option(help="Of the encoder, as 10+11: the only ones trained end to end (default all).")
    ] = None,
    adapters: Annotated[
        str | None, typer.Option(help="Where they are trained: lora (default), bottleneck, gating, or several with +.")
    ] = None,
    adapter_option: Words = None,
    crop: Annotated[
        float | None, typer.Option(help="Seconds of a clip in a training step of an encoder (default 2).")
    ] = None,
    encoder_rate: Annotated[
        float | None, typer.Option(help="Learning rate of an encoder's own weights (default: --learning-rate).")
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Parts of a batch that an encoder is trained on one by one (default 1).")
    ] = None,
    checkpointing: Annotated[
        bool | None, typer.Option(help="Compute an encoder's blocks twice, to spare memory (default not).")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="Of an encoder in training: auto (default: bf16 on a GPU), fp32 or bf16.")
    ] = None,
    pool: Annotated[str | None, typer.Option(help="closed (default), or open: keep other emotions as audio.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many (default 3).")] = None,
    folds: Annotated[int | None, typer.Option(help="By speaker (default 5); 0 holds one fifth out, once.")] = None,
    transductive: Annotated[
        bool | None, typer.Option(help="Adapt to the scored speakers' unlabelled audio too.")
    ] = None,
    predefined: Annotated[
        bool | None, typer.Option(help="Split by the manifests' own column split; with --folds 0.")
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
    from emobridge.study.auto import methods_of
    from emobridge.study.summary import run_and_report

    asked = settings_of(given, "adapt")
    refuse_vain(given, asked, methods_of(asked))
    skipped: list[tuple[str, str]] = []
    command = shlex.join(["emobridge", *sys.argv[1:]])
    text = run_and_report(asked, command, skipped, strict=strict)
    report_skipped(skipped)
    print(text)


def refuse_vain(given: dict[str, Any], settings: Any, methods: Iterable[str]) -> None:
    """Tell of an option of a kind of training that none of the methods has: it would be passed over."""
    from emobridge import registry
    from emobridge.training.stages import stages_of

    kinds = {stage.train for name in methods for stage in stages_of(registry.load("methods", name), settings)}
    for option, (kind, method) in OF_A_KIND.items():
        if given[option] is not None and kind not in kinds:
            name = option.replace("_", "-")
            raise UserError(f"--{name}: goes with --train {kind}, or with a method such as {method}")


def settings_of(given: dict[str, Any], command: str) -> Any:
    """Settings from the options of `adapt` as they were given, over those of a file; `command` asks for them."""
    from emobridge.data.labels import EMOTIONS
    from emobridge.settings import from_mapping, read_mapping

    given = dict(given)
    settings = given.pop("settings", None)
    lists = {key: given.pop(key, None) for key in ("labels", "candidates", "attributes")}
    values: dict[str, Any] = read_mapping(settings) if settings else {}
    if chosen := given.pop("engine"):
        given["encoder_option"] = [*(given["encoder_option"] or ()), f"engine={chosen}"]
    given |= {"encoder_options": given.pop("encoder_option"), "method_options": given.pop("method_option")}
    given |= {"head_options": given.pop("head_option"), "statistics": given.pop("statistic")}
    given["adapter_options"] = given.pop("adapter_option")
    values |= {key: value for key, value in given.items() if value is not None}
    for key, words in lists.items():
        if words is not None:
            values[key] = [] if key == "labels" and words == "none" else listed(words)
    for key in ("source", "target"):
        if key not in values:
            raise UserError(f"{command}: expected --{key} MANIFEST, or {key!r} in the file of --settings")
    where = str(settings or command)
    if "labels" not in values:  # all else is checked before the manifests tell them
        values["labels"] = _common_labels(from_mapping(values | {"labels": EMOTIONS}, where).source)
    return from_mapping(values, where)


def _common_labels(manifests: tuple[str, ...]) -> list[str]:
    from emobridge.data.labels import EMOTIONS
    from emobridge.data.manifest import read_manifest

    found = [{one.emotion for one in read_manifest(path)} for path in manifests]
    return [emotion for emotion in EMOTIONS if all(emotion in some for some in found)]


def listed(words: str) -> list[str]:
    """Words by comma."""
    return [word.strip() for word in words.split(",") if word.strip()]
