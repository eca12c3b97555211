"""Where a bundle's encoder is: how it is written so that a bundle can be moved, sent and joined, and how it is found.

A bundle names no folder of the machine that made it. The place of the encoder is written as

    logmel, openai/whisper-base    a name, or a model of the hub
    ../../models/whisper           the way from the bundle, where both lie in one tree of folders
    ../whisper                     beside the bundle, where the encoder lies anywhere else: it can be put there

An encoder that is not at its place is looked for by the digest of its weights: beside the bundle, where this machine
had it last, and among the models of the hub that are here.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from emobridge import registry
from emobridge.encoders import folder_has_digest, hub_folders, is_here, load_encoder
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.files import cache_folder, whole_file
from emobridge.options import read_options

STEPS_UP = 3  # folders above the bundle, at most, that it shares with its encoder: run/bundle and models lie two below
AROUND = 2  # folders above the bundle in which encoders of another name are looked for
HEX = re.compile(r"[0-9a-f]{64}")


class EncoderFacts(Protocol):
    """What a description says of its encoder, whatever it describes: a branch of a recogniser, a diarizer."""

    @property
    def encoder(self) -> str:
        """Its place: a folder, a hub id, or the name of one without weights."""

    @property
    def encoder_options(self) -> tuple[str, ...]:
        """Such as "weights=random"."""

    @property
    def digest(self) -> str:
        """Of its weights before any training."""


def is_place(encoder: str) -> bool:
    """Whether the encoder is named by a path, and not by the name of a plug-in, a preset or a model of the hub."""
    return encoder.startswith((".", "~")) or Path(encoder).is_absolute()


def lasting_place(encoder: str) -> str:
    """A folder, or a file with a plug-in, as an absolute path; a name as it is."""
    is_plugin = encoder.replace("_", "-") in registry.names("encoders")  # goes before a folder of its name
    path, suffix = _file_and_class(encoder)
    return (
        f"{Path(path).expanduser().resolve()}{suffix}"
        if Path(path).expanduser().exists() and not is_plugin
        else encoder
    )


def written_place(encoder: str, digest: str, bundle: Path, *, beside: bool = False) -> str:
    """How a bundle names its encoder; where a path is only known to this machine, its cache keeps it by the digest.

    beside: as if it lay beside the bundle, so that no folder is named.
    """
    if not is_place(encoder):
        return encoder
    path, suffix = _file_and_class(encoder)
    _remember(digest, encoder)
    with contextlib.suppress(ValueError):  # on another drive
        relative = Path(os.path.relpath(path, bundle.resolve()))
        shared = bundle.resolve().parents[max(relative.parts.count("..") - 1, 0)]
        if not beside and relative.parts.count("..") <= STEPS_UP and shared != Path(shared.anchor):
            return f"{'' if relative.parts[0] == '..' else './'}{relative.as_posix()}{suffix}"
    return f"../{Path(path).name}{suffix}"


def find_encoder(spec: EncoderFacts, path: Path) -> str:
    """What `load_encoder` takes for the encoder of the bundle that the file `path` describes.

    Where a digest fits nowhere, it is the first folder of the encoder's name. Errors: UserError where there is none.
    """
    bundle = path.parent
    if not is_place(spec.encoder):
        try:
            return _find_by_name(spec, bundle)
        except (UserError, OSError, ValueError) as error:
            raise UserError(f"{path}: the encoder {spec.encoder!r} cannot be loaded ({error})") from error
    file, suffix = _file_and_class(spec.encoder)
    location = f"{os.path.normpath(bundle.resolve() / Path(file).expanduser())}{suffix}"
    if suffix or registry.is_name("encoders", spec.encoder):
        return location  # a file with code, which is not looked for
    candidates = [location, *_candidates(spec, bundle)]
    if not _is_random(spec):
        for candidate in candidates:
            if folder_has_digest(candidate, spec.digest):
                return candidate
    for candidate in candidates:
        if Path(candidate).name == Path(location).name and _is_folder(candidate):
            return candidate
    raise UserError(
        f"{path}: the encoder {Path(location).name!r} is not at {spec.encoder}, nor are its weights near the bundle "
        "or in the cache of the hub: say where it is (--encoder)"
    )


def encoder_at(path: Path, spec: EncoderFacts, moved: str | None = None) -> tuple[Encoder, str]:
    """The encoder that the file `path` describes, before any training, and where it is. moved: where it is now.

    Errors: UserError, also for an encoder that is code of somebody else: reading a bundle runs none.
    """
    location = lasting_place(moved) if moved else find_encoder(spec, path)
    if moved is None and registry.is_name("encoders", location):
        registry.load_listed("encoders", location, f"{path}: give the encoder (--encoder)")
    try:
        return load_encoder(location, **read_options(spec.encoder_options)), location
    except (UserError, OSError, TypeError, ValueError, RuntimeError) as error:  # paths that the system refuses, too
        raise UserError(f"{path}: the encoder {location!r} cannot be loaded ({error})") from error


def check_digest(encoder: Encoder, spec: EncoderFacts, location: str, folder: Path) -> None:
    """Refuse an encoder, opened at a location, that has other weights than the bundle in a folder names.

    Errors: UserError.
    """
    if not encoder.has_digest(spec.digest):
        remedy = "train it again" if registry.is_name("encoders", location) else "give the right one (--encoder)"
        raise UserError(
            f"{folder}: was made with an encoder of other weights than {location} has, or another config.json: {remedy}"
        )


def _find_by_name(spec: EncoderFacts, bundle: Path) -> str:
    """The encoder's name, or a folder with its weights where the name cannot be had on this machine."""
    is_plugin = registry.is_name("encoders", spec.encoder)
    if is_plugin or _is_random(spec) or _is_folder(spec.encoder) or is_here(spec.encoder):
        return spec.encoder
    fitting = (folder for folder in _candidates(spec, bundle) if folder_has_digest(folder, spec.digest))
    return next(fitting, spec.encoder)


