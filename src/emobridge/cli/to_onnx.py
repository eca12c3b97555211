"""The command that makes one file of ONNX of a recogniser; `cli.main` registers it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emobridge.cli.requests import MOVED, check_folder


def to_onnx(
    bundle: Annotated[str, typer.Argument(help="Folder of the bundle, or a model of the hub such as user/name.")],
    out: Annotated[Path, typer.Argument(help="Folder for model.onnx, labels.json and README.md.")],
    language: Annotated[
        str | None,
        typer.Option(help="Language of the speech, such as de or German. By default the last one of the bundle."),
    ] = None,
    encoder: Annotated[str | None, typer.Option(help=MOVED)] = None,
) -> None:
    """Write a recogniser as one ONNX file, from sound to probabilities, that runs without emobridge and torch.

    The file answers a clip of speech as `predict` answers a lone recording. Finding speech, cutting long recordings and
    the statistics of speakers are not in it. Before it stays it is compared with the bundle.
    """
    from emobridge.bundle import Recognizer

    check_folder("OUT", out)
    recognizer = Recognizer.load(bundle, encoder=encoder, device="cpu")
    export = recognizer.to_onnx(out, language=language)
    parity, synthetic = export.parity, " (SYNTHETIC)" * recognizer.synthetic
    print(f"{export.path}: {export.language}, {export.size / 1e6:.1f} MB{synthetic}")
    print(f"largest difference from the bundle: {parity.difference:.1e}, on {parity.sounds} made sounds")
    print(f"CPU seconds a second of sound: {parity.graph_time:.4f}, of the bundle {parity.bundle_time:.4f}")
