"""Encoders: waveforms in, the hidden states of every layer out. One file a family; `load_encoder` finds it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emobridge import registry
from emobridge.encoders._identity import checkpoint_differences, other_checkpoint
from emobridge.encoders._presets import Preset, languages_of, presets
from emobridge.errors import UserError, nearest, unknown
from emobridge.options import Plugin
from emobridge.settings import POOLED_FRAMES

if TYPE_CHECKING:
    from emobridge.encoders.base import Encoder

__all__ = [
    "Preset",
    "checkpoint_differences",
    "fetch",
    "fixed_engine",
    "folder_has_digest",
    "hub_folders",
    "is_here",
    "languages_of",
    "load_encoder",
    "other_checkpoint",
    "presets",
]

CONFIG_FILES = ("config.json", "preprocessor_config.json", "processor_config.json")
HUB_FILES = (
    *CONFIG_FILES,
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
)


def load_encoder(source: str | Path | type[Encoder] | Encoder, **options: str | int | float | bool) -> Encoder:
    """The encoder that `source` names, in evaluation mode on the CPU.

    `source` is a plug-in that needs no weights ("logmel", "opensmile", "emotion-cnn"; or one of your own, as
    "./file.py", "package.module:Class", or the class or object itself, see `registry`), a folder with safetensors
    weights, the name of a preset ("whisper-small", see `presets`), or a model id of the Hugging Face hub, with a
    revision if need be ("facebook/wav2vec2-base@refs/pr/2"). The options may be text, as the command line has them.
    frames="speech" pools only the frames in which somebody speaks, "all" all of them; "auto" leaves it to the family.
    weights="random" with a seed from 0 gives any family before its training; a folder then needs config.json only, and
    no weights are downloaded.
    Errors: UserError for an unknown source, weights that are missing or of no known family, or an unknown option.
    """
    frames = options.pop("frames", POOLED_FRAMES[0])
    encoder = _open(str(source) if isinstance(source, Path) else source, options)
    return _pool_over(encoder, str(frames))


@contextlib.contextmanager
def fixed_engine(default: str = "") -> Iterator[str]:
    """Within the block, and in processes started there, one exact engine runs encoders; each might measure another.

    It is that of $EMOBRIDGE_ENGINE, or else `default`; without either, the fastest on this machine. Yields its name.
    """
    from emobridge.encoders._engines import fastest_engine

    before = os.environ.get("EMOBRIDGE_ENGINE")
    engine = os.environ["EMOBRIDGE_ENGINE"] = default if default and not before else fastest_engine()
    try:
        yield engine
    finally:
        os.environ.pop("EMOBRIDGE_ENGINE")
        if before is not None:
            os.environ["EMOBRIDGE_ENGINE"] = before


def _pool_over(encoder: Encoder, frames: str) -> Encoder:
    """The encoder, pooling the frames that were asked for, which then is one of its options.

    Errors: UserError for an unknown choice, and an encoder that yields one frame a clip.
    """
    if frames not in POOLED_FRAMES:
        raise unknown("choice of frames", frames, POOLED_FRAMES)
    if frames in (POOLED_FRAMES[0], encoder.pooled_frames):
        return encoder
    from emobridge.encoders.base import Encoder as Base

    if not encoder.frame_rate or type(encoder).forward is not Base.forward:
        why = "has a forward of its own" if encoder.frame_rate else "yields one frame a clip"
        raise UserError(f"frames {frames!r}: encoder {encoder.name} {why}; leave it out")
    encoder.pooled_frames = frames
    encoder.options = {**encoder.options, "frames": frames}
    return encoder


def _open(source: str | type[Encoder] | Encoder, options: dict[str, str | int | float | bool]) -> Encoder:
    if not isinstance(source, str) or _is_plugin(source):
        return _open_plugin(Plugin(source, tuple(options.items())))
    from emobridge.encoders._weights import configuration_digest

    preset = _preset_without_hub(source)
    if preset is not None:
        if options.get("weights") != "random":
            raise UserError(f"encoder {source}: is on no hub: give a folder with its weights ({preset.page})")
        return _open_plugin(Plugin(preset.family, (("width", preset.width), *options.items())))
    folder = _locate(source)
    if isinstance(folder, str):
        folder = _download(folder, CONFIG_FILES if options.get("weights") == "random" else HUB_FILES)
    with _as_user_error(folder):
        encoder = _family(folder, options).open(folder, **options)
        configuration = configuration_digest(folder)
    if configuration:  # other numbers of heads or an input left as it is give other features of the same weights
        encoder.weights_digest = encoder.digest
        encoder.digest = _with_configuration(encoder.digest, configuration)
    return encoder


def _preset_without_hub(source: str) -> Preset | None:
    """The preset that `source` names, where no hub holds its weights; a folder of that name comes first."""
    preset = presets().get(source)
    return None if preset is None or preset.hub or Path(source).is_dir() else preset


def _with_configuration(weights: str, configuration: str) -> str:
    """The digest of an encoder from those of its weights and of its configuration."""
    return hashlib.sha256(f"{weights} {configuration}".encode()).hexdigest()


def folder_has_digest(folder: str | Path, digest: str) -> bool:
    """Whether an encoder from a folder has a digest, by its files; False where there is no folder with weights.

    Random weights are in no file: they have no such digest. Names in the hub's cache are believed: only what
    `load_encoder` reads is proof.
    """
    from emobridge.encoders._weights import configuration_digest, weights_digest

    try:
        if not digest or not Path(folder).is_dir():
            return False
        weights, configuration = weights_digest(Path(folder), by_name=True), configuration_digest(Path(folder))
    except (UserError, OSError, ValueError):
        return False
    return digest in (weights, _with_configuration(weights, configuration) if configuration else weights)


def hub_folders() -> Iterator[Path]:
    """The folders of all models that the hub's cache on this machine holds."""
    from huggingface_hub.constants import HF_HUB_CACHE

    with contextlib.suppress(OSError):
        yield from sorted(Path(HF_HUB_CACHE).glob("models--*/snapshots/*"))


