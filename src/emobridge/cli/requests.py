"""What the commands that use a recogniser, and `recipe run`, are asked for: the fields make their options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from emobridge.errors import UserError
from emobridge.files import check_suffix
from emobridge.settings import (
    CLUSTER,
    DEVICE_HELP,
    JOBS_HELP,
    REDACT_HELP,
    UNTOLD_HELP,
    Answering,
    Grouping,
    Live,
    check_part,
    option,
)

if TYPE_CHECKING:
    from emobridge.inference.shared import BundleProcesses

MOVED = "Where the encoder is now, if it has moved."
FILE_SUFFIXES = frozenset({".html", ".md", ".json", ".jsonl", ".csv", ".toml", ".pdf"})  # of what reports consist of
BUNDLE_HELP = "Folder of the bundle, such as run/bundle, or a model of the hub, user/name or user/name@revision."
AUDIO_HELP = "Audio files, folders of them, or manifests (.jsonl)."
FORMAT_HELP = (
    "Format of the predictions: jsonl, json, csv, tsv, textgrid (Praat), rttm, srt, audacity or label-studio. By "
    "default that of the suffix of --out; printed, jsonl."
)
OUT_HELP = (
    "File for the predictions; a folder, for a format that holds one recording a file (textgrid, srt, audacity). By "
    "default they are printed. An interrupted command goes on where it was."
)
LANGUAGE_HELP = "Language of recordings whose row tells none, such as de or German. By default not known."
MOST_INPUT_CHANNELS = 256  # of what `live` reads
STORE = "Folder for computed features. By default in the user's cache."


def check_file(flag: str, path: str) -> None:
    """Refuse a folder where a file will be written, before the work and not after it. Errors: UserError."""
    if path and Path(path).is_dir():
        raise UserError(f"{flag}: {path} is a directory; expected a file")


def check_separate(written: Mapping[str, str], read: Iterable[str]) -> None:
    """Refuse to write a file over what is read, or two into a single file. Errors: UserError.

    written: the files by their flags; "" is none.
    """
    taken = {Path(path).resolve(): "what is read" for path in read if path and not Path(path).is_dir()}
    for flag, path in written.items():
        if not path:
            continue
        if other := taken.get(Path(path).resolve()):
            raise UserError(f"{flag}: {path} is {other}, which it would replace; expected another file")
        taken[Path(path).resolve()] = f"the file of {flag}"


def check_folder(flag: str, path: str | Path) -> None:
    """Refuse a file where a folder will be filled, and a name that is meant for one. Errors: UserError."""
    path = Path(path)
    if path.is_file():
        raise UserError(f"{flag}: {path} is a file; expected a folder")
    if path.suffix.lower() in FILE_SUFFIXES and not path.is_dir():
        raise UserError(f"{flag}: {path} is the name of a file; expected a folder, such as {path.with_suffix('')}")


def shared_recognizer(request: PredictRequest | EvaluateRequest | SuggestRequest) -> BundleProcesses:
    """The recogniser of a request, and who works for it. Errors: UserError for either."""
    from emobridge.inference.shared import BundleProcesses
    from emobridge.scale import encoding

    workers = encoding(request.cluster, device=request.device)
    encoder = request.encoder or None
    return BundleProcesses.open(request.bundle, encoder, jobs=request.jobs, device=request.device, workers=workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictRequest:
    """Options of `predict`."""

    bundle: str = option(help=BUNDLE_HELP, argument=True)
    audio: tuple[str, ...] = option(help=AUDIO_HELP, argument=True, repeat=True)
    format: str = option("", help=FORMAT_HELP)
    out: str = option("", help=OUT_HELP)
    speakers: str = option(
        "unknown", help="Who speaks in files and folders: unknown, file (one speaker in each), one (the same in all), "
        "folder (one in each folder), channel (one in each channel), or a pattern such as '{speaker}_{}'.",
    )  # fmt: skip
    language: str = option("", help=LANGUAGE_HELP)
    encoder: str = option("", help=MOVED)
    device: str = option("auto", help=DEVICE_HELP)
    store: str = option("", help=STORE)
    redact: bool = option(False, help=REDACT_HELP)
    jobs: int = option(1, help=JOBS_HELP, least=1)
    cluster: str = option("", help=CLUSTER, metavar="ADDRESS")
    answering: Answering = field(default_factory=Answering)

    def __post_init__(self) -> None:
        check_part(self)
        check_separate({"--out": self.out}, self.audio)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateRequest:
    """Options of `evaluate`."""

    bundle: str = option(help=BUNDLE_HELP, argument=True)
    on: str = option(help="Manifest with labels, or a folder of class folders.")
    out: str = option("scores.json", help="File for the scores, .json or .csv.")
    untold: str = option("", help=UNTOLD_HELP)
    attribute_range: str = option(
        "", help="Scale of the attributes, such as 1..7, for corpora that declare none; or scales by corpus, such as "
        "calls=1..5,letters=1..7.",
    )  # fmt: skip
    encoder: str = option("", help=MOVED)
    device: str = option("auto", help=DEVICE_HELP)
    store: str = option("", help=STORE)
    redact: bool = option(False, help=REDACT_HELP)
    jobs: int = option(1, help=JOBS_HELP, least=1)
    cluster: str = option("", help=CLUSTER, metavar="ADDRESS")
    by_group: Grouping = field(default_factory=Grouping)

    def __post_init__(self) -> None:
        check_part(self)
        check_file("--out", self.out)
        check_suffix("--out", self.out, ".json", ".csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestRequest:
    """Options of `suggest`."""

    bundle: str = option(help=BUNDLE_HELP, argument=True)
    on: str = option(help="Manifest, or folder, of speech in the new language.")
    by: str = option(
        "representative", help="How utterances are ranked: representative, margin, entropy, mixed, core-set or random."
    )
    count: int = option(50, help="How many utterances are listed.")
    out: str = option("to-label.csv", help="File for the list (.csv).")
    labelled: str = option("", help="A list that was filled in before. Its rows come first in the new list.")
    seed: int = option(0, help="Seed of the rankings that draw at random: mixed and random.")
    encoder: str = option("", help=MOVED)
    device: str = option("auto", help=DEVICE_HELP)
    store: str = option("", help=STORE)
    jobs: int = option(1, help=JOBS_HELP, least=1)
    cluster: str = option("", help=CLUSTER, metavar="ADDRESS")

    def __post_init__(self) -> None:
        check_part(self)
        check_file("--out", self.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRequest:
    """Options of `live`."""

    bundle: str = option(
        "", help="Folder of a diarizer or of a recogniser, such as run/bundle, or a model of the hub.", argument=True
    )
    source: str = option("", help="-: raw PCM from standard input. By default a microphone.", argument=True)
    format: str = option("text", help="Format of the answers.", choices=("text", "jsonl"))
    input_device: str = option("", help="The microphone: its number, or a part of its name.")
    list_devices: bool = option(False, help="List the microphones and stop.")
    rate: int = option(
        0, help="Samples a second of the source, in Hz. 0 is 16000 of standard input, and of a microphone what it has.",
        least=0,
    )  # fmt: skip
    input_channels: int = option(
        0, help="Channels of the source. 0 is 1 of standard input, and of a microphone what it has, 2 at most.", least=0
    )
    channel: str = option("mix", help="The channel that is answered, from 0, or mix (the mean of all).")
    encoding: str = option("s16le", help="Samples of standard input.", choices=("s16le", "f32le"))
    language: str = option("", help="Language of the speech, for a bundle of several. By default not known.")
    encoder: str = option("", help=MOVED)
    device: str = option("auto", help=DEVICE_HELP)
    live: Live = field(default_factory=Live)

    def __post_init__(self) -> None:
        check_part(self)
        if self.source not in ("", "-"):
            raise UserError(
                f"live: {self.source}: expected - (standard input) or nothing (a microphone); `diarize` takes files"
            )
        if not self.bundle and not self.list_devices:
            raise UserError("live: expected BUNDLE, the folder of a diarizer or of a recogniser")
        if self.input_channels > MOST_INPUT_CHANNELS:
            raise UserError(f"input_channels: expected at most {MOST_INPUT_CHANNELS}, got {self.input_channels}")
        if self.channel != "mix" and not (self.channel.isascii() and self.channel.isdecimal()):
            raise UserError(f"channel: expected mix, or a number from 0, got {self.channel!r}")

    @property
    def chosen_channel(self) -> int | None:
        """The number of the channel that is answered; None is the mean of all."""
        return None if self.channel == "mix" else int(self.channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRequest:
    """Options of `recipe run`."""

    recipe: str = option(help="A name that `recipe list` shows, or your own .toml file.", argument=True)
    data: str = option(
        "", help="Folder of all data: it holds a folder for each corpus, of its name (emodb, ravdess ...), or is what "
        "the recipe is of: CAMEO, or a checkout of EmoBox.", metavar="FOLDER",
    )  # fmt: skip
    corpora: str = option(
        "", help='TOML file with the folder or the manifest of each corpus, such as emodb = "data/emodb", in place of '
        "--data or beside it.",
    )  # fmt: skip
    only: tuple[str, ...] = option(
        (), help="Run only these studies, corpora, encoders, heads, methods or budgets, separated by commas. Repeat "
        "for more.",
        repeat=True, metavar="NAME=VALUE",
    )  # fmt: skip
    encoders: str = option("", help='TOML file with the folders of encoders, such as whisper-small = "models/ws".')
    encoder: tuple[str, ...] = option(
        (), help="The folder of an encoder, as NAME=FOLDER. Repeat for more.", repeat=True
    )
    items: tuple[str, ...] = option(
        (), help="What is kept apart of a corpus for listeners and models, as NAME=FILE: a manifest, or an id a line. "
        "Repeat for more. By default the recipe draws them, where it has any.", repeat=True, metavar="NAME=FILE",
    )  # fmt: skip
    answers: tuple[str, ...] = option(
        (), help="Answers to a listening test of the recipe, as STUDY=PLACE: the folder of its study, or a table that "
        "`listening results` reads. By default those that its server stored. Repeat for more.", repeat=True,
        metavar="STUDY=PLACE",
    )  # fmt: skip
    models: tuple[str, ...] = option(
        (), help="Answers of a model to the items of a listening test, as `listening results --model` takes them. "
        "Repeat for more.", repeat=True, metavar="[SETTING:]NAME=FILE",
    )  # fmt: skip
    seeds: int = option(0, help="Number of seeds. 0 is the recipe's number.", least=0)
    epochs: int = option(
        0, help="Number of epochs of every study; methods label in proportion. 0 is the recipe's number.", least=0
    )
    out: str = option("", help="Folder for manifests, tables and reports. By default the recipe's name.")
    store: str = option("", help=STORE)
    jobs: int = option(1, help=JOBS_HELP, least=1)
    cluster: str = option("", help=CLUSTER, metavar="ADDRESS")
    other_sizes: bool = option(
        False, help="Run corpora too that do not have as many utterances as the published ones; what differs is listed."
    )
    toy: bool = option(
        False, help="Run all of it in minutes on corpora and tiny encoders that are fabricated in --out: it shows that "
        "every study works, and no number of it is a result.",
    )  # fmt: skip
    dry_run: bool = option(False, help="Show what would run and what is missing, and stop.")

    def __post_init__(self) -> None:
        check_part(self)
