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

from emobridge import registry
from emobridge.bundle.branch import Spec
from emobridge.encoders import folder_has_digest, hub_folders, is_here
from emobridge.errors import UserError
from emobridge.files import cache_folder, whole_file

STEPS_UP = 3  # folders above the bundle, at most, that it shares with its encoder: run/bundle and models lie two below
AROUND = 2  # folders above the bundle in which encoders of another name are looked for
HEX = re.compile(r"[0-9a-f]{64}")


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


def written_place(encoder: str, digest: str, bundle: Path) -> str:
    """How a bundle names its encoder; where a path is only known to this machine, its cache keeps it by the digest."""
    if not is_place(encoder):
        return encoder
    path, suffix = _file_and_class(encoder)
    _remember(digest, encoder)
    with contextlib.suppress(ValueError):  # on another drive
        relative = Path(os.path.relpath(path, bundle.resolve()))
        shared = bundle.resolve().parents[max(relative.parts.count("..") - 1, 0)]
        if relative.parts.count("..") <= STEPS_UP and shared != Path(shared.anchor):
            return f"{'' if relative.parts[0] == '..' else './'}{relative.as_posix()}{suffix}"
    return f"../{Path(path).name}{suffix}"


def find_encoder(spec: Spec, path: Path) -> str:
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


def _find_by_name(spec: Spec, bundle: Path) -> str:
    """The encoder's name, or a folder with its weights where the name cannot be had on this machine."""
    is_plugin = registry.is_name("encoders", spec.encoder)
    if is_plugin or _is_random(spec) or _is_folder(spec.encoder) or is_here(spec.encoder):
        return spec.encoder
    fitting = (folder for folder in _candidates(spec, bundle) if folder_has_digest(folder, spec.digest))
    return next(fitting, spec.encoder)


def _candidates(spec: Spec, bundle: Path) -> Iterator[str]:
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


def _is_random(spec: Spec) -> bool:
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
