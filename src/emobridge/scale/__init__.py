"""The same work on many machines: a Ray cluster in place of the processes of --jobs. Extra: `scale`.

Nothing of Ray is imported before an address is given.
"""

from __future__ import annotations

from pathlib import Path

from emobridge.features.parallel import Workers


def fitting(address: str, *folders: str | Path | None, device: str = "cpu") -> Workers | None:
    """Who trains fits: the cluster at an address, as Ray tasks; None without an address.

    folders: where fits are kept; all machines must share them. device: of encoders in them, as `encoding` has it.
    Errors: UserError for what is no address, and no device of a cluster, and where Ray is not installed.
    """
    if not address:
        return None
    from emobridge.scale.cluster import cluster_device
    from emobridge.scale.workers import Tasks

    return Tasks(address, _shared(folders), cluster_device(device))


def encoding(address: str, *folders: str | Path | None, device: str = "auto") -> Workers | None:
    """Who encodes audio: the cluster at an address, as a pipeline; None without an address.

    device: auto is its GPUs, or its CPUs where it has none; cuda its GPUs alone; cpu none of them. folders, errors: as
    `fitting`.
    """
    if not address:
        return None
    from emobridge.scale.cluster import cluster_device
    from emobridge.scale.workers import Pipeline

    return Pipeline(address, _shared(folders), cluster_device(device))


def _shared(folders: tuple[str | Path | None, ...]) -> tuple[str, ...]:
    return tuple(str(folder) for folder in folders if folder is not None)
