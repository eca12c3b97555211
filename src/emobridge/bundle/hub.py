"""Recognisers and diarizers on the Hugging Face hub: safetensors, JSON and model cards, and no other file, in either
direction.
"""

from __future__ import annotations

import fnmatch
import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from emobridge.bundle.files import ADAPTERS, DESCRIPTION, LANGUAGE_DESCRIPTION, LANGUAGES_FOLDER, MODEL_CARD, TENSORS
from emobridge.errors import UserError

DIARIZER, DIARIZER_TENSORS = "diarizer.json", "diarizer.safetensors"
BRANCH_FILES = (TENSORS, MODEL_CARD, f"{ADAPTERS}/*.json", f"{ADAPTERS}/*.safetensors")
MODEL_FILES = (
    DESCRIPTION,
    DIARIZER,
    DIARIZER_TENSORS,
    *BRANCH_FILES,
    *(f"{LANGUAGES_FOLDER}/*/{name}" for name in (LANGUAGE_DESCRIPTION, *BRANCH_FILES)),
)
HUB_ID = re.compile(r"(?P<model>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>.+))?", re.ASCII)
REVISION = re.compile(r"\w[\w./-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubPlace:
    """Where a model goes on the hub. Errors: UserError for an id that is none."""

    model: str  # "user/name"
    token: str | None = None  # None is that of `hf auth login`
    private: bool = True  # refuse a model that everyone can see; False makes a new one public
    branch: str = "main"  # made where there is none

    def __post_init__(self) -> None:
        if not (match := HUB_ID.fullmatch(self.model)) or match["revision"]:
            raise UserError(f"{self.model}: expected the id of a model on the hub, such as user/name")
        _check_revision(self.model, self.branch)


def bundle_folder(source: str | Path, revision: str | None = None) -> Path:
    """The folder of a bundle or a diarizer: `source` itself, or the local copy of a model of the hub, "user/name" with
    "@revision".

    A folder of that name goes first, and the hub is not asked for what can only be a folder: one in a folder that is
    here, and one called "bundle". Errors: UserError for what is neither, in one line that says why.
    """
    folder, match = Path(source), HUB_ID.fullmatch(str(source))
    if folder.exists() or match is None:
        if revision:
            raise UserError(f"revision {revision!r}: goes with a model of the hub, and {source} is a folder")
        return folder
    if not match["revision"] and (folder.parent.is_dir() or folder.name == "bundle"):
        raise UserError(f"{source}: no such folder; expected that of a bundle, or a model of the hub, user/name")
    if revision and match["revision"]:
        raise UserError(f"{source}: tells its revision; leave out revision={revision!r}")
    revision = revision or match["revision"]
    if revision:
        _check_revision(str(source), revision)
    from huggingface_hub import snapshot_download

    try:
        copy = Path(snapshot_download(match["model"], revision=revision, allow_patterns=[*MODEL_FILES]))
    except Exception as error:  # offline, unknown, private, misspelt: huggingface_hub raises a dozen kinds
        raise UserError(f"{source}: no such folder, and not to be had from the model hub ({_line(error)})") from error
    if not any((copy / name).is_file() for name in (DESCRIPTION, DIARIZER)):
        raise UserError(f"{source}: the model on the hub is no bundle (it has no {DESCRIPTION}, nor a {DIARIZER})")
    return copy


def files_to_upload(folder: Path) -> tuple[tuple[str, int], ...]:
    """The files of a bundle or a diarizer that an upload takes, by name, each with its size in bytes."""
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*"))}
    return tuple(
        (name, size) for name, size in sizes.items() if any(fnmatch.fnmatchcase(name, rule) for rule in MODEL_FILES)
    )


def check_card(card: str, corpora: Iterable[str]) -> None:
    """Refuse a model card that the hub cannot read, that has no licence, or that leaves out a corpus.

    corpora: what the model was trained on or adapted to. Errors: UserError.
    """
    from huggingface_hub import ModelCard

    try:
        head = ModelCard(card, ignore_metadata_errors=False).data
    except Exception as error:  # of PyYAML, and ValueErrors of huggingface_hub
        raise UserError(f"{MODEL_CARD}: the hub cannot read the head of the model card ({_line(error)})") from error
    if not head.get("license"):
        raise UserError(f"{MODEL_CARD}: the model card has no license in its head, such as 'license: other'")
    text = html.unescape(re.sub(r"\\([\\|`*\[\]])", r"\1", card))
    for corpus in corpora:
        if " ".join(corpus.split()) not in text:
            raise UserError(f"{MODEL_CARD}: the model card does not name {corpus!r}, which the model was trained on")


def upload_bundle(folder: Path, destination: HubPlace, corpora: Iterable[str]) -> str:
    """Upload the files of a bundle or a diarizer in one commit, make the model where there is none; return its address.

    Files of an earlier bundle there that this one does not have are removed in the same commit.
    corpora: what the model was trained on or adapted to, which its card must name.
    Errors: UserError for a card as `check_card` has it, for a public model where a private one is asked for, and for
    whatever the hub refuses.
    """
    check_card((folder / MODEL_CARD).read_text(encoding="utf-8"), corpora)
    from huggingface_hub import HfApi

    hub = HfApi(token=destination.token)
    try:
        hub.create_repo(destination.model, private=destination.private, exist_ok=True)
        if destination.private and not hub.model_info(destination.model).private:
            raise UserError(
                f"{destination.model}: everyone can see this model of the hub; if that is meant, say public"
            )
        if destination.branch != "main":
            hub.create_branch(destination.model, branch=destination.branch, exist_ok=True)
        hub.upload_folder(
            repo_id=destination.model,
            folder_path=folder,
            revision=destination.branch,
            commit_message="Model by emobridge",
            allow_patterns=[*MODEL_FILES],
            delete_patterns=[*MODEL_FILES],
        )
    except UserError:
        raise
    except Exception as error:  # no token, no right, no network
        raise UserError(f"{destination.model}: cannot be put on the model hub ({_line(error)})") from error
    return f"{hub.endpoint}/{destination.model}"


def _check_revision(source: str, revision: str) -> None:
    if not REVISION.fullmatch(revision) or ".." in revision:
        raise UserError(f"{source}: revision {revision!r}: expected a branch, a tag or a commit of the hub")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
