"""A user's mistake: one line that names the thing, what was expected and the nearest valid choice."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable


class UserError(Exception):
    """Shown as one line, without a traceback; the command line exits with code 2."""


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice spelt most like `word`, or None where nothing comes near."""
    found = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.4)
    return found[0] if found else None


def unknown(thing: str, word: str, choices: Iterable[str]) -> UserError:
    """The error for a name that nobody knows.

    >>> str(unknown("head", "linaer", ["linear", "nonlinear"]))
    "unknown head 'linaer': did you mean 'linear'? (one of linear, nonlinear)"
    """
    choices = sorted(choices, key=lambda one: (int(one) if one.isdecimal() else math.inf, one))  # 2 before 10
    guess = nearest(word, choices)
    hint = f": did you mean {guess!r}?" if guess else ""
    return UserError(f"unknown {thing} {word!r}{hint} (one of {', '.join(choices)})")
