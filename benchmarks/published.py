"""Pages of results, and the engine that their encoders are run by.

On each machine emobridge measures which of two exact engines is the faster one. Their features differ in the last
digits, and training by gradients makes points of that. Importing this module fixes the engine for this process and all
commands that it starts: torch, unless EMOBRIDGE_ENGINE names another one. The page says which.
"""

from __future__ import annotations

import os
from pathlib import Path

ENGINE = os.environ.setdefault("EMOBRIDGE_ENGINE", "torch")
NOTE = "Encoders of the last run: `EMOBRIDGE_ENGINE="


def write_page(path: Path, text: str) -> None:
    """Write a page whose last line names the engine, in place of an earlier such line.

    What an earlier run has left in stores and folders of work is as that run computed it.
    """
    lines = text.rstrip().split("\n")
    if lines[-1].startswith(NOTE):
        lines = "\n".join(lines[:-1]).rstrip().split("\n")
    path.write_text("\n".join([*lines, "", f"{NOTE}{ENGINE}`.", ""]), encoding="utf-8")
