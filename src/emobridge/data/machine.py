"""What this machine does fastest, measured once and stored in the user's cache folder."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emobridge.data.threads import one_thread
from emobridge.files import cache_folder, is_readable, whole_file

REPEATS = 7


def processor_name() -> str:
    """The processor's name, as the system says it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def has_bf16() -> bool:
    """Whether the processor multiplies bf16 numbers (avx512_bf16 or amx_bf16) rather than converting them first."""
    import torch

    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check)() for check in checks if hasattr(torch.cpu, check))


def ratio_of_times(work: Callable[[], Any], other: Callable[[], Any]) -> float:
    """CPU time of some work over that of other work on one thread: the least of a few runs of each.

    They take turns, and the clock is not asked: whatever else the machine does would choose with it.
    """
    times: dict[Callable[[], Any], list[float]] = {work: [], other: []}
    with one_thread():
        for _ in range(1 + REPEATS):
            for run, taken in times.items():
                start = time.process_time()
                run()
                taken.append(time.process_time() - start)
    return min(times[work][1:]) / min(times[other][1:])  # the first run also makes things ready


def remember(topic: str, versions: dict[str, str], measure: Callable[[], str], choices: tuple[str, ...]) -> str:
    """The result of `measure`, one of `choices`, from the cache folder where this machine was measured before.

    It holds for a processor and versions of packages, not for a number of threads: processes that share work must
    choose alike. A file that is damaged or absent, or says anything but a choice, is measured again; where none can be
    written, each process measures.
    """
    about = {"processor": processor_name(), **versions}
    text = json.dumps(about, sort_keys=True)
    path = cache_folder() / "machine" / f"{topic}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    choice = _read(path)
    if choice in choices:
        return choice
    choice = measure()
    try:
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps({**about, "choice": choice}, indent=1) + "\n", encoding="utf-8")
    except Exception:  # a folder that cannot be written: the next process measures again
        return choice
    return choice


def _read(path: Path) -> str:
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if is_readable(path) else {}
        return str(content["choice"])
    except Exception:  # damaged in any way
        return ""


@functools.cache
def training_precision() -> str:
    """ "bf16" where a training step on this CPU takes at most 0.9 of its time in fp32, else "fp32".

    $EMOBRIDGE_PRECISION takes the place of the measurement.
    """
    import torch

    fixed = os.environ.get("EMOBRIDGE_PRECISION", "")
    if fixed in ("fp32", "bf16"):
        return fixed
    if not has_bf16():
        return "fp32"
    return remember("training", {"torch": str(torch.__version__)}, _measure_training, ("fp32", "bf16"))


def _measure_training() -> str:
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = nn.TransformerEncoderLayer(512, 8, 2048, dropout=0.0, batch_first=True)
        speech = torch.randn(2, 150, 512, requires_grad=True)

    def step(enabled: bool) -> None:
        with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            block(speech).float().square().mean().backward()

    return "bf16" if ratio_of_times(lambda: step(True), lambda: step(False)) < 0.9 else "fp32"
