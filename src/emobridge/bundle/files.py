"""A branch as files, and what reading them checks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

import emobridge
from emobridge.adapters import Adapters
from emobridge.bundle._branch import Branch, Spec, columns, made_head
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.features.normalisation import Domain
from emobridge.files import whole_file
from emobridge.heads.base import Regressor

FORMAT = 2  # of the bundle; a reader refuses a higher one
TENSORS, ADAPTERS, CARD = "model.safetensors", "adapters", "README.md"


def write_branch(
    folder: Path, name: str, branch: Branch, card: str, more: Mapping[str, Tensor], about: Mapping[str, Any]
) -> str:
    """Write a branch, its description `name` last; its digest comes back. more, about: what else belongs to it."""
    tensors = {f"head.{key}": tensor for key, tensor in branch.head.state_dict().items()}
    if branch.regressor is not None:
        tensors |= {f"regressor.{key}": tensor for key, tensor in branch.regressor.state_dict().items()}
    for place, domain in enumerate(branch.domains):
        tensors |= {f"domain.{place}.mean": domain.mean, f"domain.{place}.deviation": domain.deviation}
        if domain.offsets is not None:
            tensors[f"domain.{place}.offsets"] = domain.offsets
    tensors |= more
    told: dict[str, Any] = {"format": FORMAT, "emobridge": emobridge.__version__}
    if branch.adapters is not None:
        told["adapters"] = _digest_of(branch.adapters.save(folder / ADAPTERS))
    with whole_file(folder / TENSORS) as path:
        save_file({key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}, path)
        told["tensors"] = sha256(path)
    if card:
        with whole_file(folder / CARD) as path:
            path.write_text(card, encoding="utf-8")
    told |= about
    told |= {key: getattr(branch.spec, key) for key in Spec.__slots__}
    with whole_file(folder / name) as path:
        path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return sha256(path)


def read_about(path: Path, thing: str) -> tuple[Spec, dict[str, Any]]:
    """What the description of a branch says. Errors: UserError where there is none, or one of a newer format."""
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if about["format"] > FORMAT:
            raise UserError(
                f"{path}: a bundle of format {about['format']} made by emobridge {about.get('emobridge')}; this one "
                f"({emobridge.__version__}) reads up to {FORMAT}: update emobridge"
            )
        told = {"attributes": [], "attribute_range": "", "frames": False} | about  # which older bundles have not
        values: dict[str, Any] = {
            key: tuple(one) if isinstance(one := told[key], list) else one for key in Spec.__slots__
        }
        values["texts"] = tuple(map(tuple, values["texts"]))
        values["domains"] = tuple((corpus, language) for corpus, language in values["domains"])
        about["tensors"] = str(about["tensors"])
        return Spec(**values), about
    except OSError as error:
        raise UserError(f"{path.parent}: is no {thing} ({path.name} cannot be read: {error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is no description of a {thing} ({type(error).__name__}: {error})") from error


def read_branch(
    folder: Path, name: str, spec: Spec, about: Mapping[str, Any], tensors: dict[str, Tensor], encoder: Encoder
) -> Branch:
    """The branch that a folder describes in `name`, its adapters at work in the encoder, where all others rest."""
    adapters = None
    if "adapters" in spec.trained_parts:
        if about.get("adapters", digest := _digest_of(folder / ADAPTERS)) != digest:
            raise UserError(f"{folder / ADAPTERS}: does not fit {name} (it was changed, or saving was interrupted)")
        adapters = Adapters.load(folder / ADAPTERS, encoder)
    try:
        domains = tuple(
            Domain(
                corpus,
                language,
                tensors[f"domain.{place}.mean"],
                tensors[f"domain.{place}.deviation"],
                corpus not in spec.by_corpus,
                spec.texts[place],
                tensors.get(f"domain.{place}.offsets"),
            )
            for place, (corpus, language) in enumerate(spec.domains)
        )
        head = made_head(spec.head, spec.head_options, domains[0].mean.numel(), max(len(spec.labels), 1))
        head.load_state_dict(under(tensors, "head."))
        regressor = Regressor(head.output.in_features, spec.attributes) if spec.attributes else None
        if regressor is not None:
            regressor.load_state_dict(under(tensors, "regressor."))
        return Branch(spec, domains, head.eval(), adapters, columns(encoder, spec.statistics), regressor)
    except (KeyError, IndexError, RuntimeError) as error:
        raise unfitting(folder, name, error) from error


def unfitting(folder: Path, name: str, error: Exception) -> UserError:
    """The error for tensors that are not those that the description promises."""
    return UserError(f"{folder / TENSORS}: does not fit {name} ({' '.join(str(error).split())[:200]})")


def read_tensors(path: Path, digest: str, name: str) -> dict[str, Tensor]:
    """The tensors of a file that has this digest, which the description `name` tells."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        whole = sha256(path) == digest
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error
    if not whole:
        raise UserError(f"{path}: does not fit {name} (it was changed, or saving was interrupted)")
    return tensors


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _digest_of(folder: Path) -> str:
    """sha256 of a folder's files, names included; of one that is not there too."""
    files = sorted(path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []
    told = "".join(f"{path.name} {sha256(path)}\n" for path in files if not path.name.startswith("."))
    return hashlib.sha256(told.encode()).hexdigest()
