"""A user's mistake: one line that names the thing, what was expected and the nearest valid choice."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

LACKS = ("out of memory", "not enough memory", "allocate memory")
LONGEST = 1200  # characters of a message


class UserError(Exception):
    """Shown as one line, without a traceback; the command line exits with code 2.

    Files bring any text into a message. What is not printable is escaped, so that a line stays one line and no terminal
    obeys it; a longer text than LONGEST loses its middle.

    >>> print(UserError("a\\n.csv: no such file"))
    a\\n.csv: no such file
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(_one_line(str(message)))


def _one_line(text: str) -> str:
    if not text.isprintable():
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST * 2 // 3]} ... {text[-LONGEST // 4 :]}"


def nearest(word: str, choices: Iterable[str], *, cutoff: float = 0.4) -> str | None:
    """The choice whose spelling is most like `word`, or None where none is like it.

    cutoff: how alike they must be, in [0, 1].
    """
    matches = difflib.get_close_matches(word, list(choices), n=1, cutoff=cutoff)
    return matches[0] if matches else None


def unknown(thing: str, word: str, choices: Iterable[str]) -> UserError:
    """The error for a name that is none of the choices.

    >>> str(unknown("head", "linaer", ["linear", "nonlinear"]))
    "unknown head 'linaer': did you mean 'linear'? (one of linear, nonlinear)"
    """
    choices = sorted(choices, key=_numbers_first)
    guess = nearest(word, choices)
    hint = f": did you mean {guess!r}?" if guess else ""
    return UserError(f"unknown {thing} {word!r}{hint} (one of {', '.join(choices)})")


def count_noun(count: int, noun: str) -> str:
    """A number and what it counts, for messages.

    >>> count_noun(1, "row"), count_noun(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _numbers_first(choice: str) -> tuple[float, str]:
    """For sorting: 2 before 10, and both before texts."""
    return int(choice) if choice.isdecimal() else math.inf, choice


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that memory does not suffice: torch and safetensors have no class of their own for it."""
    text = str(error).casefold()
    return isinstance(error, MemoryError) or any(lack in text for lack in LACKS)
