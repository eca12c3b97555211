"""How docstrings, which are plain text, become Markdown for the site.

Doctests become blocks of code; the parameters that a paragraph explains ("path: a file ...") and the words "Errors:"
and "Returns:" that begin a sentence are set apart.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_DOCTEST = re.compile(r"^>>> .*(?:\n(?!\n|>>> ).*|\n>>> .*)*", re.MULTILINE)
_WORDS = re.compile(r"(?:(?<=^)|(?<=\n)|(?<=\. ))(Errors|Returns|Yields|Source):(?=\s)")


class PlainText(Extension):
    """A griffe extension that rewrites each docstring."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            names = [parameter.name.lstrip("*") for parameter in getattr(obj, "parameters", ())]
            obj.docstring.value = markdown_of(obj.docstring.value, names)


def markdown_of(text: str, parameters: list[str] | tuple[str, ...] = ()) -> str:
    """The Markdown of a docstring.

    >>> markdown_of("Add one.\\n\\nn: a number. Errors: ValueError.\\n\\n>>> add(1)\\n2", ["n"])
    'Add one.\\n\\n**n**: a number. **Errors**: ValueError.\\n\\n```python\\n>>> add(1)\\n2\\n```'
    """
    parts, end = [], 0
    for found in _DOCTEST.finditer(text):
        parts += [_prose(text[end : found.start()], parameters), f"```python\n{found[0]}\n```"]
        end = found.end()
    return "".join((*parts, _prose(text[end:], parameters)))


def _prose(text: str, parameters: list[str] | tuple[str, ...]) -> str:
    text = _WORDS.sub(r"**\1**:", text)
    for name in parameters:
        text = re.sub(rf"(?:(?<=^)|(?<=\n)|(?<=\. )){re.escape(name)}:(?=\s)", f"**{name}**:", text)
    return text
