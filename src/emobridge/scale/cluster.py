"""A connection to a Ray cluster: opened when work is sent there, silent, and closed again.

Ray schedules, sends, and repeats what was lost with a machine. Here it is only asked to.
"""

from __future__ import annotations

import contextlib
import logging
import re
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

from emobridge.errors import UserError, nearest, unknown

ADDRESSES = ("auto", "local")  # the cluster of this machine; one that is started for the command
DEVICES = ("auto", "cpu", "cuda")
HOST = re.compile(r"(ray://)?([\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}")


def check_address(address: str) -> None:
    """Errors: UserError for what is no address of a Ray cluster, and where Ray is not installed."""
    if address not in ADDRESSES and not HOST.fullmatch(address):
        guess = nearest(address, ADDRESSES)
        hint = f"; did you mean {guess!r}?" if guess else ""
        raise UserError(f"cluster {address!r}: expected auto, local, HOST:PORT or ray://HOST:PORT{hint}")
    _ray()


def cluster_device(name: str) -> str:
    """The device of a name for processes of a cluster, of which each sees a single GPU: one of DEVICES.

    Errors: UserError for any other.
    """
    folded = name.strip().casefold()
    if folded.startswith("cuda:"):
        raise UserError(f"device {name}: each process of a cluster sees a single GPU: give cuda")
    if folded not in DEVICES:
        raise unknown("device of a cluster", name, DEVICES)
    return folded


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """The module `ray`, connected. A connection that a program around this one has opened is used and left open.

    Errors: UserError where Ray is not installed, and where no cluster answers.
    """
    check_address(address)
    ray = _ray()
    if ray.is_initialized():
        yield ray
        return
    with _handlers_kept():
        _open(ray, address)
    try:
        yield ray
    finally:
        ray.shutdown()


def slots(ray: Any, device: str) -> tuple[int, bool]:
    """How many processes may work at once, and whether each of them has a GPU, which goes by `device`, one of DEVICES.

    Errors: UserError for a cluster that has no CPU to give, or no GPU that was asked for.
    """
    resources = ray.cluster_resources()
    cpus = int(resources.get("CPU", 0))
    if not cpus:
        raise UserError("cluster: no machine of it gives a CPU; start a worker: ray start --address HOST:PORT")
    gpus = int(resources.get("GPU", 0))
    if device == "cuda" and not gpus:
        raise UserError("device cuda: the cluster has no GPU; give --device auto or cpu")
    has_gpus = gpus > 0 and device != "cpu"
    return (gpus if has_gpus else cpus), has_gpus


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError(f"cluster: {error.name or 'ray'} is not installed: pip install 'emobridge[scale]'") from error
    return ray


def _open(ray: Any, address: str) -> None:
    more = {"include_dashboard": False} if address == "local" else {}
    for name in ("ray", "ray.data", "ray.util.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with contextlib.suppress(AttributeError):  # else words on lost machines come to standard output
        ray._private.worker._worker_logs_enabled = False
    if address not in ADDRESSES:
        _check_answer(address)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **more)
    except (OSError, RuntimeError, ValueError, TimeoutError) as error:  # ConnectionError is an OSError
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"cluster {address}: no Ray cluster answers there ({reason})") from error


def _check_answer(address: str) -> None:
    """Errors: UserError where nothing listens; Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"cluster {address}: nothing answers there ({error})") from error


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself; the command's own handler ends it as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