def is_here(source: str | Path) -> bool:
    """Whether `load_encoder` finds the weights of `source` on this machine; nothing is downloaded.

    Errors: UserError for an unknown source.
    """
    from emobridge.encoders._weights import weight_files

    if _is_plugin(str(source)):
        return True
    if _preset_without_hub(str(source)) is not None:
        return False
    folder = _locate(str(source))
    if isinstance(folder, Path):
        return True
    try:
        weight_files(_snapshot(folder, HUB_FILES, local_files_only=True))
    except Exception:  # not cached, or its configuration alone: huggingface_hub raises a dozen kinds
        return False
    return True


def fetch(source: str | Path) -> None:
    """Download the weights of `source` where they are not here. Errors: UserError as for `load_encoder`."""
    if _is_plugin(str(source)):
        return
    if _preset_without_hub(str(source)) is not None:
        load_encoder(source)  # which says where to get them
    folder = _locate(str(source))
    if isinstance(folder, str):
        _download(folder, HUB_FILES)


def _open_plugin(plugin: Plugin) -> Encoder:
    """The encoder; the digest of a class that is not built in changes with its source, whatever the class says."""
    encoder: Encoder = plugin.make("encoders")
    if encoder is plugin.name:
        return encoder
    identity = registry.identity("encoders", plugin.name)
    if identity != encoder.name:
        encoder.digest = hashlib.sha256(f"{identity} {getattr(encoder, 'digest', '')}".encode()).hexdigest()
        all_options: dict[str, Any] = dict(plugin.all_options("encoders"))
        encoder.options = all_options
    return encoder


def _is_plugin(source: str) -> bool:
    return registry.is_name("encoders", source)  # a folder of that name is "./whisper"


def _locate(source: str) -> Path | str:
    """The folder that `source` names, or its id on the hub. Errors: UserError where it is neither."""
    folder = Path(source).expanduser()
    if folder.is_file():
        raise UserError(f"{source}: is a file, expected the folder that holds config.json and model.safetensors")
    if folder.is_dir():
        return folder
    if source in presets():  # a folder of that name comes first
        source = presets()[source].where
    if "/" not in source:
        raise unknown("encoder", source, (*registry.names("encoders"), *presets()))
    if folder.is_absolute() or source.startswith((".", "~")) or source.partition("@")[0].count("/") > 1:
        raise UserError(f"{source}: no such folder")
    return source


def _family(folder: Path, options: Mapping[str, object]) -> type[Encoder]:
    """The plug-in that claims a folder's weights, or with random weights its configuration."""
    from emobridge.encoders._weights import read_config, tensor_shapes

    config, tensors = read_config(folder), frozenset[str]()
    if options.get("weights") != "random" or "model_type" not in config:
        tensors = frozenset(tensor_shapes(folder))
    for name in registry.names("encoders"):
        family = registry.load("encoders", name)
        if family.claims(config, tensors):
            return family
    kind = f"model_type {config['model_type']!r}" if "model_type" in config else "no config.json with a model_type"
    raise UserError(f"{folder}: weights of no known family ({kind}; known: {', '.join(registry.names('encoders'))})")


@contextlib.contextmanager
def _as_user_error(folder: Path) -> Iterator[None]:
    """Whatever goes wrong with files that somebody else wrote, as one line that begins with their folder."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UserError(f"{folder}: cannot be loaded ({reason})") from error


def _download(source: str, files: tuple[str, ...]) -> Path:
    """The local copy of some files of a hub model: its configuration and safetensors, nothing else."""
    try:
        return _snapshot(source, files)
    except Exception as error:  # offline, unknown, private, misspelt: huggingface_hub raises a dozen kinds
        guess = nearest(source, (*registry.names("encoders"), *presets()))
        hint = f"; did you mean the encoder {guess!r}?" if guess else ""
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"{source}: no such folder, and not to be had from the model hub ({reason}){hint}") from error


def _snapshot(source: str, files: tuple[str, ...], *, local_files_only: bool = False) -> Path:
    from huggingface_hub import snapshot_download

    model, _, revision = source.partition("@")
    folder = snapshot_download(
        model, revision=revision or None, allow_patterns=list(files), local_files_only=local_files_only
    )
    return Path(folder)