def _candidates(spec: EncoderFacts, bundle: Path) -> Iterator[str]:
    """Folders that may hold the weights, the likeliest first."""
    name, bundle = Path(spec.encoder.partition("@")[0]).name, bundle.resolve()
    around = (bundle, *list(bundle.parents)[: AROUND + 1])
    yield from (str(folder / name) for folder in around)
    if remembered := _remembered(spec.digest):
        yield remembered
    for folder in around[: AROUND + 1]:
        with contextlib.suppress(OSError):
            yield from (str(entry) for entry in sorted(folder.iterdir()) if (entry / "config.json").is_file())
    yield from map(str, hub_folders())


def _is_random(spec: EncoderFacts) -> bool:
    """Whether the encoder has random weights, which are in no file."""
    return "weights=random" in spec.encoder_options


def _is_folder(path: str) -> bool:
    with contextlib.suppress(OSError, ValueError):  # a name that is too long
        return Path(path).is_dir()
    return False


def _file_and_class(encoder: str) -> tuple[str, str]:
    """("/a/mine.py", ":Class") of "/a/mine.py:Class"; the path and "" of any other."""
    path, colon, name = encoder.partition(".py:")
    return (f"{path}.py", f":{name}") if colon else (encoder, "")


def _remember(digest: str, folder: str) -> None:
    """Keep where this machine has the weights of a digest; where the cache cannot be written, nothing is kept."""
    if HEX.fullmatch(digest) and _is_folder(folder):
        with contextlib.suppress(UserError, OSError), whole_file(cache_folder() / "encoders" / digest) as path:
            path.write_text(folder, encoding="utf-8")


def _remembered(digest: str) -> str:
    if not HEX.fullmatch(digest):
        return ""
    with contextlib.suppress(OSError, ValueError):
        return (cache_folder() / "encoders" / digest).read_text(encoding="utf-8")
    return ""
