"""The command that trains a diarizer; `cli.main` registers it."""

from __future__ import annotations

from typing import Any

from emobridge.cli.options import command_from
from emobridge.cli.requests import check_folder
from emobridge.progress import report_skipped
from emobridge.settings import TrainDiarizer


def run_train_diarizer(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Train a diarizer, which tells which emotion is heard when, from utterances with one label each."""
    from emobridge.study.diarizer import train_diarizer

    check_folder("--out", request.out)
    study = train_diarizer(request, strict=strict)
    report_skipped(study.fit.skipped)
    print("\n".join(study.lines))


diarizer_training = command_from(TrainDiarizer, "train-diarizer", run_train_diarizer, file_flag="--settings")
