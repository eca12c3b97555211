"""What an audit says: findings, each of them one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of the audit."""

    kind: str  # "duplicate audio", "silent" ...
    severity: str  # of SEVERITIES
    message: str  # one line that begins with the manifest, or manifests
    ids: tuple[str, ...] = ()  # of utterances; of speakers where the message speaks of speakers


def first_names(names: Sequence[str]) -> str:
    """The first three of many names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
