"""The same work on many machines: a Ray cluster in place of the processes of --jobs. Extra: `scale`.

Nothing of Ray is imported before an address is given.
"""

from __future__ import annotations

from pathlib import Path

from emobridge.features.parallel import Workers


def fitting(address: str, *folders: str | Path | None, with_gpus: bool = False) -> Workers | None:
    """Who trains fits: the cluster at an address, as Ray tasks; None without an address.

    folders: where fits are kept; all machines must share them. with_gpus: encoders are trained too.
    Errors: UserError for what is no address, and where Ray is not installed.
    """
    if not address:
        return None
    from emobridge.scale.workers import Tasks

    return Tasks(address, _shared(folders), with_gpus)


def encoding(address: str, *folders: str | Path | None, device: str = "auto") -> Workers | None:
    """Who encodes audio: the GPUs of the cluster at an address, or its CPUs where it has none; None without an address.

    device: cpu takes no GPU; each process sees a single one. folders, errors: as `fitting`.
    """
    if not address:
        return None
    from emobridge.scale.workers import Pipeline

    return Pipeline(address, _shared(folders), with_gpus=device.strip().casefold() != "cpu")


def _shared(folders: tuple[str | Path | None, ...]) -> tuple[str, ...]:
    return tuple(str(folder) for folder in folders if folder is not None)
