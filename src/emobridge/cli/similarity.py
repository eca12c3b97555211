"""The command that compares the layers of two corpora; `cli.main` registers it."""

from __future__ import annotations

from typing import Any

from emobridge.cli.options import command_from
from emobridge.cli.requests import check_folder
from emobridge.cli.stopping import keep_work
from emobridge.settings import Similarity


def run_similarity(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Find the layers of an encoder that two corpora share, for layer anchoring."""
    from emobridge.study.similarity import similarity as compare

    keep_work()
    check_folder("--out", request.out)
    print("\n".join(compare(request, strict=strict).lines))


similarity_command = command_from(Similarity, "similarity", run_similarity, file_flag="--settings")
