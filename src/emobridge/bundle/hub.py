"""Bundles on the Hugging Face hub: safetensors, JSON and model cards, and no other file, in either direction."""

from __future__ import annotations

import re
from pathlib import Path

from emobridge.bundle.files import ADAPTERS, DESCRIPTION, LANGUAGE_DESCRIPTION, LANGUAGES_FOLDER, MODEL_CARD, TENSORS
from emobridge.errors import UserError

PARTS = (TENSORS, MODEL_CARD, f"{ADAPTERS}/*.json", f"{ADAPTERS}/*.safetensors")
FILES = (
    DESCRIPTION,
    *PARTS,
    *(f"{LANGUAGES_FOLDER}/*/{name}" for name in (LANGUAGE_DESCRIPTION, *PARTS)),
)
HUB_ID = re.compile(r"(?P<model>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>.+))?", re.ASCII)
REVISION = re.compile(r"\w[\w./-]*", re.ASCII)


def bundle_folder(source: str | Path, revision: str | None = None) -> Path:
    """The folder of a bundle: `source` itself, or the local copy of a model of the hub, "user/name" with "@revision".

    A folder of that name goes first. Errors: UserError for what is neither, in one line that says why.
    """
    folder, match = Path(source), HUB_ID.fullmatch(str(source))
    if folder.exists() or match is None:
        if revision:
            raise UserError(f"revision {revision!r}: goes with a model of the hub, and {source} is a folder")
        return folder
    if revision and match["revision"]:
        raise UserError(f"{source}: tells its revision; leave out revision={revision!r}")
    revision = revision or match["revision"]
    if revision and (not REVISION.fullmatch(revision) or ".." in revision):
        raise UserError(f"{source}: revision {revision!r}: expected a branch, a tag or a commit of the hub")
    from huggingface_hub import snapshot_download

    try:
        copy = Path(snapshot_download(match["model"], revision=revision, allow_patterns=[*FILES]))
    except Exception as error:  # offline, unknown, private, misspelt: huggingface_hub raises a dozen kinds
        raise UserError(f"{source}: no such folder, and not to be had from the model hub ({_line(error)})") from error
    if not (copy / DESCRIPTION).is_file():
        raise UserError(f"{source}: the model on the hub is no bundle (it has no {DESCRIPTION})")
    return copy


def upload_bundle(folder: Path, model: str, *, token: str | None, private: bool | None) -> str:
    """Upload the files of a bundle in one commit, make the model where there is none, and return its address.

    Files of an earlier bundle there that this one does not have are removed in the same commit.
    Errors: UserError for an id that is none, and whatever the hub refuses.
    """
    if not (match := HUB_ID.fullmatch(model)) or match["revision"]:
        raise UserError(f"{model}: expected the id of a model on the hub, such as user/name")
    from huggingface_hub import HfApi

    hub = HfApi(token=token)
    try:
        hub.create_repo(model, private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=model,
            folder_path=folder,
            commit_message="Recogniser by emobridge",
            allow_patterns=[*FILES],
            delete_patterns=[*FILES],
        )
    except Exception as error:  # no token, no right, no network
        raise UserError(f"{model}: cannot be put on the model hub ({_line(error)})") from error
    return f"{hub.endpoint}/{model}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
